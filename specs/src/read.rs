//! How does the loader get at files, without doing input and output itself?

use std::{io, path::Path, path::PathBuf};

use zeroize::Zeroizing;

/// The largest file that the loader reads, in bytes; a compose file or a dotenv file above it is refused.
pub const MAX_FILE: u64 = 8 << 20;

/// A file's content and whether it was decrypted on the way.
#[derive(Clone)]
pub struct Content {
    /// The bytes; wiped when dropped, as they may be a secret's plaintext.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether they came out of an encrypted file: all values read from it are then secret.
    pub secret: bool,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes, secret: {})", self.bytes.len(), self.secret)
    }
}

/// What a path leads to, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file (or a pipe, which reads like one).
    File,
    /// A folder.
    Folder,
    /// Nothing that can be reached.
    Missing,
}

/// The loader's eyes. [`crate::disk::Disk`] is the one real implementation; tests use a map; the agent wraps it to
/// decrypt what is encrypted.
pub trait ReadText {
    /// Reads a whole file of at most [`MAX_FILE`] bytes.
    ///
    /// # Errors
    /// The operating system's error, or one of kind [`io::ErrorKind::FileTooLarge`]; a file that cannot be decrypted is
    /// [`io::ErrorKind::PermissionDenied`] with the explanation as its source.
    fn read(&self, path: &Path) -> io::Result<Content>;

    /// What stands at a path.
    fn kind(&self, path: &Path) -> FileKind;

    /// The path with links resolved, or unchanged where that is impossible.
    fn resolve(&self, path: &Path) -> PathBuf;
}
