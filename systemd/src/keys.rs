//! Which identities does this host have, to open what is encrypted?
//!
//! Looks where the operator says, in the credentials that the service manager hands over, where sops looks, and where
//! sops-nix keeps a host's. A file that was asked for and cannot be read is a trouble; a usual place without a file is
//! not. Bytes are wiped when they are dropped, and no error holds any of them.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// Larger than any list of identities.
const MOST_BYTES: u64 = 256 * 1024;
/// More credentials than anybody hands over.
const MOST_FILES: usize = 256;
/// Where a host's keys usually are: sops-nix's own, and the host key that it converts.
pub const USUAL: [&str; 2] = ["/var/lib/sops-nix/key.txt", "/etc/ssh/ssh_host_ed25519_key"];

/// Where to look. The caller reads the environment, so that a test has none.
#[derive(Clone, Default)]
pub struct Places {
    /// `--age-key`: each must be there.
    pub given: Vec<PathBuf>,
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// `$SOPS_AGE_KEY`.
    pub sops_key: Option<Zeroizing<String>>,
    /// `$SOPS_AGE_KEY_FILE`.
    pub sops_key_file: Option<PathBuf>,
    /// Usual places, looked at where nothing above says otherwise.
    pub usual: Vec<PathBuf>,
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places")
            .field("given", &self.given)
            .field("credentials", &self.credentials)
            .field("sops_key", &self.sops_key.as_ref().map(|_| "***"))
            .field("sops_key_file", &self.sops_key_file)
            .field("usual", &self.usual)
            .finish()
    }
}

/// The bytes of one identity file, whatever their format.
pub struct Identity {
    /// What it is called in messages: its path, or the variable.
    pub label: String,
    /// Where it was read: to notice that it changes.
    pub path: Option<PathBuf>,
    /// What it holds.
    pub bytes: Zeroizing<Vec<u8>>,
    /// It can be read by others than its owner.
    pub open_to_others: bool,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Why an identity cannot be had. The others are used all the same.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read the identity file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no file: a folder, a pipe.
    #[error("the identity file {} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is too large for one.
    #[error("the identity file {} is larger than {} kB", path.display(), MOST_BYTES / 1024)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// Everything that was found, in the order of [`Places`], and what was not.
pub fn find(places: &Places) -> (Vec<Identity>, Vec<KeyError>) {
    let mut found = Vec::new();
    let mut troubles = Vec::new();
    let mut take = |path: &Path, must: bool, checked: bool| match read(path, checked) {
        Ok(identity) => found.push(identity),
        Err(KeyError::Read { source, .. }) if !must && is_absent(&source) => {}
        Err(error) => troubles.push(error),
    };
    places.given.iter().for_each(|path| take(path, true, true));
    if let Some(folder) = &places.credentials {
        match credentials(folder) {
            // The manager alone decides who reads these.
            Ok(paths) => paths.iter().for_each(|path| take(path, true, false)),
            Err(source) => troubles.push(KeyError::Read { path: folder.clone(), source }),
        }
    }
    if let Some(path) = &places.sops_key_file {
        match read(path, true) {
            Ok(identity) => found.push(identity),
            Err(error) => troubles.push(error),
        }
    }
    if let Some(text) = &places.sops_key {
        let bytes = Zeroizing::new(text.as_bytes().to_vec());
        found.push(Identity { label: "SOPS_AGE_KEY".into(), path: None, bytes, open_to_others: false });
    }
    if found.is_empty() && troubles.is_empty() {
        for path in &places.usual {
            match read(path, true) {
                Ok(identity) => found.push(identity),
                Err(KeyError::Read { source, .. }) if is_absent(&source) => {}
                Err(error) => troubles.push(error),
            }
        }
    }
    (found, troubles)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn credentials(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)?.take(MOST_FILES) {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path, checked: bool) -> Result<Identity, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    // Asked before it is opened: opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(KeyError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if facts.len() > MOST_BYTES {
        return Err(KeyError::TooLarge { path: path.to_owned() });
    }
    // All room at once: a vector that grows leaves copies behind that nobody wipes.
    let room = usize::try_from(MOST_BYTES.min(facts.len() + 1)).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(facts.len()).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Identity {
        label: path.display().to_string(),
        path: Some(path.to_owned()),
        bytes,
        open_to_others: checked && facts.mode() & 0o077 != 0,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, format!("AGE-SECRET-KEY-{name}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path
    }

    #[test]
    fn every_place_is_looked_at_in_order_and_the_usual_ones_only_where_nothing_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path();
        fs::create_dir(top.join("cred")).expect("made");
        let mut places = Places {
            given: vec![file(top, "given", 0o600)],
            credentials: Some(top.join("cred")),
            sops_key: Some(Zeroizing::new("AGE-SECRET-KEY-x".into())),
            sops_key_file: Some(file(top, "sops", 0o640)),
            usual: vec![top.join("absent"), file(top, "usual", 0o600)],
        };
        file(&top.join("cred"), "age-key", 0o444);
        let (found, troubles) = find(&places);
        let names: Vec<_> =
            found.iter().map(|key| key.label.rsplit('/').next().expect("a name").to_owned()).collect();
        assert_eq!(names, ["given", "age-key", "sops", "SOPS_AGE_KEY"]);
        let open: Vec<_> = found.iter().map(|key| key.open_to_others).collect();
        assert_eq!(open, [false, false, true, false]);
        assert_eq!(*found[0].bytes, b"AGE-SECRET-KEY-given\n");
        assert!(troubles.is_empty(), "{troubles:?}");
        places = Places { usual: places.usual, ..Places::default() };
        let (found, troubles) = find(&places);
        assert_eq!((found.len(), troubles.len()), (1, 0));
        assert!(found[0].label.ends_with("usual"));
    }

    #[test]
    fn what_was_asked_for_and_cannot_be_had_is_named_and_the_rest_is_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path();
        fs::write(top.join("large"), vec![b'#'; 300 * 1024]).expect("written");
        let given = vec![top.join("absent"), top.to_owned(), top.join("large"), file(top, "good", 0o600)];
        let usual = vec![file(top, "usual", 0o600)];
        let (found, troubles) = find(&Places { given, usual, ..Places::default() });
        assert_eq!(found.len(), 1);
        assert!(matches!(
            troubles[..],
            [KeyError::Read { .. }, KeyError::NotAFile { .. }, KeyError::TooLarge { .. }]
        ));
        let shown = format!("{found:?} {troubles:?}");
        assert!(!shown.contains("AGE-SECRET"), "{shown}");
    }
}
