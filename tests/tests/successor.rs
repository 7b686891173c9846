//! Is anything that runs stopped before all that its successor needs is there?

use std::{collections::BTreeMap, fs, process::Command};

use tests::{Lab, secret::Key};

/// Each stack's next generation lacks one thing; `ok` lacks nothing.
const STACKS: [&str; 9] = ["bind", "broken", "image", "left", "mount", "network", "ok", "secret", "volume"];

fn spec(head: &str, colour: &str, more: &str) -> String {
    format!(
        "{head}services:\n  app:\n    image: standin:1\n    restart: always\n    environment: {{COLOUR: {colour}}}\n{more}"
    )
}

fn ids(lab: &Lab) -> BTreeMap<&'static str, String> {
    let running =
        |stack: &str| lab.engine.docker_prints(&["ps", "-q", "--filter", &format!("name=^{stack}-app-1$")]);
    STACKS.into_iter().map(|stack| (stack, running(stack))).collect()
}

fn renewed(
    before: &BTreeMap<&'static str, String>,
    after: &BTreeMap<&'static str, String>,
) -> Vec<&'static str> {
    STACKS.into_iter().filter(|stack| before[stack] != after[stack]).collect()
}

/// Waits until it is said what a stack lacks; whether that counts as waiting or as failed is told elsewhere.
fn lacks(lab: &Lab, name: &str, words: &str) {
    lab.programs.wait_until(&format!("{name} lacks {words}"), || {
        let stack = lab.stack(name);
        let reason = stack["reason"].as_str().unwrap_or_default();
        (stack["phase"] == "waiting" || stack["phase"] == "failed") && reason.contains(words)
    });
}

#[test]
fn nothing_that_runs_is_stopped_before_its_successors_needs_are_there() {
    let (own, other) = (Key::default(), Key::default());
    let mut lab = Lab::default();
    let keys = own.save(lab.engine.folder()).display().to_string();
    lab.programs = lab.programs.with(&["--age-key", &keys]);
    let at = |name: &str| lab.engine.folder().join(name);
    fs::create_dir(at("nas")).unwrap();
    for stack in STACKS {
        lab.profile.write("one", stack, "compose.yaml", &spec("", "green", ""));
    }
    let absent = at("absent").display().to_string();
    let mount = format!("x-agent: {{requires_mounts: [{}]}}\n", at("nas").display());
    let bind = format!(
        "    volumes: [{{type: bind, source: {absent}, target: /d, bind: {{create_host_path: false}}}}]\n"
    );
    let blue = |stack: &str, head: &str, more: &str| {
        lab.profile.write("two", stack, "compose.yaml", &spec(head, "blue", more));
    };
    blue("ok", "", "");
    blue("bind", "", &bind);
    blue("mount", &mount, "");
    blue("network", "networks: {far: {external: true}}\n", "    networks: [far]\n");
    blue("volume", "volumes: {far: {external: true}}\n", "    volumes: ['far:/d']\n");
    blue("secret", "x-agent: {env_files: [far.env]}\n", "    labels: {token: '${TOKEN}'}\n");
    lab.profile.write("two", "secret", "far.env", &other.encrypt("TOKEN=abcdefgh\n"));
    let far_image = spec("", "blue", "").replace("standin:1", "nowhere.invalid/x:1");
    lab.profile.write("two", "image", "compose.yaml", &far_image);
    lab.profile.write(
        "two",
        "broken",
        "compose.yaml",
        "services:\n  app: {imagee: x}\n  two: {image: 7, scale: many}\n",
    );

    lab.profile.switch("one");
    let log = at("daemon.log");
    let daemon = lab.programs.daemon(&log);
    lab.programs.wait_for("converged", || ids(&lab).values().all(|id| !id.is_empty()));
    let one = ids(&lab);

    lab.profile.switch("two");
    lab.programs.wait_until("`ok` is renewed", || {
        let now = ids(&lab)["ok"].clone();
        now != one["ok"] && !now.is_empty() && lab.stack("ok")["phase"] == "converged"
    });
    lacks(&lab, "bind", "absent is not there");
    lacks(&lab, "mount", "nas");
    lacks(&lab, "network", "far");
    lacks(&lab, "volume", "far");
    lacks(&lab, "image", "nowhere.invalid");
    lacks(&lab, "secret", "far.env");
    // Every mistake of a file at once, each with its place.
    lacks(&lab, "broken", "compose.yaml:2:9");
    lacks(&lab, "broken", "compose.yaml:3:");
    // What has left the profile stays while a stack of it does not load.
    lab.programs.wait_until("it is said why `left` stays", || {
        lab.programs.status()["notes"].to_string().contains("left no longer declared and not taken down")
    });
    assert_eq!(renewed(&one, &ids(&lab)), ["ok"]);

    // What was lacking comes.
    fs::create_dir(at("absent")).unwrap();
    assert!(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(at("nas")).status().unwrap().success());
    lab.engine.docker_prints(&["network", "create", "far"]);
    lab.engine.docker_prints(&["volume", "create", "far"]);
    lab.engine.docker_prints(&["tag", "standin:1", "nowhere.invalid/x:1"]);
    lab.profile.write("two", "secret", "far.env", &own.encrypt("TOKEN=abcdefgh\n"));
    lab.profile.write("two", "broken", "compose.yaml", &spec("", "blue", ""));
    assert!(lab.programs.agentctl(&["reconcile"]).status.success());
    lab.programs.wait_for("converged", || lab.stack("left").is_null());
    let two = ids(&lab);
    assert_eq!(renewed(&one, &two), STACKS, "every one is new");
    assert!(two["left"].is_empty() && two.values().filter(|id| id.is_empty()).count() == 1, "{two:?}");
    assert!(Command::new("umount").arg(at("nas")).status().unwrap().success());
    drop(daemon);
    let log = fs::read_to_string(log).unwrap();
    assert!(!log.contains("abcdefgh"), "a secret in the log");
}
