//! What happens to names in folders, as the kernel tells it?
//!
//! A watch on a file follows it when it is renamed and is lost with it; one on the file's folder sees whatever is put under
//! the name. Nothing is told of what other machines do to a network file system, and only so many folders are watched: who
//! asks here looks for himself from time to time all the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

/// So many links on the way to a file are followed, as the kernel does.
const MOST_LINKS: usize = 40;
/// What may put something else under a name, or change it. Opening and reading is nothing.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The folder.
    pub folder: PathBuf,
    /// The name.
    pub name: OsString,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happened {
    /// Something else is under this name now, or nothing.
    Replaced(Name),
    /// A file of this name that was open for writing was closed.
    Written(Name),
    /// The folder itself is another one now, or gone: it is watched no more.
    Lost(PathBuf),
    /// More than the kernel keeps: anything may have happened.
    Missed,
}

/// The folders that are watched.
#[derive(Debug)]
pub struct Folders {
    kernel: AsyncFd<Arc<OwnedFd>>,
    watched: BTreeMap<i32, PathBuf>,
}

impl Folders {
    /// None yet. Has to be called within the runtime.
    ///
    /// # Errors
    /// The system's instances have run out (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Self> {
        let kernel = Arc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        #[expect(deprecated, reason = "it owns its descriptor; what comes instead is an unsafe function")]
        let kernel = AsyncFd::new(kernel)?;
        Ok(Self { kernel, watched: BTreeMap::new() })
    }

    /// Watches one more folder. May hang with a file system that does not answer.
    ///
    /// # Errors
    /// It is not there, or watches have run out (`fs.inotify.max_user_watches`).
    pub fn watch(&mut self, folder: &Path) -> io::Result<()> {
        let number = inotify::add_watch(self.kernel.get_ref(), at(folder), CHANGES)?;
        self.watched.insert(number, folder.to_owned());
        Ok(())
    }

    /// Watches these folders and no others, as many of them as can be.
    pub async fn watch_only(&mut self, folders: BTreeSet<PathBuf>) {
        let gone: Vec<i32> =
            self.watched.iter().filter(|(_, folder)| !folders.contains(*folder)).map(|(n, _)| *n).collect();
        for number in gone {
            self.watched.remove(&number);
            // The kernel has ended it already where the folder is gone.
            let _ = inotify::remove_watch(self.kernel.get_ref(), number);
        }
        let kernel = Arc::clone(self.kernel.get_ref());
        let add = move || -> BTreeMap<i32, PathBuf> {
            let add = |folder: PathBuf| {
                let number = inotify::add_watch(&*kernel, &folder, CHANGES).ok()?;
                Some((number, folder))
            };
            folders.into_iter().filter_map(add).collect()
        };
        // Beside the loop: a folder may be on a mount that does not answer. Watching one again changes nothing.
        if let Ok(added) = tokio::task::spawn_blocking(add).await {
            self.watched.extend(added);
        }
    }

    /// Waits until something happens; answers all that has. May be dropped at any time without losing anything.
    ///
    /// # Errors
    /// The kernel's; nothing is told any more then.
    pub async fn next(&mut self) -> io::Result<BTreeSet<Happened>> {
        let mut space = [MaybeUninit::uninit(); 4096];
        loop {
            let mut ready = self.kernel.readable().await?;
            let mut events = Reader::new(ready.get_inner(), &mut space);
            let mut happened = BTreeSet::new();
            loop {
                match events.next() {
                    Ok(event) => happened.extend(told(&event, &mut self.watched)),
                    Err(Errno::WOULDBLOCK) => break,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
            if !happened.is_empty() {
                return Ok(happened);
            }
        }
    }
}

/// An event in our words; a folder that is lost is forgotten.
fn told(event: &inotify::Event<'_>, watched: &mut BTreeMap<i32, PathBuf>) -> Option<Happened> {
    use inotify::ReadFlags as Flags;
    if event.events().contains(Flags::QUEUE_OVERFLOW) {
        return Some(Happened::Missed);
    }
    if event.events().intersects(Flags::DELETE_SELF | Flags::MOVE_SELF | Flags::IGNORED | Flags::UNMOUNT) {
        return watched.remove(&event.wd()).map(Happened::Lost);
    }
    let name = OsString::from_vec(event.file_name()?.to_bytes().to_vec());
    let folder = watched.get(&event.wd())?.clone();
    let name = Name { folder, name };
    let written = event.events().contains(Flags::CLOSE_WRITE);
    Some(if written { Happened::Written(name) } else { Happened::Replaced(name) })
}

/// A bare file name has an empty parent, which means here.
fn at(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// All the names by which a path leads to what it leads to now: its own, that of every link on the way, or the first one
/// that is not there. May hang with a file system that does not answer.
pub fn names_of(path: &Path) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    let mut so_far = PathBuf::from("/");
    let mut left: Vec<OsString> = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part.as_bytes() == b".." {
            so_far.pop();
            continue;
        }
        let name = Name { folder: so_far.clone(), name: part };
        let next = so_far.join(&name.name);
        if let Ok(target) = fs::read_link(&next) {
            names.insert(name);
            links += 1;
            if links > MOST_LINKS {
                break;
            }
            if target.is_absolute() {
                so_far = PathBuf::from("/");
            }
            left.extend(parts(&target));
            continue;
        }
        let is_there = next.symlink_metadata().is_ok();
        if left.is_empty() || !is_there {
            names.insert(name);
        }
        if !is_there {
            break;
        }
        so_far = next;
    }
    names
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, time::Duration};

    use tokio::time::timeout;

    use super::*;

    async fn next(folders: &mut Folders) -> Vec<Happened> {
        let next = timeout(Duration::from_secs(10), folders.next()).await;
        next.expect("told in time").expect("the kernel tells").into_iter().collect()
    }

    fn name(folder: &Path, name: &str) -> Name {
        Name { folder: folder.to_owned(), name: name.into() }
    }

    #[tokio::test]
    async fn what_is_renamed_written_and_removed_is_told_and_what_is_read_is_not() {
        let top = tempfile::tempdir().expect("a folder");
        let path = top.path().join("file");
        fs::write(&path, "1").expect("written");
        let mut folders = Folders::new().expect("an instance");
        folders.watch_only([top.path().to_owned(), "/no/such".into()].into()).await;
        fs::read(&path).expect("read");
        fs::write(top.path().join("new"), "2").expect("written");
        let new = || name(top.path(), "new");
        assert_eq!(next(&mut folders).await, [Happened::Replaced(new()), Happened::Written(new())]);
        fs::rename(top.path().join("new"), &path).expect("renamed");
        let replaced = || Happened::Replaced(name(top.path(), "file"));
        assert_eq!(next(&mut folders).await, [replaced(), Happened::Replaced(new())]);
        fs::remove_file(&path).expect("removed");
        assert_eq!(next(&mut folders).await, [replaced()]);
        let quiet = timeout(Duration::from_millis(50), folders.next()).await;
        assert!(quiet.is_err(), "nothing else has happened");
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_said_and_one_that_is_not_wanted_is_silent() {
        let top = tempfile::tempdir().expect("a folder");
        let [one, two] = ["one", "two"].map(|name| top.path().join(name));
        for folder in [&one, &two] {
            fs::create_dir(folder).expect("made");
        }
        let mut folders = Folders::new().expect("an instance");
        folders.watch_only([one.clone(), two.clone()].into()).await;
        folders.watch_only([one.clone()].into()).await;
        fs::write(two.join("file"), "").expect("written");
        fs::remove_dir(&one).expect("removed");
        assert_eq!(next(&mut folders).await, [Happened::Lost(one)]);
    }

    /// As sops-nix has them: a link to the generation of now, files in it.
    #[test]
    fn every_link_on_the_way_counts_and_so_does_the_first_that_is_not_there() {
        let top = tempfile::tempdir().expect("a folder");
        let top = top.path().canonicalize().expect("there");
        fs::create_dir_all(top.join("secrets.d/1")).expect("made");
        symlink("secrets.d/../secrets.d/1", top.join("secrets")).expect("linked");
        fs::write(top.join("secrets.d/1/token"), "").expect("written");
        let name = |folder: &str, last: &str| name(&top.join(folder), last);
        let names = names_of(&top.join("secrets/token"));
        assert_eq!(names, [name("", "secrets"), name("secrets.d/1", "token")].into());
        assert_eq!(names_of(&top.join("secrets.d/2/token")), [name("secrets.d", "2")].into());
        symlink("loop", top.join("loop")).expect("linked");
        assert_eq!(names_of(&top.join("loop/x")), [name("", "loop")].into(), "a link to itself ends");
    }
}
