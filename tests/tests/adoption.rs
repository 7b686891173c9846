//! Can a host be switched from Docker Compose to the agent, and back, without a container that restarts?
//!
//! Held against the real `docker-compose` 2.40: `$COMPOSE_AGENT_PEERS/bin`, which `tests/run` fills where it can.

#![expect(
    clippy::print_stderr,
    clippy::too_many_lines,
    reason = "one story, and what was measured on the way"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tests::{
    Engine, Profile, Programs,
    corpus::{
        Stack, assert_all_up, checked_images, corpus, env_file, hosts, image, running, services, stacks,
    },
    proxy::{Proxy, changes},
};

fn compose() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("COMPOSE_AGENT_PEERS")?).join("bin/docker-compose");
    path.is_file().then_some(path)
}

fn up(compose: &Path, engine: &Engine, folder: &Path) {
    let mut command = Command::new(compose);
    let compose_file = folder.join("compose.yaml");
    command
        .env("DOCKER_HOST", engine.host())
        .arg("-f")
        .arg(compose_file)
        .arg("--project-directory")
        .arg(folder);
    let output = command.args(["up", "-d", "--remove-orphans"]).output().expect("it runs");
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
}

/// What differs from one making to the next, whoever makes it: ids, times, addresses, paths of the Engine's own.
const CHANCE: [&str; 28] = [
    "Id",
    "Created",
    "CreatedAt",
    "State",
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "LogPath",
    "GraphDriver",
    "Storage",
    "Hostname",
    "NetworkID",
    "EndpointID",
    "Gateway",
    "IPAddress",
    "MacAddress",
    "SandboxID",
    "SandboxKey",
    "Ports",
    "Subnet",
    "Containers",
    "DNSNames",
    "Mountpoint",
    "ProcessLabel",
    "MountLabel",
    "ConfigOnly",
    "IPPrefixLen",
    "ExecIDs",
];

/// What the agent does otherwise on purpose, with its reason; ARCHITECTURE.md has the same table.
fn is_meant(path: &str, joined: &BTreeSet<String>) -> bool {
    let container = path.split('/').nth(1).unwrap_or_default();
    // The agent's own labels: whose an object is, and what its files' bytes were.
    path.contains("/Labels/agentctl.")
        // Compose puts its dependencies in no order, and names the agent nowhere.
        || path.ends_with("/Labels/com.docker.compose.depends_on")
        // The hash of a container that shares another's namespace has that one's id in it.
        || path.ends_with("/Labels/com.docker.compose.config-hash") && joined.contains(container)
        // Before API 1.42 only the old form of a bind makes a missing source.
        || container.starts_with("kopia") && ["/HostConfig/Binds", "/HostConfig/Mounts", "/Mounts"].iter().any(|end| path.ends_with(end))
}

/// Every value of a JSON document by its path; lists in an order of their own.
fn flatten(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            let lasting = map.iter().filter(|(key, _)| !CHANCE.contains(&key.as_str()));
            lasting.for_each(|(key, value)| flatten(&format!("{path}/{key}"), value, out));
        }
        Value::Array(list) => {
            let mut items: Vec<String> = list
                .iter()
                .map(|item| {
                    let mut parts = BTreeMap::new();
                    flatten("", item, &mut parts);
                    format!("{parts:?}")
                })
                .collect();
            items.sort();
            if path.ends_with("/Aliases") || path.ends_with("/Links") {
                items.dedup();
            }
            out.insert(path.to_owned(), items.join(" "));
        }
        Value::Null => {}
        other => drop(out.insert(path.to_owned(), other.to_string())),
    }
}

/// All containers, networks and volumes as the Engine shows them, by their names.
fn inspected(engine: &Engine) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    // A container that another's namespace is named by has another id each time: its name stands for it.
    let names = engine.docker_prints(&["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}"]);
    for (kind, list) in [
        ("container", &["ps", "-aq"][..]),
        ("network", &["network", "ls", "-q"]),
        ("volume", &["volume", "ls", "-q"]),
    ] {
        for id in engine.docker_prints(list).lines() {
            let mut text = engine.docker_prints(&[kind, "inspect", id]);
            // What is bound is what a declared path leads to.
            text = text.replace("/profile/current-system/", "/profile/gen/");
            for line in names.lines() {
                let (id, name) = line.split_once(' ').unwrap();
                text = text.replace(id, name).replace(&id[..12], name);
            }
            let value: Value = serde_json::from_str(&text).unwrap();
            let name = value[0]["Name"].as_str().unwrap().trim_start_matches('/').to_owned();
            flatten(&format!("{kind}/{name}"), &value[0], &mut all);
        }
    }
    all
}

