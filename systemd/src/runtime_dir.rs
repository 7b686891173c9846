//! Where does plaintext go that a container must see as a file?
//!
//! Into a folder of the agent's own on a memory file system, so that no secret reaches a disk. A file has the owner and
//! the mode that the spec asks for (which Docker Compose ignores for files), and a name that says them and stays while
//! its content changes: a container that is restarted then finds the new content. What nothing uses any more is removed.
//! Links are never followed: somebody else's link in this folder would make the agent write, as root, where it leads.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Uid},
    io::Errno,
};
use zeroize::Zeroizing;

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of linux/magic.h.
const MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
/// The folder below the runtime folder.
pub const FOLDER: &str = "secrets";

/// Why a plaintext has no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The folder cannot be used.
    #[error("cannot use the folder for plaintext {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It lies on a disk.
    #[error("{} is not on a memory file system (tmpfs or ramfs): plaintext would reach a disk", path.display())]
    OnDisk {
        /// The folder.
        path: PathBuf,
    },
    /// Others may write there, or it is somebody else's.
    #[error("{} belongs to user {owner} with mode {mode:04o}, expected the agent's own that nobody else may write to", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// A file cannot be written.
    #[error("cannot place the file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// On what a folder of plaintext may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Only in memory.
    Memory,
    /// Anywhere: for tests whose secrets are none.
    Any,
}

/// Whose a placed file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user; `None`: the agent's own.
    pub uid: Option<u32>,
    /// The group; `None`: the agent's own.
    pub gid: Option<u32>,
    /// Permission bits; none of those beyond `rwx` is ever set.
    pub mode: u32,
}

impl Default for Owner {
    fn default() -> Self {
        Self { uid: None, gid: None, mode: 0o400 }
    }
}

/// How new content takes the place of old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replace {
    /// By a new file, whole from the moment that its name is there. A container that runs keeps the old one: what is
    /// bound is the file, not its name.
    #[default]
    Whole,
    /// In the same file, so that a container that runs sees it; who reads just then may see half of it. For services
    /// that read only when they are signalled.
    InPlace,
}

/// The folder of plaintext files.
#[derive(Debug)]
pub struct PlaintextDir {
    folder: OwnedFd,
    path: PathBuf,
}

impl PlaintextDir {
    /// Opens the folder below `runtime_dir`, and makes it where it is absent.
    ///
    /// # Errors
    /// It cannot be made, is somebody else's or open to others, or lies on a disk.
    pub fn open(runtime_dir: &Path, medium: Medium) -> Result<Self, PlaceError> {
        let path = runtime_dir.join(FOLDER);
        let failed = |error: Errno| PlaceError::Folder { path: path.clone(), source: error.into() };
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let folder = rustix::fs::open(&path, flags, Mode::empty()).map_err(failed)?;
        let facts = rustix::fs::fstat(&folder).map_err(failed)?;
        let mode = facts.st_mode & 0o7777;
        if facts.st_uid != rustix::process::geteuid().as_raw() || mode & 0o022 != 0 {
            return Err(PlaceError::NotOurs { path, owner: facts.st_uid, mode });
        }
        if mode != 0o700 {
            // An Engine that starts before the agent makes it for the containers that have something bound of it.
            rustix::fs::fchmod(&folder, Mode::RWXU).map_err(failed)?;
        }
        let kind = rustix::fs::fstatfs(&folder).map_err(failed)?.f_type;
        // The type of this number differs between machines; its low 32 bits are the magic on all of them.
        #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
        let kind = (kind as u64) & 0xffff_ffff;
        if medium == Medium::Memory && !MEMORY.contains(&kind) {
            return Err(PlaceError::OnDisk { path });
        }
        Ok(Self { folder, path })
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Places `bytes` under a name made of `name` and `owner`, and answers where. What is there already with the same
    /// content stays the same file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn place(&self, name: &str, bytes: &[u8], owner: Owner, how: Replace) -> Result<PathBuf, PlaceError> {
        let name = file_name(name, owner);
        let path = self.path.join(&name);
        let written = match self.there(&name, owner) {
            Some(file) if holds(&file, bytes) => Ok(()),
            Some(_) if how == Replace::InPlace => self.overwrite(&name, bytes, owner),
            _ => self.write(&name, bytes, owner),
        };
        written.map_err(|error| PlaceError::File { path: path.clone(), source: error })?;
        Ok(path)
    }

