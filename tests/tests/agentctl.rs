//! Does `agentctl` answer an operator's questions about a real Engine, and only those of people who may ask?

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::Value;
use tests::{Engine, PATIENCE, Profile, Programs};

const WEB: &str = "services:
  app: {image: 'standin:1', restart: always, environment: {STANDIN_SAY: hello from app}, depends_on: [db]}
  db: {image: 'standin:1', restart: always, environment: {STANDIN_SAY: hello from db}}
";
const OTHER: &str = "services: {one: {image: 'standin:1', restart: always}}\n";

struct Lab {
    engine: Engine,
    profile: Profile,
    programs: Programs,
    /// A copy of the program that everybody may run.
    agentctl: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let engine = Engine::start(&[]);
        let profile = Profile::new(engine.folder());
        profile.write("one", "web", "compose.yaml", WEB);
        profile.write("one", "other", "compose.yaml", OTHER);
        profile.write("two", "web", "compose.yaml", &WEB.replace("hello from app", "goodbye from app"));
        profile.write("two", "other", "compose.yaml", OTHER);
        profile.switch("one");
        let programs = Programs::new(&engine, &profile).with(&["--group", "4711", "--read-group", "4712"]);
        fs::set_permissions(engine.folder(), fs::Permissions::from_mode(0o755)).unwrap();
        let agentctl = engine.folder().join("agentctl");
        fs::copy(Programs::built("agentctl"), &agentctl).unwrap();
        Self { engine, profile, programs, agentctl }
    }

    fn socket(&self) -> String {
        self.engine.folder().join("control.sock").display().to_string()
    }

    fn ask(&self, arguments: &[&str]) -> (Option<i32>, String) {
        said(&self.programs.agentctl(arguments))
    }

    fn phase(&self, stack: &str) -> String {
        let status = self.programs.status();
        let mut stacks = status["stacks"].as_array().into_iter().flatten();
        stacks
            .find(|known| known["name"] == stack)
            .map_or("", |known| known["phase"].as_str().unwrap())
            .to_owned()
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn valid(schema: &str, value: &Value) {
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let errors: Vec<String> = schema.iter_errors(value).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new(), "{value:#}");
}

#[test]
fn operators_are_answered() {
    let lab = Lab::new();
    let log = lab.engine.folder().join("daemon.log");
    let daemon = lab.programs.daemon(&log);
    lab.programs.wait_for("converged", || true);

    shows_graphs_and_words(&lab);
    follows_logs_over_a_recreate(&lab);
    compares(&lab);
    asks_several_machines(&lab);
    lets_only_those_act_who_may(&lab);

    // A hold outlives the daemon, and ends by itself.
    assert_eq!(lab.ask(&["hold", "other", "--for", "8s", "--reason", "a look"]).0, Some(0));
    lab.programs.wait_until("held", || lab.phase("other") == "held");
    drop(daemon);
    let _daemon = lab.programs.daemon(&log);
    lab.programs.wait_until("held by the memory", || {
        lab.ask(&["status", "other"]).1.contains("a look") && lab.phase("other") == "held"
    });
    lab.programs.wait_for("converged", || lab.phase("other") == "converged");

    // A restart goes in the order of the dependencies, and is no drift.
    let started =
        |name: &str| lab.engine.docker_prints(&["inspect", "--format", "{{.State.StartedAt}}", name]);
    let before = started("web-db-1");
    assert_eq!(lab.ask(&["restart", "web"]).0, Some(0));
    lab.programs.wait_for("converged", || {
        let (db, app) = (started("web-db-1"), started("web-app-1"));
        db > before && app > db
    });
    let history = lab.ask(&["why", "web/db"]).1;
    assert!(history.contains("restart web-db-1: uid 0 asked for it"), "{history}");
}

fn shows_graphs_and_words(lab: &Lab) {
    for (format, part) in [
        ("text", "needs db (started)"),
        ("mermaid", "web__app -->|started| web__db"),
        ("dot", "\"web/app\" -> \"web/db\""),
        ("svg", "<rect"),
    ] {
        let (status, text) = lab.ask(&["graph", "web", "--format", format]);
        assert!(status == Some(0) && text.contains(part), "{format}: {text}");
    }
    // As a shell calls it when a word is to be completed.
    let complete = |words: &[&str]| {
        let mut command = Command::new(&lab.agentctl);
        command.envs([("COMPLETE", "fish"), ("AGENTCTL_SOCKET", &lab.socket())]);
        said(&command.arg("--").arg("agentctl").args(words).output().unwrap()).1
    };
    let offered = complete(&["hold", "we"]);
    let offered: Vec<&str> = offered.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(offered, ["web", "web/app", "web/db"]);
    assert!(lab.ask(&["completion", "bash"]).1.contains("COMPLETE"), "the script asks the program");
    let (_, plan) = lab.ask(&["plan", "--profile", &generation(lab, "two"), "--json"]);
    valid(include_str!("../../agent/schema/plan.schema.json"), &serde_json::from_str(&plan).unwrap());
    valid(include_str!("../../agent/schema/status.schema.json"), &lab.programs.status());
}

