//! Where does plaintext go that a container must see as a file, and with which key are digests of it made?

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use specs::secrets::keyed_digest;

/// The host's digest key: 32 random bytes, made once, readable by the agent alone.
///
/// # Errors
/// The state folder cannot be used.
pub fn digest_key(state_dir: &Path) -> io::Result<[u8; 32]> {
    let path = state_dir.join("digest.key");
    let mut key = [0_u8; 32];
    match fs::File::open(&path) {
        Ok(mut file) => file.read_exact(&mut key)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
            let new = state_dir.join(format!(".digest.key.{}", unique()));
            write(&new, &key)?;
            // Where another has just made one, that one counts: linking never replaces.
            let linked = fs::hard_link(&new, &path);
            fs::remove_file(&new)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => fs::File::open(&path)?.read_exact(&mut key)?,
            }
        }
        Err(error) => return Err(error),
    }
    Ok(key)
}

/// Puts a plaintext under a name that changes with its content, and gives its path. A file that is there stays as it is, so
/// that a running container never sees half of one.
///
/// # Errors
/// The runtime folder cannot be used.
pub fn place(runtime_dir: &Path, key: &[u8; 32], declared: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let folder = runtime_dir.join("secrets");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let digest = keyed_digest(key, bytes).replace(':', "-");
    let name = declared.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let path = folder.join(format!("{digest}-{name}"));
    if !path.exists() {
        let new = folder.join(format!(".{digest}.{}", unique()));
        write(&new, bytes)?;
        fs::rename(&new, &path)?;
    }
    Ok(path)
}

/// A suffix that no other thread of this process and no other process uses.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::remove_file(path)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_stays_and_is_ours_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = digest_key(folder.path()).expect("made");
        assert_eq!(digest_key(folder.path()).expect("read"), key);
        let mode = fs::metadata(folder.path().join("digest.key")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
    }

    #[test]
    fn another_content_gets_another_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let at =
            |bytes: &[u8]| place(folder.path(), &[7; 32], Path::new("/x/db.txt"), bytes).expect("placed");
        assert_eq!(at(b"one"), at(b"one"));
        assert_ne!(at(b"one"), at(b"two"));
        assert_eq!(fs::read(at(b"two")).expect("there"), b"two");
    }
}
