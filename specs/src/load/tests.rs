//! What do other modules' tests load from?

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{Content, FileKind, LoadRequest, Loaded, ReadText, load};

/// Files that stand nowhere.
pub(crate) struct Files(pub(crate) BTreeMap<PathBuf, String>);

impl ReadText for Files {
    fn read(&self, path: &Path) -> io::Result<Content> {
        let text = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Content { bytes: text.as_bytes().to_vec().into(), secret: false })
    }

    fn kind(&self, path: &Path) -> FileKind {
        if self.0.contains_key(path) { FileKind::File } else { FileKind::Missing }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// The project of one compose file `/p/compose.yaml`.
pub(crate) fn loaded(text: &str) -> Loaded {
    let files = Files(BTreeMap::from([("/p/compose.yaml".into(), text.to_owned())]));
    let request = LoadRequest { working_directory: "/p".into(), ..LoadRequest::default() };
    load(&request, &files).unwrap()
}
