//! When may the profile lead elsewhere?
//!
//! A watch on the profile's *link* sees nothing at all, neither of `ln -sfn` nor of rename(2): inotify follows the link
//! into the store. So the link's parent folder is watched, names other than the link's are passed over, and where the
//! link leads is compared. Watches run out (128 instances a user by default), are missing on some file systems and lose
//! events: where the profile leads is asked slowly all the same, and a host without watches is only slower.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::folders::{Folders, Happened};

/// Where stacks are in a profile.
const FOLDER: &str = "etc/compose-agent";
/// The most entries of a folder profile that are looked at.
const MOST: usize = 20_000;
/// How deep a folder profile is looked into.
const DEEPEST: usize = 16;

/// How fast a watch is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// A burst counts as over when nothing has happened for this long.
    pub quiet: Duration,
    /// A burst that does not end is told after this long.
    pub longest: Duration,
    /// Where the profile leads is asked this often, whatever the watch says.
    pub poll: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(200),
            longest: Duration::from_secs(2),
            poll: Duration::from_secs(30),
        }
    }
}

/// Why there is no watch; polling goes on.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The profile's path has no parent folder.
    #[error("{} has no folder to watch", path.display())]
    NoParent {
        /// The profile.
        path: PathBuf,
    },
    /// The system refuses, most often because instances have run out (`fs.inotify.max_user_instances`).
    #[error("cannot watch {}", path.display())]
    Refused {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What the profile is, as far as a change of it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    /// A link, and where it leads in the end: a profile in a user's home goes through a second link.
    Link(PathBuf),
    /// A folder: name, inode, size and time of change of every entry.
    Folder(Vec<(PathBuf, u64, u64, i64, i64)>),
    /// Not to be resolved.
    Broken(io::ErrorKind),
}

/// A watch of the operating system, for as long as its folder is the one that was meant; ends when it is dropped.
type Alive = JoinSet<()>;
/// Starts one; tests put a failing one here.
type Start = fn(&Path, OsString, UnboundedSender<()>) -> Result<Alive, WatchError>;

