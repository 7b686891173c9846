//! Does an age plugin on `PATH` open what is encrypted to it, and is its absence said?

#![allow(clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/tests/data/secrets/plugin")
}

/// What `agentctl secrets` says of a profile with two files for the plugin, with this in front of `PATH`.
fn secrets(front: &Path) -> Value {
    let root = tempfile::tempdir().expect("a folder");
    let stack = root.path().join("etc/compose-agent/web");
    fs::create_dir_all(&stack).expect("made");
    for name in ["small.age", "small.sops"] {
        fs::copy(data().join(name), stack.join(name)).expect("copied");
    }
    fs::write(stack.join("compose.yaml"), "services: {a: {image: 'x:1', env_file: [small.sops]}}\n")
        .expect("written");
    let path = format!("{}:/usr/bin:/bin", front.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentctl"));
    command.args(["secrets", "--json", "--profile"]).arg(root.path());
    command.arg("--age-key").arg(data().join("identity.txt")).env("PATH", path);
    let output = command.output().expect("it runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_plugin_on_the_path_opens_age_and_sops_files_and_one_that_is_absent_opens_none() {
    let with = secrets(&data());
    let readable = |answer: &Value| {
        let files = answer["files"].as_array().expect("files");
        files.iter().map(|file| file["readable"].as_bool().expect("a flag")).collect::<Vec<_>>()
    };
    assert_eq!(readable(&with), [true, true], "{with}");
    assert!(
        with["files"][1]["opened_by"][0].as_str().is_some_and(|name| name.contains("age plugin null")),
        "{with}"
    );
    let without = secrets(Path::new("/nonexistent"));
    assert_eq!(readable(&without), [false, false], "{without}");
}
