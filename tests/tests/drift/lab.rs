//! An Engine, a daemon and one stack a scene: how are they asked?

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Daemon, Ear, Engine, PATIENCE, Profile, Programs, secret::Key};

use super::scenes::Scene;

/// Everything that scenes happen in.
pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) profile: Profile,
    pub(crate) programs: Programs,
    pub(crate) key: Key,
    journal: Ear,
    mounted: RefCell<Vec<PathBuf>>,
    _daemon: Daemon,
}

impl Drop for Lab {
    fn drop(&mut self) {
        for at in self.mounted.borrow().iter() {
            // What stays mounted would keep the folder from going.
            let _ = Command::new("umount").arg("--lazy").arg(at).status();
        }
    }
}

impl Lab {
    /// Declares the scenes' stacks and starts the daemon.
    pub(crate) fn new(scenes: &[Scene]) -> Self {
        let engine = Engine::start(&["moved:1"]);
        let profile = Profile::new(engine.folder());
        let key = Key::default();
        let keys = key.save(engine.folder()).display().to_string();
        let journal = Ear::at(&engine.folder().join("journal.sock"));
        let log = ["--log-format", "journal", "--journal-socket", &journal.path];
        // Nothing that is found is found by looking at everything.
        let settings = [&["--age-key", &keys, "--resync", "1h"], &log[..]].concat();
        let programs = Programs::new(&engine, &profile).with(&settings).with_memory(&engine);
        let empty = scenes.is_empty();
        for scene in scenes {
            let data = engine.folder().join("bound").join(scene.stack);
            fs::create_dir_all(data.join("nas/films")).unwrap();
            fs::write(data.join("file"), "as it was\n").unwrap();
            profile.write("one", scene.stack, "token.age", &key.encrypt("first"));
            profile.write("one", scene.stack, "side.conf", "as it was\n");
            let spec = scene.spec.replace("DATA", &data.display().to_string());
            profile.write("one", scene.stack, "compose.yaml", &spec);
        }
        profile.write("one", "", "agent.yaml", "{}");
        profile.switch("one");
        let daemon = programs.daemon(&engine.folder().join("daemon.log"));
        let mounted = RefCell::default();
        let lab = Self { engine, profile, programs, key, journal, mounted, _daemon: daemon };
        lab.wait("answering", |lab| empty || lab.programs.status()["phase"].is_string());
        lab
    }

    /// A file below the scene's bound folder.
    pub(crate) fn data(&self, stack: &str, file: &str) -> PathBuf {
        self.engine.folder().join("bound").join(stack).join(file)
    }

    /// Mounts a file system with a folder `films` on it, in the host's view and, where mounts come through, the Engine's.
    pub(crate) fn mount(&self, at: &Path) {
        self.mounted.borrow_mut().push(at.to_owned());
        let ended = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(at).status();
        assert!(ended.expect("mount").success());
        fs::create_dir(at.join("films")).unwrap();
    }

    pub(crate) fn docker(&self, arguments: &[&str]) {
        self.engine.docker_prints(arguments);
    }

    pub(crate) fn running(&self, container: &str) -> bool {
        !self.engine.docker_prints(&["ps", "-q", "--filter", &format!("name=^{container}$")]).is_empty()
    }

    /// Whether the verb ended well.
    pub(crate) fn agentctl(&self, arguments: &[&str]) -> bool {
        self.programs.agentctl(arguments).status.success()
    }

