//! What does a service get that drives the Engine, and who else is shown it?

use std::fs;

use tests::{Lab, compose::Compose};

/// Whoever drives the Engine gets its socket and the agent's logins; nobody else is shown them.
#[test]
fn the_logins_of_a_service_that_drives_the_engine_are_in_no_other_place() {
    let lab = Lab::default();
    let Lab { engine, profile, programs } = &lab;
    let programs = programs.clone().with_memory(engine);
    let config = engine.folder().join("docker-config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("config.json"), r#"{"auths": {"a.io": {"auth": "bWU6aHVudGVyMg=="}}}"#).unwrap();
    lab.declare("one", "drive", "services: {app: {image: 'standin:1', use_api_socket: true}}\n");
    let once = || {
        let output = programs.once_command().env("DOCKER_CONFIG", &config).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, said) = once();
    assert_eq!(status, Some(0), "{said}");
    let shows = |path: &str| engine.docker_prints(&["exec", "drive-app-1", "/bin/standin", "--show", path]);
    assert!(shows("/run/secrets/docker/config.json").contains("bWU6aHVudGVyMg=="));
    assert!(shows("/proc/self/mounts").contains("/run/docker.sock"), "{}", shows("/proc/self/mounts"));
    let told = engine.docker_prints(&["inspect", "drive-app-1"]) + &said;
    let kept = fs::read_to_string(engine.folder().join("state/history.jsonl")).unwrap_or_default();
    let layer = engine.docker_prints(&["diff", "drive-app-1"]);
    assert!(
        !told.contains("bWU6") && !kept.contains("bWU6") && !layer.contains("config.json "),
        "{told}{kept}{layer}"
    );
    let id = engine.id_of("drive-app-1");
    let (_, said) = once();
    assert_eq!(engine.id_of("drive-app-1"), id, "{said}");

    // One that Docker Compose has made has them in its layer, and is kept.
    let Some(compose) = Compose::find() else { return };
    engine.docker_prints(&["rm", "-f", "drive-app-1"]);
    let folder = profile.link().join("etc/compose-agent/drive");
    compose.up_with(&engine.host(), &folder, &[("DOCKER_CONFIG", &config.display().to_string())]);
    let theirs = engine.id_of("drive-app-1");
    let (status, said) = once();
    assert_eq!((status, engine.id_of("drive-app-1")), (Some(0), theirs), "{said}");
}
