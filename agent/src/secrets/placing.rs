//! Where does plaintext go that a container must see as a file?
//!
//! Onto the agent's memory file system, which is looked for only when a stack has such a file: a host without one runs
//! everything else. A name stays while the content changes, so that what a container has bound can be told from its path.

use std::{
    cell::OnceCell,
    io,
    path::{Path, PathBuf},
};

use plan::desired::FileOwner;
use specs::secrets::keyed_digest;
use systemd::runtime_dir::{Medium, Owner, PlaintextDir, Replace};

/// Compose Specification, "secrets", long syntax: readable by all. The folder around it is the agent's alone, so that
/// "all" are those in the container.
const MODE: u32 = 0o444;

/// Places plaintext files.
#[derive(Debug)]
pub struct Placing {
    runtime_dir: PathBuf,
    medium: Medium,
    folder: OnceCell<PlaintextDir>,
}

impl Placing {
    /// Below this folder.
    pub fn new(runtime_dir: &Path, medium: Medium) -> Self {
        Self { runtime_dir: runtime_dir.to_owned(), medium, folder: OnceCell::new() }
    }

    /// Where [`Self::place`] would put it.
    pub fn place_of(&self, declared: &Path, owner: FileOwner) -> PathBuf {
        systemd::runtime_dir::place_of(&self.runtime_dir, &name(declared), on_host(owner, is_root()))
    }

    /// Puts the plaintext of a declared path where a container can have it, and gives that place.
    ///
    /// # Errors
    /// The runtime folder cannot be used, or lies on a disk.
    pub fn place(
        &self,
        declared: &Path,
        bytes: &[u8],
        owner: FileOwner,
        how: Replace,
    ) -> io::Result<PathBuf> {
        if !is_root() {
            given_to_another(owner)?;
        }
        let folder = match self.folder.get() {
            Some(folder) => folder,
            None => {
                let opened = PlaintextDir::open(&self.runtime_dir, self.medium).map_err(io::Error::other)?;
                self.folder.get_or_init(|| opened)
            }
        };
        folder.place(&name(declared), bytes, on_host(owner, is_root()), how).map_err(io::Error::other)
    }
}

/// Whose a file is on the host, that in the container is to be `owner`'s.
fn on_host(owner: FileOwner, agent_is_root: bool) -> Owner {
    let id = |id: Option<u32>| id.filter(|_| agent_is_root);
    Owner { uid: id(owner.uid), gid: id(owner.gid), mode: owner.mode.unwrap_or(MODE) }
}

/// What a user's agent cannot do for a rootless Engine. The root of its containers is that user; their other users are
/// numbers of the host that are nobody's, and nobody but root gives files to them.
fn given_to_another(owner: FileOwner) -> io::Result<()> {
    match [owner.uid, owner.gid].into_iter().flatten().find(|id| *id != 0) {
        None => Ok(()),
        Some(id) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "only an agent that runs as root gives a file to {id}; without `uid` and `gid` everybody in the container reads it"
            ),
        )),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Tells apart files of one name in several stacks, and still shows which file it is.
fn name(declared: &Path) -> String {
    // Keyed with nothing: a path is no secret, only too long for a name.
    let place = keyed_digest(&[0; 32], declared.as_os_str().as_encoded_bytes());
    let last = declared.to_string_lossy();
    let last = last.rsplit('/').next().unwrap_or_default();
    format!("{}-{last}", place.trim_start_matches("1:"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_place_is_one_path_and_one_owner_whatever_the_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let placing = Placing::new(folder.path(), Medium::Any);
        let at = |declared: &str, bytes: &[u8], mode| {
            let owner = FileOwner { mode, ..FileOwner::default() };
            placing.place(Path::new(declared), bytes, owner, Replace::Whole).expect("placed")
        };
        let first = at("/x/db.yaml#a", b"one", None);
        assert_eq!(fs::metadata(&first).expect("there").permissions().mode() & 0o777, 0o444);
        assert_eq!(at("/x/db.yaml#a", b"two", None), first);
        assert_eq!(fs::read(&first).expect("there"), b"two");
        assert_ne!(at("/x/db.yaml#b", b"two", None), first);
        assert_ne!(at("/y/db.yaml#a", b"two", None), first);
        assert_ne!(at("/x/db.yaml#a", b"two", Some(0o400)), first);
    }

    #[test]
    fn a_users_agent_gives_files_to_its_user_who_is_the_containers_root() {
        let asked = |uid, gid| FileOwner { uid, gid, mode: None };
        let own = Owner { uid: None, gid: None, mode: 0o444 };
        assert_eq!(on_host(asked(Some(0), Some(7)), true), Owner { uid: Some(0), gid: Some(7), ..own });
        assert_eq!(on_host(asked(Some(0), None), false), own);
        given_to_another(asked(Some(0), None)).expect("its own");
        let refused = given_to_another(asked(Some(0), Some(7))).expect_err("another's").to_string();
        assert!(refused.contains("gives a file to 7"), "{refused}");
    }

    #[test]
    fn a_disk_is_refused_and_only_when_something_is_to_be_placed() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
        let placing = Placing::new(folder.path(), Medium::Memory);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
        let placed = placing.place(Path::new("/x/a"), b"1", FileOwner::default(), Replace::Whole);
        assert!(placed.expect_err("a disk").to_string().contains("memory file system"));
    }
}