    /// What the verb prints.
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.programs.agentctl(arguments).stdout).into_owned()
    }

    pub(crate) fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "not {what}:\n{}", self.overview());
            sleep(Duration::from_millis(100));
        }
    }

    /// Every stack with what is open, a line each.
    fn overview(&self) -> String {
        let status = self.programs.status();
        let stacks = status["stacks"].as_array().into_iter().flatten();
        stacks
            .map(|stack| {
                let open = stack["drift"].as_array().into_iter().flatten();
                let open = open.map(|open| {
                    format!("\n  {} {} {} {}", open["kind"], open["field"], open["have"], open["verdict"])
                });
                format!(
                    "{} {} {}{}\n",
                    stack["name"],
                    stack["phase"],
                    stack["reason"],
                    open.collect::<String>()
                )
            })
            .collect()
    }

    fn stack(&self, name: &str) -> Value {
        let mut status = self.programs.status();
        let stacks = status["stacks"].as_array_mut().map(std::mem::take).unwrap_or_default();
        stacks.into_iter().find(|stack| stack["name"] == name).unwrap_or(Value::Null)
    }

    pub(crate) fn phase(&self, stack: &str) -> String {
        self.stack(stack)["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// The scene's difference, while it is open.
    pub(crate) fn open(&self, scene: &Scene) -> Option<Value> {
        let mut stack = self.stack(scene.stack);
        let open = stack["drift"].as_array_mut().map(std::mem::take).unwrap_or_default();
        open.into_iter().find(|open| scene.is_about(open))
    }

    /// Everything that has happened to a stack.
    pub(crate) fn history(&self, stack: &str) -> Vec<Value> {
        serde_json::from_str(&self.prints(&["history", stack, "-n", "10000", "--json"])).unwrap_or_default()
    }

    /// Has every stack looked at once more, whatever has happened.
    pub(crate) fn look_again(&self) {
        // Held stacks are not converged, which is no matter here.
        self.agentctl(&["reconcile", "--wait", "--timeout", "60s"]);
    }

    /// How many entries the journal has.
    pub(crate) fn journal_length(&self) -> usize {
        self.journal.all().len()
    }

    /// How often the journal was told since `mark` of a difference of this kind in this stack, under the id that the
    /// catalogue explains.
    pub(crate) fn journalled(&self, mark: usize, stack: &str, kind: &str, field: &str) -> usize {
        let wanted =
            [format!("MESSAGE_ID={}", catalogued()[kind]), format!("STACK={stack}"), format!("KIND={kind}")];
        let is_it = |entry: &&String| {
            let has = |line: &String| entry.lines().any(|found| found == line);
            let of_field = |line: &str| line.starts_with(&format!("FIELD={field}"));
            wanted.iter().all(has) && (field.is_empty() || entry.lines().any(of_field))
        };
        self.journal.all().iter().skip(mark).filter(is_it).count()
    }

    /// A switch is the cause of what it changes; an Engine that was away, of what does not run when it is back.
    pub(crate) fn check_causes_across_generations_and_engines(&mut self) {
        let spec = "services:\n  app:\n    image: standin:1\n    environment: {COLOUR: red}\n";
        self.profile.write("two", "kind", "compose.yaml", spec);
        self.profile.switch("two");
        let cause = |lab: &Self, kind: &str| {
            let entries = lab.history("kind");
            let found = entries
                .iter()
                .rev()
                .find(|entry| entry["event"] == "found" && entry["drift"]["kind"] == kind);
            found.and_then(|entry| entry["drift"]["cause"].as_str()).unwrap_or_default().to_owned()
        };
        self.wait("the switch is the cause", |lab| {
            let cause = cause(lab, "altered");
            let parts = ["profile/one → ", "profile/two, ", "compose.yaml:4"];
            parts.iter().all(|part| cause.contains(part)) && lab.phase("kind") == "converged"
        });
        self.engine.kill();
        self.wait("it is not known", |lab| lab.phase("kind") == "unknown");
        self.engine.revive();
        self.wait("the Engine is the cause", |lab| {
            cause(lab, "stopped").contains("the Engine was away") && lab.phase("kind") == "converged"
        });
    }

    /// The status of now is what its schema says.
    pub(crate) fn check_schema(&self) {
        let text = include_str!("../../../agent/schema/status.schema.json");
        let schema = jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap();
        let status = self.programs.status();
        let errors: Vec<String> = schema.iter_errors(&status).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
}

/// The id of each kind's entry in the journal's catalogue.
pub(crate) fn catalogued() -> BTreeMap<&'static str, &'static str> {
    let entries = include_str!("../../../systemd/catalog/compose-agent.catalog").split("-- ").skip(1);
    let kind = |entry: &'static str| {
        let kind = entry.lines().find_map(|line| line.strip_prefix("KIND="))?;
        Some((kind, entry.lines().next()?))
    };
    entries.filter_map(kind).collect()
}
