//! Which stacks does the profile declare now?
//!
//! Everything is read below the resolved profile, so that one look sees one generation whole, never half of the old and
//! half of the new one while the host switches.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use plan::ids::{Generation, StackName};

/// The names under which Docker Compose looks for its file, in its order.
pub const COMPOSE_FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Where stacks are in a profile.
pub const FOLDER: &str = "etc/compose-agent";
/// Beside the stacks: the settings of all that do not say otherwise.
const SETTINGS: &str = "agent.yaml";
/// The most stacks that are looked at.
const MOST_STACKS: usize = 1000;

/// One look at the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// What the profile leads to.
    pub generation: Generation,
    /// Where its stacks are.
    pub folder: PathBuf,
    /// Every stack and its project folder.
    pub stacks: BTreeMap<StackName, PathBuf>,
    /// The profile's `agent.yaml` says that declaring no stack is meant.
    pub allows_empty: bool,
}

/// Why the profile cannot be read: nothing is known then, and nothing is changed.
#[derive(Debug, thiserror::Error)]
pub enum DeclaredError {
    /// The link is missing, broken, or may not be read.
    #[error("cannot resolve the profile {}", path.display())]
    Resolve {
        /// The profile.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its folder of stacks cannot be read.
    #[error("cannot list the stacks in {}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds far more than anybody declares.
    #[error("{} holds more than {MOST_STACKS} stacks", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

impl Declared {
    /// Looks at a profile.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(profile: &Path) -> Result<Self, DeclaredError> {
        let root = fs::canonicalize(profile)
            .map_err(|source| DeclaredError::Resolve { path: profile.to_owned(), source })?;
        let folder = root.join(FOLDER);
        let failed = |source| DeclaredError::List { path: folder.clone(), source };
        let mut declared = Self {
            generation: Generation::from(root.to_string_lossy().into_owned()),
            allows_empty: allows_empty(&folder),
            folder: folder.clone(),
            stacks: BTreeMap::new(),
        };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // A profile without the folder declares none: whether that is meant is asked elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound && root.is_dir() => {
                return Ok(declared);
            }
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || compose_file(&entry.path()).is_none() {
                continue;
            }
            declared.stacks.insert(StackName::from(name), entry.path());
            if declared.stacks.len() > MOST_STACKS {
                return Err(DeclaredError::TooMany { path: folder });
            }
        }
        Ok(declared)
    }
}

/// Where the settings of all stacks are, for a stack's folder in a profile.
pub fn defaults_of(stack: &Path) -> Option<PathBuf> {
    stack.parent().filter(|folder| folder.ends_with(FOLDER)).map(|folder| folder.join(SETTINGS))
}

fn allows_empty(folder: &Path) -> bool {
    let text = fs::read_to_string(folder.join(SETTINGS)).unwrap_or_default();
    let settings: Option<serde_yaml::Value> = serde_yaml::from_str(&text).ok();
    settings.and_then(|settings| settings.get("allow_empty")?.as_bool()).unwrap_or(false)
}

/// The compose file of a folder. A link that leads nowhere counts: the stack is declared, and does not load.
pub fn compose_file(folder: &Path) -> Option<PathBuf> {
    COMPOSE_FILES.iter().map(|name| folder.join(name)).find(|path| path.symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_through_its_link_and_an_empty_one_is_not_an_unreadable_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("gen1");
        for stack in ["web", "broken", ".hidden", "notes"] {
            fs::create_dir_all(root.join(FOLDER).join(stack)).expect("made");
        }
        fs::write(root.join(FOLDER).join("web/compose.yaml"), "").expect("written");
        fs::write(root.join(FOLDER).join(".hidden/compose.yaml"), "").expect("written");
        std::os::unix::fs::symlink("/nowhere", root.join(FOLDER).join("broken/docker-compose.yml"))
            .expect("linked");
        let link = folder.path().join("current");
        std::os::unix::fs::symlink(&root, &link).expect("linked");
        let declared = Declared::of(&link).expect("readable");
        let names: Vec<_> = declared.stacks.keys().map(StackName::as_str).collect();
        assert_eq!(names, ["broken", "web"]);
        assert_eq!(declared.generation.as_str(), fs::canonicalize(&root).expect("there").to_string_lossy());
        fs::create_dir(folder.path().join("empty")).expect("made");
        assert!(Declared::of(&folder.path().join("empty")).expect("readable").stacks.is_empty());
        assert!(matches!(Declared::of(&folder.path().join("gone")), Err(DeclaredError::Resolve { .. })));
    }
}
