//! Is each cause told from what it is told by?

use std::sync::Arc;

use super::*;
use crate::{
    backoff::Backoff,
    container::ContainerSpec,
    desired::Inputs,
    observed::{ComposeLabels, ContainerState},
};

fn container(state: ContainerState) -> ObservedContainer {
    ObservedContainer {
        id: "c1".into(),
        name: "p-web-1".into(),
        labels: ComposeLabels::default(),
        state,
        spec: ContainerSpec { image: "ghcr.io/containrrr/watchtower:1".into(), ..ContainerSpec::default() },
        image_id: "i".into(),
        attached: BTreeMap::new(),
        anonymous_volumes: BTreeMap::new(),
        created_at: Time(0),
    }
}

fn desired() -> Desired {
    Desired {
        stack: "p".into(),
        project_name: "p".into(),
        host: "h".into(),
        generation: "/two".into(),
        project: Arc::default(),
        services: BTreeMap::new(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        inputs: Inputs::default(),
        places: BTreeMap::new(),
    }
}

fn drift(kind: DriftKind, field: &str) -> Drift {
    let id = (kind != DriftKind::Missing).then(|| "c1".into());
    Drift {
        subject: Subject::Service { service: "web".into(), number: Some(1), container: None, id },
        kind,
        field: field.into(),
        want: "p-web-1".into(),
        have: String::new(),
        place: Some("compose.yaml:3:5".into()),
        cause: None,
    }
}

fn heard(kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) -> Heard {
    let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Heard { at: Time(3_723_000), kind: kind.into(), action: action.into(), id: id.into(), attributes }
}

/// The cause of one difference after these events, in the generation of the last pass.
fn cause(drift: &Drift, state: ContainerState, events: Vec<Heard>) -> String {
    let observed = Observed { containers: vec![container(state).into()], ..Observed::default() };
    let memory = StackMemory { generation: Some("/two".into()), ..StackMemory::default() };
    let happened = Happened { events, away: Vec::new() };
    let desired = desired();
    let context = Context { desired: &desired, observed: &observed, memory: &memory, happened: &happened };
    context.cause(drift).unwrap_or_default()
}

#[test]
fn an_outside_action_is_named_with_its_time() {
    let exited = ContainerState { status: RunState::Exited, exit_code: 137, ..ContainerState::default() };
    let kill = heard("container", "kill", "c1", &[("signal", "9"), ("name", "p-web-1")]);
    let stopped = drift(DriftKind::Stopped, "");
    assert_eq!(
        cause(&stopped, exited.clone(), vec![kill.clone()]),
        "outside action: container kill (signal 9) at 1970-01-01T01:02:03Z"
    );
    assert_eq!(cause(&stopped, exited.clone(), Vec::new()), "it was ended by signal 9");
    let of_another = heard("container", "kill", "c2", &[]);
    assert_eq!(cause(&stopped, exited, vec![of_another]), "it was ended by signal 9");
    let own = ContainerState { status: RunState::Exited, exit_code: 3, ..ContainerState::default() };
    assert_eq!(cause(&stopped, own.clone(), Vec::new()), "it ended by itself with status 3");
    assert_eq!(cause(&stopped, ContainerState { oom_killed: true, ..own }, vec![kill]), "memory ran out");
    let gone = heard("container", "destroy", "c1", &[("name", "p-web-1")]);
    let missing = cause(&drift(DriftKind::Missing, ""), ContainerState::default(), vec![gone]);
    assert!(missing.starts_with("outside action: container destroy at"), "{missing}");
    let left = heard("network", "disconnect", "n1", &[("container", "c1")]);
    let altered =
        cause(&drift(DriftKind::Altered, "networks.p_default"), ContainerState::default(), vec![left]);
    assert!(altered.starts_with("outside action: network disconnect at"), "{altered}");
}

#[test]
fn a_new_generation_an_absent_engine_and_a_failure_of_its_own_are_told() {
    let desired = desired();
    let ended = ContainerState {
        status: RunState::Exited,
        finished_at: Some(Time(99_000)),
        ..ContainerState::default()
    };
    let observed = Observed { containers: vec![container(ended).into()], ..Observed::default() };
    let mut memory = StackMemory { generation: Some("/one".into()), ..StackMemory::default() };
    let happened = Happened { events: Vec::new(), away: vec![(Time(100_000), Time(105_000))] };
    let ask = |memory: &StackMemory, drift: &Drift| {
        let context = Context { desired: &desired, observed: &observed, memory, happened: &happened };
        context.cause(drift).unwrap_or_default()
    };
    let altered = drift(DriftKind::Altered, "environment.TZ");
    assert_eq!(ask(&memory, &altered), "generation /one → /two, compose.yaml:3:5");
    let stopped = drift(DriftKind::Stopped, "");
    assert_eq!(ask(&memory, &stopped), "the Engine was away and came back at 1970-01-01T00:01:45Z");
    let failed = Backoff { failures: 1, until: Time(0), error: "port taken".into() };
    memory.backoff.insert("web".into(), failed);
    assert_eq!(ask(&memory, &stopped), "the agent's last try failed: port taken");
}

#[test]
fn a_cause_stays_while_its_difference_is_open_and_a_contest_names_the_other_party() {
    let running = ContainerState { status: RunState::Running, ..ContainerState::default() };
    let mut made = container(running);
    made.labels.owner.project = Some("p".into());
    let observed = Observed { containers: vec![made.into()], ..Observed::default() };
    let mut known = drift(DriftKind::Altered, "labels.x");
    known.cause = Some("as it was found".into());
    let open = crate::status::OpenDrift { drift: known, since: Time(0), verdict: String::new() };
    let memory = StackMemory { open: vec![open], ..StackMemory::default() };
    let refused = Verdict::Refuse(crate::contest::words(8));
    let finding = crate::step::Finding { drift: drift(DriftKind::Altered, "labels.x"), verdict: refused };
    let mut plan = Plan { findings: vec![finding], ..Plan::default() };
    annotate(&mut plan, &desired(), &observed, &memory, &Happened::default());
    assert_eq!(plan.findings[0].drift.cause.as_deref(), Some("as it was found"));
    let Verdict::Refuse(why) = &plan.findings[0].verdict else { panic!("it is refused") };
    let parties = "Docker Compose has made p-web-1; the other party may be Watchtower (container p-web-1)";
    assert!(why.ends_with(parties), "{why}");
}

/// The Engine's state is seen a moment before its event is heard.
#[test]
fn an_event_that_is_to_come_is_waited_for_and_what_it_tells_replaces_what_was_told_without_it() {
    let killed = ContainerState { status: RunState::Exited, exit_code: 137, ..ContainerState::default() };
    let observed = Observed { containers: vec![container(killed).into()], ..Observed::default() };
    let finding = |kind| crate::step::Finding { drift: drift(kind, ""), verdict: Verdict::Act(Vec::new()) };
    let plan = |kind| Plan { findings: vec![finding(kind)], ..Plan::default() };
    let event = |action: &str| heard("container", action, "c1", &[("signal", "9"), ("name", "p-web-1")]);
    let happened = |events| Happened { events, away: Vec::new() };
    let none = happened(Vec::new());
    let died = happened(vec![event("kill"), event("die")]);
    let mut memory = StackMemory { generation: Some("/two".into()), ..StackMemory::default() };
    let awaited = |kind, memory: &StackMemory, all: &Happened| {
        is_awaited(&plan(kind), &desired(), &observed, memory, all)
    };
    assert!(awaited(DriftKind::Stopped, &memory, &none), "that it has ended is heard of, too");
    assert!(!awaited(DriftKind::Stopped, &memory, &died));
    assert!(awaited(DriftKind::Paused, &memory, &none) && !awaited(DriftKind::Unhealthy, &memory, &none));

    let told = |memory: &StackMemory, all: &Happened| {
        let mut plan = plan(DriftKind::Stopped);
        annotate(&mut plan, &desired(), &observed, memory, all);
        plan.findings.remove(0).drift
    };
    let makeshift = told(&memory, &none);
    assert_eq!(makeshift.cause.as_deref(), Some("it was ended by signal 9"));
    memory.open = vec![crate::status::OpenDrift { drift: makeshift, since: Time(0), verdict: String::new() }];
    assert!(!awaited(DriftKind::Stopped, &memory, &none), "only what is new is worth a wait");
    let cause = told(&memory, &died).cause.expect("it was heard");
    assert!(cause.starts_with("outside action: container kill (signal 9) at"), "{cause}");

    memory.open[0].drift = drift(DriftKind::Missing, "");
    let gone = happened(vec![event("destroy")]);
    complete(&mut memory, &Plan::default(), &desired(), &observed, &gone);
    let cause = memory.open[0].drift.cause.as_deref().unwrap_or_default();
    assert!(
        cause.starts_with("outside action: container destroy"),
        "what is over is explained, too: {cause}"
    );
}
