//! Stacks that others have written: what do they declare, and do they run?
//!
//! They are read from the corpus beside the repository, where it is there; their images are stand-ins.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{Engine, Profile, secret::Key};

/// One stack of the corpus.
#[derive(Debug)]
pub struct Stack {
    /// Its folder's name in the profile.
    pub name: String,
    /// Its compose file.
    pub compose: String,
    /// Files beside it and below: path and text.
    pub files: BTreeMap<String, String>,
    /// What its `.env` gives, where it is none of the files.
    pub env: BTreeMap<String, String>,
    /// What it declares, as `agentctl config` says.
    pub project: Value,
}

impl Stack {
    /// One with these files, loaded by `agentctl`.
    ///
    /// # Panics
    /// It does not load.
    #[must_use]
    pub fn load(mut self, agentctl: &Path, scratch: &Path) -> Self {
        let folder = scratch.join(&self.name);
        self.write(|file, text| {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        });
        let output = Command::new(agentctl)
            .current_dir(&folder)
            .args(["config", "-f", "compose.yaml", "--format", "json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        self.project = serde_json::from_slice(&output.stdout).unwrap();
        self
    }

    /// Declares it in a generation.
    pub fn declare(&self, profile: &Profile, generation: &str) {
        self.write(|file, text| profile.write(generation, &self.name, file, text));
    }

    /// The same with this compose file, and with the variables in an encrypted `.env`.
    pub fn declare_encrypted(&self, profile: &Profile, generation: &str, compose: &str, key: &Key) {
        self.declare(profile, generation);
        profile.write(generation, &self.name, "compose.yaml", compose);
        profile.write(generation, &self.name, ".env", &key.encrypt(&env_file(&self.env)));
    }

    fn write(&self, write: impl Fn(&str, &str)) {
        write("compose.yaml", &self.compose);
        self.files.iter().for_each(|(file, text)| write(file, text));
        if !self.files.contains_key(".env") {
            write(".env", &env_file(&self.env));
        }
    }
}

/// Where a part of the corpus is, where it is there: `homelab-2025-10`, `awesome-compose`.
pub fn corpus(part: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus").join(part);
    path.is_dir().then_some(path)
}

/// The same for a test that cannot do without it: where it is not there, that is said.
#[expect(clippy::print_stderr, reason = "what was not run")]
pub fn needed(part: &str) -> Option<PathBuf> {
    let found = corpus(part);
    if found.is_none() {
        eprintln!("NOT RUN: this needs {part} of ../shared/corpus, beside the repository");
    }
    found
}

/// A value for a variable that the operator's own env files would have given.
fn value(name: &str) -> String {
    match name {
        "UPLOAD_LOCATION" | "DB_DATA_LOCATION" => format!("/mnt/docker/{}", name.to_lowercase()),
        "IMMICH_VERSION" => "release".into(),
        "NGINX_PORT" => "18080".into(),
        "WEB_APP_PORT" => "13000".into(),
        other => format!("value-of-{}", other.to_lowercase()),
    }
}

/// Every stack of the homelab that a Nix unit ran.
///
/// # Panics
/// The corpus is not as expected, or one does not load.
pub fn homelab(corpus: &Path, agentctl: &Path, scratch: &Path) -> Vec<Stack> {
    let index: Value = serde_json::from_slice(&fs::read(corpus.join("index.json")).unwrap()).unwrap();
    let mut stacks = Vec::new();
    for (path, entry) in index.as_object().unwrap() {
        if entry["nix"].as_array().unwrap().is_empty() {
            continue;
        }
        let name = path.to_lowercase().replace('/', "-");
        let file = corpus.join(path).join(entry["compose"][0].as_str().unwrap());
        // An image by digest cannot be made locally, and a path outside the Engine's own folders stays on the machine.
        let compose: String = fs::read_to_string(file).unwrap();
        let digest = compose.find("@sha256:").map(|at| compose[at..at + 8 + 64].to_owned());
        let compose = compose.replace(digest.as_deref().unwrap_or("@sha256:"), "");
        let compose = compose
            .replace("/docker/tdarr", "/mnt/docker/tdarr")
            .replace("/run/current-system", "/mnt/system");
        let strings =
            |key: &str| entry[key].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned());
        let compose = checked_often(&compose);
        let text = |file: &str| fs::read_to_string(corpus.join(path).join(file)).unwrap();
        let files =
            strings("siblings").map(|file| (file.rsplit('/').next().unwrap().to_owned(), text(&file)));
        let env = strings("vars").map(|name| (name.clone(), value(&name))).collect();
        let stack = Stack { name, compose, files: files.collect(), env, project: Value::Null };
        stacks.push(stack.load(agentctl, scratch));
    }
    stacks
}

/// The same with health checks every second: a stand-in needs no time to come up.
pub(crate) fn checked_often(compose: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in compose.lines().filter(|line| !line.trim_start().starts_with("interval:")) {
        let opens =
            |line: &String| line.trim_end().ends_with(" healthcheck:") && !line.trim_start().starts_with('#');
        if lines.last().is_some_and(opens) {
            let indent = line.len() - line.trim_start().len();
            lines.push(format!("{}interval: 1s", " ".repeat(indent)));
        }
        lines.push(line.to_owned());
    }
    lines.join("\n") + "\n"
}

/// The images of the services that `counts` says.
pub fn images(stacks: &[Stack], counts: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    let services = stacks.iter().flat_map(|stack| services(&stack.project).map(move |found| (stack, found)));
    let counted = services.filter(|(_, (_, service))| counts(service));
    counted.map(|(stack, (name, service))| image(stack, name, service)).collect()
}

/// Images whose own health check is waited for: somebody depends on their health and declares no check.
pub fn checked_images(stacks: &[Stack]) -> BTreeSet<String> {
    let mut checked = BTreeSet::new();
    for stack in stacks {
        for (_, service) in services(&stack.project) {
            for (name, edge) in service["depends_on"].as_object().into_iter().flatten() {
                let needed = &stack.project["services"][name];
                if edge["condition"] == "service_healthy" && needed["healthcheck"].is_null() {
                    checked.insert(image(stack, name, needed));
                }
            }
        }
    }
    checked
}

/// The text of an env file.
pub fn env_file(env: &BTreeMap<String, String>) -> String {
    env.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// The services of a project.
pub fn services(project: &Value) -> impl Iterator<Item = (&String, &Value)> {
    project["services"].as_object().unwrap().iter()
}

/// What only one stack of a host can have.
fn claims(project: &Value) -> BTreeSet<String> {
    let mut claims = BTreeSet::new();
    for (_, service) in services(project) {
        claims.extend(service["container_name"].as_str().map(str::to_owned));
        for port in service["ports"].as_array().into_iter().flatten() {
            claims.insert(format!("{}/{}", port["published"], port["protocol"]));
        }
    }
    claims
}

/// As few hosts as their names and ports allow.
pub fn hosts(stacks: Vec<Stack>) -> Vec<Vec<Stack>> {
    let mut hosts: Vec<(BTreeSet<String>, Vec<Stack>)> = Vec::new();
    for stack in stacks {
        let wanted = claims(&stack.project);
        match hosts.iter_mut().find(|(taken, _)| taken.is_disjoint(&wanted)) {
            Some((taken, on_it)) => {
                taken.extend(wanted);
                on_it.push(stack);
            }
            None => hosts.push((wanted, vec![stack])),
        }
    }
    hosts.into_iter().map(|(_, on_it)| on_it).collect()
}

/// A service's image.
pub fn image(stack: &Stack, name: &str, service: &Value) -> String {
    service["image"]
        .as_str()
        .map_or_else(|| format!("{}-{name}", stack.project["name"].as_str().unwrap()), str::to_owned)
}

/// Container id and state (`running`, `running healthy`), by `project/service`.
///
/// # Panics
/// The Engine does not answer.
pub fn running(engine: &Engine) -> BTreeMap<String, (String, String)> {
    let all = engine.docker_prints(&["ps", "-aq"]);
    if all.is_empty() {
        return BTreeMap::new();
    }
    let inspect = ["container", "inspect"].into_iter().chain(all.lines()).collect::<Vec<_>>();
    let containers: Vec<Value> = serde_json::from_str(&engine.docker_prints(&inspect)).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |container: &Value| {
        let label = |name: &str| text(&container["Config"]["Labels"][format!("com.docker.compose.{name}")]);
        let (state, health) =
            (text(&container["State"]["Status"]), text(&container["State"]["Health"]["Status"]));
        let state = format!("{state} {health}").trim_end().to_owned();
        (format!("{}/{}", label("project"), label("service")), (text(&container["Id"]), state))
    };
    containers.iter().map(one).collect()
}

/// Every declared container runs, and is healthy where it has a check.
///
/// # Panics
/// They are not.
pub fn assert_all_up(engine: &Engine, host: &[Stack]) {
    let running = running(engine);
    let mut declared = 0;
    for stack in host {
        for (name, service) in services(&stack.project) {
            declared += 1;
            let key = format!("{}/{name}", stack.project["name"].as_str().unwrap());
            let state = &running.get(&key).unwrap_or_else(|| panic!("{key} is missing: {running:#?}")).1;
            assert!(state.starts_with("running"), "{key}: {state}");
            let checked =
                service["healthcheck"]["test"].is_array() && service["healthcheck"]["disable"] != true;
            assert!(!checked || state == "running healthy", "{key}: {state}");
        }
    }
    assert_eq!(running.len(), declared, "and nothing else: {running:#?}");
}