fn generation(lab: &Lab, name: &str) -> String {
    lab.profile.link().with_file_name(name).display().to_string()
}

fn follows_logs_over_a_recreate(lab: &Lab) {
    let (_, all) = lab.ask(&["logs", "web"]);
    assert!(all.contains("web-app-1 | hello from app") && all.contains("web-db-1  | hello from db"), "{all}");
    let mut follower = Command::new(&lab.agentctl)
        .args(["--socket", &lab.socket(), "logs", "web/app", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let (sender, heard) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let next = || heard.recv_timeout(PATIENCE).expect("a line");
    assert!(next().ends_with("hello from app"));
    lab.engine.docker_prints(&["rm", "-f", "web-app-1"]);
    assert!(next().ends_with("hello from app"), "the next container is heard from its first line on");
    follower.kill().unwrap();
    follower.wait().unwrap();
    drop(heard);
    reader.join().unwrap();
    lab.programs.wait_for("converged", || true);
}

fn compares(lab: &Lab) {
    assert_eq!(lab.ask(&["diff"]), (Some(0), "nothing differs\n".to_owned()));
    assert_eq!(lab.ask(&["hold", "web"]).0, Some(0));
    lab.engine.docker_prints(&["update", "--restart=no", "web-db-1"]);
    lab.programs.wait_until("the difference is found", || lab.ask(&["diff", "web"]).1.contains("+ always"));
    // The event may be heard after the difference is seen.
    let shown = || {
        lab.ask(&["diff", "web"])
            .1
            .contains("    - no\n    + always\n    cause: outside action: container update at ")
    };
    lab.programs.wait_until(&lab.ask(&["diff", "web"]).1, shown);
    assert_eq!(lab.ask(&["release", "web"]).0, Some(0));
    lab.programs.wait_for("converged", || lab.ask(&["diff"]).0 == Some(0));
    let (one, two) = (generation(lab, "one"), generation(lab, "two"));
    let (status, text) = lab.ask(&["diff", &one, &two]);
    assert_eq!(status, Some(2));
    assert!(text.contains("services.app.environment.STANDIN_SAY"), "{text}");
    assert!(
        text.contains("    - hello from app\n    + goodbye from app\n") && !text.contains("other"),
        "{text}"
    );
    assert_eq!(lab.ask(&["diff", &one, &one]).0, Some(0));
}

/// A program in ssh's place: of its two machines one answers.
fn asks_several_machines(lab: &Lab) {
    let ssh = lab.engine.folder().join("ssh");
    let script = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\n[ \"$2\" != gone ] || { echo 'no route' >&2; exit 255; }\nexec sh -c \"$3\"\n";
    fs::write(&ssh, script).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", lab.engine.folder().display(), std::env::var("PATH").unwrap());
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(&lab.agentctl);
        command.env("AGENTCTL_SSH", &ssh).env("AGENTCTL_SOCKET", lab.socket()).env("PATH", &path);
        said(&command.args(arguments).output().unwrap())
    };
    let (status, text) = ask(&["--host", "root@here", "--host", "gone", "status"]);
    assert_eq!(status, Some(1), "one did not answer: {text}");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(
        rows[1..],
        [["root@here", "other", "converged"], ["root@here", "web", "converged"], ["gone", "no", "answer"]]
    );
    let (status, text) = ask(&["hold", "web", "--reason", "it's $HOME", "--host", "root@here"]);
    assert_eq!(status, Some(0), "{text}");
    lab.programs
        .wait_until("words arrive as they were written", || lab.ask(&["status"]).1.contains("it's $HOME"));
    assert_eq!(ask(&["--host", "root@here", "release", "web"]).0, Some(0));
    lab.programs.wait_for("converged", || true);
}

fn lets_only_those_act_who_may(lab: &Lab) {
    let asked_by = |group: &str, verb: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=4700", &format!("--regid={group}"), "--clear-groups"]).arg(&lab.agentctl);
        said(&command.args(["--socket", &lab.socket()]).args(verb).output().expect("setpriv (util-linux)"))
    };
    for (group, may_look, may_act) in [("4711", true, true), ("4712", true, false), ("4713", false, false)] {
        let (looked, text) = asked_by(group, &["status"]);
        assert_eq!(looked == Some(0), may_look, "{group}: {text}");
        let (acted, text) = asked_by(group, &["reconcile", "web"]);
        assert_eq!(acted == Some(0), may_act, "{group}: {text}");
    }
    assert!(
        !Path::new("/etc/group").exists() || !fs::read_to_string("/etc/group").unwrap().contains(":4711:")
    );
}
