//! The homelab under the soak: what runs on it, and how are it and its agent asked?

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    Daemon, Engine, PATIENCE, Profile, Programs,
    corpus::{self, Stack, checked_images, hosts, image, services},
    secret::Key,
};

/// What a stack's variables are before anybody changes them.
const FIRST: &str = "value-of-";

/// Where the homelab stacks are not beside the repository: one of each sort of their services.
const PLAIN: &str = "services:
  holder: {image: 'soak-holder:1', restart: always}
  web: {image: 'soak-web:1', restart: unless-stopped, network_mode: 'service:holder', volumes: ['./web.conf:/conf:ro'], environment: {PASSWORD: '${DB_PASSWORD}'}}
  db: {image: 'soak-db:1', restart: always, environment: {PASSWORD: '${DB_PASSWORD}'}, healthcheck: {test: [CMD, /bin/standin], interval: 1s}}
  app: {image: 'soak-app:1', restart: unless-stopped, depends_on: {db: {condition: service_healthy}}}
";

/// One service of the homelab, as far as it can be interfered with.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) stack: String,
    pub(crate) name: String,
    pub(crate) container: String,
    pub(crate) image: String,
    /// Whether its image brings the health check that others wait for.
    pub(crate) checked: bool,
    /// The networks that it is in, by the Engine's names.
    pub(crate) networks: Vec<String>,
    /// Whose network it shares.
    pub(crate) owner: Option<String>,
    /// The files of its stack's folder that it mounts.
    pub(crate) files: Vec<String>,
    /// The variables of its stack that are in its declaration.
    pub(crate) variables: Vec<String>,
}

/// Every transition, and when it was heard of.
type Heard = Arc<Mutex<Vec<(Instant, Value)>>>;

/// An Engine with one host's homelab stacks, and a daemon that is listened to.
pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) programs: Programs,
    pub(crate) services: Vec<Service>,
    pub(crate) daemon: Daemon,
    profile: Profile,
    key: Key,
    stacks: Vec<Stack>,
    listener: Child,
    heard: Heard,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let agentctl = Programs::built("agentctl");
        let stacks = match corpus::corpus("homelab-2025-10") {
            Some(corpus) => hosts(corpus::homelab(&corpus, &agentctl, scratch.path())).remove(0),
            None => ["one", "two", "three"].map(|name| plain(name, scratch.path())).into(),
        };
        let checked = checked_images(&stacks);
        let services: Vec<Service> =
            stacks.iter().flat_map(|stack| services_of(stack, &checked, scratch.path())).collect();
        let images: BTreeSet<&str> = services.iter().map(|service| service.image.as_str()).collect();
        let engine = Engine::start(&images.into_iter().collect::<Vec<_>>());
        checked.iter().for_each(|image| engine.tag_checked(image));
        for (name, of) in [("standin:2", "standin:1"), ("standin:checked2", "standin:checked")] {
            let changed = engine.docker_prints(&["create", "--label", "second=1", of]);
            engine.docker_prints(&["commit", &changed, name]);
            engine.docker_prints(&["rm", &changed]);
        }
        let key = Key::default();
        let keys = key.save(engine.folder()).display().to_string();
        let profile = Profile::new(engine.folder());
        for stack in &stacks {
            let compose = format!("{}\nx-agent: {{update: {{monitor: 1s}}}}\n", stack.compose);
            stack.declare_encrypted(&profile, "one", &compose, &key);
        }
        profile.switch("one");
        let programs = Programs::new(&engine, &profile).with(&["--age-key", &keys]);
        let daemon = programs.daemon(&engine.folder().join("daemon.log"));
        programs.wait_for("converged", || true);
        let (listener, heard) = listen(&programs);
        Self { engine, programs, services, daemon, profile, key, stacks, listener, heard }
    }

    /// What was heard from then on.
    pub(crate) fn heard(&self, from: usize) -> Vec<(Instant, Value)> {
        self.heard.lock().unwrap()[from..].to_vec()
    }

    /// How much was heard until now.
    pub(crate) fn mark(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// The daemon's own log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.engine.folder().join("daemon.log")).unwrap()
    }

    /// Whether everything runs and the agent says that all is as declared.
    pub(crate) fn is_converged(&self) -> bool {
        let running = self.engine.docker_prints(&["ps", "-q", "--filter", "status=running"]);
        self.programs.status()["phase"] == "converged" && running.lines().count() == self.services.len()
    }

    /// Appends a line to a file of a stack.
    pub(crate) fn edit(&self, stack: &str, file: &str) {
        let path = self.profile.link().join("etc/compose-agent").join(stack).join(file);
        let text = fs::read_to_string(&path).unwrap() + "\n";
        fs::write(path, text).unwrap();
    }

    /// Gives a variable of a stack another value, in its encrypted file.
    pub(crate) fn rotate(&mut self, stack: &str, variable: &str) {
        let stack = self.stacks.iter_mut().find(|known| known.name == stack).unwrap();
        stack.env.get_mut(variable).unwrap().push('x');
        let text = self.key.encrypt(&corpus::env_file(&stack.env));
        self.profile.write("one", &stack.name, ".env", &text);
    }

    /// Clock ticks that the daemon has used.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.daemon.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// What the daemon holds.
    pub(crate) fn held(&self) -> Held {
        let process = format!("/proc/{}", self.daemon.pid());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let descriptors = fs::read_dir(format!("{process}/fd")).unwrap().count();
        let watches = fs::read_dir(format!("{process}/fdinfo")).unwrap().flatten();
        let watches = watches.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        Held {
            kilobytes: resident.trim().trim_end_matches(" kB").parse().unwrap(),
            descriptors,
            watches: watches.map(|info| info.matches("inotify wd:").count()).sum(),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.listener.kill();
        let _ = self.listener.wait();
    }
}

