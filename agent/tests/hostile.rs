//! Does `agentctl` itself end soon and small on hostile files: bombs, devices, pipes, sockets, folders, rings?
//!
//! The whole program runs with a bounded address space, so that memory beyond the bound ends it; the time is generous, since
//! a debug build on a busy machine is slow (docs/loader.md has what the release build takes).

#![allow(clippy::unwrap_used, reason = "a test stops where its fixture is broken")]

use std::{
    fs,
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Wall time of one run.
const TIME: Duration = Duration::from_secs(30);
/// The address space of one run, in KiB: what is resident is less.
const SPACE: &str = "200000";

/// What went wrong with one run that must end in an error with this word.
fn refused(arguments: &[&str], folder: &Path, word: &str) -> Option<String> {
    let started = Instant::now();
    let done = Command::new("sh")
        .args(["-c", "ulimit -v \"$0\"; exec \"$@\"", SPACE, env!("CARGO_BIN_EXE_agentctl")])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (took, said) = (started.elapsed(), String::from_utf8_lossy(&done.stderr));
    let printed = String::from_utf8_lossy(&done.stdout);
    let wrong = match done.status.code() {
        None => "killed",
        Some(0) => "accepted",
        _ if !(said.contains(word) || printed.contains(word)) => "said something else",
        _ if took > TIME => "took too long",
        _ => return None,
    };
    Some(format!("{arguments:?} {wrong} after {took:?}: {said:.300}{printed:.300}"))
}

fn aliases() -> String {
    let level = |n: usize| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","));
    "x-b:\n  a0: &a0 [x]\n".to_owned() + &(1..10).map(|n| format!("  {}", level(n))).collect::<String>()
}

/// Every file that a case names, below one folder.
fn write(folder: &Path) {
    let web = |field: &str| format!("services: {{web: {{image: x, {field}}}}}\n");
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let many: String = (0..1_200).map(|n| format!("  - m{n}.yaml\n")).collect();
    for (name, text) in [
        ("aliases.yaml", aliases()),
        ("flow.yaml", deep("[", "]")),
        ("maps.yaml", deep("{a: ", "}")),
        ("block.yaml", (0..10_000).map(|n| format!("{}a:\n", " ".repeat(n))).take(3_900).collect()),
        ("dashes.yaml", "- ".repeat(10_000)),
        ("nested.yaml", web(&format!("command: \"{}\"", deep("${A:-", "}")))),
        ("open.yaml", web(&format!("command: \"{}\"", "${A:-".repeat(10_000)))),
        ("large.yaml", "#".repeat(100 << 20)),
        ("dotenv.yaml", web("env_file: large.env")),
        ("large.env", "A=1\n".repeat(25 << 20)),
        ("ring.yaml", "include: [ring.yaml]\n".to_owned()),
        ("extends.yaml", "services: {a: {extends: b}, b: {extends: a}}\n".to_owned()),
        ("far.yaml", "services: {a: {extends: {file: far.yaml, service: a}}}\n".to_owned()),
        ("many.yaml", format!("include:\n{many}")),
        ("zero-env.yaml", web("env_file: /dev/zero")),
        ("pipe-env.yaml", web("env_file: pipe")),
        ("folder-env.yaml", web("env_file: folder")),
        ("socket-env.yaml", web("env_file: socket")),
        ("zero-include.yaml", "include: [/dev/zero]\n".to_owned()),
        ("pipe-include.yaml", "include: [pipe]\n".to_owned()),
        ("socket-include.yaml", "include: [socket]\n".to_owned()),
        ("pipe-extends.yaml", "services: {a: {extends: {file: pipe, service: a}}}\n".to_owned()),
        ("pattern.yaml", web(&format!("pull_policy: every_{}", "1x".repeat(1 << 20)))),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    for n in 0..1_200 {
        fs::write(folder.join(format!("m{n}.yaml")), format!("services: {{s{n}: {{image: x}}}}\n")).unwrap();
    }
    fs::create_dir(folder.join("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
}

#[test]
fn hostile_files_end_in_an_error() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    write(folder);
    let _listening = UnixListener::bind(folder.join("socket")).unwrap();
    let cases = [
        ("aliases.yaml", "aliases expand"),
        ("flow.yaml", "nest"),
        ("maps.yaml", "nest"),
        ("block.yaml", "nest"),
        ("dashes.yaml", "nest"),
        ("nested.yaml", "nests too deep"),
        ("open.yaml", "interpolation"),
        ("large.yaml", "larger than"),
        ("dotenv.yaml", "larger than"),
        ("ring.yaml", "cycle"),
        ("extends.yaml", "circular"),
        ("far.yaml", "circular"),
        ("many.yaml", "included files"),
        ("zero-env.yaml", "larger than"),
        ("pipe-env.yaml", "nobody writes"),
        ("folder-env.yaml", "a folder"),
        ("socket-env.yaml", "a socket"),
        ("zero-include.yaml", "larger than"),
        ("pipe-include.yaml", "nobody writes"),
        ("socket-include.yaml", "a socket"),
        ("pipe-extends.yaml", "nobody writes"),
        ("pattern.yaml", "does not match"),
        ("/dev/zero", "larger than"),
        ("pipe", "nobody writes"),
        ("folder", "a folder"),
        ("socket", "a socket"),
    ];
    let mut wrong: Vec<String> = Vec::new();
    for (file, word) in cases {
        wrong.extend(refused(&["config", "-f", file], folder, word));
        if !["/dev/zero", "folder"].contains(&file) {
            wrong.extend(refused(&["check", file], folder, word));
        }
    }
    for file in ["large.env", "/dev/zero", "pipe", "socket"] {
        let arguments = ["config", "-f", "m0.yaml", "--env-file", file];
        wrong.extend(refused(&arguments, folder, "env file"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_shell_hands_over_is_read() {
    let script =
        "\"$0\" config -f <(echo 'name: a'; echo 'services: {a: {image: x}}') --env-file /dev/null --images";
    let done = Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_agentctl")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "x\n", "{}", String::from_utf8_lossy(&done.stderr));
}
