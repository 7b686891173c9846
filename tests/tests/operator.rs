//! Does `agentctl` do what an operator expects of `events`, `down`, `plan --profile`, `why` and exit statuses, and does the
//! control socket bear those who say too much, or nothing?

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Lab, PATIENCE};

const WEB: &str = "services:
  app: {image: 'standin:1', restart: always, depends_on: [db]}
  db: {image: 'standin:1', restart: always, depends_on: [base], environment: {COLOUR: green}, volumes: ['data:/data']}
  base: {image: 'standin:1', restart: always}
volumes: {data: {}}
";
/// A request has to be complete within ten seconds, and an answer taken within thirty: silence is neither.
const QUIET: Duration = Duration::from_secs(31);

struct Operator {
    lab: Lab,
    socket: PathBuf,
}

impl Operator {
    fn new() -> Self {
        let lab = Lab::default();
        for (generation, spec) in [("one", WEB.to_owned()), ("two", WEB.replace("green", "blue"))] {
            lab.profile.write(generation, "web", "compose.yaml", &spec);
        }
        lab.profile.write("broken", "web", "compose.yaml", "services: {app: 7}\n");
        lab.profile.switch("one");
        let socket = lab.engine.folder().join("control.sock");
        Self { lab, socket }
    }

    fn ask(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.lab.programs.agentctl(arguments);
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    fn waited(&self) -> Option<i32> {
        self.ask(&["wait", "--timeout", "60s"]).0
    }

    fn ids(&self) -> [String; 3] {
        ["web-app-1", "web-db-1", "web-base-1"].map(|name| self.lab.engine.id_of(name))
    }
}

/// `agentctl events`, and what it has printed.
struct Events {
    program: Child,
    began: Instant,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Events {
    fn listen(operator: &Operator) -> Self {
        let mut command: Command = operator.lab.programs.agentctl_command();
        let mut program = command.arg("events").stdout(Stdio::piped()).spawn().unwrap();
        let (lines, output) = (Arc::default(), BufReader::new(program.stdout.take().unwrap()));
        let heard: Arc<Mutex<Vec<Value>>> = Arc::clone(&lines);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                heard.lock().unwrap().push(serde_json::from_str(&line).expect("a line of JSON each"));
            }
        });
        Self { program, began: Instant::now(), lines }
    }

    fn count(&self, event: &str, kind: &str) -> usize {
        let is_it = |line: &&Value| line["event"] == event && line["drift"]["kind"] == kind;
        self.lines.lock().unwrap().iter().filter(is_it).count()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn an_operator_is_served_and_a_bad_caller_disturbs_nobody() {
    let operator = Operator::new();
    let log = operator.lab.engine.folder().join("daemon.log");
    assert_eq!(operator.ask(&["status"]).0, Some(1), "nobody answers");
    let daemon = operator.lab.programs.daemon(&log);
    assert_eq!(operator.waited(), Some(0));
    assert_eq!(operator.ask(&["status"]).0, Some(0));

    let events = Events::listen(&operator);
    let bad = Bad::connect(&operator);
    previews(&operator);
    explains(&operator);
    let daemon = takes_down(&operator, daemon, &log);
    bad.check(&operator);
    fails(&operator);
    // The daemon that the first one listened to is gone.
    drop(events);
    let events = Events::listen(&operator);
    operator.lab.programs.wait_until("the stream has begun", || {
        operator.lab.engine.docker_prints(&["kill", "web-base-1"]);
        assert_eq!(operator.waited(), Some(0));
        events.count("corrected", "stopped") > 0
    });
    let before = events.count("found", "stopped");
    thread::sleep(QUIET.saturating_sub(events.began.elapsed()));
    operator.lab.engine.docker_prints(&["pause", "web-base-1"]);
    operator.lab.programs.wait_until("heard after a quiet time", || {
        events.count("found", "paused") == 1 && events.count("corrected", "paused") == 1
    });
    assert_eq!(events.count("found", "stopped"), before, "each once");
    drop(daemon);
}

/// What would be done for a system that is built and not activated; nothing is.
fn previews(operator: &Operator) {
    let before = operator.ids();
    assert_eq!(operator.ask(&["plan"]), (Some(0), operator.ask(&["plan"]).1));
    let next = operator.lab.profile.link().with_file_name("two").display().to_string();
    let (status, text) = operator.ask(&["plan", "--profile", &next]);
    assert_eq!(status, Some(2), "{text}");
    for part in ["stop web-db-1", "environment.COLOUR is green, declared is blue", "compose.yaml:3"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("web-base-1"), "{text}");
    let (_, json) = operator.ask(&["plan", "--profile", &next, "--json"]);
    let plan: Value = serde_json::from_str(&json).unwrap();
    let steps = plan["stacks"][0]["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["interrupts"] == true), "{json}");
    assert_eq!(operator.ids(), before);
}

/// Why something was restarted, and why something else was not.
fn explains(operator: &Operator) {
    assert_eq!(operator.ask(&["restart", "web/db"]).0, Some(0));
    operator.lab.programs.wait_until("restarted", || {
        operator.ask(&["why", "web/db"]).1.contains("restart web-db-1: uid 0 asked for it")
    });
    let (_, base) = operator.ask(&["why", "web/base"]);
    assert!(base.contains("nothing: it is as declared") && !base.contains("restart web-base-1"), "{base}");
    let history = operator.ask(&["history", "web", "--json"]).1;
    let history: Vec<Value> = serde_json::from_str(&history).unwrap();
    let is_drift = |entry: &&Value| entry["event"] == "found" && entry["drift"]["kind"] == "stopped";
    assert_eq!(history.iter().filter(is_drift).count(), 0, "what an operator asks for is no drift");
    assert!(
        history.iter().any(|entry| entry["event"] == "generation"
            && entry["message"].as_str().is_some_and(|message| message.contains("db standin:1 (sha256:"))),
        "{history:#?}"
    );
    assert_eq!(operator.ask(&["hold", "web/base", "--reason", "a look"]).0, Some(0));
    operator.lab.engine.docker_prints(&["pause", "web-base-1"]);
    operator.lab.programs.wait_until("explained", || {
        let (_, text) = operator.ask(&["why", "web/base"]);
        text.contains("paused") && text.contains("held by uid 0: a look")
    });
    operator
        .lab
        .programs
        .wait_until("held is not converged", || operator.ask(&["status", "web"]).0 == Some(3));
    assert_eq!(operator.ask(&["release", "web/base"]).0, Some(0));
    assert_eq!(operator.waited(), Some(0));
}

/// What needs another one goes before it; nothing comes back by itself; volumes stay.
fn takes_down(operator: &Operator, daemon: tests::Daemon, log: &std::path::Path) -> tests::Daemon {
    let engine = &operator.lab.engine;
    let since = engine.clock();
    assert_eq!(operator.ask(&["down", "web"]).0, Some(0));
    operator.lab.programs.wait_until("gone", || engine.docker_prints(&["ps", "-aq"]).is_empty());
    let all = engine.happened(&since);
    let died: Vec<&str> = all.iter().filter_map(|event| event.strip_prefix("die ")).collect();
    assert_eq!(died, ["web-app-1", "web-db-1", "web-base-1"]);
    let networks = || engine.docker_prints(&["network", "ls", "-q", "--filter", "type=custom"]);
    operator.lab.programs.wait_until("the network is gone", || networks().is_empty());
    assert_eq!(engine.docker_prints(&["volume", "ls", "-q"]), "web_data");
    drop(daemon);
    let daemon = operator.lab.programs.daemon(log);
    operator
        .lab
        .programs
        .wait_until("still held", || operator.ask(&["status", "web"]).1.contains("taken down"));
    assert_eq!(operator.ask(&["reconcile", "--wait", "--timeout", "20s"]).0, Some(3));
    assert!(engine.docker_prints(&["ps", "-aq"]).is_empty(), "not before it is released");
    assert_eq!(operator.ask(&["release", "web"]).0, Some(0));
    assert_eq!(operator.waited(), Some(0));
    daemon
}

/// A spec that does not load fails its stack, says where, and leaves alone what runs.
fn fails(operator: &Operator) {
    let before = operator.ids();
    operator.lab.profile.switch("broken");
    assert_eq!(operator.waited(), Some(4));
    let (status, text) = operator.ask(&["status"]);
    assert!(status == Some(4) && text.contains("compose.yaml:1"), "{text}");
    assert_eq!(operator.ids(), before);
    operator.lab.profile.switch("one");
    assert_eq!(operator.waited(), Some(0));
}

/// Callers that fill every place and say nothing, and one that says too much.
struct Bad {
    silent: Vec<UnixStream>,
}

impl Bad {
    fn connect(operator: &Operator) -> Self {
        let connect = || UnixStream::connect(&operator.socket).unwrap();
        let mut loud = connect();
        // What is too long is not read to its end.
        let _ = loud.write_all(&vec![b'x'; 1 << 20]);
        loud.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        let _ = loud.read_to_end(&mut answer);
        assert!(answer.len() < 1 << 10, "{}", String::from_utf8_lossy(&answer));
        Self { silent: (0..50).map(|_| connect()).collect() }
    }

    /// They were shown the door, and whoever else asked has been answered meanwhile.
    fn check(self, operator: &Operator) {
        for mut silent in self.silent {
            silent.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut answer = Vec::new();
            silent.read_to_end(&mut answer).expect("the connection is closed");
        }
        let all: Vec<UnixStream> = (0..80).map(|_| UnixStream::connect(&operator.socket).unwrap()).collect();
        assert_eq!(operator.ask(&["status"]).0, Some(0), "further ones wait for their turn");
        drop(all);
    }
}
