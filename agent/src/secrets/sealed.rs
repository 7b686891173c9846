//! Which encrypted files does a stack have, does an identity open them, and what uses them?
//!
//! The spec is loaded as the daemon loads it, except that a file which nobody here can open counts as one with the right
//! names: who uses what can be told without a key.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use specs::{
    Content, FileKind, LoadRequest, Loaded, ReadText,
    disk::Disk,
    doc::{Node, Value},
    load,
    model::MountKind,
    secrets::{self, Envelope, Identities, Kind, Plaintext},
};
use zeroize::Zeroizing;

use crate::{
    gather::declared::{self, Declared},
    gather::rooted::Rooted,
    secrets::sops_program,
};

/// How deep and how many files of a stack's folder are looked at for ones that nothing uses.
const DEPTH: usize = 4;
const MOST_FILES: usize = 2000;

/// One encrypted file.
#[derive(Debug)]
pub struct Sealed {
    /// What it is.
    pub kind: Kind,
    /// What it says of itself; `None` where it is damaged.
    pub envelope: Option<Envelope>,
    /// The identities that open it.
    pub opened_by: Vec<String>,
    /// Why it cannot be read, and what to do about it.
    pub problem: Option<(String, String)>,
    /// `web: env_file`, `web: secret db (postgres/password)`, `variables of the spec`, `the spec itself`.
    pub used_by: BTreeSet<String>,
}

/// All encrypted files of one stack, below its folder by the path there, others by their whole path.
pub fn of_stack(
    profile: &Path,
    declared: &Declared,
    folder: &Path,
    identities: &Identities,
) -> BTreeMap<PathBuf, Sealed> {
    let root = PathBuf::from(declared.generation.as_str());
    let known_as = folder.strip_prefix(&root).map_or_else(|_| folder.to_owned(), |below| profile.join(below));
    let rooted = Rooted { inner: &Disk, profile: profile.to_owned(), root };
    let reader = Reader { inner: &rooted, identities, found: RefCell::default(), opened: RefCell::default() };
    let request = LoadRequest {
        working_directory: known_as.clone(),
        defaults: declared::defaults_of(&known_as),
        ..LoadRequest::default()
    };
    let loaded = load(&request, &reader).ok();
    let mut read_by_load: BTreeSet<PathBuf> = reader.found.borrow().keys().cloned().collect();
    if let Some(loaded) = &loaded {
        uses(loaded, &known_as, &reader);
    }
    // What the load read and no service names: variables, or a part of the spec.
    read_by_load.retain(|path| reader.found.borrow().get(path).is_some_and(|file| file.used_by.is_empty()));
    let mut found = reader.found.borrow_mut();
    for path in read_by_load {
        if let Some(file) = found.get_mut(&path) {
            let is_spec = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
            let word = if is_spec { "the spec itself" } else { "variables of the spec" };
            file.used_by.insert(word.to_owned());
        }
    }
    drop(found);
    let mut left = MOST_FILES;
    look_below(folder, DEPTH, &mut left, &mut |path| {
        let below = path.strip_prefix(folder).unwrap_or(path);
        let _ = reader.read(&known_as.join(below));
    });
    let found = reader.found.into_inner();
    let short = |path: PathBuf| path.strip_prefix(&known_as).map(Path::to_owned).unwrap_or(path);
    found.into_iter().map(|(path, file)| (short(path), file)).collect()
}

/// Says who uses which file.
fn uses(loaded: &Loaded, folder: &Path, reader: &Reader<'_>) {
    for (name, service) in &loaded.project.services {
        let files = [
            ("secret", &service.secrets, &loaded.project.secrets),
            ("config", &service.configs, &loaded.project.configs),
        ];
        for (what, references, objects) in files {
            for reference in references {
                let source = reference.source.expose();
                let object = objects.get(source).filter(|object| !object.external && !object.file.is_empty());
                let Some(object) = object else { continue };
                let (path, key) = reader.split(Path::new(object.file.expose()));
                let key = key.map_or_else(String::new, |key| format!(" ({key})"));
                reader.note(&path, format!("{name}: {what} {source}{key}"));
            }
        }
        for mount in service.volumes.iter().filter(|mount| mount.kind == MountKind::Bind) {
            let path = Path::new(mount.source.expose());
            if reader.kind(path) == FileKind::File {
                reader.note(path, format!("{name}: {}", mount.target.shown()));
            }
        }
        let declared = loaded.document.get("services").and_then(|services| services.get(name));
        for path in declared.and_then(|service| service.get("env_file")).map(paths).unwrap_or_default() {
            reader.note(&folder.join(path), format!("{name}: env_file"));
        }
    }
}