/// What must not grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) kilobytes: u64,
    pub(crate) descriptors: usize,
    pub(crate) watches: usize,
}

fn plain(name: &str, scratch: &Path) -> Stack {
    let stack = Stack {
        name: name.to_owned(),
        compose: PLAIN.replace("soak-", &format!("soak-{name}-")),
        files: [("web.conf".to_owned(), "first\n".to_owned())].into(),
        env: [("DB_PASSWORD".to_owned(), format!("{FIRST}db_password"))].into(),
        project: Value::Null,
    };
    stack.load(&Programs::built("agentctl"), scratch)
}

fn services_of(stack: &Stack, checked: &BTreeSet<String>, scratch: &Path) -> Vec<Service> {
    let project = stack.project["name"].as_str().unwrap();
    let folder = scratch.join(&stack.name).display().to_string();
    let describe = |(name, service): (&String, &Value)| {
        let image = image(stack, name, service);
        let text = service.to_string();
        let own_network = service["networks"].as_object().into_iter().flatten();
        let networks =
            own_network.map(|(key, _)| stack.project["networks"][key]["name"].as_str().unwrap().to_owned());
        let mounted = stack.files.keys().filter(|file| text.contains(&format!("\"{folder}/{file}\"")));
        let first = |value: &str| value.starts_with(FIRST) && text.contains(value);
        let variables = stack.env.iter().filter(|(_, value)| first(value));
        Service {
            stack: stack.name.clone(),
            name: name.clone(),
            container: service["container_name"]
                .as_str()
                .map_or_else(|| format!("{project}-{name}-1"), str::to_owned),
            checked: checked.contains(&image),
            networks: networks.collect(),
            owner: service["network_mode"]
                .as_str()
                .and_then(|mode| mode.strip_prefix("service:"))
                .map(str::to_owned),
            files: mounted.cloned().collect(),
            variables: variables.map(|(name, _)| name.clone()).collect(),
            image,
        }
    };
    services(&stack.project).map(describe).collect()
}

/// Hears every transition from now on.
fn listen(programs: &Programs) -> (Child, Heard) {
    let mut child = programs.agentctl_command().arg("events").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&heard);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            into.lock().unwrap().push((Instant::now(), serde_json::from_str(&line).unwrap()));
        }
    });
    (child, heard)
}

/// Waits until something holds.
pub(crate) fn until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

/// So long a round may take to come to rest.
pub(crate) const REST: Duration = PATIENCE;
