//! Two programs that undo each other's work: does the agent space its corrections out, name the other one, leave it in the
//! end, and come out of it? And does health alone ever take anything down?

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use tests::Lab;

const APP: &str = "services: {app: {image: 'standin:1', stop_grace_period: 1s}}\n";
/// How often a difference is put right without a pause.
const AT_ONCE: usize = 4;
/// The first pause.
const PAUSE: Duration = Duration::from_secs(10);
/// As what the memory counts a stopped container's starts.
const KEY: &str = "app/1 stopped ";

fn stop(lab: &Lab) {
    lab.programs.wait_until("it runs", || lab.running("web-app-1"));
    lab.engine.docker_prints(&["kill", "web-app-1"]);
}

fn corrections(lab: &Lab) -> usize {
    let output = lab.programs.agentctl(&["history", "web", "-n", "1000", "--json"]);
    let entries: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let is_start = |entry: &&Value| {
        let message = entry["message"].as_str().unwrap_or_default();
        entry["event"] == "done" && message.starts_with("start web-app-1: it is exited")
    };
    entries.iter().filter(is_start).count()
}

#[test]
fn what_somebody_else_keeps_undoing_is_spaced_out_contested_and_taken_up_again() {
    let lab = Lab::default();
    lab.profile.write("one", "web", "compose.yaml", APP);
    lab.profile.switch("one");
    lab.engine.docker_prints(&["tag", "standin:1", "containrrr/watchtower:1"]);
    lab.engine.docker_prints(&["run", "-d", "--name", "updater", "containrrr/watchtower:1"]);
    let log = lab.engine.folder().join("daemon.log");
    let mut daemon = lab.programs.daemon(&log);
    lab.programs.wait_for("converged", || true);

    for done in 1..=AT_ONCE {
        stop(&lab);
        lab.programs.wait_until("it is put right at once", || corrections(&lab) == done);
    }
    stop(&lab);
    let began = Instant::now();
    lab.wait("web", "failed", "put right 4 times within the hour, and there again");
    assert!(!lab.running("web-app-1"), "it is left for a while");
    lab.programs.wait_until("it is put right after a pause", || corrections(&lab) == AT_ONCE + 1);
    assert!(began.elapsed() > PAUSE / 2, "{:?}", began.elapsed());

    // What takes minutes more to come about: the last of eight corrections within the hour, the first a while ago.
    lab.programs.wait_for("converged", || true);
    daemon.signal("TERM");
    assert!(daemon.ended());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let (now, hour) = (i64::try_from(now.as_millis()).unwrap(), 3_600_000);
    let soon = 12_000;
    let made: Vec<i64> = (0..8).map(|nth| now - hour + soon + nth * 1_000).collect();
    let path = lab.engine.folder().join("state/memory.json");
    let mut memory: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    memory["stacks"]["web"]["corrections"] = json!({ KEY: made });
    fs::write(&path, memory.to_string()).unwrap();
    lab.engine.docker_prints(&["kill", "web-app-1"]);
    let _daemon = lab.programs.daemon(&log);
    lab.wait("web", "contested", "put right 8 times within the hour");
    let reason = lab.stack("web")["reason"].as_str().unwrap().to_owned();
    assert!(reason.ends_with("the other party may be Watchtower (container updater)"), "{reason}");
    assert!(!lab.running("web-app-1"), "it is left as it is");
    lab.programs.wait_until("it is taken up again", || lab.running("web-app-1"));
    lab.programs.wait_for("converged", || true);
}

#[test]
fn health_alone_takes_nothing_down() {
    let lab = Lab::default();
    let data = lab.engine.folder().join("data-of-db");
    fs::create_dir_all(&data).unwrap();
    let well = data.join("well");
    fs::write(&well, "yes\n").unwrap();
    let compose = format!(
        "services:
  db: {{image: 'standin:1', volumes: ['{}:/d'], healthcheck: {{test: [CMD, /bin/standin, --show, /d/well], interval: 1s, retries: 1}}}}
  app: {{image: 'standin:1', depends_on: {{db: {{condition: service_healthy, restart: true}}}}}}
",
        data.display()
    );
    lab.profile.write("one", "web", "compose.yaml", &compose);
    lab.profile.switch("one");
    let _daemon = lab.programs.daemon(&lab.engine.folder().join("daemon.log"));
    lab.programs.wait_for("converged", || true);
    let starts = || {
        let format = "{{.Id}} {{.State.StartedAt}} {{.State.Status}}";
        lab.engine.docker_prints(&["inspect", "--format", format, "web-db-1", "web-app-1"])
    };
    let before = starts();
    fs::remove_file(&well).unwrap();
    lab.wait("web", "drifted", "health alone restarts nothing");
    for _ in 0..3 {
        assert!(lab.programs.agentctl(&["reconcile", "web"]).status.success());
        sleep(Duration::from_millis(500));
    }
    lab.wait("web", "drifted", "health alone restarts nothing");
    assert_eq!(starts(), before, "neither the sick one nor who needs it was touched");
    fs::write(&well, "again\n").unwrap();
    lab.programs.wait_for("converged", || true);
    assert_eq!(starts(), before);
}
