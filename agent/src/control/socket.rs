//! Where does the daemon listen: whose socket is it, and what if one is there already?

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, chown},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use crate::control::access::group_id;

/// Why nobody can be served.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers there.
    #[error("another compose-agent listens at {}", path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// There is a file of another kind.
    #[error("{} is there and is no socket", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// There is no such group.
    #[error("there is no group {group}")]
    NoGroup {
        /// The group.
        group: String,
    },
    /// The system refuses.
    #[error("cannot listen at {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Listens at `path`: for the owner and `group`, or for everybody where a second group may look (what a caller may do
/// is then decided by who it is).
///
/// # Errors
/// Somebody else is there, or the system refuses.
pub fn listen(path: &Path, group: Option<&str>, read_group: bool) -> Result<UnixListener, SocketError> {
    let failed = |source| SocketError::Listen { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(SocketError::Taken { path: path.to_owned() });
        }
        // Left behind by a daemon that was killed.
        Ok(_) => fs::remove_file(path).map_err(failed)?,
        Err(_) => {}
    }
    let gid = match group {
        Some(group) => Some(group_id(group).ok_or_else(|| SocketError::NoGroup { group: group.to_owned() })?),
        None => None,
    };
    // Between bind and chmod nobody gets more than the umask lets through, and every call is checked anyway.
    let listener = UnixListener::bind(path).map_err(failed)?;
    if gid.is_some() {
        chown(path, None, gid).map_err(failed)?;
    }
    let mode = if read_group { 0o666 } else { 0o660 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_socket_is_replaced_a_living_one_and_a_file_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let first = listen(&path, None, false).expect("free");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o660);
        assert!(matches!(listen(&path, None, false), Err(SocketError::Taken { .. })));
        drop(first);
        drop(listen(&path, None, true).expect("the dead one is replaced"));
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o666);
        let file = folder.path().join("file");
        fs::write(&file, "x").expect("written");
        assert!(matches!(listen(&file, None, false), Err(SocketError::NotASocket { .. })));
        assert_eq!(fs::read(&file).expect("there"), b"x");
    }
}
