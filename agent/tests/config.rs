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