    /// Removes every file that is not among `used`; half-written ones of a killed agent too.
    ///
    /// # Errors
    /// The folder cannot be listed, or a file not removed.
    pub fn keep(&self, used: &BTreeSet<PathBuf>) -> Result<(), PlaceError> {
        let failed = |source| PlaceError::Folder { path: self.path.clone(), source };
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if used.contains(&entry.path()) {
                continue;
            }
            let name = entry.file_name();
            match rustix::fs::unlinkat(&self.folder, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => rustix::fs::unlinkat(&self.folder, &name, AtFlags::REMOVEDIR)
                    .map_err(|error| PlaceError::File { path: entry.path(), source: error.into() })?,
                Err(error) => return Err(PlaceError::File { path: entry.path(), source: error.into() }),
            }
        }
        Ok(())
    }

    /// The file of this name, where it is one with this owner and mode.
    fn there(&self, name: &str, owner: Owner) -> Option<fs::File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, name, flags, Mode::empty()).ok()?;
        let facts = rustix::fs::fstat(&file).ok()?;
        let as_asked = FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile
            && facts.st_mode & 0o7777 == owner.mode & 0o777
            && owner.uid.is_none_or(|uid| uid == facts.st_uid)
            && owner.gid.is_none_or(|gid| gid == facts.st_gid);
        as_asked.then(|| fs::File::from(file))
    }

    /// Writes into the file that a container has bound. An agent that is not root may do so only where the file's mode says
    /// so: for that moment it does, to nobody but its owner.
    fn overwrite(&self, name: &str, bytes: &[u8], owner: Owner) -> io::Result<()> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, name, flags | OFlags::RDONLY, Mode::empty())?;
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        let written = (|| {
            let again = rustix::fs::openat(&self.folder, name, flags | OFlags::WRONLY, Mode::empty())?;
            let mut open = fs::File::from(again);
            open.write_all(bytes)?;
            open.set_len(bytes.len() as u64)
        })();
        rustix::fs::fchmod(&file, Mode::from_raw_mode(owner.mode & 0o777))?;
        written
    }

    fn write(&self, name: &str, bytes: &[u8], owner: Owner) -> io::Result<()> {
        let new = format!(".{name}.new");
        match rustix::fs::unlinkat(&self.folder, &new, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let mut file =
            fs::File::from(rustix::fs::openat(&self.folder, &new, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes)?;
        // The mode first: once the file is another user's, changing it would take one capability more.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(owner.mode & 0o777))?;
        if owner.uid.is_some() || owner.gid.is_some() {
            rustix::fs::fchown(&file, owner.uid.map(Uid::from_raw), owner.gid.map(Gid::from_raw))?;
        }
        match rustix::fs::renameat(&self.folder, &new, &self.folder, name) {
            // An Engine that starts before the agent does makes folders where files are bound by an older form.
            Err(Errno::ISDIR) => {
                rustix::fs::unlinkat(&self.folder, name, AtFlags::REMOVEDIR)?;
                rustix::fs::renameat(&self.folder, &new, &self.folder, name)?;
            }
            moved => moved?,
        }
        Ok(())
    }
}

/// Whether a file has these bytes.
fn holds(mut file: &fs::File, bytes: &[u8]) -> bool {
    let mut have = Zeroizing::new(vec![0; bytes.len() + 1]);
    let mut filled = 0;
    while let Some(room) = have.get_mut(filled..).filter(|room| !room.is_empty()) {
        match io::Read::read(&mut file, room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(_) => return false,
        }
    }
    have.get(..filled) == Some(bytes)
}

/// Owner and mode are in the name: a container's bind source says whether it has the current ones.
fn file_name(name: &str, owner: Owner) -> String {
    let kept = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let plain: String =
        name.chars().map(|letter| if kept(letter) { letter } else { '-' }).take(180).collect();
    let id = |id: Option<u32>| id.map_or_else(|| "own".to_owned(), |id| id.to_string());
    let (uid, gid) = (id(owner.uid), id(owner.gid));
    format!("{uid}-{gid}-{:o}-{plain}", owner.mode & 0o777)
}

/// Where [`PlaintextDir::place`] puts a file; nothing is written.
pub fn place_of(runtime_dir: &Path, name: &str, owner: Owner) -> PathBuf {
    runtime_dir.join(FOLDER).join(file_name(name, owner))
}

/// The host's digest key: 32 random bytes, readable by the agent alone, made once. Two agents that start together get
/// the same one.
///
/// # Errors
/// The state folder cannot be used, or holds something else under that name.
pub fn digest_key(state_dir: &Path) -> Result<[u8; 32], PlaceError> {
    let path = state_dir.join("digest.key");
    let failed = |source| PlaceError::File { path: path.clone(), source };
    match read_key(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found.map_err(failed),
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| failed(io::Error::other(error.to_string())))?;
    // Several stacks are read at a time, and each may be the first that needs it.
    let mut attempt = [0; 8];
    getrandom::fill(&mut attempt).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let attempt: String = attempt.iter().map(|byte| format!("{byte:02x}")).collect();
    let new = state_dir.join(format!(".digest.key.{attempt}"));
    let made = (|| {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let mut file = fs::File::from(rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(&key)?;
        // A key that is lost with the power would make every container look changed.
        file.sync_all()?;
        match rustix::fs::renameat_with(CWD, &new, CWD, &path, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(key),
            Err(Errno::EXIST) => {
                fs::remove_file(&new)?;
                read_key(&path)
            }
            Err(error) => Err(error.into()),
        }
    })();
    if made.is_err() {
        // What is left of the attempt would stop the next one.
        fs::remove_file(&new).ok();
    }
    made.map_err(failed)
}

fn read_key(path: &Path) -> io::Result<[u8; 32]> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut bytes = Vec::with_capacity(33);
    io::Read::read_to_end(&mut io::Read::take(file, 33), &mut bytes)?;
    let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "it does not hold 32 bytes");
    bytes.as_slice().try_into().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn opened() -> (tempfile::TempDir, PlaintextDir) {
        let top = tempfile::tempdir().expect("a folder");
        let dir = PlaintextDir::open(top.path(), Medium::Any).expect("opened");
        (top, dir)
    }

    #[test]
    fn a_file_has_the_owner_and_mode_asked_for_and_the_folder_is_ours_alone() {
        let (top, dir) = opened();
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        assert_eq!(mode(&top.path().join("secrets")), 0o700);
        let root = rustix::process::geteuid().is_root();
        let owner = Owner { uid: root.then_some(1234), gid: root.then_some(99), mode: 0o440 };
        let path = dir.place("../db pass", b"hunter2", owner, Replace::Whole).expect("placed");
        assert_eq!(path.parent(), Some(dir.path()));
        assert_eq!(fs::read(&path).expect("there"), b"hunter2");
        assert_eq!(mode(&path), 0o440);
        if root {
            let facts = fs::metadata(&path).expect("there");
            assert_eq!((facts.uid(), facts.gid()), (1234, 99));
        }
    }

    #[test]
    fn the_same_stays_the_same_file_and_other_content_replaces_it_under_its_name() {
        let (_top, dir) = opened();
        let place = |bytes: &[u8], how| dir.place("db", bytes, Owner::default(), how).expect("placed");
        let inode = |path: &Path| fs::metadata(path).expect("there").ino();
        let path = place(b"first one", Replace::Whole);
        let first = inode(&path);
        assert_eq!(place(b"first one", Replace::Whole), path);
        assert_eq!(inode(&path), first);
        // Who has the old file open, or bound, keeps it whole.
        let old = fs::File::open(&path).expect("opened");
        assert_eq!(place(b"second", Replace::Whole), path);
        let second = inode(&path);
        assert_ne!(second, first);
        assert_eq!(io::read_to_string(old).expect("read"), "first one");
        assert_eq!(place(b"3rd", Replace::InPlace), path);
        assert_eq!((inode(&path), fs::read(&path).expect("there")), (second, b"3rd".to_vec()));
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o400);
    }

    #[test]
    fn another_owner_is_another_file_and_what_is_not_used_is_removed() {
        let (_top, dir) = opened();
        let place = |name, mode| {
            dir.place(name, b"1", Owner { mode, ..Owner::default() }, Replace::Whole).expect("placed")
        };
        let (own, open, other) = (place("db", 0o400), place("db", 0o444), place("other", 0o400));
        assert!(own != open && own != other);
        fs::write(dir.path().join(".half.new"), "written").expect("written");
        fs::create_dir(dir.path().join("made-by-an-engine")).expect("made");
        dir.keep(&BTreeSet::from([other.clone()])).expect("removed");
        let left: Vec<_> =
            fs::read_dir(dir.path()).expect("there").flatten().map(|entry| entry.path()).collect();
        assert_eq!(left, [other]);
    }

    /// What an Engine leaves that finds nothing where a file is to be bound.
    fn path_of_a_folder(dir: &PlaintextDir) -> PathBuf {
        let path = dir.path().join(file_name("folder", Owner::default()));
        fs::create_dir(&path).expect("made");
        path
    }

    #[test]
    fn links_and_folders_are_replaced_or_refused_and_never_followed() {
        let (top, dir) = opened();
        let victim = top.path().join("victim");
        fs::write(&victim, "theirs").expect("written");
        let name = file_name("db", Owner::default());
        symlink(&victim, dir.path().join(&name)).expect("linked");
        symlink(&victim, dir.path().join(format!(".{name}.new"))).expect("linked");
        let path = dir.place("db", b"1", Owner::default(), Replace::Whole).expect("placed");
        assert_eq!(fs::read(&path).expect("there"), b"1");
        assert_eq!(fs::read(&victim).expect("there"), b"theirs");
        let path = path_of_a_folder(&dir);
        assert_eq!(dir.place("folder", b"1", Owner::default(), Replace::Whole).expect("placed"), path);
        assert_eq!(fs::read(&path).expect("there"), b"1");
        let other = tempfile::tempdir().expect("a folder");
        symlink(top.path(), other.path().join("secrets")).expect("linked");
        assert!(matches!(PlaintextDir::open(other.path(), Medium::Any), Err(PlaceError::Folder { .. })));
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused_and_one_that_they_may_read_is_closed() {
        let (top, dir) = opened();
        let set = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).expect("set");
        set(0o770);
        let error = PlaintextDir::open(top.path(), Medium::Any).expect_err("refused");
        assert!(matches!(error, PlaceError::NotOurs { mode: 0o770, .. }), "{error}");
        set(0o755);
        PlaintextDir::open(top.path(), Medium::Any).expect("opened");
        assert_eq!(fs::metadata(dir.path()).expect("there").permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn memory_and_disk_are_told_apart() {
        let kind = |path: &str| {
            let top = tempfile::tempdir_in(path).expect("a folder");
            PlaintextDir::open(top.path(), Medium::Memory).map(drop)
        };
        kind("/dev/shm").expect("memory");
        // Where tests are built is a disk on every machine that has one.
        assert!(matches!(kind(env!("CARGO_MANIFEST_DIR")), Err(PlaceError::OnDisk { .. })));
    }

    #[test]
    fn the_key_is_made_once_even_by_many_and_a_wrong_one_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = digest_key(folder.path()).expect("made");
        assert_ne!(key, [0; 32]);
        assert_eq!(digest_key(folder.path()).expect("read"), key);
        let facts = fs::metadata(folder.path().join("digest.key")).expect("there");
        assert_eq!(facts.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
        fs::write(folder.path().join("digest.key"), "short").expect("written");
        let error = digest_key(folder.path()).expect_err("refused");
        assert!(error.to_string().contains("digest.key"), "{error}");
    }

    #[test]
    fn whoever_is_first_makes_the_digest_key_and_all_have_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let ask = || {
            std::thread::scope(|scope| {
                let all: Vec<_> =
                    (0..16).map(|_| scope.spawn(|| digest_key(folder.path()).expect("a key"))).collect();
                all.into_iter().map(|thread| thread.join().expect("no panic")).collect::<BTreeSet<_>>()
            })
        };
        let keys = ask();
        assert_eq!(keys.len(), 1);
        assert_eq!(ask(), keys);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
    }
}
