//! Do Docker Compose and the agent take stacks over from each other, and make the same of them?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{
    Engine, Programs,
    compose::Compose,
    inspected::{differences, inspected},
    proxy::{Proxy, changes},
};

/// Stacks that both of them know.
#[derive(Debug)]
pub struct Takeover<'a> {
    /// The real one.
    pub compose: &'a Compose,
    /// Where they run.
    pub engine: &'a Engine,
    /// The agent, over [`Self::proxy`].
    pub programs: &'a Programs,
    /// What it asks for.
    pub proxy: &'a Proxy,
    /// The project folders, in the profile that the agent looks at.
    pub folders: &'a [PathBuf],
}

/// What an Engine shows, by path.
pub type State = BTreeMap<String, String>;

impl Takeover<'_> {
    fn up(&self) {
        self.folders.iter().for_each(|folder| self.compose.up(&self.engine.host(), folder));
    }

    /// Compose brings everything up, and the agent finds nothing to do. Gives what Compose made.
    ///
    /// # Panics
    /// It finds something.
    pub fn from_compose(&self) -> State {
        self.up();
        let made = self.containers();
        self.proxy.take();
        let (status, said) = self.programs.once(&[]);
        assert_eq!(changes(&self.proxy.take()), Vec::<&String>::new(), "{said}");
        assert_eq!(status, Some(0), "{said}");
        assert!(!said.contains("hash-only"), "Compose's hashes are the agent's: {said}");
        assert_eq!(self.containers(), made, "the agent leaves alone what Compose made");
        inspected(self.engine)
    }

    /// The agent brings everything up, and Compose finds nothing to do. Gives what the agent made.
    ///
    /// # Panics
    /// It finds something.
    pub fn from_agent(&self) -> State {
        let (status, said) = self.programs.once(&[]);
        assert_eq!(status, Some(0), "{said}");
        let made = self.containers();
        let state = inspected(self.engine);
        self.up();
        assert_eq!(self.containers(), made, "Compose recreates nothing that the agent made");
        state
    }

    /// The containers that there are, and when each was started.
    pub fn containers(&self) -> BTreeSet<String> {
        let all = self.engine.docker_prints(&["ps", "-aq", "--no-trunc"]);
        let format = "{{.Id}} {{.Name}} {{.State.StartedAt}}";
        let mut inspect = vec!["inspect", "--format", format];
        inspect.extend(all.lines());
        if all.is_empty() {
            return BTreeSet::new();
        }
        self.engine.docker_prints(&inspect).lines().map(str::to_owned).collect()
    }
}

/// What the agent does otherwise than Compose on purpose, with its reason; ARCHITECTURE.md has the same table.
///
/// # Panics
/// Something else differs.
pub fn assert_same(theirs: &State, ours: &State, is_meant_here: impl Fn(&str, &str) -> bool) {
    let joined: BTreeSet<&str> = ours
        .iter()
        .filter(|(path, mode)| {
            let shares = ["NetworkMode", "IpcMode", "PidMode"].iter().any(|mode| path.ends_with(mode));
            shares && mode.starts_with("\"container:") || path.ends_with("/HostConfig/VolumesFrom")
        })
        .filter_map(|(path, _)| path.split('/').nth(1))
        .collect();
    let is_meant = |path: &str| {
        let name = path.split('/').nth(1).unwrap_or_default();
        // The agent's own labels: whose an object is, and what its files' bytes were.
        path.contains("/Labels/agentctl.")
            // Compose puts its dependencies in no order.
            || path.ends_with("/Labels/com.docker.compose.depends_on")
            // The hash of a container that shares something with another one has that one's id in it.
            || path.ends_with("/Labels/com.docker.compose.config-hash") && joined.contains(name)
            || is_meant_here(name, path)
    };
    let found = differences(theirs, ours, is_meant);
    assert!(found.is_empty(), "{} values differ:\n{}", found.len(), found.join("\n"));
}
