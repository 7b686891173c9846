//! After all sorts of interference, for as long as one likes: is everything as declared, was each interference reported
//! once, and does an idle daemon do nothing?
//!
//! Rounds of seeded random acts, each on another service, sometimes two on the same one: what the agent has not seen yet is
//! folded into one report with what it finds. `COMPOSE_AGENT_SOAK=3600` goes on for an hour, `COMPOSE_AGENT_SOAK_SEED=N` does
//! the same again.

use std::{
    collections::BTreeMap,
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Daemon, Engine, PATIENCE, Profile, Programs};

const STACKS: [&str; 3] = ["one", "two", "three"];
const SERVICES: [&str; 3] = ["app", "store", "side"];

/// One sort of interference.
struct Act {
    name: &'static str,
    /// What it is found as.
    kind: &'static str,
    /// What it may be seen as on its way there.
    also: &'static [&'static str],
    act: fn(&Soak, &str, &str),
}

static ACTS: [Act; 8] = [
    Act {
        name: "kill",
        kind: "stopped",
        also: &[],
        act: |soak, stack, service| soak.docker(&["kill"], stack, service),
    },
    Act {
        name: "stop",
        kind: "stopped",
        also: &[],
        act: |soak, stack, service| soak.docker(&["stop"], stack, service),
    },
    // It ends before it goes.
    Act {
        name: "rm",
        kind: "missing",
        also: &["stopped"],
        act: |soak, stack, service| soak.docker(&["rm", "-f"], stack, service),
    },
    Act {
        name: "pause",
        kind: "paused",
        also: &[],
        act: |soak, stack, service| soak.docker(&["pause"], stack, service),
    },
    Act {
        name: "update",
        kind: "altered",
        also: &[],
        act: |soak, stack, service| soak.docker(&["update", "--restart=no"], stack, service),
    },
    Act {
        name: "disconnect",
        kind: "altered",
        also: &[],
        act: |soak, stack, service| {
            let network = format!("{stack}_default");
            soak.docker(&["network", "disconnect", &network], stack, service);
        },
    },
    Act {
        name: "retag",
        kind: "image",
        also: &[],
        act: |soak, stack, service| {
            let image = image(stack, service);
            let id =
                |name: &str| soak.engine.docker_prints(&["image", "inspect", "--format", "{{.Id}}", name]);
            let next = if id(&image) == id("standin:1") { "standin:2" } else { "standin:1" };
            soak.engine.docker_prints(&["tag", next, &image]);
        },
    },
    Act {
        name: "edit",
        kind: "side-file",
        also: &[],
        act: |soak, stack, service| {
            let folder = soak.profile.link().join("etc/compose-agent").join(stack);
            let file = folder.join(format!("{service}.conf"));
            let text = fs::read_to_string(&file).unwrap() + "more\n";
            fs::write(file, text).unwrap();
            // There is no event for it: this is what the next resync would do.
            assert!(soak.programs.agentctl(&["reconcile", stack]).status.success());
        },
    },
];

impl Act {
    fn replaces(&self) -> bool {
        matches!(self.name, "retag" | "edit")
    }
}

fn image(stack: &str, service: &str) -> String {
    format!("soak-{stack}-{service}:1")
}

