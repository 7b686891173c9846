//! What is at a path, without waiting for a dead server?
//!
//! stat(2) on a network mount whose server is gone never returns, and no signal ends it. So it is asked on a thread of
//! its own, which is left behind when it does not answer. As many may hang as there are dead mounts on a bad day; beyond
//! that the answer is that too many hang, and no thread is started.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// How many may hang at a time.
const MOST_HANGING: usize = 32;

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The file system: another one after unmounting.
    pub device: u64,
    /// The file: another one after it was replaced.
    pub inode: u64,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether it is a character or block device.
    pub is_device: bool,
}

impl Facts {
    fn of(found: &fs::Metadata) -> Self {
        let kind = found.file_type();
        let is_device = kind.is_char_device() || kind.is_block_device();
        Self { device: found.dev(), inode: found.ino(), is_folder: kind.is_dir(), is_device }
    }
}

/// Why it is not known what is there.
#[derive(Debug, thiserror::Error)]
pub enum StatError {
    /// No answer in time.
    #[error("{} did not answer within {} s", path.display(), within.as_secs_f32())]
    TimedOut {
        /// The path.
        path: PathBuf,
        /// The time.
        within: Duration,
    },
    /// So many are without an answer that no further one is asked.
    #[error("{} is not asked: {MOST_HANGING} others have not answered yet", path.display())]
    TooMany {
        /// The path.
        path: PathBuf,
    },
    /// The system says no.
    #[error("cannot look at {}", path.display())]
    Failed {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Asks within limits.
#[derive(Debug, Clone, Default)]
pub struct Asker {
    hanging: Arc<AtomicUsize>,
}

impl Asker {
    /// What is at `path`, links followed. Blocks, but no longer than `within`.
    ///
    /// # Errors
    /// Nothing is there, or nothing answers.
    pub fn ask(&self, path: &Path, within: Duration) -> Result<Facts, StatError> {
        self.ask_with(path, within, |path| Ok(Facts::of(&fs::metadata(path)?)))
    }

    /// The same, and the bytes of a file that has at most `most` of them.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn read(
        &self,
        path: &Path,
        within: Duration,
        most: u64,
    ) -> Result<(Facts, Option<Vec<u8>>), StatError> {
        self.ask_with(path, within, move |path| {
            let found = fs::metadata(path)?;
            let small = found.is_file() && found.len() <= most;
            // One that may only be looked at, and not read, still has its place.
            let bytes = if small { fs::read(path).ok() } else { None };
            Ok((Facts::of(&found), bytes))
        })
    }

    fn ask_with<T: Send + 'static>(
        &self,
        path: &Path,
        within: Duration,
        look: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StatError> {
        if self.hanging.fetch_add(1, Ordering::AcqRel) >= MOST_HANGING {
            self.hanging.fetch_sub(1, Ordering::AcqRel);
            return Err(StatError::TooMany { path: path.to_owned() });
        }
        let (answer, answers) = mpsc::sync_channel(1);
        let (asked, hanging) = (path.to_owned(), Arc::clone(&self.hanging));
        let started = thread::Builder::new().name("stat".into()).stack_size(64 * 1024).spawn(move || {
            // Nobody listens any more after the time is over.
            let _ = answer.send(look(&asked));
            hanging.fetch_sub(1, Ordering::AcqRel);
        });
        let failed = |source| StatError::Failed { path: path.to_owned(), source };
        if let Err(error) = started {
            self.hanging.fetch_sub(1, Ordering::AcqRel);
            return Err(failed(error));
        }
        match answers.recv_timeout(within) {
            Ok(found) => found.map_err(failed),
            Err(_) => Err(StatError::TimedOut { path: path.to_owned(), within }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_replaced_file_has_another_inode_and_an_absent_one_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let asker = Asker::default();
        let ask = || asker.ask(&path, Duration::from_secs(5));
        assert!(
            matches!(ask(), Err(StatError::Failed { source, .. }) if source.kind() == io::ErrorKind::NotFound)
        );
        fs::write(&path, "1").expect("written");
        let first = ask().expect("there");
        fs::write(folder.path().join("new"), "2").expect("written");
        fs::rename(folder.path().join("new"), &path).expect("renamed");
        let second = ask().expect("there");
        assert_eq!(first.device, second.device);
        assert_ne!(first.inode, second.inode);
        let read = |most| asker.read(&path, Duration::from_secs(5), most).expect("there");
        assert_eq!(read(9), (second, Some(b"2".to_vec())));
        assert_eq!(read(0), (second, None), "too large to be read");
    }

    #[test]
    fn what_hangs_is_left_behind_and_so_many_and_no_more_may_hang() {
        let asker = Asker::default();
        let dead = Arc::new(Mutex::new(()));
        let held = dead.lock().expect("free");
        let hang = || {
            let dead = Arc::clone(&dead);
            asker.ask_with(Path::new("/mnt/dead"), Duration::from_millis(1), move |_| -> io::Result<Facts> {
                drop(dead.lock());
                Err(io::Error::other("late"))
            })
        };
        for _ in 0..MOST_HANGING {
            assert!(matches!(hang(), Err(StatError::TimedOut { .. })));
        }
        assert!(matches!(hang(), Err(StatError::TooMany { .. })));
        drop(held);
        let until = std::time::Instant::now() + Duration::from_secs(5);
        while asker.hanging.load(Ordering::Acquire) > 0 {
            assert!(std::time::Instant::now() < until, "the threads end");
            thread::sleep(Duration::from_millis(5));
        }
        asker.ask(Path::new("/"), Duration::from_secs(5)).expect("asked again");
    }
}
