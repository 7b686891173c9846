//! Is every sort of difference found, said once, shown, put right or left as policy says, and gone in the end?
//!
//! One Engine and one daemon for all of them, a stack each. Each stack is held before it is interfered with: what differs
//! then stays to be looked at, and is put right once the stack is released. The daemon looks at nothing by itself within the
//! time of the test: what is found is found by an event. Then it is made to look at everything, again and again, so that
//! whatever were said again would be.

mod lab;
mod scenes;

use std::{collections::BTreeSet, fs, time::SystemTime};

use lab::{Lab, catalogued};
use scenes::{End, SCENES, Scene};

/// Made to happen by other tests: a hold is one (`operator.rs`), an updater needs a world of its own (`updater.rs`).
const ELSEWHERE: [&str; 2] = ["not-acted-on", "updated"];

#[test]
fn every_kind_is_made_to_happen() {
    let scenes = SCENES.iter().map(|scene| scene.kind);
    let kinds: BTreeSet<&str> = scenes.chain(ELSEWHERE).collect();
    assert_eq!(kinds, catalogued().into_keys().collect());
}

#[test]
fn every_kind_is_found_said_once_shown_put_right_and_gone() {
    let lab = Lab::new(SCENES);
    let scenes: Vec<&Scene> = SCENES.iter().filter(|scene| (scene.applies)(&lab)).collect();
    lab.programs.wait_for("converged", || true);
    for scene in &scenes {
        assert!(lab.agentctl(&["hold", scene.stack, "--reason", "a look"]), "{}", scene.stack);
    }
    lab.wait("held", |lab| scenes.iter().all(|scene| lab.phase(scene.stack) == "held"));
    let marks: Vec<usize> = scenes.iter().map(|scene| lab.history(scene.stack).len()).collect();
    let journal = lab.journal_length();

    let mut moments = Vec::new();
    for scene in &scenes {
        (scene.happen)(&lab, scene.stack);
        moments.push(now());
    }
    for scene in &scenes {
        lab.wait(&format!("found: {} in {}", scene.kind, scene.stack), |lab| lab.open(scene).is_some());
        let open = lab.open(scene).unwrap();
        let held = open["verdict"].as_str().unwrap().contains("held by");
        assert_eq!(held, matches!(scene.end, End::Corrected), "{}: {open:#}", scene.stack);
        lab.wait(&format!("{} is explained by {:?}", scene.stack, scene.cause), |lab| {
            lab.open(scene)
                .is_some_and(|open| open["cause"].as_str().unwrap_or_default().contains(scene.cause))
        });
        let why = lab.prints(&["why", scene.stack]);
        assert!(why.contains(&format!(" {}", scene.kind)), "{}: {why}", scene.stack);
    }
    lab.check_schema();
    check_speed(&lab, &scenes, &marks, &moments);
    lab.look_again();
    lab.look_again();

    for scene in &scenes {
        assert!(lab.agentctl(&["release", scene.stack]), "{}", scene.stack);
    }
    for scene in &scenes {
        if let End::Undone(undo) = scene.end {
            lab.wait(&format!("{} is said not to be put right", scene.stack), |lab| {
                lab.open(scene).is_some_and(|open| !open["verdict"].as_str().unwrap().contains("held"))
            });
            undo(&lab, scene.stack);
        }
    }
    for (scene, mark) in scenes.iter().zip(marks) {
        lab.wait(&format!("{} is as declared again", scene.stack), |lab| {
            lab.open(scene).is_none() && lab.phase(scene.stack) == "converged"
        });
        check_history(&lab, scene, mark);
        assert_eq!(lab.journalled(journal, scene.stack, scene.kind, scene.field), 1, "{}", scene.stack);
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

/// Found within a second of what made it, where the machine has a processor for whoever wants one.
#[expect(clippy::print_stderr, reason = "what was measured")]
fn check_speed(lab: &Lab, scenes: &[&Scene], marks: &[usize], moments: &[i64]) {
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let crowd = (load / f64::from(u32::try_from(processors).unwrap())).max(1.0);
    let mut late: Vec<i64> = Vec::new();
    for ((scene, mark), moment) in scenes.iter().zip(marks).zip(moments) {
        let entries = lab.history(scene.stack).split_off(*mark);
        let found = entries.iter().find(|entry| scene.is_about(&entry["drift"])).unwrap();
        late.push((found["at"].as_i64().unwrap() - moment).max(0));
        eprintln!("{:>6} ms  {} ({})", late[late.len() - 1], scene.kind, scene.stack);
    }
    late.sort_unstable();
    // What a container does by itself takes its time: a loop of restarts, a health check.
    let most = late[late.len() * 8 / 10];
    assert!((most as f64) < 1000.0 * crowd, "four of five took up to {most} ms, at a load of {load}");
}

/// One entry when it was found, one when it was over.
fn check_history(lab: &Lab, scene: &Scene, mark: usize) {
    let entries = lab.history(scene.stack).split_off(mark);
    let about = |entry: &&serde_json::Value| {
        // A cause that came late is another thing to say.
        scene.is_about(&entry["drift"]) && entry["event"] != "explained"
    };
    let events: Vec<&str> =
        entries.iter().filter(about).map(|entry| entry["event"].as_str().unwrap()).collect();
    let end = match scene.end {
        End::Corrected => "corrected",
        End::Undone(_) => "gone",
    };
    let begin = if scene.is_noted() { "note" } else { "found" };
    assert_eq!(events, [begin, end], "{}: {entries:#?}", scene.stack);
}

/// What is only to be reported is found once and stays; what is ignored is not mentioned; a look more says nothing more.
#[test]
fn policy_decides_what_is_put_right() {
    let mut lab = Lab::new(&[]);
    let plain = "services: {app: {image: 'standin:1'}}\n";
    lab.profile.write("one", "report", "compose.yaml", &format!("x-agent: {{drift: report}}\n{plain}"));
    let one_kind = "x-agent: {drift: {kinds: {paused: report}}}\n";
    lab.profile.write("one", "kind", "compose.yaml", &format!("{one_kind}{plain}"));
    let one_field = "x-agent: {drift: {ignore: [restart]}}\n";
    lab.profile.write("one", "ignore", "compose.yaml", &format!("{one_field}{plain}"));
    lab.profile.switch("one");
    lab.wait("made", |lab| ["kind", "ignore"].iter().all(|stack| lab.phase(stack) == "converged"));
    lab.wait("only reported", |lab| lab.phase("report") == "drifted");
    assert!(lab.engine.id_of("report-app-1").is_empty(), "what is only to be reported is not made either");

    lab.docker(&["pause", "kind-app-1"]);
    lab.docker(&["update", "--restart=always", "ignore-app-1"]);
    lab.wait("paused is found", |lab| lab.phase("kind") == "drifted");
    lab.docker(&["stop", "ignore-app-1"]);
    lab.wait("another kind of the same stack is put right", |lab| {
        lab.running("ignore-app-1") && lab.phase("ignore") == "converged"
    });
    lab.docker(&["unpause", "kind-app-1"]);
    lab.wait("gone", |lab| lab.phase("kind") == "converged");
    let events = |stack: &str, kind: &str| -> Vec<String> {
        let entries = lab.history(stack).into_iter().filter(|entry| entry["drift"]["kind"] == kind);
        entries.map(|entry| entry["event"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(events("kind", "paused"), ["found", "gone"]);
    assert_eq!(events("report", "missing").iter().filter(|event| *event == "found").count(), 2);
    assert_eq!(events("ignore", "altered"), Vec::<String>::new());
    lab.check_causes_across_generations_and_engines();
}
