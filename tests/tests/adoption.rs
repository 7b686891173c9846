//! Can a host be switched from Docker Compose to the agent, and back, without a container that restarts?
//!
//! Held against the real `docker-compose` 2.40: `$COMPOSE_AGENT_PEERS/bin`, which `tests/run` fills where it can.

#![expect(clippy::print_stderr, reason = "what was measured, and what was not run")]

use serde_json::Value;
use tests::{
    Programs, awesome,
    corpus::{Stack, assert_all_up, checked_images, homelab, hosts, images, needed, services},
    takeover::{Bench, assert_same},
};

#[test]
fn the_stacks_of_a_homelab() {
    let Some(corpus) = needed("homelab-2025-10") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let stacks = homelab(&corpus, &Programs::built("agentctl"), scratch.path());
    assert_eq!(stacks.len(), 20, "stacks with a Nix unit");
    let images = images(&stacks, |_| true);
    let Some(bench) = Bench::start(&images.iter().map(String::as_str).collect::<Vec<_>>()) else { return };
    for image in checked_images(&stacks) {
        bench.engine.tag_checked(&image);
    }
    for (number, host) in hosts(stacks).iter().enumerate() {
        let generation = format!("host{number}");
        host.iter().for_each(|stack| stack.declare(&bench.profile, &generation));
        bench.profile.switch(&generation);
        take_over(&bench, host);
        bench.clear();
    }
}

#[test]
fn the_projects_of_awesome_compose() {
    let Some(corpus) = needed("awesome-compose") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let projects = awesome::projects(&corpus, &Programs::built("agentctl"), scratch.path());
    // What is built here is built by both of them.
    let built = |service: &Value| service["build"].is_object();
    let images = images(&projects, |service| !built(service));
    let Some(bench) = Bench::start(&images.iter().map(String::as_str).collect::<Vec<_>>()) else { return };
    projects.iter().for_each(|stack| stack.declare(&bench.profile, "gen"));
    bench.profile.switch("gen");
    take_over(&bench, &projects);
}

fn take_over(bench: &Bench, host: &[Stack]) {
    make_shared_sources(bench, host);
    let theirs = bench.from_compose();
    assert_all_up(&bench.engine, host);
    bench.clear();
    let ours = bench.from_agent();
    assert_all_up(&bench.engine, host);
    assert_same(&theirs, &ours, |name, path| {
        // Before API 1.42 only the old form of a bind makes a missing source.
        name.starts_with("kopia") && ["Binds", "Mounts"].iter().any(|end| path.ends_with(end))
    });
    let (stacks, containers) = (host.len(), bench.containers().len());
    eprintln!(
        "{stacks} stacks, {containers} containers taken over both ways, {} values held against each other",
        ours.len()
    );
}

/// Before API 1.42 Compose cannot make a bind source that has a propagation; the agent can.
fn make_shared_sources(bench: &Bench, host: &[Stack]) {
    let services = host.iter().flat_map(|stack| services(&stack.project));
    let volumes = services.flat_map(|(_, service)| service["volumes"].as_array()).flatten();
    for volume in volumes.filter(|volume| volume["bind"]["propagation"].is_string()) {
        let bind = format!("{}:/x", volume["source"].as_str().unwrap());
        bench.engine.docker_prints(&["run", "--rm", "-e", "STANDIN_EXIT=0", "-v", &bind, "standin:1"]);
    }
}