struct Soak {
    engine: Engine,
    profile: Profile,
    programs: Programs,
    daemon: Daemon,
    random: u64,
    /// How often each difference was made since its stack's agent last forgot what it had corrected.
    made: BTreeMap<(String, String, &'static str), u32>,
}

impl Soak {
    fn new(seed: u64) -> Self {
        let names: Vec<String> = STACKS
            .iter()
            .flat_map(|stack| SERVICES.iter().map(move |service| image(stack, service)))
            .collect();
        let engine = Engine::start(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let archive = engine.folder().join("root.tar").display().to_string();
        let entrypoint = "--change=ENTRYPOINT [\"/bin/standin\"]";
        engine.docker_prints(&[
            "import",
            entrypoint,
            "--change=ENV PATH=/bin",
            "--change=LABEL second=1",
            &archive,
            "standin:2",
        ]);
        let profile = Profile::new(engine.folder());
        for stack in STACKS {
            let mut spec = "services:\n".to_owned();
            for (nth, service) in SERVICES.iter().enumerate() {
                let needs =
                    if nth == 0 { String::new() } else { format!(", depends_on: [{}]", SERVICES[nth - 1]) };
                spec += &format!(
                    "  {service}: {{image: '{}', restart: always, volumes: ['./{service}.conf:/conf:ro']{needs}, deploy: {{update_config: {{monitor: 1s}}}}}}\n",
                    image(stack, service)
                );
                profile.write("one", stack, &format!("{service}.conf"), "first\n");
            }
            profile.write("one", stack, "compose.yaml", &spec);
        }
        profile.switch("one");
        let programs = Programs::new(&engine, &profile);
        let daemon = programs.daemon(&engine.folder().join("daemon.log"));
        programs.wait_for("converged", || true);
        Self { engine, profile, programs, daemon, random: seed, made: BTreeMap::new() }
    }

    /// What has just gone away by another act needs no interference.
    fn docker(&self, arguments: &[&str], stack: &str, service: &str) {
        let container = format!("{stack}-{service}-1");
        self.engine.docker(&[arguments, &[container.as_str()]].concat());
    }

    fn pick(&mut self, below: usize) -> usize {
        // Knuth's MMIX generator; its high bits are good enough to choose by.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.random >> 33) % below as u64).unwrap()
    }

    fn history(&self, stack: &str) -> Vec<Value> {
        let output = self.programs.agentctl(&["history", stack, "-n", "10000", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Interferes with some services, waits for the agent, and counts what it has said.
    fn round(&mut self) -> usize {
        let marks: BTreeMap<&str, i64> = STACKS.map(|stack| (stack, last(&self.history(stack)))).into();
        let mut done: BTreeMap<(&str, &str), Vec<&Act>> = BTreeMap::new();
        for _ in 0..1 + self.pick(4) {
            let (stack, service) = (STACKS[self.pick(3)], SERVICES[self.pick(3)]);
            let act = &ACTS[self.pick(ACTS.len())];
            // What hits a container while it is being replaced is the business of the tests of replacing.
            let before = done.get(&(stack, service));
            if before.is_some_and(|before| act.replaces() || before.iter().any(|act| act.replaces())) {
                continue;
            }
            self.rest(stack, service, act);
            (act.act)(self, stack, service);
            done.entry((stack, service)).or_default().push(act);
        }
        self.settle();
        for ((stack, service), acts) in &done {
            let found = found(&self.history(stack), service, marks[stack]);
            check(
                &acts.iter().map(|act| act.name).collect::<Vec<_>>(),
                acts,
                &found,
                &format!("{stack}/{service}"),
            );
        }
        done.values().map(Vec::len).sum()
    }

    /// The agent spaces out what keeps coming back; an operator's word makes it forget.
    fn rest(&mut self, stack: &str, service: &str, act: &Act) {
        let made = self.made.entry((stack.to_owned(), service.to_owned(), act.kind)).or_default();
        *made += 1;
        if *made >= 3 {
            assert!(self.programs.agentctl(&["reconcile", stack]).status.success());
            self.made.retain(|(of, ..), _| of != stack);
        }
    }

    /// Waits until a pass that began after now finds nothing to do.
    fn settle(&self) {
        let began = Instant::now();
        loop {
            let output = self.programs.agentctl(&["reconcile", "--wait", "--timeout", "30s"]);
            let up = self.engine.docker_prints(&["ps", "-q", "--filter", "status=running"]).lines().count();
            if output.status.success() && up == STACKS.len() * SERVICES.len() {
                return;
            }
            assert!(began.elapsed() < PATIENCE * 2, "{up} run: {:#}", self.programs.status());
            sleep(Duration::from_millis(100));
        }
    }

    /// Clock ticks that the daemon has used.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.daemon.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

/// When the last entry was made.
fn last(entries: &[Value]) -> i64 {
    entries.last().and_then(|entry| entry["at"].as_i64()).unwrap_or(0)
}

/// The kinds that were found of a service after a moment, with their fields.
fn found(entries: &[Value], service: &str, after: i64) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .filter(|entry| entry["event"] == "found" && entry["at"].as_i64() > Some(after))
        .filter(|entry| entry["drift"]["subject"]["service"] == service)
        .map(|entry| (text(&entry["drift"]["kind"]), text(&entry["drift"]["field"])))
        .collect()
}

/// One act on a service is found once, as what it is. Of several, each at most once, and at least one.
fn check(names: &[&str], acts: &[&Act], found: &[(String, String)], of: &str) {
    let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    let count = |kind: &str| kinds.iter().filter(|found| **found == kind).count();
    let expected = |kind: &&str| acts.iter().any(|act| act.kind == *kind || act.also.contains(kind));
    assert!(kinds.iter().all(expected), "{of}: {names:?} was found as {found:?}");
    if let [act] = acts {
        let seen = count(act.kind) + act.also.iter().map(|kind| count(kind)).sum::<usize>();
        let most = 1 + act.also.len();
        assert!(count(act.kind) <= 1 && (1..=most).contains(&seen), "{of}: {names:?} was found as {found:?}");
    } else {
        for kind in &kinds {
            let acts = acts.iter().filter(|act| act.kind == *kind || act.also.contains(kind)).count();
            assert!(count(kind) <= acts, "{of}: {names:?} was found as {found:?}");
        }
        assert!(!kinds.is_empty(), "{of}: {names:?} was not found");
    }
}

#[test]
fn interference_ends_as_declared_with_each_reported_once_and_an_idle_daemon_does_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let span = Duration::from_secs(number("COMPOSE_AGENT_SOAK").unwrap_or(25));
    let mut soak = Soak::new(number("COMPOSE_AGENT_SOAK_SEED").unwrap_or(5));
    let began = Instant::now();
    let (mut rounds, mut acts) = (0, 0);
    while began.elapsed() < span {
        acts += soak.round();
        rounds += 1;
    }
    assert!(rounds > 0 && acts > 0);
    soak.programs.wait_for("converged", || true);
    // Any five seconds in which nothing happens will do: a machine may be busy with what came before.
    let began = Instant::now();
    loop {
        let before = soak.ticks();
        sleep(Duration::from_secs(5));
        let used = soak.ticks() - before;
        if used == 0 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "an idle daemon used {used} ticks in five seconds");
    }
}
