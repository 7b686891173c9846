//! Fifty secrets on every way that a spec has for them, and in every error message: does any of them come to light anywhere
//! that the spec does not send it?

mod search;
mod stacks;

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use search::{Needle, files, text};
use stacks::{FILES, Stacks, names, secrets, sops};
use tests::{Ear, Engine, Profile, Programs, secret::Key};

struct World {
    engine: Engine,
    profile: Profile,
    programs: Programs,
    key: Key,
    secrets: Vec<Needle>,
    journal: Ear,
}

impl World {
    fn new() -> Self {
        let engine = Engine::start(&[]);
        let profile = Profile::new(engine.folder());
        let key = Key::default();
        // The key is a secret, too, and not to be found on a disk.
        fs::create_dir_all(engine.memory()).unwrap();
        let saved = key.save(&engine.memory()).display().to_string();
        let programs = Programs::new(&engine, &profile).with_memory(&engine);
        let metrics = engine.folder().join("agent.prom").display().to_string();
        let journal = Ear::at(&engine.folder().join("journal.sock"));
        let programs = programs.with(&["--age-key", &saved, "--metrics-file", &metrics]).with(&[
            "--log-format",
            "journal",
            "--journal-socket",
            &journal.path,
        ]);
        Self { engine, profile, programs, key, secrets: secrets(), journal }
    }

    fn declare(&self, generation: &str) {
        let Self { engine, profile, key, secrets, .. } = self;
        Stacks { engine, profile, key, secrets }.declare(generation);
    }

    /// The place in this text where a secret is to be read.
    fn leak(&self, wanted: impl Fn(&Needle) -> bool, text: &str) -> Option<String> {
        let mut leaks = self.secrets.iter().filter(|secret| wanted(secret));
        leaks.find_map(|secret| Some(format!("{}: {}", secret.route, secret.found_in(text)?)))
    }

    /// Asks `agentctl` everything that it answers, with and without `--json`, and looks at the answers.
    fn ask_everything(&self, when: &str) {
        let key = self.engine.memory().join("keys.txt").display().to_string();
        let link = self.profile.link().display().to_string();
        let mut asked: Vec<Vec<String>> = Vec::new();
        let mut ask = |words: &[&str]| asked.push(words.iter().map(|&word| word.to_owned()).collect());
        for verb in ["status", "plan", "history"] {
            ask(&[verb]);
            ask(&[verb, "--json"]);
        }
        ask(&["plan", "--profile", &link]);
        for form in [&["--json"][..], &[]] {
            ask(&[&["secrets", "--profile", &link, "--age-key", &key], form].concat());
        }
        for form in ["text", "json", "github"] {
            ask(&["check", "--format", form, &link]);
        }
        for name in names() {
            let file = format!("{link}/etc/compose-agent/{name}/compose.yaml");
            ask(&["status", name]);
            ask(&["plan", name]);
            for service in ["a", "web", "files"] {
                ask(&["why", &format!("{name}/{service}")]);
            }
            for more in [&[][..], &["--format", "json"], &["--environment"], &["--images"], &["--variables"]]
            {
                ask(&[&["config", "--age-key", &key, "--file", &file], more].concat());
            }
        }
        let mut leaks = Vec::new();
        for words in asked {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let output = self.programs.agentctl(&words);
            for said in [output.stdout, output.stderr] {
                let said = String::from_utf8_lossy(&said).into_owned();
                leaks.extend(self.leak(|_| true, &said).map(|leak| format!("agentctl {words:?}: {leak}")));
            }
        }
        assert!(leaks.is_empty(), "{when}: {}", leaks.join("\n"));
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "what was not looked at is said")]
fn no_secret_comes_to_light() {
    if sops().is_none() {
        eprintln!("without COMPOSE_AGENT_PEERS: all files are age's, none is sops's");
    }
    let world = World::new();
    assert_eq!(world.secrets.len(), 50);
    world.declare("one");
    world.profile.switch("one");
    let log = world.engine.folder().join("daemon.log");
    let mut daemon = world.programs.daemon(&log);
    let mut events = world.programs.agentctl_command();
    let listening = fs::File::create(world.engine.folder().join("events")).unwrap();
    let socket = world.engine.folder().join("control.sock");
    world.programs.wait_until("the socket is there", || socket.exists());
    let mut events = events.arg("events").stdout(listening).stderr(Stdio::null()).spawn().unwrap();

    let watching = AtomicBool::new(true);
    let told = thread::scope(|scope| {
        let until = Until(&watching);
        let told = scope.spawn(|| what_children_are_told(daemon.pid(), &watching));
        every_stack_has_been_tried(&world);
        world.ask_everything("at first");
        world.programs.agentctl(&["reconcile", "--wait", "--timeout", "20s"]);
        world.ask_everything("after another try");
        drop(until);
        told.join().unwrap()
    });
    assert_eq!(world.leak(|_| true, &told), None, "arguments or environment of the agent's children");

    containers_have_what_the_spec_sends_them(&world);
    nothing_is_left_by_a_crash(&world, &mut daemon);
    events.kill().unwrap();
    events.wait().unwrap();
    let journal = world.journal.all();
    let priority = |level: &str| journal.iter().any(|entry| entry.lines().any(|line| line == level));
    assert!(priority("PRIORITY=3") && priority("PRIORITY=6"), "failures and deeds are in the journal");
    assert_eq!(world.leak(|_| true, &journal.join("\n")), None, "the journal");
    nothing_lies_on_a_disk(&world);
    the_engine_knows_no_more_than_it_was_told(&world);
}

