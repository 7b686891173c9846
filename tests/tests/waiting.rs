//! What cannot be done now is waited for with a reason, everything else goes on, and nothing that runs is lost over it.

use std::{fs, process::Command};

use tests::Lab;

const PLAIN: &str = "services: {app: {image: 'standin:1', restart: always}}\n";

#[test]
fn a_stack_waits_for_what_it_lacks_and_the_others_go_on() {
    let lab = Lab::default();
    let Lab { engine, profile, programs } = &lab;
    let mount = engine.folder().join("nas");
    fs::create_dir(&mount).unwrap();
    profile.write("one", "plain", "compose.yaml", PLAIN);
    profile.write(
        "one",
        "image",
        "compose.yaml",
        "services: {app: {image: 'nowhere.invalid/x:1'}, ok: {image: 'standin:1', restart: always}}\n",
    );
    let needs_mount = format!("x-agent: {{requires_mounts: [{}]}}\n{PLAIN}", mount.display());
    profile.write("one", "mount", "compose.yaml", &needs_mount);
    profile.write(
        "one",
        "name",
        "compose.yaml",
        "services: {app: {image: 'standin:1', container_name: taken, restart: always}}\n",
    );
    profile.write("one", "path", "compose.yaml", "services: {app: {image: 'standin:1', restart: always, volumes: [{type: bind, source: /mnt/absent, target: /d, bind: {create_host_path: false}}]}}\n");
    profile.switch("one");
    engine.docker_prints(&["run", "-d", "--name", "taken", "standin:1"]);
    let foreign = engine.id_of("taken");

    let daemon = programs.daemon(&engine.folder().join("daemon.log"));
    lab.wait("plain", "converged", "");
    lab.wait("name", "failed", "another container has the name");
    lab.wait("path", "waiting", "/mnt/absent is not there");
    lab.wait("mount", "waiting", "nas");
    lab.wait("image", "failed", "nowhere.invalid");
    assert!(lab.running("plain-app-1") && lab.running("image-ok-1") && !lab.running("mount-app-1"));
    assert_eq!(engine.id_of("taken"), foreign, "somebody else's container is left alone");

    // What was lacking comes: each is found by itself.
    engine.docker_prints(&["tag", "standin:1", "nowhere.invalid/x:1"]);
    lab.wait("image", "converged", "");
    engine.docker_prints(&["rm", "-f", "taken"]);
    lab.wait("name", "converged", "");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&mount).status();
    assert!(mounted.expect("mount").success());
    lab.wait("mount", "converged", "");
    // And what runs goes on running without it.
    assert!(Command::new("umount").arg(&mount).status().expect("umount").success());
    lab.wait("mount", "waiting", "nas");
    assert!(lab.running("mount-app-1"));
    drop(daemon);
}

#[test]
fn an_engine_or_a_profile_that_is_away_is_unknown_and_never_gone() {
    let mut lab = Lab::default();
    lab.profile.write("one", "plain", "compose.yaml", PLAIN);
    lab.profile.write("one", "other", "compose.yaml", PLAIN);
    lab.profile.write("empty", "", "agent.yaml", "{}");
    lab.profile.switch("one");
    let log = lab.engine.folder().join("daemon.log");
    let daemon = lab.programs.daemon(&log);
    lab.wait("plain", "converged", "");
    lab.wait("other", "converged", "");
    let id = lab.engine.id_of("plain-app-1");

    // The Engine dies with all containers, and comes back.
    lab.engine.kill();
    lab.wait("plain", "unknown", "");
    lab.engine.revive();
    lab.wait("plain", "converged", "");
    lab.wait("other", "converged", "");
    assert_eq!(lab.engine.id_of("plain-app-1"), id, "the same container runs again");

    // A profile that leads nowhere, or that suddenly declares nothing, removes nothing.
    let link = lab.profile.link();
    fs::remove_file(&link).unwrap();
    lab.programs.wait_until("the profile is unknown", || lab.programs.status()["profile_error"].is_string());
    assert!(lab.running("plain-app-1"));
    lab.profile.switch("empty");
    lab.programs.wait_until("the guard holds", || {
        lab.programs.status()["notes"].as_array().is_some_and(|notes| !notes.is_empty())
    });
    assert!(lab.running("plain-app-1") && lab.running("other-app-1"));
    assert!(lab.programs.agentctl(&["reconcile", "--allow-empty"]).status.success());
    lab.programs.wait_until("both are gone", || !lab.running("plain-app-1") && !lab.running("other-app-1"));
    drop(daemon);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.lines().filter(|line| line.contains("unknown")).count() <= 4, "said once a stack: {log}");
}

#[test]
fn an_absent_device_is_waited_for_and_found_by_itself() {
    let lab = Lab::default();
    let knows_cdi =
        lab.engine.docker_prints(&["info", "--format", "{{json .}}"]).contains("\"CDISpecDirs\":[\"");
    let cdi = "  named: {image: 'standin:1', devices: ['vendor.com/class=first'], depends_on: [far]}\n";
    let stack = format!(
        "services:
  stick: {{image: 'standin:1', devices: ['/dev/ttyABSENT0'], environment: {{COLOUR: green}}}}
  reader: {{image: 'standin:1', depends_on: [stick]}}
  far: {{image: 'standin:1'}}
{}",
        if knows_cdi { cdi } else { "" }
    );
    lab.declare("one", "dev", &stack);
    let log = lab.engine.folder().join("daemon.log");
    let daemon = lab.programs.daemon(&log);
    let waits = |what: &str| {
        let waiting = || lab.stack("dev")["waiting"].to_string().contains(what);
        lab.programs.wait_until(what, waiting);
    };
    waits("device /dev/ttyABSENT0 is not there");
    lab.programs.wait_until("whoever needs nothing runs", || lab.running("dev-far-1"));
    assert!(!lab.running("dev-stick-1") && !lab.running("dev-reader-1"));
    if knows_cdi {
        waits("CDI device vendor.com/class=first is in no specification");
        lab.engine.specify_cdi("vendor.com/class", &["first"]);
        lab.programs.wait_until("its CDI device has come", || lab.running("dev-named-1"));
        let environment =
            lab.engine.docker_prints(&["exec", "dev-named-1", "/bin/standin", "--show", "/proc/1/environ"]);
        assert!(environment.contains("CDI=first"), "{environment}");
    }

    let node = lab.engine.dev().join("ttyABSENT0");
    let made = Command::new("mknod").arg(&node).args(["c", "1", "3"]).status();
    assert!(made.expect("mknod (Debian: coreutils)").success());
    lab.wait("dev", "converged", "");
    assert!(lab.running("dev-stick-1") && lab.running("dev-reader-1"));

    // Pulled out: what runs with it runs on, and no new one takes its place before it is back.
    fs::remove_file(&node).unwrap();
    let old = lab.engine.id_of("dev-stick-1");
    lab.declare("two", "dev", &stack.replace("green", "blue"));
    waits("device /dev/ttyABSENT0 is not there");
    assert_eq!((lab.engine.id_of("dev-stick-1"), lab.running("dev-stick-1")), (old, true));
    drop(daemon);
    let said = fs::read_to_string(log).unwrap();
    let lines = said.lines().filter(|line| line.contains("device /dev/ttyABSENT0 is not there")).count();
    assert!((1..=4).contains(&lines), "said once for each that waits: {said}");
}
