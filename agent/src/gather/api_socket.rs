//! What does `use_api_socket` give to a service? The Engine's socket, and the logins with which the agent pulls.
//!
//! As Docker Compose 2.40 adds it before it takes the hash: a bind, a variable where there is none, and a config. The logins are
//! secrets here: what is made of them lies in memory, and is masked wherever it could be shown.

use std::{io, path::Path};

use serde::Serialize as _;
use serde_json::{Map, json, ser::PrettyFormatter};
use specs::{
    ReadText, Text,
    doc::Key,
    model::{FileObject, FileReference, Mount, MountKind, Project, Service},
};

use crate::{gather::logins, secrets::decrypt::Decrypting};

/// The config's name, which no file can have given to another one.
const CONFIG: &str = "#apisocket";
const SOCKET: &str = "/var/run/docker.sock";
const VARIABLE: &str = "DOCKER_CONFIG";
const FOLDER: &str = "/run/secrets/docker";

/// Adds it to every service that asks for it.
///
/// # Errors
/// Docker's configuration is there and cannot be read.
pub(crate) fn give(project: &mut Project, reader: &Decrypting<'_>) -> Result<(), String> {
    if !project.services.values().any(|service| service.use_api_socket) {
        return Ok(());
    }
    let content = logins(&logins::configurations(), reader)?;
    let config = FileObject { name: Text::plain(CONFIG), content: Some(content), ..FileObject::default() };
    project.configs.insert(CONFIG.into(), config);
    project.services.values_mut().filter(|service| service.use_api_socket).for_each(add);
    Ok(())
}

fn add(service: &mut Service) {
    service.volumes.push(Mount {
        kind: MountKind::Bind,
        source: Text::plain(SOCKET),
        target: Text::plain(SOCKET),
        ..Mount::default()
    });
    let variable = Key::known(VARIABLE);
    service.environment.entry(variable).or_insert_with(|| Some(Text::plain(FOLDER)));
    service.configs.push(FileReference {
        source: Text::plain(CONFIG),
        target: Text::plain(format!("{FOLDER}/config.json")),
        ..FileReference::default()
    });
}

/// The logins of the first configuration that is there, as Docker writes them. Those that a helper keeps stay with it.
fn logins(files: &[impl AsRef<Path>], reader: &Decrypting<'_>) -> Result<Text, String> {
    let mut auths = Map::new();
    for file in files.iter().map(AsRef::as_ref) {
        match reader.read(file) {
            Ok(content) => {
                auths = logins::written(&content.bytes, file)?;
                break;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("use_api_socket: {} cannot be read: {error}", file.display())),
        }
    }
    let secret = !auths.is_empty();
    let mut text = Vec::new();
    let form = PrettyFormatter::with_indent(b"\t");
    let written =
        json!({ "auths": auths }).serialize(&mut serde_json::Serializer::with_formatter(&mut text, form));
    written.map_err(|error| error.to_string())?;
    Ok(Text::with_secrecy(String::from_utf8_lossy(&text), secret))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use specs::{disk::Disk, hash, secrets::Identities};

    use super::*;

    #[test]
    fn the_hash_is_the_one_that_docker_compose_writes() {
        let service = |environment: &str| {
            let mut service = Service {
                name: "a".into(),
                image: Text::plain("b:1"),
                network_mode: Text::plain("none"),
                use_api_socket: true,
                ..Service::default()
            };
            if !environment.is_empty() {
                service.environment.insert(VARIABLE.into(), Some(Text::plain(environment)));
            }
            add(&mut service);
            service
        };
        // Recorded from Docker Compose 2.40.3.
        let recorded = "ffcd1ddaee8ed0e798d16b8746259c41f1f23756cb827ca96b56f08b1cfef229";
        assert_eq!(hash::service(&service(""), &BTreeMap::new()), recorded);
        assert_eq!(service("/own").environment[VARIABLE], Some(Text::plain("/own")));
    }

    #[test]
    fn logins_are_handed_over_as_docker_writes_them_and_are_secrets() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        let identities = Identities::default();
        let content = |files: &[&Path]| logins(files, &Decrypting::new(&Disk, &identities));
        let none = content(&[&file]).expect("there need not be one");
        assert_eq!((none.expose(), none.is_secret()), ("{\n\t\"auths\": {}\n}", false));
        let text = r#"{"auths": {"a.io": {"auth": "bWU6aHVudGVyMg=="}, "b.io": {}, "c.io": {"username": "me", "password": "x"},
            "d.io": {"identitytoken": "t"}}, "credsStore": "lab", "HttpHeaders": {"A": "b"}}"#;
        fs::write(&file, text).expect("written");
        let written = content(&[Path::new("/nonexistent/config.json"), &file]).expect("read");
        let auths = json!({ "a.io": { "auth": "bWU6aHVudGVyMg==" }, "c.io": { "auth": "bWU6eA==" }, "d.io": { "identitytoken": "t" } });
        let expected: serde_json::Value = serde_json::from_str(written.expose()).expect("JSON");
        assert_eq!((expected, written.is_secret()), (json!({ "auths": auths }), true));
        fs::write(&file, "{").expect("written");
        assert!(content(&[&file]).expect_err("no JSON").contains("config.json:1:"));
    }
}
