//! What becomes of stacks where parts of the host come late, come back, lose power, or have a wrong clock?

use std::fs;

use serde_json::{Value, json};
use tests::{Engine, Profile, Programs};

const WEB: &str = "services:
  app: {image: 'standin:1', restart: unless-stopped}
  side: {image: 'standin:1', restart: unless-stopped, network_mode: 'service:app'}
  far: {image: 'standin:1', restart: unless-stopped, depends_on: [app]}
";
const NAMES: [&str; 3] = ["web-app-1", "web-far-1", "web-side-1"];

struct Host {
    engine: Engine,
    programs: Programs,
}

impl Host {
    fn log(&self, name: &str) -> std::path::PathBuf {
        self.engine.folder().join(name)
    }

    fn ids(&self) -> Vec<String> {
        NAMES.iter().map(|name| self.engine.id_of(name)).collect()
    }

    fn started(&self) -> Vec<String> {
        let started =
            |name: &&str| self.engine.docker_prints(&["inspect", "-f", "{{.State.StartedAt}}", name]);
        NAMES.iter().map(started).collect()
    }

    /// Everything runs, and who shares a network shares the one that is there now.
    fn is_whole(&self) -> bool {
        let running = self.engine.docker_prints(&["ps", "-q"]).lines().count() == NAMES.len();
        let network = self.engine.network_of("web-app-1");
        running && network.is_some() && network == self.engine.network_of("web-side-1")
    }

    fn converges(&self) {
        self.programs.wait_for("converged", || self.is_whole());
    }
}

#[test]
fn whatever_comes_late_or_comes_back_everything_runs_in_the_end() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    profile.write("gen1", "web", "compose.yaml", WEB);
    profile.switch("gen1");
    let programs = Programs::new(&engine, &profile);
    let mut host = Host { engine, programs };

    the_engine_comes_late(&mut host);
    the_engine_restarts(&mut host);
    the_power_is_cut(&mut host);
    the_clock_was_ahead(&host);
}

fn the_engine_comes_late(host: &mut Host) {
    host.engine.kill();
    let _daemon = host.programs.daemon(&host.log("late.log"));
    host.programs.wait_for("unknown", || host.programs.status()["engine"]["reachable"] == json!(false));
    host.engine.revive();
    host.converges();
}

/// With live restore nobody notices. Without it the Engine starts containers again by itself, each when it likes, and one
/// that shares another's network may be left with one that is gone.
fn the_engine_restarts(host: &mut Host) {
    let _daemon = host.programs.daemon(&host.log("restart.log"));
    host.converges();
    let (ids, started) = (host.ids(), host.started());
    host.engine.restart(true);
    host.converges();
    assert_eq!((host.ids(), host.started()), (ids, started), "nobody was touched");
    host.engine.restart(false);
    host.converges();
}

/// Everything ends at once, in the middle of a line of a file.
fn the_power_is_cut(host: &mut Host) {
    let daemon = host.programs.daemon(&host.log("cut.log"));
    host.converges();
    let (ids, state) = (host.ids(), host.log("state"));
    host.engine.kill();
    drop(daemon);
    for file in ["memory.json", "history.jsonl"] {
        let bytes = fs::read(state.join(file)).unwrap();
        fs::write(state.join(file), &bytes[..bytes.len() / 2]).unwrap();
    }
    fs::write(state.join("memory.new"), "{").unwrap();
    host.engine.revive();
    let _daemon = host.programs.daemon(&host.log("again.log"));
    host.converges();
    assert_eq!(host.ids(), ids, "what was lost is no reason to replace anybody");
    let history = host.programs.agentctl(&["history", "--json"]);
    let entries: Vec<Value> = serde_json::from_slice(&history.stdout).unwrap();
    assert!(!entries.is_empty(), "what was not torn is still known");
}

/// A clock that was ahead has written moments that are years away.
fn the_clock_was_ahead(host: &Host) {
    let daemon = host.programs.daemon(&host.log("ahead.log"));
    host.converges();
    drop(daemon);
    let path = host.log("state").join("memory.json");
    let mut memory: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let years_away = 4_000_000_000_000_i64;
    let web = &mut memory["stacks"]["web"];
    web["backoff"]["app"] = json!({ "failures": 9, "until": years_away, "error": "no such image" });
    web["restart"] = json!({ "service": "far", "at": years_away, "by": "uid 0" });
    fs::write(&path, memory.to_string()).unwrap();
    host.engine.docker_prints(&["kill", "web-app-1"]);
    let _daemon = host.programs.daemon(&host.log("corrected.log"));
    host.converges();
}
