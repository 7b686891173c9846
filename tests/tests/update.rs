//! How does a declaration that changed reach its containers: in which order, how many at a time, and what if it fails?

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
