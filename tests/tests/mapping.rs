//! Does the agent make of every field what Docker Compose makes of it, and do they take it over from each other?
//!
//! `tests/fixtures/mapping` has a stack for every part of the mapping from compose files to the Engine's API. Held against
//! the real `docker-compose` 2.40: `$COMPOSE_AGENT_PEERS/bin`, which `tests/run` fills where it can.

#![expect(clippy::print_stderr, reason = "what was measured, and what was not run")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tests::{
    inspected::{differences, flattened},
    proxy::Proxy,
    takeover::{Bench, assert_same},
};

/// The API version that an Engine speaks, as `(1, 41)`.
fn api(bench: &Bench) -> (u32, u32) {
    let version = bench.engine.docker_prints(&["version", "--format", "{{.Server.APIVersion}}"]);
    let (major, minor) = version.split_once('.').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

/// Declares a fixture as a stack of its own; gives its folder.
fn declare(bench: &Bench, fixture: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mapping").join(fixture);
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        bench.profile.write("gen", fixture, file.file_name().to_str().unwrap(), &text);
    }
    let variables = "MAPPING_SECRET=from-a-variable\nMAPPING_CONFIG=too\n";
    let variables = format!("{variables}HOST_DATA={}\n", data(bench).display());
    bench.profile.write("gen", fixture, ".env", &variables);
    bench.profile.switch("gen");
    bench.profile.link().join("etc/compose-agent").join(fixture)
}

/// A folder that the Engine and the agent both see.
fn data(bench: &Bench) -> PathBuf {
    bench.engine.folder().join("host-data")
}

/// What the fixtures call external, and paths that nobody makes for them.
fn surroundings(bench: &Bench) {
    let run = |words: &str| drop(bench.engine.docker_prints(&words.split(' ').collect::<Vec<_>>()));
    run("network create mapping-outside");
    run("volume create mapping-outside");
    run("volume create mapping-parts");
    run("run -d --name mapping-outsider -v /outside standin:1");
    let _ = fs::remove_dir_all(data(bench));
    fs::create_dir_all(data(bench).join("there")).unwrap();
    let parts = bench.engine.docker_prints(&["volume", "inspect", "-f", "{{.Mountpoint}}", "mapping-parts"]);
    fs::create_dir_all(Path::new(&parts).join("part")).unwrap();
}
#[test]
fn every_field_comes_to_the_same_and_nothing_restarts() {
    let Some(bench) = Bench::start(&[]) else { return };
    let api = api(&bench);
    let mut fixtures =
        vec!["process", "limits", "rights", "networks", "joins", "mounts", "files", "hooks", "socket"];
    if api >= (1, 49) {
        fixtures.push("newer");
    }
    for fixture in &fixtures {
        declare(&bench, fixture);
    }
    surroundings(&bench);
    let theirs = bench.from_compose();
    bench.clear();
    surroundings(&bench);
    let ours = bench.from_agent();
    let before_1_42 = api < (1, 42);
    assert_same(&theirs, &ours, |name, path| {
        // Before API 1.42 only the old form of a bind makes a missing source.
        before_1_42 && name == "mounts-binds-1" && ["Binds", "Mounts"].iter().any(|end| path.ends_with(end))
    });
    eprintln!("{} values of {} stacks held against each other", ours.len(), fixtures.len());
}

/// What the Engine was asked to create, by service.
fn created(proxy: &Proxy) -> BTreeMap<String, Value> {
    let requests = proxy.take_all();
    let creations = requests.iter().filter(|request| request.line.contains("/containers/create"));
    creations
        .filter_map(|request| serde_json::from_slice(&request.body).ok())
        .map(|body: Value| (body["Labels"]["com.docker.compose.service"].as_str().unwrap().to_owned(), body))
        .collect()
}

#[test]
fn what_a_test_cannot_do_is_asked_for_alike() {
    let Some(bench) = Bench::start(&[]) else { return };
    let folder = declare(&bench, "requests");
    // What is not there would be waited for.
    fs::write(bench.engine.dev().join("nvidiactl"), "").unwrap();
    bench.engine.specify_cdi("vendor.com/class", &["first", "second"]);
    // Most of it fails, and is tried again until the time is up.
    bench.programs.once_within("15s");
    let ours = created(&bench.proxy);
    bench.engine.clear();
    for (service, ours) in &ours {
        let host = format!("unix://{}", bench.proxy.path().display());
        let output = bench.compose.create(&host, &folder, service);
        let said = String::from_utf8_lossy(&output.stderr);
        let theirs = created(&bench.proxy);
        let theirs = theirs.get(service).unwrap_or_else(|| panic!("{service} was not asked for: {said}"));
        let is_meant = |path: &str| path.contains("/Labels/agentctl.") || path.ends_with("/CheckDuplicate");
        let found = differences(&flattened(theirs), &flattened(ours), is_meant);
        assert!(found.is_empty(), "{service}: {} values differ:\n{}", found.len(), found.join("\n"));
    }
    assert_eq!(ours.len(), 14, "every service was asked for: {:?}", ours.keys());
}
