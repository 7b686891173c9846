//! How are the folders of the host made that a stack's containers bind (`x-agent.ensure_dirs`)?
//!
//! Each is made with the folders above it where they are missing; owner and mode are given to itself alone, never to what
//! is in it. No link is followed on the way: a container that can write above a folder must not choose where it lies.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Component, Path},
};

use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use specs::{model::Project, settings::EnsuredFolder};

/// What a folder is made with that nothing is said about.
const MODE: Mode = Mode::from_raw_mode(0o755);

/// Whether the pass makes what is missing at this path.
pub fn is_ensured(project: &Project, path: &Path) -> bool {
    project.settings.ensure_dirs.iter().any(|folder| Path::new(&folder.path).starts_with(path))
}

/// Makes what is missing of a stack's folders, and gives each its owner and mode.
///
/// # Errors
/// What stands in the way of the first one, in words.
pub fn ensure_all(folders: &[EnsuredFolder]) -> Result<(), String> {
    folders
        .iter()
        .try_for_each(|folder| ensure(folder).map_err(|why| format!("ensure_dirs: {}: {why}", folder.path)))
}

fn ensure(folder: &EnsuredFolder) -> Result<(), String> {
    let owner = folder.owner.as_deref().map(|name| number_of("/etc/passwd", name)).transpose()?;
    let group = folder.group.as_deref().map(|name| number_of("/etc/group", name)).transpose()?;
    let opened = open(Path::new(&folder.path))?;
    let stat = rustix::fs::fstat(&opened).map_err(said)?;
    let uid = owner.filter(|owner| *owner != stat.st_uid);
    let gid = group.filter(|group| *group != stat.st_gid);
    if uid.is_some() || gid.is_some() {
        rustix::fs::fchown(&opened, uid.map(Uid::from_raw), gid.map(Gid::from_raw))
            .map_err(|errno| format!("it cannot be given to its owner: {}", said(errno)))?;
    }
    // A new owner takes some bits away.
    if let Some(mode) = folder.mode.filter(|mode| *mode != stat.st_mode & 0o7777 || uid.or(gid).is_some()) {
        rustix::fs::fchmod(&opened, Mode::from_raw_mode(mode)).map_err(|errno| match errno {
            Errno::PERM if mode & 0o7000 != 0 => {
                "the agent's unit forbids set-id bits: RestrictSUIDSGID=".to_owned()
            }
            errno => said(errno),
        })?;
    }
    Ok(())
}

/// Opens the folder, and makes it and those above it where they are missing.
fn open(path: &Path) -> Result<OwnedFd, String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = rustix::fs::openat(CWD, "/", flags, Mode::empty()).map_err(said)?;
    let mut so_far = Path::new("/").to_owned();
    for component in path.components() {
        let Component::Normal(name) = component else { continue };
        so_far.push(name);
        match rustix::fs::mkdirat(&at, name, MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(Errno::ROFS) => {
                return Err(format!(
                    "{} cannot be made: what is above it is read-only, or ProtectSystem= or ProtectHome= of the agent's unit says so",
                    so_far.display()
                ));
            }
            Err(errno) => return Err(format!("{} cannot be made: {}", so_far.display(), said(errno))),
        }
        at = match rustix::fs::openat(&at, name, flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(errno) => {
                let what = rustix::fs::statat(&at, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| stat.st_mode);
                let is_link = what.is_ok_and(|mode| rustix::fs::FileType::from_raw_mode(mode).is_symlink());
                return Err(if is_link {
                    format!("{} is a link, which is not followed: write where it leads to", so_far.display())
                } else {
                    format!("{} cannot be opened as a folder: {}", so_far.display(), said(errno))
                });
            }
        };
    }
    Ok(at)
}

/// The number of a user or a group, by its name in the host's own list or as a number.
fn number_of(list: &str, name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = fs::read_to_string(list).unwrap_or_default();
    let line = text.lines().find(|line| line.split(':').next() == Some(name));
    line.and_then(|line| line.split(':').nth(2)?.parse().ok())
        .ok_or_else(|| format!("'{name}' is not in {list}: write a name that is there, or a number"))
}

fn said(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn folder(path: &Path, mode: Option<u32>) -> EnsuredFolder {
        EnsuredFolder { path: path.display().to_string(), mode, ..EnsuredFolder::default() }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o7777
    }

    #[test]
    fn it_is_made_with_what_is_above_it_and_only_itself_gets_the_mode() {
        let top = tempfile::tempdir().expect("a folder");
        let path = top.path().join("app/state");
        let user = fs::metadata(top.path()).expect("there").uid().to_string();
        let wanted = EnsuredFolder { owner: Some(user), ..folder(&path, Some(0o2750)) };
        ensure_all(std::slice::from_ref(&wanted)).expect("made");
        assert_eq!((mode(&path), mode(&top.path().join("app"))), (0o2750, 0o755));
        let inside = path.join("file");
        fs::write(&inside, "").expect("written");
        let before = mode(&inside);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("changed");
        ensure_all(&[wanted]).expect("put right");
        assert_eq!((mode(&path), mode(&inside)), (0o2750, before));
    }

    #[test]
    fn a_link_is_not_followed_and_a_file_is_no_folder() {
        let top = tempfile::tempdir().expect("a folder");
        let at = |name: &str| top.path().join(name);
        fs::create_dir(at("elsewhere")).expect("made");
        symlink(at("elsewhere"), at("link")).expect("linked");
        fs::write(at("file"), "").expect("written");
        for (path, words) in
            [("link/state", "is a link"), ("link", "is a link"), ("file/state", "as a folder")]
        {
            let error = ensure_all(&[folder(&at(path), Some(0o700))]).expect_err(path);
            assert!(error.contains(words), "{path}: {error}");
        }
        assert_eq!(fs::read_dir(at("elsewhere")).expect("there").count(), 0);
        let nobody = EnsuredFolder { owner: Some("no-such-user".into()), ..folder(&at("new"), None) };
        assert!(ensure_all(&[nobody]).expect_err("nobody").contains("/etc/passwd"));
    }
}
