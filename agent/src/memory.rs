//! What does the agent remember across its own restarts, and how does it survive a crash?
//!
//! One JSON file in the state folder, replaced as a whole: written beside, synchronised, renamed. A file that cannot be
//! read is put aside and said once, never a reason not to start; a file of a newer version is left alone, and nothing is
//! written then, so that going back to the newer agent loses nothing.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use plan::memory::{Memory, VERSION};

/// The memory and where it is kept.
#[derive(Debug)]
pub struct MemoryFile {
    path: PathBuf,
    written: Option<Vec<u8>>,
    read_only: bool,
    /// The memory itself; [`Self::save`] writes what has changed.
    pub memory: Memory,
}

/// Why the memory starts empty though there was a file.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It cannot be read.
    #[error("cannot read the memory {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no memory; it was put aside.
    #[error("the memory {} is damaged and was put aside as {}", path.display(), aside.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It was written by a newer agent.
    #[error("the memory {} has version {found}, newer than {VERSION}: it is left alone, and nothing is remembered", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
}

impl MemoryFile {
    /// Reads the memory of a state folder; the error says why it starts empty where it should not have.
    pub fn open(state_dir: &Path) -> (Self, Option<MemoryError>) {
        let path = state_dir.join("memory.json");
        let mut file =
            Self { path: path.clone(), written: None, read_only: false, memory: Memory::default() };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (file, None),
            Err(source) => return (file, Some(MemoryError::Read { path, source })),
        };
        let version =
            |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok()?.get("version")?.as_u64();
        if let Some(found) = version(&bytes).filter(|found| *found > u64::from(VERSION)) {
            file.read_only = true;
            return (file, Some(MemoryError::Newer { path, found }));
        }
        match serde_json::from_slice(&bytes) {
            Ok(memory) => {
                file.memory = memory;
                file.written = Some(bytes);
                (file, None)
            }
            Err(source) => {
                let aside = path.with_extension("damaged.json");
                // Where even that is impossible, the next save replaces it: there is nothing in it to keep.
                let _ = fs::rename(&path, &aside);
                (file, Some(MemoryError::Damaged { path, aside, source }))
            }
        }
    }

    /// Writes the memory where it has changed since the last time.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&mut self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.memory)?;
        if self.read_only || self.written.as_ref() == Some(&bytes) {
            return Ok(());
        }
        replace(&self.path, &bytes)?;
        self.written = Some(bytes);
        Ok(())
    }
}

/// Replaces a file as a whole: a crash leaves the old or the new content, never a part.
///
/// # Errors
/// The disk's.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use plan::{ids::Time, memory::StackMemory, status::Phase};

    use super::*;

    fn filled(folder: &Path) -> MemoryFile {
        let (mut file, error) = MemoryFile::open(folder);
        assert!(error.is_none());
        let stack = StackMemory { phase: Some((Phase::Converged, Time(7))), ..StackMemory::default() };
        file.memory.stacks.insert("web".into(), stack);
        file
    }

    #[test]
    fn it_comes_back_and_is_written_only_where_it_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = filled(folder.path());
        file.save().expect("saved");
        let before =
            fs::metadata(folder.path().join("memory.json")).expect("there").modified().expect("a time");
        file.save().expect("nothing to do");
        let after =
            fs::metadata(folder.path().join("memory.json")).expect("there").modified().expect("a time");
        assert_eq!(before, after);
        assert_eq!(MemoryFile::open(folder.path()).0.memory, file.memory);
    }

    #[test]
    fn a_crash_while_writing_leaves_the_last_whole_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = filled(folder.path());
        file.save().expect("saved");
        fs::write(folder.path().join("memory.new"), b"{\"version\":1,\"sta").expect("a torn file beside");
        let (again, error) = MemoryFile::open(folder.path());
        assert!(error.is_none());
        assert_eq!(again.memory, file.memory);
    }

    #[test]
    fn a_damaged_memory_is_put_aside_and_a_newer_one_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("memory.json");
        fs::write(&path, b"\0\0\0").expect("written");
        assert!(matches!(MemoryFile::open(folder.path()).1, Some(MemoryError::Damaged { .. })));
        assert!(folder.path().join("memory.damaged.json").exists());
        fs::write(&path, b"{\"version\":99,\"stacks\":[]}").expect("written");
        let (mut file, error) = MemoryFile::open(folder.path());
        assert!(matches!(error, Some(MemoryError::Newer { found: 99, .. })));
        file.memory.stacks.insert("web".into(), StackMemory::default());
        file.save().expect("nothing is written");
        assert_eq!(fs::read(&path).expect("there"), b"{\"version\":99,\"stacks\":[]}");
    }
}
