//! Which images are in the archives that a stack brings?
//!
//! An archive is gone through once, however many generations and stacks name it: it is known again by what the file
//! system says of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use docker::images::archive::contents;
use plan::desired::{Archive, ArchivedImage};
use specs::{ReadText, model::Project};

use crate::secrets::decrypt::{Decrypting, Identity};

/// More archives than a host has at a time.
const MOST: usize = 500;

type Contents = Result<Vec<ArchivedImage>, String>;

/// What is known of archives.
#[derive(Debug, Default)]
pub struct Archives {
    known: Mutex<BTreeMap<PathBuf, (Identity, Contents)>>,
}

impl Archives {
    /// The archives of a project: `x-agent.images`, relative to its folder.
    pub fn of(&self, project: &Project, reader: &Decrypting<'_>) -> BTreeMap<PathBuf, Archive> {
        let declared = project.settings.images.iter().map(|path| project.working_dir.join(path.expose()));
        let look = |declared: PathBuf| {
            reader.look(&declared);
            let path = reader.resolve(&declared);
            let images = self.contents(&path);
            (declared, Archive { path, images })
        };
        declared.map(look).collect()
    }

    fn contents(&self, path: &Path) -> Contents {
        let identity = Identity::of(path).ok_or("it is not there")?;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before =
            known().get(path).filter(|(before, _)| *before == identity).map(|(_, found)| found.clone());
        if let Some(found) = before {
            return found;
        }
        let found = contents(path).map_err(|error| {
            let cause = std::error::Error::source(&error);
            cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
        });
        let mut known = known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(path.to_owned(), (identity, found.clone()));
        found
    }
}
