//! Which store paths must outlive a garbage collection?
//!
//! A container that runs has bound files of the generation that made it. A held or failed stack may run on while its
//! generation is long gone from the profile: each store path that a container mounts gets a root of its own, until none
//! does. A host without a store has nothing to keep.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

/// Where a host's roots of the agent are.
pub const FOLDER: &str = "/nix/var/nix/gcroots/compose-agent";
/// Where its store is.
pub const STORE: &str = "/nix/store";

/// Why a root cannot be kept or let go.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The folder of roots cannot be made or listed.
    #[error("cannot use the folder of roots {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A root cannot be made.
    #[error("cannot keep {}", path.display())]
    Keep {
        /// The store path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A root cannot be removed.
    #[error("cannot let go of {}", path.display())]
    LetGo {
        /// The root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The roots of one host.
#[derive(Debug, Clone)]
pub struct Roots {
    folder: PathBuf,
    store: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { folder: FOLDER.into(), store: STORE.into() }
    }
}

impl Roots {
    /// Roots in another place: a test's, or those of a user without root.
    pub fn at(folder: &Path, store: &Path) -> Self {
        Self { folder: folder.to_owned(), store: store.to_owned() }
    }

    /// Keeps the store paths of `used`, whatever below them is named, and lets go of all others. Roots are made before any
    /// is removed, so that a path is rooted throughout.
    ///
    /// # Errors
    /// The folder cannot be used; then nothing was removed.
    pub fn keep(&self, used: &BTreeSet<PathBuf>) -> Result<(), RootsError> {
        if !self.store.is_dir() {
            return Ok(());
        }
        let wanted: BTreeSet<PathBuf> = used.iter().filter_map(|path| self.store_path(path)).collect();
        let folder = |source| RootsError::Folder { path: self.folder.clone(), source };
        if wanted.is_empty() && !self.folder.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(folder)?;
        for path in &wanted {
            self.root(path).map_err(|source| RootsError::Keep { path: path.clone(), source })?;
        }
        let names: BTreeSet<String> = wanted.iter().map(|path| name_of(path)).collect();
        for entry in fs::read_dir(&self.folder).map_err(folder)? {
            let entry = entry.map_err(folder)?;
            let ours = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if ours && !names.contains(&*entry.file_name().to_string_lossy()) {
                let let_go = |source| RootsError::LetGo { path: entry.path(), source };
                fs::remove_file(entry.path()).map_err(let_go)?;
            }
        }
        Ok(())
    }

    fn root(&self, path: &Path) -> io::Result<()> {
        let root = self.folder.join(name_of(path));
        if fs::read_link(&root).is_ok_and(|target| target == path) {
            return Ok(());
        }
        let new = self.folder.join(format!(".{}.new", name_of(path)));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => symlink(path, &new)?,
        }
        fs::rename(new, root)
    }

    /// `/nix/store/HASH-NAME` of any path below it. The collector knows whole store paths only.
    fn store_path(&self, path: &Path) -> Option<PathBuf> {
        match path.strip_prefix(&self.store).ok()?.components().next()? {
            Component::Normal(name) => Some(self.store.join(name)),
            _ => None,
        }
    }
}

fn name_of(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("there");
        let mut targets: Vec<_> =
            entries.map(|entry| fs::read_link(entry.expect("readable").path()).expect("a link")).collect();
        targets.sort();
        targets
    }

    #[test]
    fn whole_store_paths_are_kept_while_they_are_used_and_no_longer() {
        let top = tempfile::tempdir().expect("a folder");
        let (folder, store) = (top.path().join("roots"), top.path().join("store"));
        fs::create_dir(&store).expect("made");
        let roots = Roots::at(&folder, &store);
        let (a, b) = (store.join("aaa-web"), store.join("bbb-Caddyfile"));
        let used = BTreeSet::from([a.join("etc/x"), a.join("etc/y"), b.clone(), "/srv/data".into()]);
        roots.keep(&used).expect("kept");
        assert_eq!(targets(&folder), [a, b.clone()]);
        roots.keep(&BTreeSet::from([b.clone()])).expect("kept");
        roots.keep(&BTreeSet::from([b.clone()])).expect("kept again");
        assert_eq!(targets(&folder), [b]);
        roots.keep(&BTreeSet::new()).expect("let go");
        assert!(targets(&folder).is_empty());
    }

    #[test]
    fn what_is_not_a_root_stays_and_without_a_store_nothing_is_made() {
        let top = tempfile::tempdir().expect("a folder");
        let (folder, store) = (top.path().join("roots"), top.path().join("store"));
        let used = BTreeSet::from([store.join("aaa-web")]);
        Roots::at(&folder, &store).keep(&used).expect("nothing to do");
        assert!(!folder.exists());
        fs::create_dir(&store).expect("made");
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("README"), "theirs").expect("written");
        Roots::at(&folder, &store).keep(&BTreeSet::new()).expect("let go");
        assert!(folder.join("README").exists());
    }

    #[test]
    fn a_root_that_cannot_be_made_is_named_and_nothing_is_removed() {
        let top = tempfile::tempdir().expect("a folder");
        let (folder, store) = (top.path().join("roots"), top.path().join("store"));
        fs::create_dir(&store).expect("made");
        fs::write(&folder, "a file in its place").expect("written");
        let error = Roots::at(&folder, &store).keep(&BTreeSet::from([store.join("x")]));
        assert!(matches!(error, Err(RootsError::Folder { path, .. }) if path == folder));
    }
}
