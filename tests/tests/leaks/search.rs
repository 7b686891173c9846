//! Is a secret to be read in some text, in any spelling that a program may give it?

use std::{
    fs,
    path::{Path, PathBuf},
};

use tests::secret::spellings;

/// The largest file that is looked into.
const MOST: u64 = 32 << 20;

/// One value, and every spelling in which it is looked for.
pub(crate) struct Needle {
    /// Which one it is, for messages.
    pub(crate) route: String,
    /// The value itself.
    pub(crate) value: String,
    spellings: Vec<String>,
}

impl Needle {
    /// A value of a route.
    pub(crate) fn new(route: String, value: String) -> Self {
        let spellings = spellings(&value);
        Self { route, value, spellings }
    }

    /// Where the text has it, in which spelling and among which words.
    pub(crate) fn found_in(&self, text: &str) -> Option<String> {
        let (at, spelling) =
            self.spellings.iter().find_map(|spelling| Some((text.find(spelling)?, spelling)))?;
        let (before, after) = (&text[..at], &text[at + spelling.len()..]);
        let before: Vec<char> = before.chars().rev().take(120).collect();
        let before: String = before.into_iter().rev().collect();
        let after: String = after.chars().take(60).collect();
        Some(format!("as `{spelling}` in `…{before}{spelling}{after}…`"))
    }
}

/// Every ordinary file below a folder, except below folders and files of these names.
pub(crate) fn files(folder: &Path, except: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if except.iter().any(|name| path.ends_with(name)) {
        } else if kind.is_dir() {
            found.extend(files(&path, except));
        } else if kind.is_file() && entry.metadata().is_ok_and(|facts| facts.len() <= MOST) {
            found.push(path);
        }
    }
    found
}

/// A file as text, whatever it is; one that has gone meanwhile is empty.
pub(crate) fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
