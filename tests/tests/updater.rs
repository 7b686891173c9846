//! Does the agent live with a program that makes containers anew from newer images of their tags, as Watchtower does?
//!
//! The acts are Watchtower's own, call for call: it inspects, signals, removes, creates from what it has inspected with one
//! network, leaves that, joins all of them, and starts; who shares its network is made anew after it, by name. It speaks
//! the API version that Watchtower speaks by default, and the Engine's own.

use std::{thread::sleep, time::Duration};

use serde_json::{Value, json};
use tests::{Engine, Lab, Programs};

const SPEC: &str = "
services:
  app:
    image: moved:1
    environment: {COLOUR: green}
    ports: ['127.0.0.1:18080:80']
    networks: {default: {aliases: [front]}, back: {ipv4_address: 10.77.0.9}}
    deploy: {update_config: {monitor: 1s}}
  side: {image: 'standin:1', network_mode: 'service:app'}
networks: {back: {ipam: {config: [{subnet: 10.77.0.0/24}]}}}
";

/// A container as the updater has found it, and what it is going to be made anew with.
struct Found {
    name: &'static str,
    id: String,
    create: Value,
    endpoints: Vec<(String, Value)>,
}

/// The updater, and the version of the API that it speaks.
struct Updater<'a> {
    engine: &'a Engine,
    api: &'static str,
}

impl Updater<'_> {
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let (status, answer) = self.engine.ask(method, &format!("{}{path}", self.api), body);
        if status < 400 { Ok(answer) } else { Err(format!("{method} {path}: {status} {answer}")) }
    }

    /// Makes the containers anew: who needs another one is stopped before it, and started after it.
    fn update(&self, names: &[&'static str]) -> Result<(), String> {
        let found: Vec<Found> = names.iter().map(|name| self.look(name)).collect::<Result<_, _>>()?;
        for old in found.iter().rev() {
            self.ask("POST", &format!("/containers/{}/kill?signal=SIGTERM", old.id), &Value::Null)?;
            self.ask("DELETE", &format!("/containers/{}?force=true", old.id), &Value::Null)?;
        }
        found.iter().try_for_each(|old| self.start(old))
    }

    fn look(&self, name: &'static str) -> Result<Found, String> {
        let inspect = |path: &str| self.ask("GET", &format!("{path}/json"), &Value::Null);
        let old = inspect(&format!("/containers/{name}"))?;
        let image = inspect(&format!("/images/{}", old["Image"].as_str().unwrap()))?;
        let mode = old["HostConfig"]["NetworkMode"].as_str().unwrap();
        let owner = mode.strip_prefix("container:").map(|owner| inspect(&format!("/containers/{owner}")));
        let owner = owner.transpose()?;
        let (id, create) = (old["Id"].as_str().unwrap().to_owned(), creation(&old, &image, owner.as_ref()));
        Ok(Found { name, id, create, endpoints: endpoints(&old) })
    }

    fn start(&self, old: &Found) -> Result<(), String> {
        let made = self.ask("POST", &format!("/containers/create?name={}", old.name), &old.create)?;
        let new = made["Id"].as_str().unwrap();
        for (network, _) in old.endpoints.iter().take(1) {
            let leave = json!({"Container": new, "Force": true});
            self.ask("POST", &format!("/networks/{network}/disconnect"), &leave)?;
        }
        for (network, endpoint) in &old.endpoints {
            let join = json!({"Container": new, "EndpointConfig": endpoint});
            self.ask("POST", &format!("/networks/{network}/connect"), &join)?;
        }
        self.ask("POST", &format!("/containers/{new}/start"), &Value::Null).map(drop)
    }
}

/// The body of the creation: what the image says by itself is left out, so that the newer image may say otherwise.
fn creation(old: &Value, image: &Value, owner: Option<&Value>) -> Value {
    let mut body = old["Config"].clone();
    let defaults = &image["Config"];
    for field in ["WorkingDir", "User", "Entrypoint", "Cmd", "Healthcheck"] {
        if body[field] == defaults[field] {
            body[field] = Value::Null;
        }
    }
    let own = |variable: &Value| defaults["Env"].as_array().is_none_or(|all| !all.contains(variable));
    let variables = body["Env"].as_array().into_iter().flatten().filter(|variable| own(variable)).cloned();
    body["Env"] = variables.collect();
    if let Some(labels) = body["Labels"].as_object_mut() {
        labels.retain(|key, value| defaults["Labels"][key.as_str()] != *value);
    }
    body["HostConfig"] = old["HostConfig"].clone();
    if let Some(owner) = owner {
        body["Hostname"] = json!("");
        body["HostConfig"]["NetworkMode"] = format!("container:{}", owner["Name"].as_str().unwrap()).into();
    }
    let one: serde_json::Map<String, Value> = endpoints(old).into_iter().take(1).collect();
    body["NetworkingConfig"] = json!({"EndpointsConfig": one});
    body
}