#[test]
fn compose_and_the_agent_take_over_from_each_other_and_nothing_restarts() {
    let (Some(compose), Some(corpus)) = (compose(), corpus()) else {
        eprintln!(
            "NOT RUN: this needs docker-compose 2.40 in $COMPOSE_AGENT_PEERS/bin, and ../shared/corpus"
        );
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let stacks = stacks(&corpus, &Programs::built("agentctl"), scratch.path());
    let images: BTreeSet<String> = stacks
        .iter()
        .flat_map(|stack| services(&stack.project).map(|(name, service)| image(stack, name, service)))
        .collect();
    let engine = Engine::start(&images.iter().map(String::as_str).collect::<Vec<_>>());
    for image in checked_images(&stacks) {
        engine.tag_checked(&image);
    }
    let proxy = Proxy::start(&engine.folder().join("proxy.sock"), &engine.folder().join("docker.sock"));
    let profile = Profile::new(engine.folder());
    let programs = Programs::new(&engine, &profile).over(proxy.path());
    let hosts = hosts(stacks);
    let host: &[Stack] = &hosts[0];
    for stack in host {
        profile.write("gen", &stack.name, "compose.yaml", &stack.compose);
        profile.write("gen", &stack.name, ".env", &env_file(&stack.env));
        for sibling in &stack.siblings {
            let name = sibling.file_name().unwrap().to_str().unwrap();
            profile.write("gen", &stack.name, name, &std::fs::read_to_string(sibling).unwrap());
        }
    }
    profile.switch("gen");
    let folders: Vec<PathBuf> =
        host.iter().map(|stack| profile.link().join("etc/compose-agent").join(&stack.name)).collect();

    // Before API 1.42 Compose cannot make a bind source that has a propagation; the agent can.
    let volumes = host
        .iter()
        .flat_map(|stack| services(&stack.project))
        .flat_map(|(_, service)| service["volumes"].as_array());
    for volume in volumes.flatten().filter(|volume| volume["bind"]["propagation"].is_string()) {
        let bind = format!("{}:/x", volume["source"].as_str().unwrap());
        engine.docker_prints(&["run", "--rm", "-e", "STANDIN_EXIT=0", "-v", &bind, "standin:1"]);
    }

    // Compose brings them up; the agent finds nothing to do.
    folders.iter().for_each(|folder| up(&compose, &engine, folder));
    let by_compose = running(&engine);
    proxy.take();
    let (status, said) = programs.once(&[]);
    assert_eq!(changes(&proxy.take()), Vec::<&String>::new(), "{said}");
    assert_eq!(status, Some(0), "{said}");
    assert_all_up(&engine, host);
    let ids = |all: &BTreeMap<String, (String, String)>| -> Vec<String> {
        all.values().map(|(id, _)| id.clone()).collect()
    };
    assert_eq!(ids(&running(&engine)), ids(&by_compose));
    eprintln!("{} containers that Compose made were adopted without a change", by_compose.len());
    let theirs = inspected(&engine);

    // The agent brings them up; Compose finds nothing to do.
    let mut remove = vec!["rm", "-f"];
    let all = engine.docker_prints(&["ps", "-aq"]);
    remove.extend(all.lines());
    engine.docker_prints(&remove);
    engine.docker_prints(&["network", "prune", "-f"]);
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    let by_agent = running(&engine);
    let ours = inspected(&engine);
    let empty = String::new();
    let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let joined: BTreeSet<String> = ours
        .iter()
        .filter(|(path, mode)| path.ends_with("/HostConfig/NetworkMode") && mode.starts_with("\"container:"))
        .filter_map(|(path, _)| path.split('/').nth(1).map(str::to_owned))
        .collect();
    let differences: Vec<String> = paths
        .iter()
        .map(|path| (path, theirs.get(*path).unwrap_or(&empty), ours.get(*path).unwrap_or(&empty)))
        .filter(|(path, theirs, ours)| theirs != ours && !is_meant(path, &joined))
        .map(|(path, theirs, ours)| format!("{path}: Compose {theirs}, the agent {ours}"))
        .collect();
    eprintln!("{} values of containers, networks and volumes held against each other", paths.len());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    folders.iter().for_each(|folder| up(&compose, &engine, folder));
    assert_eq!(ids(&running(&engine)), ids(&by_agent), "Compose recreates nothing that the agent made");
    assert_all_up(&engine, host);
    eprintln!("{} containers that the agent made were left alone by Compose", by_agent.len());
}
