//! Does `agentctl wait` speak of what is, and never of what was: after a kill, a switch, a restart of the Engine or of the
//! agent, a moment before?

use std::process::Child;

use tests::Lab;

const SPEC: &str = "services:
  app: {image: 'standin:1', restart: always, environment: {ROUND: '0'}}
  side: {image: 'standin:1', restart: always}
";
/// A race is tried so often.
const ROUNDS: usize = 4;

struct Waiting<'a>(&'a Lab);

impl Waiting<'_> {
    /// Waits, and answers what then runs.
    fn wait(&self, more: &[&str]) -> Vec<String> {
        let output = self.0.programs.agentctl(&[&["wait", "--timeout", "60s"], more].concat());
        assert!(output.status.success(), "{:?} {:#}", output.status, self.0.programs.status());
        self.running()
    }

    fn running(&self) -> Vec<String> {
        let listed = self.0.engine.docker_prints(&["ps", "--format", "{{.Names}}"]);
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    fn begin(&self) -> Child {
        self.0.programs.agentctl_command().args(["wait", "--timeout", "60s"]).spawn().unwrap()
    }
}

fn environment(lab: &Lab) -> String {
    lab.engine.docker_prints(&["inspect", "--format", "{{json .Config.Env}}", "web-app-1"])
}

#[test]
fn a_wait_never_ends_on_what_was() {
    let mut lab = Lab::default();
    let log = lab.engine.folder().join("daemon.log");
    for round in 0..=ROUNDS {
        let spec = SPEC.replace("'0'", &format!("'{round}'"));
        let settings = "x-agent: {update: {monitor: 100ms}}\n";
        lab.profile.write(&round.to_string(), "web", "compose.yaml", &format!("{settings}{spec}"));
    }
    lab.profile.switch("0");
    let both = ["web-app-1", "web-side-1"];

    // The agent is not there yet.
    let mut early = Waiting(&lab).begin();
    let mut daemon = lab.programs.daemon(&log);
    assert!(early.wait().unwrap().success());
    assert_eq!(Waiting(&lab).running(), both);

    for _ in 0..ROUNDS {
        lab.engine.docker_prints(&["kill", "web-app-1", "web-side-1"]);
        assert_eq!(Waiting(&lab).wait(&[]), both, "after a kill");
    }
    for _ in 0..ROUNDS {
        // The list of containers says nothing of it.
        lab.engine.docker_prints(&["update", "--restart=no", "web-app-1"]);
        Waiting(&lab).wait(&["web"]);
        let policy = ["inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", "web-app-1"];
        assert_eq!(lab.engine.docker_prints(&policy), "always", "after an update");
    }
    for round in 1..=ROUNDS {
        lab.profile.switch(&round.to_string());
        assert_eq!(Waiting(&lab).wait(&[]), both, "after a switch");
        assert!(environment(&lab).contains(&format!("ROUND={round}")), "{round}: {}", environment(&lab));
    }
    for _ in 0..2 {
        drop(daemon);
        lab.engine.docker_prints(&["kill", "web-app-1"]);
        let mut early = Waiting(&lab).begin();
        daemon = lab.programs.daemon(&log);
        assert!(early.wait().unwrap().success());
        assert_eq!(Waiting(&lab).running(), both, "after a restart of the agent");
    }
    for live in [false, true] {
        lab.engine.restart(live);
        assert_eq!(Waiting(&lab).wait(&[]), both, "after a restart of the Engine, live restore {live}");
    }
    lab.engine.kill();
    let output = lab.programs.agentctl(&["wait", "--timeout", "3s"]);
    assert_eq!(output.status.code(), Some(3), "nobody knows");
    lab.engine.revive();
    assert_eq!(Waiting(&lab).wait(&[]), both, "after a crash of the Engine");
    daemon.signal("STOP");
    let output = lab.programs.agentctl(&["wait", "--timeout", "1s"]);
    daemon.signal("CONT");
    assert_eq!(
        output.status.code(),
        Some(3),
        "a daemon that says nothing is not waited for longer than asked"
    );
}
