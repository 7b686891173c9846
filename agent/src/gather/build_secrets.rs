//! What may a build's `RUN` steps read and ask that does not get into the image: secrets, ssh agents?

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use plan::build::SecretBytes;
use specs::{
    ReadText as _,
    model::{Build, FileReference, Project},
};

use crate::{gather::inputs::secret_bytes, secrets::decrypt::Decrypting};

/// BuildKit takes no larger secret, in bytes.
const MAX_SECRET: usize = 500 << 10;

/// `build.secrets`, by the id that the Dockerfile asks for: the target, else the secret's name.
///
/// # Errors
/// One cannot be had, in words without it.
pub(super) fn secrets(
    project: &Project,
    declared: &Build,
    reader: &Decrypting<'_>,
) -> Result<BTreeMap<String, SecretBytes>, String> {
    let each = declared.secrets.iter().map(|wanted| {
        let id = if wanted.target.is_empty() { &wanted.source } else { &wanted.target };
        let secret = secret(project, wanted, reader);
        let secret = secret.map_err(|error| format!("build.secrets.{}: {error}", wanted.source.shown()))?;
        Ok((id.expose().to_owned(), secret))
    });
    each.collect()
}

fn secret(project: &Project, wanted: &FileReference, reader: &Decrypting<'_>) -> Result<SecretBytes, String> {
    let declared = project.secrets.get(wanted.source.expose()).ok_or("there is no such secret")?;
    let bytes = match &declared.content {
        Some(content) => content.expose().as_bytes().to_vec().into(),
        None if declared.file.is_empty() => return Err("it has neither a file nor a variable".to_owned()),
        None => {
            let path = project.working_dir.join(declared.file.expose());
            secret_bytes(&path, reader).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    if bytes.len() > MAX_SECRET {
        return Err(format!("it is larger than {} KiB", MAX_SECRET >> 10));
    }
    Ok(SecretBytes::new(bytes))
}

/// `build.ssh`: the sockets of agents. Nobody's own agent is meant where no path is given: what a spec means does not depend
/// on who started this program.
///
/// # Errors
/// There is no agent, in words.
pub(super) fn agents(declared: &Build, reader: &Decrypting<'_>) -> Result<BTreeMap<String, PathBuf>, String> {
    let each = declared.ssh.iter().map(|agent| {
        let (id, path) = (agent.id.expose(), Path::new(agent.path.expose()));
        if agent.path.is_empty() {
            return Err(format!("build.ssh.{id}: name the socket of an ssh agent, `{id}=/run/…`"));
        }
        reader.look_into(path);
        let path = reader.resolve(path);
        match fs::metadata(&path) {
            Ok(found) if found.file_type().is_socket() => Ok((id.to_owned(), path)),
            Ok(_) => Err(format!(
                "build.ssh.{id}: {} is no socket: keys are for an ssh agent (`ssh-agent -a SOCKET`, `ssh-add`); name its socket",
                path.display()
            )),
            Err(error) => Err(format!("build.ssh.{id}: {}: {error}", path.display())),
        }
    });
    each.collect()
}
