//! How is one generation read whole, under names that stay the same from one generation to the next?
//!
//! A spec is loaded under the profile's own path, `/run/current-system/etc/compose-agent/web`: so its relative paths,
//! Compose's hash of it and its labels do not change with every generation, and are those that `docker compose` in that
//! folder would come to. What is read is below what the profile led to when the pass began.

use std::{
    io,
    path::{Path, PathBuf},
};

use specs::{Content, FileKind, ReadText};

/// A reader that looks below `root` for everything that is named below `profile`.
pub struct Rooted<'a> {
    /// The real one.
    pub inner: &'a dyn ReadText,
    /// The profile's path.
    pub profile: PathBuf,
    /// What it led to.
    pub root: PathBuf,
}

impl std::fmt::Debug for Rooted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rooted({} at {})", self.profile.display(), self.root.display())
    }
}

impl Rooted<'_> {
    fn real(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.profile).map_or_else(|_| path.to_owned(), |below| self.root.join(below))
    }
}

impl ReadText for Rooted<'_> {
    fn read(&self, path: &Path) -> io::Result<Content> {
        self.inner.read(&self.real(path))
    }

    fn kind(&self, path: &Path) -> FileKind {
        self.inner.kind(&self.real(path))
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.inner.resolve(&self.real(path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use specs::disk::Disk;

    use super::*;

    #[test]
    fn a_generation_is_read_whole_though_the_profile_is_switched_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for (generation, text) in [("one", "1"), ("two", "2")] {
            fs::create_dir(at(generation)).expect("made");
            fs::write(at(generation).join("a"), text).expect("written");
        }
        std::os::unix::fs::symlink(at("one"), at("current")).expect("linked");
        let reader = Rooted { inner: &Disk, profile: at("current"), root: at("one") };
        fs::remove_file(at("current")).expect("removed");
        std::os::unix::fs::symlink(at("two"), at("current")).expect("linked");
        assert_eq!(reader.read(&at("current/a")).expect("read").bytes.as_slice(), b"1");
        assert_eq!(reader.resolve(&at("current/a")), at("one/a").canonicalize().expect("there"));
        assert_eq!(reader.kind(&at("elsewhere")), FileKind::Missing);
    }
}
