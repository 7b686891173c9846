//! What does the world say about one stack: its spec, its secrets, its files?
//!
//! Reads only, apart from plaintext files on the agent's memory file system. What was loaded is kept and used again while
//! nothing that it was made from has changed, so that an event of the Engine reads no file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use plan::ids::{Generation, ProjectName};
use specs::model::Project;

use crate::decrypt::{Seen, unchanged};

/// What a stack's spec says, and what it was read from.
#[derive(Debug, Clone)]
pub struct Want {
    /// The generation that it was read from.
    pub generation: Generation,
    /// The stack's folder there.
    pub folder: PathBuf,
    /// The project, or why there is none.
    pub project: Result<Arc<Project>, String>,
    /// The warnings of the load.
    pub notes: Vec<String>,
    /// Every path that was looked at.
    pub seen: Arc<Seen>,
}

impl Want {
    /// Whether reading again would give the same.
    pub fn is_current(&self, generation: &Generation, folder: &Path) -> bool {
        self.generation == *generation && self.folder == folder && unchanged(&self.seen)
    }

    /// The project's name, where it loaded.
    pub fn project_name(&self) -> Option<ProjectName> {
        self.project.as_ref().ok().map(|project| ProjectName::from(project.name.as_str()))
    }
}

/// Whether the profile's `agent.yaml` says that declaring no stack is meant.
pub fn allows_empty(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("agent.yaml")).unwrap_or_default();
    let settings: Option<serde_yaml::Value> = serde_yaml::from_str(&text).ok();
    settings.and_then(|settings| settings.get("allow_empty")?.as_bool()).unwrap_or(false)
}
