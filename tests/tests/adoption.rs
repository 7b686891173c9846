//! Can a host be switched from Docker Compose to the agent, and back, without a container that restarts?
//!
//! Held against the real `docker-compose` 2.40: `$COMPOSE_AGENT_PEERS/bin`, which `tests/run` fills where it can.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

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
    let ids = |all: &std::collections::BTreeMap<String, (String, String)>| -> Vec<String> {
        all.values().map(|(id, _)| id.clone()).collect()
    };
    assert_eq!(ids(&running(&engine)), ids(&by_compose));
    eprintln!("{} containers that Compose made were adopted without a change", by_compose.len());

    // The agent brings them up; Compose finds nothing to do.
    let mut remove = vec!["rm", "-f"];
    let all = engine.docker_prints(&["ps", "-aq"]);
    remove.extend(all.lines());
    engine.docker_prints(&remove);
    engine.docker_prints(&["network", "prune", "-f"]);
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    let by_agent = running(&engine);
    folders.iter().for_each(|folder| up(&compose, &engine, folder));
    assert_eq!(ids(&running(&engine)), ids(&by_agent), "Compose recreates nothing that the agent made");
    assert_all_up(&engine, host);
    eprintln!("{} containers that the agent made were left alone by Compose", by_agent.len());
}
