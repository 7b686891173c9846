//! How loud is the log: is too much of it held back, is nothing lost by that, and is a day summed up once?

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tests::Lab;

/// So many entries of one stack go to the log within ten minutes.
const MOST: usize = 120;
/// So many more are made.
const MORE: usize = 9;
const DAY_MS: u128 = 86_400_000;

/// The lines of the log with these words in them.
fn lines(lab: &Lab, words: &str) -> usize {
    let log = fs::read_to_string(lab.engine.folder().join("daemon.log")).unwrap();
    log.lines().filter(|line| line.contains(words)).count()
}

#[test]
fn what_is_too_much_is_held_back_from_the_log_alone_and_a_day_is_summed_up_once() {
    let lab = Lab::default();
    let log = lab.engine.folder().join("daemon.log");
    lab.profile.write("one", "web", "compose.yaml", "services: {}\n");
    lab.profile.switch("one");
    let mut daemon = lab.programs.daemon(&log);
    lab.programs.wait_until("it answers", || lab.stack("web")["phase"].is_string());
    // Every new mistake in a spec is said.
    for number in 0..MOST + MORE {
        lab.profile.write(
            "one",
            "web",
            "compose.yaml",
            &format!("services: {{a{number}: {{imagine: b}}}}\n"),
        );
        lab.programs.agentctl(&["reconcile", "web"]);
        lab.wait("web", "failed", &format!("a{number}"));
    }
    let output = lab.programs.agentctl(&["history", "web", "-n", "1000", "--json"]);
    let entries: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let failed = entries.iter().filter(|entry| entry["event"] == "failed").count();
    assert!(failed >= MOST + MORE, "the history has them all, and what was read half written: {failed}");
    let said = lines(&lab, "running containers are left as they are");
    assert!((MOST - MORE..=MOST).contains(&said), "{said} entries");
    assert_eq!(lines(&lab, "the last day"), 0);

    daemon.signal("TERM");
    assert!(daemon.ended());
    let path = lab.engine.folder().join("state/memory.json");
    let mut memory: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    memory["summed_up"] = json!(u64::try_from(now - DAY_MS).unwrap());
    fs::write(&path, memory.to_string()).unwrap();
    let _daemon = lab.programs.daemon(&log);
    lab.programs.wait_until("the day is summed up", || lines(&lab, "the last day") == 1);
    let text = fs::read_to_string(&log).unwrap();
    let (_, summary) = text.split_once("the last day: ").unwrap();
    let counted = summary.strip_prefix("0 differences found, 0 put right, 0 gone by themselves, ");
    let counted: usize = counted.unwrap().split_once(" failures").unwrap().0.parse().unwrap();
    assert!(counted >= failed, "{summary}");
    for _ in 0..3 {
        let output = lab.programs.agentctl(&["reconcile", "--wait", "--timeout", "20s"]);
        assert_eq!(output.status.code(), Some(4), "it has been looked at, and does not load");
    }
    assert_eq!(lines(&lab, "the last day"), 1, "once a day");
}
