//! How does a declaration that changed reach its containers: in which order, how many at a time, and what if it fails?

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tests::Lab;

const WAYS: &str = "
name: p
x-agent: {update: {monitor: 1s}}
services:
  web: {image: 'standin:1', environment: {COLOUR: green}}
  checked: {image: 'standin:checked', environment: {COLOUR: green}}
  bound: {image: 'standin:1', ports: ['8080:80'], environment: {COLOUR: green}}
  data: {image: 'standin:1', volumes: ['data:/d'], environment: {COLOUR: green}}
volumes: {data: {}}
";

/// How many containers of a service ran at least since a moment, where one ran then.
fn fewest(lab: &Lab, since: &str, service: &str) -> i32 {
    let (mut running, mut fewest) = (1, 1);
    for event in lab.engine.happened(since).iter().filter(|event| event.contains(&format!("p-{service}-1"))) {
        running += match event.split(' ').next() {
            Some("start") => 1,
            Some("die") => -1,
            _ => 0,
        };
        fewest = fewest.min(running);
    }
    fewest
}

#[test]
fn what_two_may_do_at_a_time_is_never_without_one_that_runs() {
    let lab = Lab::default();
    lab.declare("one", "p", WAYS);
    let _daemon = lab.programs.daemon(&lab.engine.folder().join("daemon.log"));
    lab.settles("p", "one");

    lab.profile.write("two", "p", "compose.yaml", &WAYS.replace("green", "blue"));
    let next = lab.profile.link().with_file_name("two").display().to_string();
    let plan = lab.programs.agentctl(&["plan", "--profile", &next]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    for (service, why) in [
        ("web", "start-first: no host port, name, address, device or shared data stands against it"),
        ("checked", "start-first: no host port"),
        ("bound", "stop-first: it publishes 8080"),
        ("data", "stop-first: it writes to p_data at /d"),
    ] {
        let mut lines = plan.lines().skip_while(|line| !line.contains(&format!("_p-{service}-1")));
        let cause = lines.nth(1).unwrap_or_default();
        assert!(cause.contains("environment.COLOUR is green") && cause.contains(why), "{service}: {plan}");
    }

    let since = lab.engine.clock();
    let before = ["web", "checked", "bound", "data"].map(|name| lab.engine.id_of(&format!("p-{name}-1")));
    lab.profile.switch("two");
    lab.settles("p", "two");
    let after = ["web", "checked", "bound", "data"].map(|name| lab.engine.id_of(&format!("p-{name}-1")));
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "all are replaced");
    assert_eq!(lab.engine.docker_prints(&["ps", "-aq"]).lines().count(), 4, "and nothing is left over");
    let fewest = ["web", "checked", "bound", "data"].map(|name| fewest(&lab, &since, name));
    assert_eq!(fewest, [1, 1, 0, 0], "{:#?}", lab.engine.happened(&since));
}

const PLACES: &str = "
name: p
services:
  turn: {image: 'standin:1', environment: {COLOUR: green}, deploy: {replicas: 3, update_config: {parallelism: 1, delay: 2s, monitor: 1s, order: stop-first}}}
  back: {image: 'standin:1', environment: {COLOUR: green}, deploy: {replicas: 2, update_config: {parallelism: 1, monitor: 1s, order: stop-first, failure_action: rollback}}}
  halt: {image: 'standin:1', environment: {COLOUR: green}, deploy: {replicas: 2, update_config: {parallelism: 1, monitor: 1s, order: stop-first, failure_action: pause}}}
  on: {image: 'standin:1', environment: {COLOUR: green}, deploy: {replicas: 2, update_config: {parallelism: 1, monitor: 1s, order: stop-first, failure_action: continue}}}
";

/// The containers of a service's places, by name.
fn places(lab: &Lab, service: &str) -> BTreeMap<String, String> {
    let label = format!("label=com.docker.compose.service={service}");
    let all = lab.engine.docker_prints(&["ps", "-a", "--format", "{{.Names}} {{.ID}}", "--filter", &label]);
    let named = all.lines().filter_map(|line| line.split_once(' '));
    named.map(|(name, id)| (name.to_owned(), id.to_owned())).collect()
}

#[test]
fn places_are_renewed_in_turn_and_one_that_fails_decides_for_the_others() {
    let lab = Lab::default();
    lab.declare("one", "p", PLACES);
    let _daemon = lab.programs.daemon(&lab.engine.folder().join("daemon.log"));
    lab.settles("p", "one");
    let services = ["turn", "back", "halt", "on"];
    let before = services.map(|service| places(&lab, service));

    // The first service is renewed; the others cannot be: their new containers end at once.
    let mut lines: Vec<String> = PLACES.lines().map(str::to_owned).collect();
    for line in &mut lines {
        let next = if line.contains(" turn:") { "COLOUR: blue" } else { "STANDIN_EXIT: '3'" };
        *line = line.replace("COLOUR: green", next);
    }
    let since = lab.engine.clock();
    lab.declare("two", "p", &lines.join("\n"));
    lab.programs.wait_until("every service has come to its end", || {
        let [turn, back, halt, on] = services.map(|service| places(&lab, service));
        let renewed = |now: &BTreeMap<String, String>, before: &BTreeMap<String, String>| {
            before.iter().filter(|(name, id)| now.get(*name).is_some_and(|now| now != *id)).count()
        };
        (turn.len(), renewed(&turn, &before[0])) == (3, 3)
            && back == before[1]
            && (halt.len(), renewed(&halt, &before[2])) == (3, 1)
            && (on.len(), renewed(&on, &before[3])) == (4, 2)
            && lab.stack("p")["phase"] == "failed"
    });

    let events = lab.engine.happened(&since);
    let away = |service: &str| {
        let of_service = events.iter().filter(|event| event.contains(&format!("p-{service}-")));
        let (mut away, mut most) = (0, 0);
        for event in of_service {
            away += match event.split(' ').next() {
                Some("die") => 1,
                Some("start") => -1,
                _ => 0,
            };
            most = most.max(away);
        }
        most
    };
    assert_eq!(away("turn"), 1, "one at a time: {events:#?}");
    assert!(events.iter().any(|event| event.contains("start p-back-")), "it was tried, too: {events:#?}");
    let names = ["p-turn-1", "p-turn-2", "p-turn-3"];
    let created = lab.engine.docker_prints(&[&["inspect", "--format", "{{.Created}}"][..], &names].concat());
    let mut created: Vec<Timestamp> = created.lines().map(|at| at.parse().unwrap()).collect();
    created.sort();
    for pair in created.windows(2) {
        let pause = pair[1].duration_since(pair[0]);
        assert!(pause >= SignedDuration::from_secs(2), "delay is 2 s: {created:?}");
    }
}
