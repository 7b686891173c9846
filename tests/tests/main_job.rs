//! Does a switched profile become running containers, and stay so?

use std::fs;

use tests::{Engine, Profile, Programs};

const WEB: &str = "services:
  app:
    image: standin:1
    restart: unless-stopped
    environment: {COLOUR: green}
    depends_on: {store: {condition: service_healthy}}
  store:
    image: standin:1
    restart: unless-stopped
    healthcheck: {test: [CMD, curl, x], interval: 1s, retries: 3}
    volumes: ['data:/data']
  side:
    image: standin:1
    restart: unless-stopped
    network_mode: service:app
volumes: {data: {}}
";

const DB: &str = "services:
  one: {image: 'standin:1', restart: always, hostname: h, cap_add: [NET_ADMIN], tmpfs: [/run], labels: {a: b}}
  two: {image: 'standin:1', restart: always, scale: 2}
";

#[test]
fn a_switched_profile_becomes_running_containers() {
    let engine = Engine::start(&["standin:1"]);
    let profile = Profile::new(engine.folder());
    profile.write("gen1", "web", "compose.yaml", WEB);
    profile.write("gen1", "db", "compose.yaml", DB);
    profile.write("gen2", "web", "compose.yaml", &WEB.replace("green", "blue"));
    profile.write("gen3", "web", "compose.yaml", "services: {app: {imagee: x}}\n");
    profile.switch("gen1");
    let programs = Programs::new(&engine, &profile);

    cold_start_and_nothing_to_do(&engine, &programs);

    // A spec that does not load leaves everything as it is.
    let before = engine.docker_prints(&["ps", "-aq", "--no-trunc"]);
    profile.switch("gen3");
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("compose.yaml:1:"), "the place is named: {said}");
    assert_eq!(engine.docker_prints(&["ps", "-aq", "--no-trunc"]), before);
    profile.switch("gen1");

    // The daemon repairs what is killed or removed by hand.
    let log = engine.folder().join("daemon.log");
    let daemon = programs.daemon(&log);
    programs.wait_for("converged", || true);
    let store = engine.id_of("web-store-1");
    let running = |name: &str| {
        engine.docker_prints(&["ps", "-q", "--filter", &format!("name=^{name}")]).lines().count()
    };
    engine.docker_prints(&["kill", "db-one-1"]);
    programs.wait_for("converged", || running("db-one-1") == 1);
    engine.docker_prints(&["rm", "-f", "db-two-1"]);
    programs.wait_for("converged", || running("db-two-") == 2);

    // A switch replaces the service that changed and whoever shares its network, and brings the other stack down.
    let app = engine.id_of("web-app-1");
    profile.switch("gen2");
    let network =
        || engine.docker(&["inspect", "--format", "{{.HostConfig.NetworkMode}}", "web-side-1"]).stdout;
    programs.wait_for("converged", || {
        let now = engine.id_of("web-app-1");
        let joined = String::from_utf8_lossy(&network()).trim() == format!("container:{now}");
        now != app && joined && engine.id_of("db-one-1").is_empty()
    });
    assert_eq!(engine.id_of("web-store-1"), store, "what did not change runs on");
    let environment = engine.docker_prints(&["inspect", "--format", "{{.Config.Env}}", "web-app-1"]);
    assert!(environment.contains("COLOUR=blue"), "{environment}");

    // Rolling back is just another desired state; ending the daemon ends no container.
    profile.switch("gen1");
    programs.wait_for("converged", || running("db-") == 3);
    operate(&engine, &programs);
    drop(daemon);
    assert_eq!(running(""), 6);
    assert!(engine.docker_prints(&["volume", "ls", "-q"]).contains("web_data"), "volumes are never removed");
    let log = fs::read_to_string(log).expect("a log");
    assert!(log.contains("environment.COLOUR is green, declared is blue"), "{log}");
}

/// An operator restarts a service, takes a stack down, and lets it come again.
fn operate(engine: &Engine, programs: &Programs) {
    let started = |name: &str| engine.docker_prints(&["inspect", "--format", "{{.State.StartedAt}}", name]);
    let (store, app) = (started("web-store-1"), started("db-one-1"));
    assert!(programs.agentctl(&["restart", "web/store"]).status.success());
    programs.wait_for("converged", || started("web-store-1") != store);
    assert_eq!(started("db-one-1"), app, "nobody else is restarted");
    assert!(programs.agentctl(&["down", "db"]).status.success());
    let left = || engine.docker_prints(&["ps", "-aq", "--filter", "label=com.docker.compose.project=db"]);
    programs.wait_until("db is gone and held", || {
        let status = programs.status();
        left().is_empty()
            && status["stacks"]
                .as_array()
                .is_some_and(|stacks| stacks.iter().any(|stack| stack["phase"] == "held"))
    });
    assert!(programs.agentctl(&["release", "db"]).status.success());
    programs.wait_for("converged", || left().lines().count() == 3);
}

fn cold_start_and_nothing_to_do(engine: &Engine, programs: &Programs) {
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    for name in ["web-app-1", "web-store-1", "web-side-1", "db-one-1", "db-two-1", "db-two-2"] {
        assert!(!engine.id_of(name).is_empty(), "{name} is missing: {said}");
    }
    let (status, said) = programs.once(&[]);
    assert_eq!((status, said.as_str()), (Some(0), ""), "a second pass does and says nothing");
}