/// A watch over one profile.
pub struct Watch {
    profile: PathBuf,
    pace: Pace,
    seen: Look,
    start: Start,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl Watch {
    /// Takes the first look. Whoever reads the profile does it *after* this, so that no change falls in between.
    pub fn new(profile: &Path, pace: Pace) -> Self {
        Self { profile: profile.to_owned(), pace, seen: look(profile), start }
    }

    /// Calls `changed` each time that the profile is another one. Never ends; may be dropped at any time.
    pub async fn run(mut self, mut changed: impl FnMut()) {
        let (hint, mut hints) = unbounded_channel();
        let mut alive: Option<Alive> = None;
        let mut warned = false;
        loop {
            if alive.is_none() {
                alive = self.try_start(&hint, &mut warned);
            }
            // `hint` is kept here, so that the channel never closes: a timeout is the only other way on.
            if timeout(self.pace.poll, hints.recv()).await.is_ok() {
                self.settle(&mut hints).await;
            }
            let now = look(&self.profile);
            if now != self.seen {
                self.seen = now;
                changed();
            }
            if alive.as_mut().is_some_and(|watching| watching.try_join_next().is_some()) {
                alive = None;
            }
        }
    }

    fn try_start(&self, hint: &UnboundedSender<()>, warned: &mut bool) -> Option<Alive> {
        let started = match (self.profile.parent(), self.profile.file_name()) {
            (Some(parent), Some(name)) => {
                // A bare file name has an empty parent, which means here.
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                (self.start)(parent, name.to_owned(), hint.clone())
            }
            _ => Err(WatchError::NoParent { path: self.profile.clone() }),
        };
        match started {
            Ok(alive) => {
                *warned = false;
                Some(alive)
            }
            Err(error) => {
                if !std::mem::replace(warned, true) {
                    let source = std::error::Error::source(&error)
                        .map(|source| format!(": {source}"))
                        .unwrap_or_default();
                    tracing::warn!("{error}{source}; asking every {} s instead", self.pace.poll.as_secs());
                }
                None
            }
        }
    }

    /// Waits until a burst is over.
    async fn settle(&self, hints: &mut UnboundedReceiver<()>) {
        let until = Instant::now() + self.pace.longest;
        loop {
            let now = Instant::now();
            if now >= until {
                return;
            }
            sleep(self.pace.quiet.min(until - now)).await;
            let mut more = false;
            while hints.try_recv().is_ok() {
                more = true;
            }
            if !more {
                return;
            }
        }
    }
}

fn start(parent: &Path, name: OsString, hint: UnboundedSender<()>) -> Result<Alive, WatchError> {
    let refused = |source| WatchError::Refused { path: parent.to_owned(), source };
    let mut folders = Folders::new().map_err(refused)?;
    folders.watch(parent).map_err(refused)?;
    let concerns = move |happened: &Happened| match happened {
        Happened::Replaced(found) | Happened::Written(found) => found.name == name,
        Happened::Lost(_) | Happened::Missed => true,
    };
    let mut watching = JoinSet::new();
    watching.spawn(async move {
        while let Ok(happened) = folders.next().await {
            let ends = happened.iter().any(|one| matches!(one, Happened::Lost(_)));
            if happened.iter().any(&concerns) && hint.send(()).is_err() || ends {
                return;
            }
        }
    });
    Ok(watching)
}

fn look(profile: &Path) -> Look {
    let found = fs::symlink_metadata(profile).and_then(|file| {
        if file.is_symlink() {
            return fs::canonicalize(profile).map(Look::Link);
        }
        let mut entries = Vec::new();
        walk(&profile.join(FOLDER), DEEPEST, &mut entries);
        entries.sort();
        Ok(Look::Folder(entries))
    });
    found.unwrap_or_else(|error| Look::Broken(error.kind()))
}

/// Links are not followed: their own time of change says that they lead elsewhere.
fn walk(folder: &Path, deep: usize, entries: &mut Vec<(PathBuf, u64, u64, i64, i64)>) {
    let Ok(found) = fs::read_dir(folder) else { return };
    for entry in found.flatten() {
        if entries.len() >= MOST {
            return;
        }
        let Ok(facts) = entry.metadata() else { continue };
        let at = (facts.ctime(), facts.ctime_nsec());
        entries.push((entry.path(), facts.ino(), facts.size(), at.0, at.1));
        if facts.is_dir() && deep > 0 {
            walk(&entry.path(), deep - 1, entries);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        os::unix::fs::symlink,
        process::Command,
        rc::Rc,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use tokio::task::LocalSet;

    use super::*;

    const QUICK: Pace = Pace {
        quiet: Duration::from_millis(40),
        longest: Duration::from_millis(400),
        poll: Duration::from_secs(60),
    };

    /// Runs a watch while `act` happens, and answers how often it told.
    async fn told(watch: Watch, act: impl AsyncFnOnce()) -> usize {
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let local = LocalSet::new();
        local
            .run_until(async {
                let task = tokio::task::spawn_local(watch.run(move || counted.set(counted.get() + 1)));
                sleep(Duration::from_millis(60)).await;
                act().await;
                sleep(Duration::from_millis(300)).await;
                task.abort();
            })
            .await;
        count.get()
    }

    fn generations() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["gen1", "gen2"] {
            fs::create_dir_all(folder.path().join(name).join(FOLDER)).expect("made");
        }
        let link = folder.path().join("current");
        symlink(folder.path().join("gen1"), &link).expect("linked");
        (folder, link)
    }

    fn swap(link: &Path, to: &str) {
        let parent = link.parent().expect("it has one");
        let new = parent.join(".new");
        symlink(parent.join(to), &new).expect("linked");
        fs::rename(new, link).expect("renamed");
    }

    #[tokio::test]
    async fn a_rename_over_the_link_is_seen_at_once() {
        let (_folder, link) = generations();
        assert_eq!(told(Watch::new(&link, QUICK), async || swap(&link, "gen2")).await, 1);
    }

    #[tokio::test]
    async fn ln_sfn_is_seen_at_once() {
        let (folder, link) = generations();
        let target = folder.path().join("gen2");
        let count = told(Watch::new(&link, QUICK), async || {
            let done = Command::new("ln").arg("-sfn").arg(&target).arg(&link).status();
            assert!(done.expect("ln runs").success());
        });
        assert_eq!(count.await, 1);
    }

    #[tokio::test]
    async fn a_link_that_is_removed_and_made_again_is_seen_and_a_burst_is_told_once() {
        let (folder, link) = generations();
        let count = told(Watch::new(&link, QUICK), async || {
            for _ in 0..20 {
                swap(&link, "gen1");
            }
            fs::remove_file(&link).expect("removed");
            symlink(folder.path().join("gen2"), &link).expect("linked");
        });
        assert_eq!(count.await, 1);
    }

    #[tokio::test]
    async fn neighbours_and_a_link_that_leads_where_it_led_are_no_change() {
        let (folder, link) = generations();
        let count = told(Watch::new(&link, QUICK), async || {
            fs::write(folder.path().join("other"), "x").expect("written");
            fs::read_dir(&link).expect("opened");
            swap(&link, "gen1");
        });
        assert_eq!(count.await, 0);
    }

    static STARTS: AtomicUsize = AtomicUsize::new(0);

    #[tokio::test]
    async fn without_watches_it_polls_and_tries_again() {
        let (_folder, link) = generations();
        let mut watch = Watch::new(&link, Pace { poll: Duration::from_millis(50), ..QUICK });
        watch.start = |parent, _, _| {
            STARTS.fetch_add(1, Ordering::Relaxed);
            let source = io::Error::from_raw_os_error(24);
            Err(WatchError::Refused { path: parent.to_owned(), source })
        };
        assert_eq!(told(watch, async || swap(&link, "gen2")).await, 1);
        assert!(STARTS.load(Ordering::Relaxed) > 2);
    }

    #[tokio::test]
    async fn a_folder_is_polled_and_any_file_below_it_counts() {
        let (folder, _) = generations();
        let profile = folder.path().join("gen1");
        let watch = Watch::new(&profile, Pace { poll: Duration::from_millis(50), ..QUICK });
        let count = told(watch, async || {
            fs::write(profile.join(FOLDER).join("agent.yaml"), "{}").expect("written");
        });
        assert_eq!(count.await, 1);
    }

    #[test]
    fn a_broken_link_is_a_look_of_its_own() {
        let (folder, link) = generations();
        fs::remove_dir_all(folder.path().join("gen1")).expect("removed");
        assert_eq!(look(&link), Look::Broken(io::ErrorKind::NotFound));
    }
}