/// `env_file`: a path, a list of them, or of mappings with one each.
fn paths(node: &Node) -> Vec<PathBuf> {
    match &node.value {
        Value::Str(path) => vec![PathBuf::from(path.expose())],
        Value::Seq(items) => items.iter().flat_map(paths).collect(),
        _ => node.get("path").map(paths).unwrap_or_default(),
    }
}

fn look_below(folder: &Path, depth: usize, left: &mut usize, see: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(less) = left.checked_sub(1) else { return };
        *left = less;
        if path.is_dir() {
            if depth > 0 {
                look_below(&path, depth - 1, left, see);
            }
        } else if path.is_file() {
            see(&path);
        }
    }
}

/// A reader that remembers what was encrypted.
struct Reader<'a> {
    inner: &'a dyn ReadText,
    identities: &'a Identities,
    found: RefCell<BTreeMap<PathBuf, Sealed>>,
    /// What their readers get.
    opened: RefCell<BTreeMap<PathBuf, Zeroizing<Vec<u8>>>>,
}

impl Reader<'_> {
    /// A file, and the key behind its `#`; see [`crate::gather::inputs`].
    fn split(&self, path: &Path) -> (PathBuf, Option<String>) {
        crate::gather::inputs::split(path, |path| self.inner.kind(path))
    }

    fn note(&self, path: &Path, user: String) {
        if self.read(path).is_ok()
            && let Some(file) = self.found.borrow_mut().get_mut(path)
        {
            file.used_by.insert(user);
        }
    }

    fn open(&self, kind: Kind, bytes: &[u8]) -> (Sealed, Option<Plaintext>) {
        let opened = secrets::decrypt_as(kind, bytes, self.identities);
        let opened = opened.map_err(|error| (error.to_string(), error.hint(), error.program()));
        let opened = opened.or_else(|(problem, hint, call)| match call {
            Some(call) => {
                sops_program::run(call, bytes).map_err(|program| (format!("{problem}; {program}"), hint))
            }
            None => Err((problem, hint)),
        });
        let envelope = secrets::inspect(bytes).ok();
        let used_by = BTreeSet::new();
        match opened {
            Ok(plain) => {
                let opened_by = plain.opened_by().to_vec();
                (Sealed { kind, envelope, opened_by, problem: None, used_by }, Some(plain))
            }
            Err(problem) => {
                (Sealed { kind, envelope, opened_by: Vec::new(), problem: Some(problem), used_by }, None)
            }
        }
    }
}

/// A locked dotenv file, as far as it is known: its names.
fn names(sealed: &Sealed) -> Vec<u8> {
    let names = sealed.envelope.iter().flat_map(|envelope| &envelope.names);
    names.flat_map(|name| format!("{name}=encrypted\n").into_bytes()).collect()
}

impl ReadText for Reader<'_> {
    fn read(&self, path: &Path) -> io::Result<Content> {
        // Once is enough: a plugin or a key service may take its time.
        if let Some(bytes) = self.opened.borrow().get(path) {
            return Ok(Content { bytes: bytes.clone(), secret: true });
        }
        let content = self.inner.read(path)?;
        let Some(kind) = secrets::detect(&content.bytes) else { return Ok(content) };
        let (sealed, plain) = self.open(kind, &content.bytes);
        let bytes = Zeroizing::new(plain.map_or_else(|| names(&sealed), |plain| plain.expose().to_vec()));
        self.found.borrow_mut().insert(path.to_owned(), sealed);
        self.opened.borrow_mut().insert(path.to_owned(), bytes.clone());
        Ok(Content { bytes, secret: true })
    }

    fn kind(&self, path: &Path) -> FileKind {
        self.inner.kind(path)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.inner.resolve(path)
    }
}
