//! Can a host be switched from Docker Compose to the agent, and back, without a container that restarts?
//!
//! Held against the real `docker-compose` 2.40: `$COMPOSE_AGENT_PEERS/bin`, which `tests/run` fills where it can.

#![expect(clippy::print_stderr, reason = "what was measured, and what was not run")]

use std::{collections::BTreeSet, path::PathBuf};

use tests::{
    Engine, Profile, Programs,
    compose::Compose,
    corpus::{Stack, assert_all_up, checked_images, corpus, env_file, hosts, image, services, stacks},
    proxy::Proxy,
    takeover::{Takeover, assert_same},
};

#[test]
fn compose_and_the_agent_take_over_from_each_other_and_nothing_restarts() {
    let (Some(compose), Some(corpus)) = (Compose::find(), corpus()) else {
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

    let takeover = Takeover {
        compose: &compose,
        engine: &engine,
        programs: &programs,
        proxy: &proxy,
        folders: &folders,
    };
    let theirs = takeover.from_compose();
    assert_all_up(&engine, host);
    engine.clear();
    let ours = takeover.from_agent();
    assert_all_up(&engine, host);
    assert_same(&theirs, &ours, |name, path| {
        // Before API 1.42 only the old form of a bind makes a missing source.
        name.starts_with("kopia") && ["Binds", "Mounts"].iter().any(|end| path.ends_with(end))
    });
    let containers = takeover.containers().len();
    eprintln!("{containers} containers taken over both ways, {} values held against each other", ours.len());
}
