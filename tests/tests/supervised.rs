//! What do the service manager, the journal and the store's garbage collector hear from the daemon?

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use tests::{Ear, Engine, PATIENCE, Profile, Programs};

fn roots(folder: &Path) -> BTreeSet<String> {
    let links = fs::read_dir(folder).into_iter().flatten().flatten();
    links
        .map(|link| fs::read_link(link.path()).unwrap().file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn the_manager_the_journal_and_the_collector_are_told() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let at = |name: &str| engine.folder().join(name);
    let text = |name: &str| at(name).display().to_string();
    // A store with two side files, as a module renders them: the profile only links to them.
    for (path, content) in
        [("store/aaa-Caddyfile/Caddyfile", "one"), ("store/bbb-Caddyfile/Caddyfile", "two")]
    {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), content).unwrap();
    }
    let spec = "services: {web: {image: 'standin:1', restart: always, volumes: ['./Caddyfile:/etc/Caddyfile:ro']}, far: {image: 'standin:1', restart: always}}\n";
    for (generation, path) in [("one", "aaa"), ("same", "aaa"), ("two", "bbb")] {
        profile.write(generation, "web", "compose.yaml", spec);
        let link = profile.link().with_file_name(generation).join("etc/compose-agent/web/Caddyfile");
        std::os::unix::fs::symlink(at(&format!("store/{path}-Caddyfile/Caddyfile")), link).unwrap();
    }
    profile.switch("one");
    let (manager, journal) = (Ear::at(&at("notify.sock")), Ear::at(&at("journal.sock")));
    let programs = Programs::new(&engine, &profile).with(&[
        "--log-format",
        "journal",
        "--journal-socket",
        &journal.path,
        "--gc-roots",
        &text("roots"),
        "--store",
        &text("store"),
    ]);
    let variables = [("NOTIFY_SOCKET", manager.path.as_str()), ("WATCHDOG_USEC", "1000000")];
    let mut daemon = programs.daemon_with(&at("daemon.log"), &variables);
    manager.wait(&["READY=1", "STATUS="]);
    manager.wait(&["WATCHDOG=1"]);
    manager.wait(&["STATUS=converged: 1 stacks (1 converged)"]);
    assert_eq!(roots(&at("roots")), BTreeSet::from(["aaa-Caddyfile".to_owned()]));

    // Drift is found, named with stable fields, and put right.
    let (web, far) = (engine.id_of("web-web-1"), engine.id_of("web-far-1"));
    engine.docker_prints(&["kill", "web-far-1"]);
    journal.wait(&[
        "MESSAGE_ID=6fa8ecb4fdca40ffb774f8bc887d14e4",
        "PRIORITY=4",
        "STACK=web",
        "SERVICE=far",
        "CONTAINER=web-far-1",
        "KIND=stopped",
        "EXPECTED=running",
        "ACTUAL=exited (137)",
        "GENERATION=",
        "PASS=",
    ]);
    journal.wait(&[
        "MESSAGE_ID=b62a7925a02b4bd3aa952be49b9ef674",
        "STACK=web",
        "SERVICE=far",
        "KIND=stopped",
        "EVENT=corrected",
    ]);

    // A reload ends once the new generation has been taken in; one that changes nothing here changes nothing.
    profile.switch("same");
    daemon.signal("HUP");
    let reloading = manager.wait(&["RELOADING=1", "MONOTONIC_USEC="]);
    let began = Instant::now();
    while !manager.all()[reloading..].iter().any(|text| text.contains("READY=1")) {
        assert!(began.elapsed() < PATIENCE, "{:#?}", manager.all());
        thread::sleep(Duration::from_millis(20));
    }
    programs.wait_for("converged", || programs.status()["generation"].as_str().unwrap().ends_with("same"));
    assert!(programs.agentctl(&["reconcile", "--wait"]).status.success());
    assert_eq!((engine.id_of("web-web-1"), engine.id_of("web-far-1")), (web.clone(), far.clone()));

    // A file of other bytes renews its one consumer; the old path is let go once no container has it.
    profile.switch("two");
    programs.wait_for("converged", || engine.id_of("web-web-1") != web);
    assert_eq!(engine.id_of("web-far-1"), far);
    programs.wait_until("the old path is let go", || {
        roots(&at("roots")) == BTreeSet::from(["bbb-Caddyfile".to_owned()])
    });
    daemon.signal("TERM");
    assert!(daemon.ended());
    manager.wait(&["STOPPING=1"]);
    assert_eq!(engine.docker_prints(&["ps", "-q"]).lines().count(), 2, "ending the agent ends no container");
}
