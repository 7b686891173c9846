//! With which login does the Engine pull from a registry?
//!
//! The stack's own (`x-agent.registries`), else Docker's: `config.json` from the service manager's credentials, from
//! `$DOCKER_CONFIG` or from the user's folder, with its helper programs. Looked up when something is about to be pulled,
//! never kept, never shown.

use std::{
    collections::BTreeMap,
    env,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use plan::{
    desired::Login,
    reference::{DOCKER_HUB, Reference},
    step::{Act, Plan},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use specs::{Text, model::Project};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    time::timeout,
};
use zeroize::Zeroizing;

use crate::{gather::inputs, secrets::decrypt::Decrypting};

/// The name of the credential (`LoadCredential=docker-config.json:…`).
const CREDENTIAL: &str = "docker-config.json";
/// Larger than any configuration.
const MAX_CONFIG: u64 = 1 << 20;
/// More than any helper says.
const MAX_ANSWER: u64 = 64 << 10;
/// How long a helper may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The logins of `x-agent.registries`.
pub fn of_stack(project: &Project, reader: &Decrypting<'_>) -> BTreeMap<String, Result<Login, String>> {
    let logins = project.settings.registries.iter().map(|(host, declared)| {
        let secret = |file: &Text| {
            let path = project.working_dir.join(file.expose());
            inputs::secret_of(&path, reader)
                .map_err(|error| format!("the login for {host}: {}: {error}", path.display()))
        };
        let login = || {
            let token = declared.identity_token_file.as_ref().map(secret).transpose()?;
            let password = declared.password_file.as_ref().map(secret).transpose()?;
            Ok(Login {
                username: declared.username.clone(),
                password: password.unwrap_or_default(),
                identity_token: token,
                source: "x-agent.registries".to_owned(),
            })
        };
        (server(host), login())
    });
    logins.collect()
}

/// Docker's configurations, in the order in which they are looked at.
pub(crate) fn configurations() -> Vec<PathBuf> {
    files(|name| env::var_os(name).filter(|value| !value.is_empty()))
}

/// Gives every pull of a plan a login, where there is one.
pub async fn supply(plan: &mut Plan) {
    for step in &mut plan.steps {
        if let Act::PullImage { reference, login, .. } = &mut step.act
            && let Err(why) = login
        {
            *login = of_docker(reference, why).await;
        }
    }
}

/// Docker's own login for a reference, where the stack has none for the reason `why`.
///
/// # Errors
/// There is none, for both reasons.
pub async fn of_docker(reference: &str, why: &str) -> Result<Login, String> {
    let files = configurations();
    match look(&files, &Reference::parse(reference).registry).await {
        Ok(Some(login)) => Ok(login),
        Ok(None) => Err(format!("{why}, nor has {}", names(&files))),
        Err(error) => Err(format!("{why}, and {error}")),
    }
}

/// The configurations that are looked at, in their order.
fn files(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Vec<PathBuf> {
    let credential = variable("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(CREDENTIAL));
    let of_user = || Path::new(&variable("HOME").unwrap_or_else(|| "/root".into())).join(".docker");
    let folder = variable("DOCKER_CONFIG").map_or_else(of_user, PathBuf::from);
    credential.into_iter().chain([folder.join("config.json")]).collect()
}

fn names(files: &[PathBuf]) -> String {
    files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or ")
}

/// Docker's `config.json`, as far as it is about logins.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Entry>,
    #[serde(rename = "credsStore")]
    store: String,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Zeroizing<String>,
    username: String,
    password: Zeroizing<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Zeroizing<String>,
}

/// What a helper answers (the docker-credential protocol).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Zeroizing<String>,
}

async fn look(files: &[PathBuf], registry: &str) -> Result<Option<Login>, String> {
    for file in files {
        let Some(config) = read(file).await? else { continue };
        let helper = config.helpers.iter().find(|(host, _)| server(host) == registry).map(|(_, name)| name);
        let store = (!config.store.is_empty()).then_some(&config.store);
        let found = match helper.or(store) {
            Some(name) => ask(name, registry).await?,
            None => entry(&config, registry, file)?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

async fn read(file: &Path) -> Result<Option<Config>, String> {
    let opened = match tokio::fs::File::open(file).await {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} cannot be read: {error}", file.display())),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    let read = opened.take(MAX_CONFIG).read_to_end(&mut bytes).await;
    read.map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    parsed(&bytes, file).map(Some)
}

fn parsed(bytes: &[u8], file: &Path) -> Result<Config, String> {
    // serde's own words may quote what it read.
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("{}:{line}:{column} is not as Docker writes its config.json", file.display())
    })
}

/// The logins that stand in a configuration itself, as Docker writes them for others.
pub(crate) fn written(bytes: &[u8], file: &Path) -> Result<Map<String, Value>, String> {
    let of = |entry: &Entry| match (entry.auth.as_str(), entry.identity_token.as_str()) {
        ("", "") if entry.username.is_empty() => None,
        ("", "") => {
            let pair = Zeroizing::new(format!("{}:{}", entry.username, *entry.password));
            Some(json!({ "auth": STANDARD.encode(pair.as_bytes()) }))
        }
        (auth, "") => Some(json!({ "auth": auth })),
        ("", token) => Some(json!({ "identitytoken": token })),
        (auth, token) => Some(json!({ "auth": auth, "identitytoken": token })),
    };
    let config = parsed(bytes, file)?;
    Ok(config.auths.iter().filter_map(|(host, entry)| Some((host.clone(), of(entry)?))).collect())
}

/// The login that stands in the file itself.
fn entry(config: &Config, registry: &str, file: &Path) -> Result<Option<Login>, String> {
    let Some((_, entry)) = config.auths.iter().find(|(host, _)| server(host) == registry) else {
        return Ok(None);
    };
    let source = file.display().to_string();
    if !entry.identity_token.is_empty() {
        return Ok(Some(token(&entry.identity_token, source)));
    }
    let (username, password) = if entry.auth.is_empty() {
        (entry.username.clone(), entry.password.clone())
    } else {
        let odd = || format!("auths.{registry}.auth of {source} is not the base64 of USER:PASSWORD");
        let bytes = Zeroizing::new(STANDARD.decode(entry.auth.trim()).map_err(|_| odd())?);
        let text = std::str::from_utf8(&bytes).map_err(|_| odd())?;
        let (username, password) = text.trim_end_matches('\0').split_once(':').ok_or_else(odd)?;
        (username.to_owned(), Zeroizing::new(password.to_owned()))
    };
    if username.is_empty() {
        // `docker login` leaves an empty entry behind where a store has the login.
        return Ok(None);
    }
    let (username, password) = (Text::plain(username), Text::secret(password.as_str()));
    Ok(Some(Login { username, password, identity_token: None, source }))
}

fn token(token: &str, source: String) -> Login {
    let identity_token = Some(Text::secret(token));
    Login { username: Text::default(), password: Text::default(), identity_token, source }
}

/// Asks a helper program: the registry on its standard input, JSON on its standard output.
async fn ask(name: &str, registry: &str) -> Result<Option<Login>, String> {
    let program = format!("docker-credential-{name}");
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(format!("`{name}` is no name of a credential helper"));
    }
    let answer = timeout(PATIENCE, answer(&program, registry)).await;
    let (worked, said) = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
            return Err(format!("{program} is not on PATH"));
        }
        Ok(Err(error)) => return Err(format!("{program} cannot be run: {error}")),
        Err(_) => return Err(format!("{program} has not answered within {} s", PATIENCE.as_secs())),
    };
    if !worked {
        // The protocol's words for "I have none".
        let none = said.starts_with(b"credentials not found");
        return if none { Ok(None) } else { Err(format!("{program} failed")) };
    }
    let answer: Answer = serde_json::from_slice(&said)
        .map_err(|_| format!("{program} does not answer as such a helper does"))?;
    if answer.username == "<token>" {
        return Ok(Some(token(&answer.secret, program)));
    }
    let (username, password) = (Text::plain(answer.username), Text::secret(answer.secret.as_str()));
    Ok(Some(Login { username, password, identity_token: None, source: program }))
}