/// Ends the watching, also where a test fails meanwhile.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Until the good one runs, and each of the others has failed or waits for something.
fn every_stack_has_been_tried(world: &World) {
    world.programs.wait_until("every stack has been tried", || {
        let status = world.programs.status();
        let stacks = status["stacks"].as_array().cloned().unwrap_or_default();
        let phase = |name: &str| {
            stacks.iter().find(|stack| stack["name"] == name).map(|stack| stack["phase"].clone())
        };
        names().all(|name| match phase(name) {
            Some(phase) if name == "good" => phase == "converged" || phase == "failed",
            Some(phase) => phase != "unknown",
            None => false,
        })
    });
}

fn containers_have_what_the_spec_sends_them(world: &World) {
    let environment =
        world.engine.docker_prints(&["inspect", "--format", "{{json .Config.Env}}", "good-web-1"]);
    for secret in &world.secrets {
        let sent =
            ["ENV_FILE_", "ENV_FILES_", "OVERRIDE_"].iter().any(|route| secret.route.starts_with(route));
        assert!(!sent || environment.contains(&secret.value), "{} has not arrived", secret.route);
    }
    let sources = world.engine.docker_prints(&[
        "inspect",
        "--format",
        "{{range .Mounts}}{{println .Source}}{{end}}",
        "good-files-1",
    ]);
    let placed: String = sources.lines().map(|path| text(Path::new(path)) + "\n").collect();
    for secret in world.secrets.iter().filter(|secret| is_a_file(secret)) {
        assert!(placed.contains(&secret.value), "{} has not arrived", secret.route);
    }
}

fn is_a_file(secret: &Needle) -> bool {
    FILES.iter().any(|route| secret.route.starts_with(&route.to_uppercase()))
}

/// Arguments and environments of all that the process starts, until told to stop.
fn what_children_are_told(of: u32, watching: &AtomicBool) -> String {
    let mut told = BTreeSet::new();
    while watching.load(Ordering::Relaxed) {
        let children =
            Command::new("ps").args(["--ppid", &of.to_string(), "-o", "pid="]).output().unwrap().stdout;
        for child in String::from_utf8_lossy(&children).split_whitespace().chain([of.to_string().as_str()]) {
            for file in ["cmdline", "environ"] {
                let mut bytes = Vec::new();
                let opened = fs::File::open(format!("/proc/{child}/{file}"));
                let _ = opened.and_then(|mut file| file.read_to_end(&mut bytes));
                told.insert(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
    told.into_iter().collect()
}

/// The daemon dies as it would of a fault: there is no core dump, and none was allowed.
fn nothing_is_left_by_a_crash(world: &World, daemon: &mut tests::Daemon) {
    let limits = text(Path::new(&format!("/proc/{}/limits", daemon.pid())));
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    daemon.signal("ABRT");
    assert!(!daemon.ended());
    let here = std::env::current_dir().unwrap();
    for folder in [here.as_path(), world.engine.folder()] {
        let dumped = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name());
        let mut dumped = dumped.filter(|name| name.to_string_lossy().starts_with("core"));
        assert_eq!(dumped.next(), None, "{}", folder.display());
    }
}

/// All that agent and test have written; the Engine's own log quotes the values of specs that it refuses.
fn nothing_lies_on_a_disk(world: &World) {
    let folder = world.engine.folder();
    let found = files(folder, &["data", "exec", "dev", "root", "dockerd.log"]);
    for name in ["daemon.log", "events", "agent.prom", "memory.json", "digest.key"] {
        assert!(found.iter().any(|path| path.ends_with(name)), "{name} is not looked at: {found:?}");
    }
    for path in found {
        assert_eq!(world.leak(|_| true, &text(&path)), None, "{}", path.display());
    }
    // What is delivered as a file is not in the Engine's folders either.
    for path in files(&folder.join("data"), &["bin"]) {
        assert_eq!(world.leak(is_a_file, &text(&path)), None, "{}", path.display());
    }
}

fn the_engine_knows_no_more_than_it_was_told(world: &World) {
    let docker = |words: &[&str]| world.engine.docker_prints(words);
    let labels = docker(&["ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.Labels}} {{.Mounts}}"]);
    let images = docker(&["images", "--no-trunc", "--format", "{{json .}}"]);
    let history = docker(&["history", "--no-trunc", "standin:1"]);
    let networks = docker(&["network", "ls", "--no-trunc", "--format", "{{json .}}"]);
    for said in [labels, images, history, networks] {
        assert_eq!(world.leak(|_| true, &said), None);
    }
}
