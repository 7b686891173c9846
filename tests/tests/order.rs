//! In which order do containers start, end and go, and which of them are touched at all?

use tests::Lab;

/// Where in a list of events one is.
fn at(events: &[String], event: &str) -> usize {
    let found = events.iter().position(|found| found == event);
    found.unwrap_or_else(|| panic!("{event} did not happen: {events:#?}"))
}

const CONDITIONS: &str = "
name: p
x-agent: {update: {monitor: 1s}}
services:
  web:
    image: standin:1
    depends_on:
      plain: {condition: service_started}
      db: {condition: service_healthy, restart: true}
      job: {condition: service_completed_successfully}
      absent: {condition: service_started, required: false}
  absent: {image: 'standin:1', profiles: [never]}
  plain: {image: 'standin:1'}
  db: {image: 'standin:checked', environment: {COLOUR: green}}
  job: {image: 'standin:1', environment: {STANDIN_EXIT: '0', COLOUR: green}}
  once: {image: 'standin:1', restart: 'no', environment: {STANDIN_EXIT: '3'}}
  tried: {image: 'standin:1', restart: on-failure, environment: {STANDIN_EXIT: '0'}}
";

#[test]
fn conditions_hold_before_a_start_and_one_shots_run_once() {
    let lab = Lab::default();
    let since = lab.engine.clock();
    lab.declare("one", "p", CONDITIONS);
    let _daemon = lab.programs.daemon(&lab.engine.folder().join("daemon.log"));
    lab.programs.wait_until("web runs", || lab.running("p-web-1"));
    let events = lab.engine.happened(&since);
    let web = at(&events, "start p-web-1");
    assert!(at(&events, "start p-plain-1") < web, "{events:#?}");
    assert!(at(&events, "health_status: healthy p-db-1") < web, "{events:#?}");
    assert!(at(&events, "die p-job-1") < web, "{events:#?}");

    // What has ended as it was meant to is left, also by further passes.
    let jobs = ["job", "once", "tried"];
    let runs = |since: &str| {
        let events = lab.engine.happened(since);
        jobs.map(|job| events.iter().filter(|event| **event == format!("start p-{job}-1")).count())
    };
    for _ in 0..3 {
        lab.programs.agentctl(&["reconcile", "p"]);
    }
    assert_eq!(runs(&since), [1, 1, 1]);

    // Other inputs: the job runs again; a dependency that is made anew takes its dependant along.
    let again = lab.engine.clock();
    let web = lab.engine.id_of("p-web-1");
    lab.declare("two", "p", &CONDITIONS.replace("COLOUR: green", "COLOUR: blue"));
    lab.programs.wait_until("the dependant is restarted", || {
        lab.engine.happened(&again).iter().any(|event| event == "restart p-web-1")
    });
    assert_eq!((runs(&again)[1..].to_vec(), lab.engine.id_of("p-web-1")), (vec![0, 0], web));
    lab.programs.wait_until("the job runs again", || {
        lab.engine.docker_prints(&["inspect", "-f", "{{.Config.Env}}", "p-job-1"]).contains("blue")
    });
}

#[test]
fn a_stack_shrinks_and_goes_from_its_end_and_touches_nobody_else() {
    let lab = Lab::default();
    let stack = |scale: u32, more: &str| {
        format!(
            "services:
  db: {{image: 'standin:1', volumes: ['data:/d'], stop_grace_period: 1s}}
  web: {{image: 'standin:1', scale: {scale}, depends_on: [db], stop_grace_period: 1s}}
{more}volumes: {{data: {{}}}}\n"
        )
    };
    let side = "  side: {image: 'standin:1', network_mode: 'service:db', stop_grace_period: 1s}\n";
    lab.engine.docker_prints(&["run", "-d", "--name", "stranger", "standin:1"]);
    lab.profile.write("three", "other", "compose.yaml", "services: {a: {image: 'standin:1'}}\n");
    lab.declare("three", "p", &stack(3, side));
    let _daemon = lab.programs.daemon(&lab.engine.folder().join("daemon.log"));
    lab.settles("p", "three");
    let names = || {
        let names = lab.engine.docker_prints(&["ps", "--format", "{{.Names}}"]);
        let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(), ["other-a-1", "p-db-1", "p-side-1", "p-web-1", "p-web-2", "p-web-3", "stranger"]);
    assert_eq!(lab.engine.network_of("p-side-1"), lab.engine.network_of("p-db-1"));

    // One fewer, and one that is not declared any more; the rest are the same containers.
    let kept = ["p-db-1", "p-web-1", "p-web-2"].map(|name| lab.engine.id_of(name));
    lab.profile.write("two", "other", "compose.yaml", "services: {a: {image: 'standin:1'}}\n");
    lab.declare("two", "p", &stack(2, ""));
    lab.settles("p", "two");
    assert_eq!(names(), ["other-a-1", "p-db-1", "p-web-1", "p-web-2", "stranger"]);
    assert_eq!(["p-db-1", "p-web-1", "p-web-2"].map(|name| lab.engine.id_of(name)), kept);

    // The whole stack: its volume stays, and everybody else.
    lab.profile.write("gone", "other", "compose.yaml", "services: {a: {image: 'standin:1'}}\n");
    lab.profile.switch("gone");
    lab.programs.wait_until("the stack is gone", || names() == ["other-a-1", "stranger"]);
    assert_eq!(lab.engine.docker_prints(&["volume", "ls", "-q"]), "p_data");
}
