//! A system profile to switch: how does a generation come about?

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A system profile: generations beside each other, and a link to one of them.
#[derive(Debug)]
pub struct Profile {
    folder: PathBuf,
}

impl Profile {
    /// An empty one below `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.join("profile") }
    }

    /// The link.
    pub fn link(&self) -> PathBuf {
        self.folder.join("current-system")
    }

    /// The generation that it leads to.
    ///
    /// # Panics
    /// It leads nowhere.
    pub fn generation(&self) -> PathBuf {
        fs::read_link(self.link()).expect("a generation")
    }

    /// Writes a file of a stack in a generation.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, generation: &str, stack: &str, file: &str, text: &str) {
        let path = self.folder.join(generation).join("etc/compose-agent").join(stack).join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    /// Switches to a generation, atomically.
    ///
    /// # Panics
    /// It cannot be linked.
    pub fn switch(&self, generation: &str) {
        let next = self.folder.join("next");
        let _ = fs::remove_file(&next);
        std::os::unix::fs::symlink(self.folder.join(generation), &next).expect("linked");
        fs::rename(next, self.link()).expect("switched");
    }
}
