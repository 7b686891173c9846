//! How does the loader read an encrypted file as if it were a plain one, and how is it known that nothing has changed?
//!
//! A reader around the real one. What [`secrets::detect`] recognises by content is decrypted in memory and marked as
//! secret. Every path that was asked for is remembered with what the file system says of it, so that the next pass can
//! tell without reading that the same files would be read again.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use specs::{
    Content, FileKind, ReadText, Text,
    secrets::{self, Identities, Plaintext, SecretError},
};
use zeroize::Zeroizing;

use crate::secrets::sops_program::{self, ProgramError};

/// What the file system says of a path: equal means that the content is the same, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// Of what a path leads to; `None` where it leads nowhere.
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|file| Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Device and inode.
    pub fn inode(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

/// A file that gave no plaintext; says what can be done about it, too.
#[derive(Debug)]
struct Locked {
    error: SecretError,
    program: Option<ProgramError>,
}

impl std::fmt::Display for Locked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.error)?;
        match &self.program {
            None | Some(ProgramError::Absent) => {}
            Some(ProgramError::Run(cause)) => write!(f, "; cannot run `sops`: {cause}")?,
            Some(program) => write!(f, "; {program}")?,
        }
        write!(f, "; {}", self.error.hint())
    }
}

impl std::error::Error for Locked {}

/// Paths that were looked at, and what was there.
pub type Seen = BTreeMap<PathBuf, Option<Identity>>;

/// Whether all of it is there as it was.
pub fn unchanged(seen: &Seen) -> bool {
    seen.iter().all(|(path, identity)| Identity::of(path) == *identity)
}

/// The reader that decrypts.
pub struct Decrypting<'a> {
    inner: &'a dyn ReadText,
    identities: &'a Identities,
    seen: RefCell<Seen>,
    read: RefCell<BTreeSet<PathBuf>>,
    refused: Cell<bool>,
}

impl std::fmt::Debug for Decrypting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decrypting").field("identities", self.identities).finish_non_exhaustive()
    }
}

impl<'a> Decrypting<'a> {
    /// Reads through `inner`, and decrypts with `identities`.
    pub fn new(inner: &'a dyn ReadText, identities: &'a Identities) -> Self {
        Self {
            inner,
            identities,
            seen: RefCell::default(),
            read: RefCell::default(),
            refused: Cell::new(false),
        }
    }

    /// What was looked at.
    pub fn seen(self) -> Seen {
        self.seen.into_inner()
    }

    /// What of it says something by its content, and not only by being there.
    pub fn read_files(&self) -> Seen {
        let (seen, read) = (self.seen.borrow(), self.read.borrow());
        seen.iter().filter(|(path, _)| read.contains(*path)).map(|(path, id)| (path.clone(), *id)).collect()
    }

    /// Whether something was encrypted and gave no plaintext, or not the one that was asked for.
    pub fn was_refused(&self) -> bool {
        self.refused.get()
    }

    /// The value of one key of a file.
    ///
    /// # Errors
    /// The file has no such key, or nothing in it; with what can be done about it.
    pub fn one_key(&self, plaintext: &Plaintext, key: &str) -> io::Result<Text> {
        plaintext.get(key).map_err(|error| {
            self.refused.set(true);
            io::Error::new(io::ErrorKind::InvalidData, format!("{error}; {}", error.hint()))
        })
    }

    /// Looks at a path whose content counts.
    pub fn look_into(&self, path: &Path) {
        self.look(path);
        self.read.borrow_mut().insert(path.to_owned());
    }

    /// Remembers what stands at a path before it is read: a change while reading then shows as one.
    pub fn look(&self, path: &Path) -> Option<Identity> {
        let mut seen = self.seen.borrow_mut();
        *seen.entry(path.to_owned()).or_insert_with(|| Identity::of(path))
    }

    /// The plaintext where the file is encrypted, `None` where it is not.
    ///
    /// # Errors
    /// It cannot be read, or not be decrypted.
    pub fn plaintext(&self, path: &Path) -> io::Result<Option<Plaintext>> {
        self.look_into(path);
        let content = self.inner.read(path)?;
        self.open(&content.bytes)
    }

    fn open(&self, bytes: &[u8]) -> io::Result<Option<Plaintext>> {
        let Some(kind) = secrets::detect(bytes) else { return Ok(None) };
        let locked = match secrets::decrypt_as(kind, bytes, self.identities) {
            Ok(plaintext) => return Ok(Some(plaintext)),
            Err(error) => match error.program().map(|call| sops_program::run(call, bytes)) {
                Some(Ok(plaintext)) => return Ok(Some(plaintext)),
                Some(Err(program)) => Locked { error, program: Some(program) },
                None => Locked { error, program: None },
            },
        };
        self.refused.set(true);
        Err(io::Error::new(io::ErrorKind::PermissionDenied, locked))
    }
}

impl ReadText for Decrypting<'_> {
    fn read(&self, path: &Path) -> io::Result<Content> {
        self.look_into(path);
        let content = self.inner.read(path)?;
        match self.open(&content.bytes)? {
            Some(plaintext) => {
                Ok(Content { bytes: Zeroizing::new(plaintext.expose().to_vec()), secret: true })
            }
            None => Ok(content),
        }
    }

    fn kind(&self, path: &Path) -> FileKind {
        self.look(path);
        self.inner.kind(path)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.inner.resolve(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain;

    impl ReadText for Plain {
        fn read(&self, path: &Path) -> io::Result<Content> {
            Ok(Content { bytes: Zeroizing::new(fs::read(path)?), secret: false })
        }

        fn kind(&self, path: &Path) -> FileKind {
            if path.is_file() { FileKind::File } else { FileKind::Missing }
        }

        fn resolve(&self, path: &Path) -> PathBuf {
            path.to_owned()
        }
    }

    #[test]
    fn a_file_that_nobody_can_open_says_so_and_a_plain_one_is_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let (plain, locked) = (folder.path().join(".env"), folder.path().join("db.age"));
        fs::write(&plain, "A=1\n").expect("written");
        fs::write(&locked, "age-encryption.org/v1\n-> X25519 abc\nxyz\n--- mac\n").expect("written");
        let none = Identities::new();
        let reader = Decrypting::new(&Plain, &none);
        assert!(!reader.read(&plain).expect("readable").secret);
        let error = reader.read(&locked).expect_err("nobody can open it");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn what_was_missing_and_appears_is_a_change_and_so_is_a_new_inode() {
        let folder = tempfile::tempdir().expect("a folder");
        let (there, missing) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&there, "1").expect("written");
        let none = Identities::new();
        let look = || {
            let reader = Decrypting::new(&Plain, &none);
            assert!(reader.read(&there).is_ok());
            let _ = reader.kind(&missing);
            reader.seen()
        };
        let seen = look();
        assert!(unchanged(&seen));
        fs::write(&missing, "").expect("written");
        assert!(!unchanged(&seen));
        let seen = look();
        fs::write(folder.path().join("c"), "1").expect("written");
        fs::rename(folder.path().join("c"), &there).expect("renamed");
        assert!(!unchanged(&seen));
    }
}
