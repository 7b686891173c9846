//! Does `agentctl check` say everything that it is there for, in each of its forms and with the right exit status?

#![allow(clippy::unwrap_used, reason = "a test stops where its fixture is broken")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn check(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentctl"));
    command.env_clear().current_dir(folder).arg("check").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A profile with these stacks, each a file `compose.yaml` or another.
fn profile(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join("etc/compose-agent").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

const REGRETTED: &str = "\
services:
  web:
    image: x
    hostname: ${NOWHERE}
    environment:
      DB_PASSWORD: hunter2
    volumes: ['/nowhere/at/all:/data']
  latest:
    image: x:latest
  joiner:
    image: x:1
    network_mode: service:web
    ports: ['80:80']
";

/// `rule line` of every problem in the JSON form.
fn rules(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let done = check(&[&["--format", "json"], arguments].concat(), folder);
    let found: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(found["version"], 1);
    let rule = |problem: &Value| format!("{} {}", problem["rule"].as_str().unwrap(), problem["at"]["line"]);
    found["problems"].as_array().unwrap().iter().map(rule).collect()
}

#[test]
fn what_an_operator_regrets_is_a_warning_with_its_place() {
    let root = profile(&[("a/compose.yaml", REGRETTED)]);
    let stack = root.path().join("etc/compose-agent/a");
    let mut found = rules(&stack, &["."]);
    found.sort();
    assert_eq!(
        found,
        [
            "image-tag 3",
            "image-tag 9",
            "joined-ports 13",
            "missing-bind 7",
            "plain-secret 6",
            "unset-variable 4",
        ]
    );
    assert_eq!(check(&["."], &stack).status.code(), Some(0));
    assert_eq!(check(&["--strict", "."], &stack).status.code(), Some(1));
    let said = check(&["compose.yaml"], &stack);
    assert_eq!(said.status.code(), Some(0));
    let said = text(&said.stdout);
    assert!(!said.contains("hunter2, "), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let nth = lines.iter().position(|line| line.contains("[unset-variable]")).unwrap();
    assert!(lines[nth].contains("compose.yaml:4:15: warning: services.web.hostname: "), "{said}");
    assert_eq!(lines[nth + 1].trim(), "4 |     hostname: ${NOWHERE}");
    assert_eq!(lines[nth + 2].trim(), "|               ^^^^^^^^^^");
    assert!(lines[nth + 3].contains("hint: set it, or write ${NOWHERE:-DEFAULT}"), "{said}");
}

#[test]
fn an_error_ends_with_status_1_and_a_wrong_call_with_another() {
    let root = profile(&[("a/compose.yaml", "services:\n  web:\n    imag: x\n")]);
    let file = root.path().join("etc/compose-agent/a/compose.yaml").display().to_string();
    let done = check(&[&file], root.path());
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stdout).contains("did you mean 'image'?"));
    assert!(text(&done.stderr).contains("1 checked: 1 errors, 0 warnings"));
    let done = check(&["--format", "github", &file], root.path());
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stdout);
    assert!(
        said.starts_with("::error file=") && said.contains(",line=3,col=5,title=unknown-key::"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
    let wrong = check(&["etc"], root.path()).status.code();
    assert!(wrong.is_some_and(|status| status > 1), "{wrong:?}");
    assert_eq!(check(&[], root.path()).status.code(), wrong);
}

#[test]
fn the_stacks_of_a_profile_are_held_against_each_other() {
    let stack = |name: &str, port: &str, subnet: &str| {
        format!(
            "name: {name}\nservices:\n  web:\n    image: x:1\n    container_name: same\n    ports: ['{port}']\n    networks: [n]\nnetworks:\n  n:\n    ipam: {{config: [{{subnet: {subnet}}}]}}\n"
        )
    };
    let root = profile(&[
        ("a/compose.yaml", &stack("one", "80:80", "10.0.0.0/8")),
        ("b/compose.yaml", &stack("one", "127.0.0.1:80:81", "10.1.0.0/16")),
        ("d/compose.yaml", &stack("two", "81:81", "10.2.0.0/16").replace("same", "other")),
        ("c/compose.yaml", "services: {web: {image: 'x:1', ports: ['80:80/udp']}}"),
    ]);
    let done = check(&["."], root.path());
    assert_eq!(done.status.code(), Some(1));
    let mut found = rules(root.path(), &["."]);
    found.sort();
    assert_eq!(found, ["name-collision 1", "name-collision 5", "port-collision 6", "subnet-collision 10"]);
    let said = text(&done.stdout);
    assert!(said.contains("a/compose.yaml:5"), "where the other one is: {said}");
}

#[test]
fn an_encrypted_file_is_checked_by_its_shape_without_a_key() {
    let sealed = "ENC[AES256_GCM,data:aa,iv:bb,tag:cc,type:str]";
    let dotenv = format!("PW={sealed}\nsops_mac={sealed}\nsops_version=3.11.0\n");
    let root = profile(&[
        ("a/compose.yaml", "services: {web: {image: 'x:1', environment: {A: '${PW:?}', B: '${GONE:-}'}}}"),
        ("a/.env", &dotenv),
        ("b/compose.yaml", "services: {web: {image: 'x:1', environment: {A: '${OTHER:?needed}'}}}"),
        ("b/.env", &dotenv),
        ("c/compose.yaml", "services: {web: {image: 'x:1', env_file: app.age}}"),
        ("c/app.age", "age-encryption.org/v1\n-> X25519 aa\nbb\n--- cc\ndd"),
    ]);
    assert_eq!(rules(root.path(), &["."]), ["required-variable 1"]);
    assert_eq!(check(&["etc/compose-agent/a", "etc/compose-agent/c"], root.path()).status.code(), Some(0));
}