async fn answer(program: &str, registry: &str) -> std::io::Result<(bool, Zeroizing<Vec<u8>>)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let server = if registry == DOCKER_HUB { "https://index.docker.io/v1/" } else { registry };
    if let Some(mut input) = child.stdin.take() {
        // One that ends early says why itself.
        let _ = input.write_all(format!("{server}\n").as_bytes()).await;
    }
    let mut said = Zeroizing::new(Vec::new());
    if let Some(output) = child.stdout.take() {
        output.take(MAX_ANSWER).read_to_end(&mut said).await?;
    }
    Ok((child.wait().await?.success(), said))
}

/// The registry that a key of Docker's configuration means: `https://index.docker.io/v1/` is Docker Hub.
fn server(key: &str) -> String {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    match host {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        fs::write(&file, text).expect("written");
        (folder, vec![file])
    }

    #[tokio::test]
    async fn docker_s_configuration_is_read_as_docker_reads_it() {
        let hub = STANDARD.encode("me:pass:word");
        let text = format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{hub}"}}, "ghcr.io": {{}},
               "quay.io": {{"identitytoken": "t0ken"}}, "odd.io": {{"auth": "!"}}}}, "HttpHeaders": {{}}}}"#
        );
        let (_folder, files) = written(&text);
        let login = look(&files, DOCKER_HUB).await.expect("read").expect("a login");
        assert_eq!((login.username.expose(), login.password.expose()), ("me", "pass:word"));
        assert!(login.password.is_secret());
        let login = look(&files, "quay.io").await.expect("read").expect("a login");
        assert_eq!(login.identity_token, Some(Text::secret("t0ken")));
        assert_eq!(look(&files, "ghcr.io").await, Ok(None));
        assert_eq!(look(&files, "elsewhere.io").await, Ok(None));
        assert!(look(&files, "odd.io").await.expect_err("no base64").contains("auths.odd.io.auth"));
        assert_eq!(look(&["/nonexistent/config.json".into()], "ghcr.io").await, Ok(None));
        let (_folder, files) = written(r#"{"auths": {"ghcr.io": {"auth": 7, "password": "hunter2"}}}"#);
        let error = look(&files, "ghcr.io").await.expect_err("a number");
        assert!(error.contains("config.json:1:") && !error.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn a_helper_that_is_absent_or_has_an_odd_name_says_so() {
        let (_folder, files) =
            written(r#"{"credHelpers": {"ghcr.io": "not-there-at-all", "a.io": "../../bin/sh"}}"#);
        assert!(look(&files, "ghcr.io").await.expect_err("absent").contains("not on PATH"));
        assert!(look(&files, "a.io").await.expect_err("odd").contains("no name of a credential helper"));
    }

    #[test]
    fn a_credential_comes_before_docker_config_and_that_before_the_user_s_folder() {
        let variable = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some("/run/credentials/x".into()),
            "DOCKER_CONFIG" => Some("/etc/docker-login".into()),
            _ => None,
        };
        let expected = ["/run/credentials/x/docker-config.json", "/etc/docker-login/config.json"];
        assert_eq!(files(variable), expected.map(PathBuf::from));
        assert_eq!(files(|_| None), [PathBuf::from("/root/.docker/config.json")]);
    }
}
