//! Which files outside its compose file change what a stack's containers are, and are they there?
//!
//! Reads only. A file's content counts where the profile declares it: in the stack's own folder, or in the store. A bound
//! file elsewhere is data that its container may write itself, and a digest of it would recreate the container for its
//! own work.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use plan::desired::{FileFact, FileOwner, Inputs, PlacedFile, content_path};
use specs::{
    FileKind, MAX_FILE, ReadText, Text,
    model::{FileReference, MountKind, Project, Service},
    secrets::{DigestKey, keyed_digest},
    settings::SecretChange,
};
use systemd::runtime_dir::Replace;
use zeroize::Zeroizing;

use crate::{gather::seccomp, secrets::decrypt::Decrypting};

/// Where the store is.
const STORE: &str = "/nix/store";

/// Puts a plaintext on the agent's memory file system: the declared path and the bytes in, the path of the copy out.
pub type Place<'a> = &'a dyn Fn(&Path, &[u8], FileOwner, Replace) -> io::Result<PathBuf>;

/// As what a file is wanted: each owner, and how its content is replaced.
type Wanted = BTreeMap<FileOwner, Replace>;

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
        let mut inputs = Inputs { key: Some(DigestKey::new(*self.key)), ..Inputs::default() };
        let mut troubles = Vec::new();
        for (path, wanted) in file_objects(project, &mut troubles) {
            if let Err(error) = self.file_object(&path, &wanted, &mut inputs) {
                troubles.push(format!("{}: {}", path.display(), chain(&error)));
            }
        }
        for (path, (content, wanted)) in contents(project) {
            // What no file has goes onto a disk with the container where it is no secret, and is only watched.
            let digest = keyed_digest(self.key, content.expose().as_bytes());
            if !content.is_secret() {
                inputs.contents.insert(path, digest);
            } else if let Err(error) = self.placed(&path, content.expose().as_bytes(), &wanted, &mut inputs) {
                troubles.push(format!("{}: {}", path.display(), chain(&error)));
            }
        }
        for ((path, made), how) in bind_sources(project) {
            let resolved = self.reader.resolve(&path);
            self.reader.look(&path);
            if self.is_declared(&path, &resolved) && resolved != path {
                inputs.resolved.insert(path.clone(), resolved.clone());
            }
            match self.reader.kind(&path) {
                FileKind::Missing if !made => drop(inputs.missing_paths.insert(path)),
                FileKind::File if self.is_declared(&path, &resolved) => {
                    if let Err(error) = self.bound(&path, resolved, how, &mut inputs) {
                        troubles.push(format!("{}: {}", path.display(), chain(&error)));
                    }
                }
                _ => {}
            }
        }
        inputs.seccomp_profiles = seccomp::profiles_of(project, self.reader, &mut troubles);
        if troubles.is_empty() { Ok(inputs) } else { Err(troubles) }
    }

    fn is_declared(&self, path: &Path, resolved: &Path) -> bool {
        resolved.starts_with(STORE)
            || self.declared_below.iter().any(|top| path.starts_with(top) || resolved.starts_with(top))
    }

    /// A file of `secrets:` or `configs:`: `all.yaml#postgres/password` is one value of an encrypted file.
    fn file_object(&self, path: &Path, wanted: &Wanted, inputs: &mut Inputs) -> io::Result<()> {
        let (file, key) = split(path, |path| self.reader.kind(path));
        if let Some(plaintext) = self.reader.plaintext(&file)? {
            return match key {
                Some(key) => {
                    let value = self.reader.one_key(&plaintext, &key)?;
                    self.placed(path, value.expose().as_bytes(), wanted, inputs)
                }
                None => self.placed(path, plaintext.expose(), wanted, inputs),
            };
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

    /// A bound file that the profile declares; an encrypted one is bound in plaintext.
    fn bound(&self, path: &Path, resolved: PathBuf, how: Replace, inputs: &mut Inputs) -> io::Result<()> {
        let identity = self.reader.look(path);
        if identity.is_some_and(|identity| identity.size() > MAX_FILE) {
            // Too large to be read at every change: its identity stands for its content.
            let digest = keyed_digest(self.key, format!("{identity:?}").as_bytes());
            let identity = identity.map(|identity| identity.inode());
            inputs.side_files.insert(path.to_owned(), FileFact { digest, resolved, identity });
            return Ok(());
        }
        match self.reader.plaintext(path)? {
            Some(plaintext) => {
                let wanted = Wanted::from([(FileOwner::default(), how)]);
                self.placed(path, plaintext.expose(), &wanted, inputs)
            }
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

    fn placed(&self, path: &Path, bytes: &[u8], wanted: &Wanted, inputs: &mut Inputs) -> io::Result<()> {
        let digest = keyed_digest(self.key, bytes);
        for (owner, how) in wanted {
            let placed = (self.place)(path, bytes, *owner, *how)?;
            let placed = PlacedFile { path: placed, digest: digest.clone() };
            if *owner == FileOwner::default() {
                inputs.placed_files.insert(path.to_owned(), placed);
            } else {
                inputs.owned_files.insert((path.to_owned(), *owner), placed);
            }
        }
        Ok(())
    }
}

/// A path with `#key` behind it, unless a file really has that name. Both may hold further `#`s: the first one that stands
/// behind a file's name is the border.
pub fn split(path: &Path, kind: impl Fn(&Path) -> FileKind) -> (PathBuf, Option<String>) {
    if kind(path) == FileKind::Missing {
        let text = path.to_string_lossy();
        for (at, _) in text.match_indices('#') {
            let (file, key) = text.split_at(at);
            if kind(Path::new(file)) == FileKind::File {
                return (file.into(), key.strip_prefix('#').map(str::to_owned));
            }
        }
    }
    (path.to_owned(), None)
}

/// The text of a file, or of one key of an encrypted one, without the end of its line; whatever it is, it is a secret.
///
/// # Errors
/// It cannot be read, or not be decrypted, or has no such key.
pub fn secret_of(path: &Path, reader: &Decrypting<'_>) -> io::Result<Text> {
    let bytes = secret_bytes(path, reader)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::other("it is no text"))?;
    Ok(Text::secret(text.trim_end_matches(['\n', '\r'])))
}

/// The content of a file, decrypted, or of one key of an encrypted one.
///
/// # Errors
/// It cannot be read, or not be decrypted, or has no such key.
pub fn secret_bytes(path: &Path, reader: &Decrypting<'_>) -> io::Result<Zeroizing<Vec<u8>>> {
    let (file, key) = split(path, |path| reader.kind(path));
    match (reader.plaintext(&file)?, key) {
        (Some(plaintext), Some(key)) => {
            Ok(Zeroizing::new(reader.one_key(&plaintext, &key)?.expose().as_bytes().to_vec()))
        }
        (None, Some(_)) => Err(io::Error::other("only an encrypted file has keys to choose from")),
        (Some(plaintext), None) => Ok(Zeroizing::new(plaintext.expose().to_vec())),
        (None, None) => Ok(Zeroizing::new(reader.read(&file)?.bytes.to_vec())),
    }
}

/// The files of the `secrets:` and `configs:` that an enabled service uses, and as whose.
fn file_objects(project: &Project, troubles: &mut Vec<Trouble>) -> BTreeMap<PathBuf, Wanted> {
    let mut objects: BTreeMap<PathBuf, Wanted> = BTreeMap::new();
    for service in project.services.values() {
        let used = service.secrets.iter().map(|used| (used, &project.secrets));
        let used = used.chain(service.configs.iter().map(|used| (used, &project.configs)));
        for (reference, declared) in used {
            let object = declared.get(reference.source.expose());
            if let Some(object) = object.filter(|object| !object.external && !object.file.is_empty()) {
                troubles.extend(unknown_owner(service, reference));
                let wanted = objects.entry(path_of(&object.file)).or_default();
                in_place_wins(wanted.entry(FileOwner::of(reference)).or_default(), replace(project, service));
            }
        }
    }
    objects
}

/// The contents of `secrets:` and `configs:` that no file has, where an enabled service uses them, and as whose.
fn contents(project: &Project) -> BTreeMap<PathBuf, (&Text, Wanted)> {
    let mut found: BTreeMap<PathBuf, (&Text, Wanted)> = BTreeMap::new();
    for service in project.services.values() {
        let lists = [
            ("secrets", &service.secrets, &project.secrets),
            ("configs", &service.configs, &project.configs),
        ];
        for (list, references, objects) in lists {
            for reference in references {
                let name = reference.source.expose();
                let content = objects.get(name).and_then(|object| object.content.as_ref());
                let Some(content) = content.filter(|content| !content.is_empty()) else { continue };
                let (_, wanted) =
                    found.entry(content_path(project, list, name)).or_insert((content, Wanted::new()));
                in_place_wins(wanted.entry(FileOwner::of(reference)).or_default(), replace(project, service));
            }
        }
    }
    found
}

/// Only the container's image knows names of users.
fn unknown_owner(service: &Service, reference: &FileReference) -> Option<Trouble> {
    let odd = [("uid", &reference.uid), ("gid", &reference.gid)]
        .into_iter()
        .find(|(_, id)| !id.is_empty() && id.expose().parse::<u32>().is_err())?;
    let (field, id) = odd;
    Some(format!(
        "services.{}: the {field} of {} is '{}', expected a number",
        service.name,
        reference.source.shown(),
        id.shown()
    ))
}

/// A service that is signalled must find the new content in the file that it has.
fn replace(project: &Project, service: &Service) -> Replace {
    let said = &project.settings.on_secret_change;
    match said.get(&service.name).or_else(|| said.get("")) {
        Some(SecretChange::Signal(_)) => Replace::InPlace,
        _ => Replace::Whole,
    }
}

fn in_place_wins(known: &mut Replace, more: Replace) {
    if more == Replace::InPlace {
        *known = more;
    }
}

/// The bind sources of enabled services, whether the Engine would make a missing one, and how plaintext is replaced.
fn bind_sources(project: &Project) -> BTreeMap<(PathBuf, bool), Replace> {
    let mut sources = BTreeMap::new();
    for service in project.services.values() {
        for mount in service.volumes.iter().filter(|mount| mount.kind == MountKind::Bind) {
            let made = mount.bind.as_ref().is_none_or(|bind| bind.create_host_path);
            let known = sources.entry((path_of(&mount.source), made)).or_default();
            in_place_wins(known, replace(project, service));
        }
    }
    sources
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

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use plan::desired::{FileOwner, Inputs};
    use systemd::{keys::Places, runtime_dir::Medium};

    use super::*;
    use crate::gather::{Source, Want, gather};

    /// A stack with the recorded sops file of a format beside it.
    fn stack(compose: &str) -> (tempfile::TempDir, Want) {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/tests/data/secrets");
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for format in ["yaml", "json", "ini", "dotenv"] {
            fs::copy(recorded.join(format!("cases/{format}-age.sops")), at(&format!("all.{format}")))
                .expect("copied");
        }
        fs::write(at("plain.yaml"), "a: 1\n").expect("written");
        fs::write(at("odd#name"), "its own").expect("written");
        fs::write(at("compose.yaml"), compose).expect("written");
        let source = Source {
            generation: folder.path().to_string_lossy().into_owned().into(),
            folder: folder.path().to_owned(),
            profile: folder.path().to_owned(),
            keys: Places { given: vec![recorded.join("keys/age.txt")], ..Places::default() },
            runtime_dir: folder.path().to_owned(),
            medium: Medium::Any,
            state_dir: folder.path().to_owned(),
            archives: std::sync::Arc::default(),
            preview: false,
        };
        let want = gather(source);
        (folder, want)
    }

    fn secret(file: &str) -> String {
        format!("services: {{web: {{image: 'x:1', secrets: [s]}}}}\nsecrets: {{s: {{file: './{file}'}}}}\n")
    }

    fn placed(inputs: &Inputs) -> Vec<String> {
        inputs.all_placed().map(|file| fs::read_to_string(&file.path).expect("there")).collect()
    }

    #[test]
    fn one_key_of_a_structured_file_is_a_file() {
        for (file, value) in [
            ("all.yaml#postgres/password", "c0rrect horse"),
            ("all.yaml#hosts/2/token_secret", "abc"),
            ("all.yaml#odd key: #", "yes"),
            ("all.dotenv#DB_PASSWORD", "c0rrect horse = battery #staple"),
            ("all.json#postgres/password", "c0rrect <horse> & \"battery\" \u{2028} \\ /"),
            ("all.ini#postgres/user", "app"),
        ] {
            let (_folder, want) = stack(&secret(file));
            want.project.expect(file);
            assert_eq!(placed(&want.inputs), [value], "{file}");
        }
    }

    #[test]
    fn a_spec_that_is_encrypted_itself_keeps_its_numbers_secret() {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/tests/data/secrets");
        let sealed = fs::read_to_string(recorded.join("cases/compose-yaml.sops")).expect("recorded");
        let (_folder, want) = stack(&sealed);
        let project = want.project.expect("it loads");
        let web = &project.services["web"];
        assert_eq!(web.scale, Some(2));
        for (name, value) in [("PIN", "4711"), ("RATE", "0.5"), ("NAME", "hidden name")] {
            let text = web.environment[name].as_ref().expect("a value");
            assert_eq!((text.expose(), text.is_secret()), (value, true), "{name}");
        }
        let shown = format!("{project:?}");
        assert!(!shown.contains("4711") && !shown.contains("hidden name"), "{shown}");
    }

    #[test]
    fn a_key_that_is_absent_empty_or_no_value_fails_closed_and_says_so() {
        for (file, words) in [
            ("all.yaml#postgres/passwd", "has no key `postgres/passwd`; one of: user, password"),
            ("all.yaml#postgres/empty", "`postgres/empty` of the encrypted file is empty"),
            ("all.yaml#postgres", "is a collection, not a value"),
            ("all.yaml#", "has no key ``"),
            ("plain.yaml#a", "only an encrypted file has keys"),
            ("absent.yaml#a", "No such file"),
        ] {
            let (_folder, want) = stack(&secret(file));
            let error = want.project.expect_err(file);
            assert!(error.contains(words), "{file}: {error}");
            assert_eq!(placed(&want.inputs), [""; 0], "{file}");
        }
    }

    #[test]
    fn a_file_that_really_has_such_a_name_wins() {
        let (_folder, want) = stack(&secret("odd#name"));
        want.project.expect("it loads");
        assert_eq!((want.inputs.side_files.len(), placed(&want.inputs).len()), (1, 0));
    }

    #[test]
    fn each_owner_that_services_ask_for_is_a_file_of_its_own() {
        let compose = "services:\n  \
            a: {image: 'x:1', secrets: [s]}\n  \
            b: {image: 'x:1', secrets: [{source: s, mode: 0400}]}\n  \
            c: {image: 'x:1', configs: [{source: c, mode: 0400}]}\n\
            secrets: {s: {file: './all.dotenv#DB_PASSWORD'}}\n\
            configs: {c: {file: './all.dotenv#DB_PASSWORD'}}\n";
        let (_folder, want) = stack(compose);
        want.project.expect("it loads");
        let inputs = want.inputs;
        assert_eq!((inputs.placed_files.len(), inputs.owned_files.len()), (1, 1));
        let ((declared, owner), file) = inputs.owned_files.first_key_value().expect("one");
        assert!(declared.ends_with("all.dotenv#DB_PASSWORD"));
        assert_eq!(*owner, FileOwner { mode: Some(0o400), ..FileOwner::default() });
        assert_eq!(fs::metadata(&file.path).expect("there").permissions().mode() & 0o777, 0o400);
        let named = compose.replace("mode: 0400}]}\n  c", "uid: postgres}]}\n  c");
        let error = stack(&named).1.project.expect_err("a name");
        assert!(error.contains("services.b: the uid of s is 'postgres', expected a number"), "{error}");
    }

    #[test]
    fn a_signalled_service_finds_the_new_content_in_the_file_that_it_has() {
        use std::os::unix::fs::MetadataExt as _;
        let compose = |policy| format!("x-agent: {{on_secret_change: '{policy}'}}\n{}", secret("all.dotenv"));
        for (policy, same_file) in [("signal:HUP", true), ("restart", false)] {
            let (folder, want) = stack(&compose(policy));
            let file = want.inputs.all_placed().next().expect("placed").clone();
            let before = fs::metadata(&file.path).expect("there").ino();
            let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/tests/data/secrets");
            fs::copy(recorded.join("cases/binary-age.sops"), folder.path().join("all.dotenv"))
                .expect("copied");
            assert!(!want.is_current(&want.generation, &want.folder));
            let again = gather(Source {
                generation: want.generation.clone(),
                folder: want.folder.clone(),
                profile: want.folder.clone(),
                keys: Places { given: vec![recorded.join("keys/age.txt")], ..Places::default() },
                runtime_dir: want.folder.clone(),
                medium: Medium::Any,
                state_dir: want.folder.clone(),
                archives: std::sync::Arc::default(),
                preview: false,
            });
            let new = again.inputs.all_placed().next().expect("placed");
            assert_eq!(new.path, file.path);
            assert_ne!(new.digest, file.digest);
            assert_eq!(fs::metadata(&new.path).expect("there").ino() == before, same_file, "{policy}");
        }
    }
}
