//! Do Docker Compose and the agent take stacks over from each other, and make the same of them?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
};

use crate::{
    Engine, Profile, Programs,
    compose::Compose,
    inspected::{differences, inspected},
    proxy::{Proxy, changes},
};

/// How many stacks Compose brings up at a time.
const AT_A_TIME: usize = 3;

/// An Engine and a profile that both of them look at.
#[derive(Debug)]
pub struct Bench {
    /// The real one.
    pub compose: Compose,
    /// Where everything runs.
    pub engine: Engine,
    /// Where everything is declared.
    pub profile: Profile,
    /// The agent, over [`Self::proxy`].
    pub programs: Programs,
    /// What it asks for.
    pub proxy: Proxy,
}

/// What an Engine shows, by path.
pub type State = BTreeMap<String, String>;

impl Bench {
    /// One with the stand-in under all these names; `None`, and said so, where there is no real Compose.
    #[expect(clippy::print_stderr, reason = "what was not run")]
    pub fn start(images: &[&str]) -> Option<Self> {
        let Some(compose) = Compose::find() else {
            eprintln!("NOT RUN: this needs docker-compose 2.40 in $COMPOSE_AGENT_PEERS/bin");
            return None;
        };
        let engine = Engine::start(images);
        let proxy = Proxy::start(&engine.folder().join("proxy.sock"), &engine.folder().join("docker.sock"));
        let profile = Profile::new(engine.folder());
        let programs = Programs::new(&engine, &profile).over(proxy.path());
        Some(Self { compose, engine, profile, programs, proxy })
    }

    /// The project folders that the profile links to now.
    fn folders(&self) -> Vec<PathBuf> {
        let stacks = self.profile.link().join("etc/compose-agent");
        let entries = stacks.read_dir().expect("a generation").flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn up(&self) {
        let folders = self.folders();
        let next = Mutex::new(folders.iter());
        let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
        thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    while let Some(folder) = take() {
                        self.compose.up(&self.engine.host(), folder);
                    }
                });
            }
        });
    }

    /// Takes everything away, and what has been built.
    ///
    /// # Panics
    /// The Engine does not.
    pub fn clear(&self) {
        self.engine.clear();
        let built = ["image", "ls", "-q", "--filter", "label=com.docker.compose.project"];
        let built = self.engine.docker_prints(&built);
        if !built.is_empty() {
            let remove: Vec<&str> = ["image", "rm", "-f"].into_iter().chain(built.lines()).collect();
            self.engine.docker_prints(&remove);
        }
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
        inspected(&self.engine, &self.profile)
    }

    /// The agent brings everything up, and Compose finds nothing to do. Gives what the agent made.
    ///
    /// # Panics
    /// It finds something.
    pub fn from_agent(&self) -> State {
        let (status, said) = self.programs.once(&[]);
        assert_eq!(status, Some(0), "{said}");
        let made = self.containers();
        let state = inspected(&self.engine, &self.profile);
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
