//! Does each flag of `agentctl config` print what Docker Compose's prints?
//!
//! Held against what `tests/record-cases` recorded of the real program below `specs/tests/cases/printed`.

#![allow(clippy::unwrap_used, reason = "a test stops where its fixture is broken")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/tests/cases/printed")
}

/// Standard output of `agentctl config`, in a folder, with a case's arguments and environment.
fn config(case: &Path, folder: &Path, flags: &[&str], input: &str) -> String {
    let lines = |name: &str| fs::read_to_string(case.join(name)).unwrap_or_default();
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentctl"));
    command.current_dir(folder).env_clear().env("HOME", "/home/case").env("PATH", "/usr/bin");
    for (key, value) in lines("environment").lines().filter_map(|line| line.split_once('=')) {
        command.env(key, value);
    }
    command.arg("config").args(lines("arguments").lines()).args(flags);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// A copy of a case in a folder of the same name, since the project is called after it.
fn copy(case: &Path, root: &Path) -> PathBuf {
    let folder = root.join(case.file_name().unwrap());
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(case).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    folder
}

#[test]
fn every_flag_prints_what_docker_compose_prints() {
    let root = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for entry in fs::read_dir(recorded()).unwrap() {
        let case = entry.unwrap().path();
        let folder = copy(&case, root.path());
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for (recording, flags) in [
            ("expected.json", &["--format", "json"][..]),
            ("expected.yaml", &["--format", "yaml"]),
            ("expected.hash", &["--hash", "*"]),
            ("expected.variables", &["--variables"]),
            ("expected.environment", &["--environment"]),
            ("expected.images", &["--images"]),
            ("expected.services", &["--services"]),
            ("expected.networks", &["--networks"]),
            ("expected.volumes", &["--volumes"]),
            ("expected.profiles", &["--profiles"]),
        ] {
            let Ok(want) = fs::read_to_string(case.join(recording)) else { continue };
            let want =
                want.replace(&format!("/tmp/compose-cases/printed/{name}"), &folder.display().to_string());
            let mut got = config(&case, &folder, flags, "");
            if recording == "expected.images" {
                let mut lines: Vec<&str> = got.lines().collect();
                lines.sort_unstable();
                got = lines.iter().map(|line| format!("{line}\n")).collect();
            }
            assert_eq!(got.trim_end_matches('\n'), want.trim_end_matches('\n'), "{name} {recording}");
            compared += 1;
        }
    }
    assert_eq!(compared, 40);
}

#[test]
fn a_file_can_come_from_standard_input() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("piped");
    fs::create_dir(&folder).unwrap();
    let text = "services: {web: {image: 'x:1', volumes: ['./a:/a']}}";
    let printed = config(root.path(), &folder, &["-f", "-", "--format", "json"], text);
    assert!(printed.contains("\"name\": \"piped\""), "{printed}");
    assert!(printed.contains(&format!("\"source\": \"{}/a\"", folder.display())), "{printed}");
}

/// What `agentctl config --format json` prints in a folder with these files; nothing where it refuses.
fn printed(files: &[(&str, &str)], variables: &[(&str, &str)], arguments: &[&str]) -> Option<String> {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(root.path().join(name), text).unwrap();
    }
    let done = Command::new(env!("CARGO_BIN_EXE_agentctl"))
        .current_dir(root.path())
        .env_clear()
        .envs(variables.iter().copied())
        .args(["config", "--format", "json"])
        .args(arguments)
        .output()
        .unwrap();
    done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
}

/// Each as Docker Compose 2.40 does it.
#[test]
fn docker_composes_variables_say_which_files_there_are() {
    let web = ("compose.yaml", "services: {web: {image: x, hostname: '${A:-none}${B:-}'}}");
    let over = ("b.yaml", "services: {web: {domainname: two}, db: {image: y, profiles: [p]}}");
    let (a, b) = (("a.env", "A=1\n"), ("b.env", "B=2\n"));
    let has = |files: &[(&str, &str)], variables: &[(&str, &str)], arguments: &[&str], words: &str| {
        let text = printed(files, variables, arguments);
        assert!(
            text.as_ref().is_some_and(|text| text.contains(words)),
            "{variables:?} {arguments:?}: {text:?}"
        );
    };
    has(&[web, over], &[("COMPOSE_FILE", "compose.yaml:b.yaml")], &[], "two");
    has(
        &[web, over],
        &[("COMPOSE_FILE", "compose.yaml;b.yaml"), ("COMPOSE_PATH_SEPARATOR", ";")],
        &[],
        "two",
    );
    has(&[web, over, (".env", "COMPOSE_FILE=compose.yaml:b.yaml\n")], &[], &[], "two");
    has(
        &[web, over, (".env", "COMPOSE_FILE=compose.yaml,b.yaml\nCOMPOSE_PATH_SEPARATOR=,\n")],
        &[],
        &[],
        "two",
    );
    has(&[web, (".env", "COMPOSE_PROJECT_NAME=other\n")], &[], &[], "\"name\": \"other\"");
    has(&[web, a, b], &[("COMPOSE_ENV_FILES", "a.env,b.env")], &[], "\"12\"");
    has(&[web, a, b], &[("COMPOSE_ENV_FILES", "a.env")], &["--env-file", "b.env"], "\"none2\"");
    has(&[web, (".env", "A=1\n")], &[("COMPOSE_DISABLE_ENV_FILE", "true")], &[], "\"none\"");
    has(&[web, (".env", "A=1\n")], &[("COMPOSE_DISABLE_ENV_FILE", "0")], &[], "\"1\"");
    let both = ["-f", "compose.yaml", "-f", "b.yaml"];
    has(&[web, over, (".env", "COMPOSE_PROFILES=p\n")], &[], &both, "\"db\"");
    has(&[web, over], &[], &[&both[..], &["db"]].concat(), "\"db\"");
    for (variables, arguments) in [
        (&[("COMPOSE_DISABLE_ENV_FILE", "perhaps")][..], &[][..]),
        (&[("COMPOSE_ENV_FILES", "gone.env")], &[]),
        (&[], &["--project-directory", "/nowhere"]),
        (&[], &["gone"]),
    ] {
        assert_eq!(printed(&[web], variables, arguments), None, "{variables:?} {arguments:?}");
    }
}