/// Its networks, without the alias that is its own id.
fn endpoints(old: &Value) -> Vec<(String, Value)> {
    let short = &old["Id"].as_str().unwrap()[..12];
    let networks = old["NetworkSettings"]["Networks"].as_object().cloned().unwrap_or_default();
    let without = |mut endpoint: Value| {
        if let Some(aliases) = endpoint["Aliases"].as_array_mut() {
            aliases.retain(|alias| alias != short);
        }
        endpoint
    };
    networks.into_iter().map(|(name, endpoint)| (name, without(endpoint))).collect()
}

/// The tag means another image from now on; answers its id.
fn move_tag(engine: &Engine, number: u32) -> String {
    let archive = engine.folder().join("root.tar").display().to_string();
    let label = format!("--change=LABEL number={number}");
    let settings = ["--change=ENTRYPOINT [\"/bin/standin\"]", "--change=ENV PATH=/bin", &label];
    engine.docker_prints(&[&["import"], &settings[..], &[&archive, "moved:1"]].concat());
    engine.docker_prints(&["image", "inspect", "--format", "{{.Id}}", "moved:1"])
}

fn image_of(engine: &Engine, container: &str) -> String {
    engine.docker_prints(&["inspect", "--format", "{{.Image}}", container])
}

/// What was found or noted of a stack, by kind.
fn said(programs: &Programs, event: &str) -> Vec<String> {
    let output = programs.agentctl(&["history", "web", "-n", "10000", "--json"]);
    let entries: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let kind = |entry: &Value| entry["drift"]["kind"].as_str().map(str::to_owned);
    entries.iter().filter(|entry| entry["event"] == event).filter_map(kind).collect()
}

/// Waits until nothing more is to be done, as of now.
fn settle(lab: &Lab) {
    lab.programs.wait_until("settled", || {
        lab.programs.agentctl(&["reconcile", "--wait", "--timeout", "30s"]).status.success()
    });
}

#[test]
fn what_an_updater_has_made_anew_is_kept_and_said_once() {
    let lab = Lab::default();
    let programs = lab.programs.clone().with(&["--resync", "1s"]);
    let log = lab.engine.folder().join("daemon.log");
    move_tag(&lab.engine, 1);
    lab.profile.write("one", "web", "compose.yaml", SPEC);
    lab.profile.switch("one");
    drop(programs.daemon(&log));
    let mut daemon = programs.daemon(&log);
    settle(&lab);

    for (number, api) in [(2, "/v1.25"), (3, "")] {
        // The agent is not there, or it would be faster.
        drop(daemon);
        let image = move_tag(&lab.engine, number);
        let updater = Updater { engine: &lab.engine, api };
        updater.update(&["web-app-1", "web-side-1"]).expect("nobody is in the way");
        let ids = || ["web-app-1", "web-side-1"].map(|name| lab.engine.id_of(name));
        let made = ids();
        daemon = programs.daemon(&log);
        settle(&lab);
        sleep(Duration::from_millis(2_500));
        settle(&lab);
        assert_eq!(ids(), made, "API {api:?}: {}", std::fs::read_to_string(&log).unwrap());
        assert_eq!(image_of(&lab.engine, "web-app-1"), image);
        assert_eq!(said(&programs, "found").iter().filter(|kind| *kind != "missing").count(), 0);
    }
    // Compose's hash of a service that shares a network has the other container's id in it.
    assert_eq!(said(&programs, "note"), ["updated", "hash-only", "updated"]);
    let why = String::from_utf8(programs.agentctl(&["why", "web/app"]).stdout).unwrap();
    assert!(why.contains("newer image of its tag"), "{why}");
}

/// The agent sees the newer image at once, and the updater what the agent has made of its containers meanwhile.
#[test]
fn both_at_once_end_with_the_newer_image_and_no_quarrel() {
    let lab = Lab::default();
    move_tag(&lab.engine, 1);
    lab.profile.write("one", "web", "compose.yaml", SPEC);
    lab.profile.switch("one");
    let _daemon = lab.programs.daemon(&lab.engine.folder().join("daemon.log"));
    settle(&lab);
    for number in 2..4 {
        let image = move_tag(&lab.engine, number);
        // It gives up where the agent was faster, as it does.
        let updater = Updater { engine: &lab.engine, api: "/v1.25" };
        let updated = updater.update(&["web-app-1", "web-side-1"]);
        settle(&lab);
        assert_eq!(image_of(&lab.engine, "web-app-1"), image, "{updated:?}");
        let running = lab.engine.docker_prints(&["ps", "-q"]);
        assert_eq!(running.lines().count(), 2, "{updated:?}");
    }
    let found = said(&lab.programs, "found");
    let quarrels =
        |kind: &&String| matches!(kind.as_str(), "altered" | "options" | "orphan" | "foreign-name");
    assert!(!found.iter().any(|kind| quarrels(&kind)), "{found:?}");
    assert_eq!(lab.stack("web")["phase"], "converged");
}
