//! Does everything that may hang have an end: an Engine that accepts and never answers, a file that is never read to its
//! end? No Engine is needed for that.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::Programs;

/// Every deadline of a question is 20 s; a busy machine may take its time besides.
const LONGEST: Duration = Duration::from_secs(120);

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The daemon on `folder`'s profile and Engine. Its standard input stays open, and nothing ever comes of it.
fn daemon(folder: &Path) -> Ended {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut command = Programs::sandboxed(&Programs::built("compose-agent"), "compose-agent.service", "");
    command.env("DOCKER_HOST", format!("unix://{}", at("docker.sock")));
    command.args(["--profile", &at("profile"), "--runtime-dir", &at("run"), "--state-dir", &at("state")]);
    command.args(["--host", "test", "--socket", &at("control.sock")]);
    Ended(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs"))
}

/// Waits until a stack of each of these names is in this phase for such a reason.
fn wait(folder: &Path, wanted: &[(&str, &str, &str)]) {
    let began = Instant::now();
    loop {
        let mut command = Command::new(Programs::built("agentctl"));
        let output =
            command.arg("--socket").arg(folder.join("control.sock")).args(["status", "--json"]).output();
        let status: Value = serde_json::from_slice(&output.expect("it runs").stdout).unwrap_or_default();
        let stacks: Vec<Value> = status["stacks"].as_array().cloned().unwrap_or_default();
        let is = |(name, phase, words): &(&str, &str, &str)| {
            stacks.iter().any(|stack| {
                let reason = stack["reason"].as_str().unwrap_or_default();
                stack["name"] == *name && stack["phase"] == *phase && reason.contains(words)
            })
        };
        if wanted.iter().all(is) {
            return;
        }
        assert!(began.elapsed() < LONGEST, "not {wanted:?}: {status:#}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn declare(folder: &Path, stacks: &[&str], more: &str) {
    for stack in stacks {
        let at = folder.join("gen/etc/compose-agent").join(stack);
        fs::create_dir_all(&at).expect("a folder");
        fs::write(at.join("compose.yaml"), format!("services: {{app: {{image: 'x:1'{more}}}}}\n"))
            .expect("written");
    }
}

/// More stacks than are worked on at a time: they do not wait for the same deadline one after the other.
#[test]
fn an_engine_that_accepts_and_never_answers_is_unknown_to_every_stack_after_one_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    let stacks = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    declare(folder.path(), &stacks, "");
    symlink(folder.path().join("gen"), folder.path().join("profile")).expect("linked");
    let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket");
    thread::spawn(move || {
        let mut kept = Vec::new();
        for connection in listener.incoming() {
            kept.push(connection);
        }
    });
    let _daemon = daemon(folder.path());
    let wanted: Vec<_> = stacks.iter().map(|stack| (*stack, "unknown", "no answer within 20 s")).collect();
    wait(folder.path(), &wanted);
}

/// A standard input that nobody writes to stands for a file on a mount that does not answer.
#[test]
fn a_file_that_is_never_read_to_its_end_fails_its_own_stack_only() {
    let folder = tempfile::tempdir().expect("a folder");
    declare(folder.path(), &["good"], "");
    declare(folder.path(), &["one", "two", "three"], ", env_file: [/dev/stdin]");
    symlink(folder.path().join("gen"), folder.path().join("profile")).expect("linked");
    let _daemon = daemon(folder.path());
    // There is no Engine: what has been read is known all the same.
    wait(folder.path(), &[("good", "unknown", "does not answer at")]);
    let failed = ["one", "two", "three"].map(|stack| (stack, "failed", "the spec"));
    wait(folder.path(), &failed);
    // However often they are asked for, they take nothing away from the others.
    for _ in 0..3 {
        let mut command = Command::new(Programs::built("agentctl"));
        let asked = command.arg("--socket").arg(folder.path().join("control.sock")).arg("reconcile").status();
        assert!(asked.expect("it runs").success());
    }
    wait(folder.path(), &[("one", "failed", "still being read"), ("good", "unknown", "does not answer at")]);
}
