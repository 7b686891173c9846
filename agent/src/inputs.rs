//! Which files outside its compose file change what a stack's containers are, and are they there?
//!
//! Reads only. A file's content counts where the profile declares it: in the stack's own folder, or in the store. A bound
//! file elsewhere is data that its container may write itself, and a digest of it would recreate the container for its
//! own work.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use plan::desired::{FileFact, Inputs, PlacedFile};
use specs::{
    FileKind, MAX_FILE, ReadText, Text,
    model::{MountKind, Project},
    secrets::keyed_digest,
};

use crate::decrypt::Decrypting;

/// Where the store is.
const STORE: &str = "/nix/store";

/// Puts a plaintext on the agent's memory file system: the declared path and the bytes in, the path of the copy out.
pub type Place<'a> = &'a dyn Fn(&Path, &[u8]) -> io::Result<PathBuf>;

/// How inputs are looked at.
pub struct Look<'a, 'b> {
    /// Reads, decrypts, and remembers what it has looked at.
    pub reader: &'a Decrypting<'b>,
    /// The host's digest key.
    pub key: &'a [u8; 32],
    /// The stack's own folder, and what the profile resolves to.
    pub declared_below: Vec<PathBuf>,
    /// Where plaintext goes.
    pub place: Place<'a>,
}

impl std::fmt::Debug for Look<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Look").field("declared_below", &self.declared_below).finish_non_exhaustive()
    }
}

/// A file that the stack names and that cannot be used, in words.
pub type Trouble = String;

impl Look<'_, '_> {
    /// What the enabled services of a project use. Mounts are somebody else's to look at.
    ///
    /// # Errors
    /// Files that are encrypted and cannot be opened, or cannot be read: all of them.
    pub fn inputs_of(&self, project: &Project) -> Result<Inputs, Vec<Trouble>> {
        let mut inputs = Inputs::default();
        let mut troubles = Vec::new();
        for path in file_objects(project) {
            if let Err(error) = self.file_object(&path, &mut inputs) {
                troubles.push(format!("{}: {}", path.display(), chain(&error)));
            }
        }
        for (path, made) in bind_sources(project) {
            let resolved = self.reader.resolve(&path);
            self.reader.look(&path);
            if self.is_declared(&path, &resolved) && resolved != path {
                inputs.resolved.insert(path.clone(), resolved.clone());
            }
            match self.reader.kind(&path) {
                FileKind::Missing if !made => drop(inputs.missing_paths.insert(path)),
                FileKind::File if self.is_declared(&path, &resolved) => {
                    if let Err(error) = self.bound(&path, resolved, &mut inputs) {
                        troubles.push(format!("{}: {}", path.display(), chain(&error)));
                    }
                }
                _ => {}
            }
        }
        if troubles.is_empty() { Ok(inputs) } else { Err(troubles) }
    }

    fn is_declared(&self, path: &Path, resolved: &Path) -> bool {
        resolved.starts_with(STORE)
            || self.declared_below.iter().any(|top| path.starts_with(top) || resolved.starts_with(top))
    }

    /// A file of `secrets:` or `configs:`: `all.yaml#postgres/password` is one value of an encrypted file.
    fn file_object(&self, path: &Path, inputs: &mut Inputs) -> io::Result<()> {
        let (file, key) = self.split(path);
        if let Some(plaintext) = self.reader.plaintext(&file)? {
            let bytes = match key {
                Some(key) => {
                    let value = plaintext
                        .get(&key)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    return self.placed(path, value.expose().as_bytes(), inputs);
                }
                None => plaintext.expose(),
            };
            return self.placed(path, bytes, inputs);
        }
        if key.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "only an encrypted file has keys to choose from",
            ));
        }
        let resolved = self.reader.resolve(path);
        if self.is_declared(path, &resolved) && resolved != path {
            inputs.resolved.insert(path.to_owned(), resolved.clone());
        }
        self.fact(path, resolved, inputs)
    }

    /// A path with `#key` behind it, unless a file really has that name.
    fn split(&self, path: &Path) -> (PathBuf, Option<String>) {
        let text = path.to_string_lossy();
        match text.rsplit_once('#') {
            Some((file, key)) if self.reader.kind(path) == FileKind::Missing => {
                (file.into(), Some(key.to_owned()))
            }
            _ => (path.to_owned(), None),
        }
    }

    /// A bound file that the profile declares; an encrypted one is bound in plaintext.
    fn bound(&self, path: &Path, resolved: PathBuf, inputs: &mut Inputs) -> io::Result<()> {
        let identity = self.reader.look(path);
        if identity.is_some_and(|identity| identity.size() > MAX_FILE) {
            // Too large to be read at every change: its identity stands for its content.
            let digest = keyed_digest(self.key, format!("{identity:?}").as_bytes());
            let identity = identity.map(|identity| identity.inode());
            inputs.side_files.insert(path.to_owned(), FileFact { digest, resolved, identity });
            return Ok(());
        }
        match self.reader.plaintext(path)? {
            Some(plaintext) => self.placed(path, plaintext.expose(), inputs),
            None => self.fact(path, resolved, inputs),
        }
    }

    fn fact(&self, path: &Path, resolved: PathBuf, inputs: &mut Inputs) -> io::Result<()> {
        let content = self.reader.read(path)?;
        let fact = FileFact {
            digest: keyed_digest(self.key, &content.bytes),
            resolved,
            identity: self.reader.look(path).map(|identity| identity.inode()),
        };
        inputs.side_files.insert(path.to_owned(), fact);
        Ok(())
    }

    fn placed(&self, path: &Path, bytes: &[u8], inputs: &mut Inputs) -> io::Result<()> {
        let digest = keyed_digest(self.key, bytes);
        let placed = PlacedFile { path: (self.place)(path, bytes)?, digest };
        inputs.placed_files.insert(path.to_owned(), placed);
        Ok(())
    }
}

/// The files of the `secrets:` and `configs:` that an enabled service uses.
fn file_objects(project: &Project) -> BTreeSet<PathBuf> {
    let mut paths = BTreeSet::new();
    for service in project.services.values() {
        let used = service.secrets.iter().map(|used| (used, &project.secrets));
        let used = used.chain(service.configs.iter().map(|used| (used, &project.configs)));
        for (reference, objects) in used {
            let object = objects.get(reference.source.expose());
            if let Some(object) = object.filter(|object| !object.external && !object.file.is_empty()) {
                paths.insert(path_of(&object.file));
            }
        }
    }
    paths
}

/// The bind sources of enabled services, and whether the Engine would make a missing one.
fn bind_sources(project: &Project) -> BTreeSet<(PathBuf, bool)> {
    let mounts = project.services.values().flat_map(|service| &service.volumes);
    mounts
        .filter(|mount| mount.kind == MountKind::Bind)
        .map(|mount| (path_of(&mount.source), mount.bind.as_ref().is_none_or(|bind| bind.create_host_path)))
        .collect()
}

fn path_of(text: &Text) -> PathBuf {
    PathBuf::from(text.expose())
}

fn chain(error: &io::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}
