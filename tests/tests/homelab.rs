//! Do the stacks of a real homelab come up, stay as they are, and follow a switch?

#![expect(
    clippy::print_stderr,
    clippy::too_many_lines,
    reason = "one story, and what was measured on the way"
)]

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use tests::{
    Engine, PATIENCE, Profile, Programs,
    corpus::{Stack, assert_all_up, checked_images, homelab, hosts, images, needed, running},
    proxy::{Proxy, changes},
    secret::Key,
};

/// A generation with these stacks; their variables are in an encrypted `.env`.
fn declare(
    profile: &Profile,
    generation: &str,
    host: &[Stack],
    key: &Key,
    change: impl Fn(&Stack) -> String,
) {
    for stack in host {
        stack.declare_encrypted(profile, generation, &change(stack), key);
    }
}

fn as_it_is(stack: &Stack) -> String {
    stack.compose.clone()
}

#[test]
fn the_stacks_of_a_homelab_come_up_and_follow_a_switch() {
    let Some(corpus) = needed("homelab-2025-10") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let stacks = homelab(&corpus, &Programs::built("agentctl"), scratch.path());
    assert_eq!(stacks.len(), 20, "stacks with a Nix unit");
    let engine = Engine::start(&images(&stacks, |_| true).iter().map(String::as_str).collect::<Vec<_>>());
    for image in checked_images(&stacks) {
        engine.tag_checked(&image);
    }
    let proxy = Proxy::start(&engine.folder().join("proxy.sock"), &engine.folder().join("docker.sock"));
    let key = Key::default();
    let keys = key.save(engine.folder()).display().to_string();
    let profile = Profile::new(engine.folder());
    let programs = Programs::new(&engine, &profile).with(&["--age-key", &keys]).over(proxy.path());

    let hosts = hosts(stacks);
    for (number, host) in hosts.iter().enumerate() {
        let generation = format!("host{number}");
        declare(&profile, &generation, host, &key, as_it_is);
        profile.switch(&generation);
        let began = Instant::now();
        let (status, said) = programs.once(&[]);
        assert_eq!(status, Some(0), "{said}");
        assert_all_up(&engine, host);
        eprintln!(
            "{generation}: {} stacks, {} containers up in {:?}",
            host.len(),
            running(&engine).len(),
            began.elapsed()
        );
        proxy.take();
        let began = Instant::now();
        let (status, said) = programs.once(&[]);
        let asked = proxy.take();
        assert_eq!((status, said.as_str()), (Some(0), ""));
        assert_eq!(changes(&asked), Vec::<&String>::new(), "a second pass changes nothing");
        eprintln!("{generation}: nothing to do took {:?} and {} questions", began.elapsed(), asked.len());
    }

    // Back to the first host; then one service of one stack changes, and four others share its network.
    profile.switch("host0");
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert_all_up(&engine, &hosts[0]);
    let before = running(&engine);
    let change = |stack: &Stack| match stack.name.as_str() {
        "immich" => stack.compose.replacen(
            "    container_name: immich_network_holder",
            "    container_name: immich_network_holder\n    environment: {CHANGED: 'yes'}",
            1,
        ),
        _ => as_it_is(stack),
    };
    declare(&profile, "changed", &hosts[0], &key, change);
    profile.switch("changed");
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert_all_up(&engine, &hosts[0]);
    let after = running(&engine);
    let renewed: BTreeSet<&str> = after
        .iter()
        .filter(|(name, (id, _))| before[*name].0 != *id)
        .map(|(name, _)| name.as_str())
        .collect();
    let sharers = [
        "immich/caddy",
        "immich/immich-network-holder",
        "immich/immich-server",
        "immich/immich-tailscale-sidecar",
    ];
    assert_eq!(renewed, BTreeSet::from(sharers), "{said}");

    // A daemon puts any killed container right.
    let log = engine.folder().join("daemon.log");
    let daemon = programs.daemon(&log);
    programs.wait_for("converged", || true);
    for name in ["immich_redis", "jellyfin-caddy", "autoheal"] {
        let id = engine.id_of(name);
        let began = Instant::now();
        engine.docker_prints(&["kill", name]);
        let up =
            || engine.docker_prints(&["ps", "-q", "--no-trunc", "--filter", &format!("name=^{name}$")]) == id;
        while !up() {
            assert!(began.elapsed() < PATIENCE, "{name} stays down");
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("{name}: killed and up again after {:?}", began.elapsed());
    }
    programs.wait_for("converged", || true);
    drop(daemon);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("immich_redis") && log.contains("it is exited"), "{log}");
}
