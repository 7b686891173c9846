//! Whole reconciliations over an Engine in memory: does every story end well, wherever it is cut short?

mod images;
mod world;

use plan::{
    container::VolumesFrom,
    decide::gone_stacks,
    desired::PlacedFile,
    devices::DeviceNeed,
    drift::DriftKind,
    memory::{Hold, Restart},
    observed::{ObservedContainer, RunState},
    status::{Phase, StackStatus, TransitionEvent},
    step::{Act, Plan, Step, StepId, Verdict},
};
use specs::Text;
use world::World;

const ONE: &str = "
name: p
services:
  web: {image: 'app:1', environment: {COLOUR: green}}
";

/// The same, stop-first.
fn bound(yaml: &str) -> String {
    yaml.replace("image:", "ports: ['8080:80'], image:")
}

fn blue(image: &str) -> String {
    ONE.replace("green", "blue").replace("app:1", image)
}

fn world() -> World {
    World::new(&["app:1", "app:2", "app:job", "app:broken", "app:crash", "app:sick"])
}

fn refusal(status: &StackStatus) -> String {
    status
        .drift
        .iter()
        .map(|open| open.verdict.clone())
        .find(|verdict| verdict.starts_with("refused"))
        .unwrap_or_default()
}

#[test]
fn a_cold_start_converges_and_then_there_is_nothing_to_do() {
    let mut world = world();
    let status = world.converge(ONE);
    assert_eq!(status.phase, Phase::Converged);
    assert_eq!(world.done, ["create network p_default", "create container p-web-1", "start the new p-web-1"]);
    let (plan, _) = world.pass(ONE, usize::MAX);
    assert!(plan.steps.is_empty() && plan.findings.is_empty(), "{plan:#?}");
}

/// Whoever asks later what a generation ran finds it, once each.
#[test]
fn a_generation_is_said_with_its_images_and_so_is_a_newer_image() {
    let mut world = world();
    world.converge(ONE);
    let said = |world: &World| -> Vec<String> {
        let said = world.said.iter().filter(|said| said.event == TransitionEvent::Generation);
        said.map(|said| said.message.clone()).collect()
    };
    assert_eq!(said(&world).len(), 1);
    assert!(said(&world)[0].contains(" runs: web app:1 ("), "{:?}", said(&world));
    world.converge(ONE);
    assert_eq!(said(&world).len(), 1, "nothing is new");
    world.converge(&blue("app:2"));
    assert!(said(&world)[1..].iter().all(|said| said.contains("web app:2 (")), "{:?}", said(&world));
    assert_eq!(said(&world).len(), 2);
}

#[test]
fn a_replaced_container_is_kept_until_its_successor_has_proven_itself() {
    let mut world = world();
    world.converge(&bound(ONE));
    let old = world.id("p-web-1");
    world.done.clear();
    let blue = bound(&blue("app:1"));
    let (plan, status) = world.pass(&blue, usize::MAX);
    assert_eq!(status.phase, Phase::Working);
    let why = "environment.COLOUR is green, declared is blue; stop-first: it publishes 8080";
    assert!(plan.steps.iter().all(|step| step.cause == why), "{plan:#?}");
    let short = &old[..12];
    assert_eq!(
        world.done,
        [
            format!("create container {short}_p-web-1"),
            "stop p-web-1".to_owned(),
            format!("rename p-web-1 to p-web-1_kept_{short}"),
            "rename the new p-web-1 to p-web-1".to_owned(),
            "start the new p-web-1".to_owned(),
        ]
    );
    let (plan, _) = world.pass(&blue, usize::MAX);
    assert!(plan.steps.is_empty() && matches!(plan.findings[0].verdict, Verdict::Wait(_)), "{plan:#?}");
    world.converge(&blue);
    assert_eq!(world.names(), ["p-web-1".to_owned()].into());
    assert_ne!(world.id("p-web-1"), old);
}

/// What does not start, ends again and again, or is never healthy gives its place back; and is not tried again by itself.
#[test]
fn a_successor_that_does_not_prove_itself_gives_its_place_back() {
    let failures = [("app:broken", "no such program"), ("app:crash", "restarted"), ("app:sick", "health")];
    for ((image, why), one) in
        failures.into_iter().flat_map(|failure| [(failure, ONE.to_owned()), (failure, bound(ONE))])
    {
        let mut world = world();
        let check = "healthcheck: {test: [CMD, x]}";
        let first = one.replace("environment", &format!("{check}, environment"));
        let first = if image == "app:sick" { first } else { one };
        world.converge(&first);
        let old = world.id("p-web-1");
        let next = first.replace("green", "blue").replace("app:1", image);
        let status = world.converge(&next);
        assert_eq!((status.phase, world.id("p-web-1")), (Phase::Failed, old.clone()), "{image}");
        assert_eq!(world.find("p-web-1").unwrap().state.status, RunState::Running, "{image}");
        assert_eq!(world.names().len(), 1, "{image}: {:?}", world.names());
        assert!(refusal(&status).contains(why), "{image}: {status:#?}");
        let done = world.done.len();
        world.now = world.now.plus_ms(3_600_000);
        world.converge(&next);
        assert_eq!(world.done.len(), done, "{image} is not tried again by itself");
        // Another declaration is, and nothing is held against the first one after it.
        assert_eq!(world.converge(&first.replace("green", "red")).phase, Phase::Converged);
        assert!(world.memory.rejected.is_empty());
    }
}

/// The agent is killed after each possible number of steps, and forgets everything since: the next passes finish the job.
#[test]
fn an_agent_that_is_killed_between_any_two_steps_goes_on_where_it_stopped() {
    let two = ONE.replace("environment", "scale: 2, environment");
    let stories = [
        (ONE.to_owned(), blue("app:1")),
        (ONE.to_owned(), ONE.replace("web:", "other:")),
        (two.clone(), two.replace("green", "blue")),
        (two.clone(), ONE.to_owned()),
        (bound(ONE), bound(&blue("app:1"))),
        (bound(&two), bound(&two.replace("green", "blue"))),
        (ONE.to_owned(), bound(&blue("app:1"))),
        (bound(ONE), blue("app:1")),
        (
            blue("app:2"),
            ONE.replace("environment", "volumes: ['data:/d'], environment") + "volumes: {data: {}}\n",
        ),
    ];
    for (before, after) in stories {
        let mut straight = world();
        straight.converge(&before);
        straight.converge(&after);
        for kill_at in 0..12 {
            let mut world = world();
            world.add_foreign("stranger");
            world.converge(&before);
            let volumes = world.observed.volumes.len();
            let (plan, _) = world.pass(&after, kill_at);
            let places = |world: &World| {
                world.names().iter().any(|name| name.contains("p-web-1") || name.contains("p-other-1"))
            };
            assert!(places(&world), "neither the old nor the new one is there: {:?}", world.done);
            // And once more, in the middle of the repair.
            world.pass(&after, kill_at / 2);
            assert!(places(&world), "neither the old nor the new one is there: {:?}", world.done);
            let status = world.converge(&after);
            assert_eq!(
                status.phase,
                Phase::Converged,
                "killed after {kill_at} of {}: {:#?}",
                plan.steps.len(),
                world.done
            );
            let mut names = world.names();
            assert!(names.remove("stranger"), "foreign containers are left alone");
            assert_eq!(names, straight.names(), "killed after {kill_at}: {:#?}", world.done);
            assert!(world.observed.volumes.len() >= volumes);
        }
    }
}

#[test]
fn going_back_half_way_through_leaves_the_old_container_running() {
    for kill_at in 0..6 {
        let mut world = world();
        world.converge(ONE);
        let old = world.id("p-web-1");
        world.pass(&blue("app:1"), kill_at);
        world.converge(ONE);
        assert_eq!(world.find("p-web-1").unwrap().state.status, RunState::Running);
        assert_eq!(world.names().len(), 1, "{:?}", world.names());
        if kill_at <= 2 {
            assert_eq!(world.id("p-web-1"), old, "after {kill_at}: {:#?}", world.done);
        }
    }
}

#[test]
fn start_first_never_leaves_the_service_without_a_running_container() {
    let next = blue("app:1");
    let mut world = world();
    world.converge(ONE);
    for _ in 0..40 {
        let (plan, _) = world.pass(&next, 1);
        let running = |found: &&ObservedContainer| found.state.status == RunState::Running;
        assert!(world.observed.containers().any(|found| running(&found)), "{:#?}", world.done);
        if plan.steps.is_empty() && plan.findings.is_empty() {
            break;
        }
    }
    assert_eq!(world.names().len(), 1);
    assert!(world.find("p-web-1").unwrap().spec.environment["COLOUR"].as_ref().unwrap() == "blue");
    // A failing one goes, and the old one was never stopped.
    let old = world.id("p-web-1");
    let status = world.converge(&next.replace("app:1", "app:crash"));
    assert_eq!((world.id("p-web-1"), status.phase, world.names().len()), (old, Phase::Failed, 1));
}

/// What each service's replacement says of its order.
#[test]
fn the_plan_says_which_runs_first_and_why() {
    let unasked = "start-first: no host port, name, address, device or shared data stands against it";
    let own = "services.web.deploy.update_config.order";
    let asks = |order: &str| format!("deploy: {{update_config: {{order: {order}}}}}");
    let expected = [
        ("", "", unasked.to_owned()),
        ("", "ports: ['80']", unasked.to_owned()),
        ("", "volumes: ['data:/d:ro', '/srv:/s:ro'], tmpfs: /t", unasked.to_owned()),
        ("", "ports: ['8080:80']", "stop-first: it publishes 8080".to_owned()),
        ("", "container_name: www", "stop-first: its container_name is www".to_owned()),
        ("", "volumes: ['data:/d']", "stop-first: it writes to p_data at /d".to_owned()),
        ("", "volumes: ['/srv:/s']", "stop-first: it writes to /srv at /s".to_owned()),
        ("", "devices: ['/dev/ttyUSB0']", "stop-first: it uses /dev/ttyUSB0".to_owned()),
        ("", "gpus: all", "stop-first: it uses gpu".to_owned()),
        ("", "privileged: true", "stop-first: it uses every device: it is privileged".to_owned()),
        ("", "network_mode: host", "stop-first: it is in the host's network".to_owned()),
        ("", "network_mode: 'service:far'", "stop-first: it is in the network of far".to_owned()),
        ("", "volumes_from: [far]", "stop-first: it writes to another container's volumes".to_owned()),
        (
            "",
            "networks: {default: {ipv4_address: 10.1.0.5}}",
            "stop-first: its address is 10.1.0.5".to_owned(),
        ),
        ("stop-first", "", "stop-first: x-agent.update.order says so".to_owned()),
        ("", &asks("stop-first"), format!("stop-first: {own} says so")),
        ("start-first", &asks("stop-first"), format!("stop-first: {own} says so")),
        ("start-first", "container_name: www", "start-first: x-agent.update.order says so".to_owned()),
        (
            "start-first",
            "volumes: ['data:/d']",
            "stop-first: x-agent.update.order asks for start-first, but it writes to p_data at /d".to_owned(),
        ),
        (
            "stop-first",
            &format!("volumes: ['data:/d'], {}", asks("start-first")),
            format!("start-first: {own} says so"),
        ),
        (
            "",
            &format!("ports: ['8080:80'], {}", asks("start-first")),
            format!("stop-first: {own} asks for start-first, but it publishes 8080"),
        ),
    ];
    for (stack, field, why) in expected {
        let order = if stack.is_empty() { "auto" } else { stack };
        let field = if field.is_empty() { String::new() } else { format!("{field}, ") };
        let yaml = format!(
            "name: p\nx-agent: {{update: {{order: {order}}}}}\nservices:\n  web: {{image: 'app:1', {field}environment: {{COLOUR: green}}}}\n  far: {{image: 'app:1'}}\nvolumes: {{data: {{}}}}\n"
        );
        let mut world = world();
        world.converge(&yaml);
        let (plan, _) = world.pass(&yaml.replace("green", "blue"), usize::MAX);
        let cause = format!("environment.COLOUR is green, declared is blue; {why}");
        assert!(!plan.steps.is_empty() && plan.steps.iter().all(|step| step.cause == cause), "{plan:#?}");
    }
}

#[test]
fn data_that_no_file_names_is_never_written_by_two() {
    let mut world = world();
    world.converge(ONE);
    for facts in world.observed.images.values_mut() {
        facts.volumes.push("/data".into());
    }
    world.change("p-web-1", |found| drop(found.anonymous_volumes.insert("/data".into(), "f00".into())));
    let (plan, _) = world.pass(&blue("app:1"), usize::MAX);
    let why = "stop-first: its volume at /data goes over to its successor";
    assert!(plan.steps[0].cause.ends_with(why), "{plan:#?}");
}

#[test]
fn whoever_shares_something_follows_the_container_that_is_the_service_now() {
    let yaml = "
name: p
services:
  web: {image: 'app:1', environment: {COLOUR: green}}
  side: {image: 'app:1', network_mode: 'service:web'}
  store: {image: 'app:1', volumes_from: [web]}
  far: {image: 'app:1'}
";
    let mut world = world();
    world.converge(yaml);
    let far = world.id("p-far-1");
    world.converge(&yaml.replace("green", "blue"));
    let web = world.id("p-web-1");
    let joined = &world.find("p-side-1").unwrap().spec.network_mode;
    assert!(format!("{joined:?}").contains(&web), "{joined:?}");
    let from = &world.find("p-store-1").unwrap().spec.volumes_from;
    assert!(matches!(&from[..], [VolumesFrom::Container(id)] if *id == *web.as_str()), "{from:?}");
    assert_eq!(world.id("p-far-1"), far);
    assert_eq!(world.names().len(), 4);
}

#[test]
fn a_dependant_with_restart_is_restarted_once_its_dependency_was_made_anew() {
    let yaml = "
name: p
services:
  db: {image: 'app:1', environment: {COLOUR: green}}
  web: {image: 'app:1', depends_on: {db: {condition: service_started, restart: true}}}
";
    let mut world = world();
    world.converge(yaml);
    let web = world.id("p-web-1");
    world.done.clear();
    world.converge(&yaml.replace("green", "blue"));
    assert_eq!(world.done.iter().filter(|act| *act == "restart p-web-1").count(), 1, "{:#?}", world.done);
    assert_eq!(world.id("p-web-1"), web);
}

#[test]
fn who_removes_a_container_that_is_being_replaced_has_its_successor_take_over_and_one_report() {
    let mut world = world();
    world.converge(ONE);
    // Killed once the successor is made; the old one is removed before the next pass.
    world.pass(&(blue("app:1") + "x-agent: {update: {order: stop-first}}"), 1);
    world.observed.containers.retain(|found| found.name != "p-web-1");
    let (plan, _) = world.pass(&blue("app:1"), usize::MAX);
    let kinds: Vec<_> = plan.findings.iter().map(|finding| finding.drift.kind.as_str()).collect();
    assert_eq!(kinds, ["missing"], "{plan:#?}");
    assert_eq!(world.converge(&blue("app:1")).phase, Phase::Converged);
    assert_eq!(world.names(), ["p-web-1".to_owned()].into());
}

#[test]
fn who_kills_a_container_on_trial_proves_nothing_against_it() {
    for order in ["stop-first", "start-first"] {
        let policy = format!("x-agent: {{update: {{order: {order}, monitor: 5s}}}}");
        let always = |text: String| text.replace("environment", "restart: always, environment") + &policy;
        let mut world = world();
        world.converge(&always(ONE.to_owned()));
        let (_, _) = world.pass(&always(blue("app:1")), usize::MAX);
        let young = world.observed.containers().max_by_key(|found| found.created_at).unwrap();
        let (name, id) = (young.name.clone(), young.id.to_string());
        world.change(&name, |found| found.state.status = RunState::Exited);
        assert_eq!(world.converge(&always(blue("app:1"))).phase, Phase::Converged, "{order}");
        assert_eq!(world.id("p-web-1"), id, "{order}: it has its place: {:#?}", world.done);
        assert!(world.memory.rejected.is_empty());
    }
}

#[test]
fn nothing_that_runs_is_stopped_before_its_successors_image_is_there() {
    let mut world = world();
    world.converge(ONE);
    let old = world.id("p-web-1");
    let (_, status) = world.pass(&blue("unreachable:1"), usize::MAX);
    assert_eq!(status.phase, Phase::Failed);
    for _ in 0..5 {
        world.pass(&blue("unreachable:1"), usize::MAX);
    }
    assert_eq!(world.find("p-web-1").map(|found| found.state.status), Some(RunState::Running));
    assert_eq!(world.id("p-web-1"), old);
    world.done.clear();
    world.converge(&blue("new:1"));
    assert_eq!(world.done[0], "pull image new:1");
    assert_eq!(world.find("p-web-1").unwrap().labels.image.as_deref(), Some("sha256:new:1"));
}

#[test]
fn an_absent_device_is_waited_for_by_its_service_and_whoever_needs_that() {
    let yaml = "
name: p
services:
  stick: {image: 'app:1', devices: ['/dev/ttyUSB0'], environment: {COLOUR: green}}
  reader: {image: 'app:1', depends_on: [stick]}
  far: {image: 'app:1'}
";
    let mut world = world();
    let need = DeviceNeed::Path(Text::plain("/dev/ttyUSB0"));
    world.inputs.absent_devices.insert(need.clone(), "is not there".into());
    let waits = |status: &StackStatus| {
        let what = "device /dev/ttyUSB0 is not there";
        status.waiting.iter().any(|wait| wait.on == "device" && wait.what == what)
    };
    for _ in 0..3 {
        let (_, status) = world.pass(yaml, usize::MAX);
        assert_eq!((waits(&status), status.phase), (true, Phase::Waiting), "{status:#?}");
    }
    let runs = |world: &World, name: &str| {
        world.find(name).is_some_and(|found| found.state.status == RunState::Running)
    };
    assert!(runs(&world, "p-far-1") && !runs(&world, "p-stick-1") && !runs(&world, "p-reader-1"));
    world.inputs.absent_devices.clear();
    world.converge(yaml);
    assert!(runs(&world, "p-stick-1") && runs(&world, "p-reader-1"));
    // It goes while its service runs: that runs on, whatever is declared or asked for.
    let old = world.id("p-stick-1");
    world.inputs.absent_devices.insert(need, "is not there".into());
    world.memory.restart = Some(Restart { service: None, at: world.now.plus_ms(1), by: "root".into() });
    world.done.clear();
    let (_, status) = world.pass(&yaml.replace("green", "blue"), usize::MAX);
    assert!(waits(&status) && runs(&world, "p-stick-1") && world.id("p-stick-1") == old, "{status:#?}");
    assert!(world.done.iter().all(|act| !act.contains("stick")), "{:#?}", world.done);
}

#[test]
fn somebody_elses_container_with_the_name_is_refused_and_left_alone() {
    let mut world = world();
    world.add_foreign("p-web-1");
    let status = world.converge(ONE);
    assert_eq!(status.phase, Phase::Failed);
    assert!(refusal(&status).contains("another container has the name"), "{status:#?}");
    assert_eq!(world.names().len(), 1);
}

#[test]
fn scaling_down_goes_from_the_highest_number_and_up_again_fills_in() {
    let three = ONE.replace("environment", "scale: 3, environment");
    let mut world = world();
    world.converge(&three);
    let first = world.id("p-web-1");
    world.converge(ONE);
    assert_eq!((world.names(), world.id("p-web-1")), (["p-web-1".to_owned()].into(), first.clone()));
    world.converge(&three);
    assert_eq!((world.names().len(), world.id("p-web-1")), (3, first));
}

#[test]
fn parallelism_renews_so_many_at_a_time() {
    let four = ONE.replace("environment", "scale: 4, deploy: {update_config: {parallelism: 1}}, environment");
    let mut world = world();
    world.converge(&four);
    let next = four.replace("green", "blue");
    for _ in 0..100 {
        let (plan, status) = world.pass(&next, usize::MAX);
        let kept = world.names().iter().filter(|name| name.contains("_kept_")).count();
        assert!(kept <= 1, "{:?}", world.names());
        if plan.steps.is_empty() && status.waiting.is_empty() {
            break;
        }
    }
    assert_eq!(world.names().len(), 4);
    let all_blue =
        |name: &str| world.find(name).unwrap().spec.environment["COLOUR"].as_ref().unwrap() == "blue";
    assert!((1..=4).all(|number| all_blue(&format!("p-web-{number}"))));
}

/// `rollback` and `pause` stop at the first place that fails, `continue` goes on; only `rollback` takes that one back.
#[test]
fn what_happens_to_the_others_when_one_fails_is_as_failure_action_says() {
    for (action, blue, running) in [("rollback", 0, 3), ("pause", 1, 2), ("continue", 3, 0)] {
        let update =
            format!("scale: 3, deploy: {{update_config: {{parallelism: 1, failure_action: {action}}}}}");
        let first = bound(&ONE.replace("environment", &format!("{update}, environment")));
        let next = first.replace("green", "blue").replace("app:1", "app:broken");
        let mut world = world();
        world.converge(&first);
        for _ in 0..80 {
            world.now = world.now.plus_ms(60_000);
            world.pass(&next, usize::MAX);
        }
        let current = |number| world.find(&format!("p-web-{number}"));
        let is_blue =
            |found: &&ObservedContainer| found.spec.environment["COLOUR"].as_ref().unwrap() == "blue";
        let has_run = |found: &&ObservedContainer| found.state.status == RunState::Running;
        assert_eq!((1..=3).filter_map(current).filter(is_blue).count(), blue, "{action}: {:#?}", world.done);
        assert_eq!(
            (1..=3).filter_map(current).filter(has_run).count(),
            running,
            "{action}: {:#?}",
            world.done
        );
    }
}

#[test]
fn a_check_that_starts_for_too_long_is_reported_and_not_waited_for() {
    let yaml = "name: p\nx-agent: {health_deadline: 30s}\nservices:\n  web: {image: 'app:slow', healthcheck: {test: [CMD, x]}}\n";
    let mut world = World::new(&["app:slow"]);
    world.pass(yaml, usize::MAX);
    let (plan, status) = world.pass(yaml, usize::MAX);
    assert!(matches!(&plan.findings[0].verdict, Verdict::Wait(wait) if wait.retry_at.is_some()), "{plan:#?}");
    assert_eq!(status.phase, Phase::Working);
    world.now = world.now.plus_ms(30_000);
    let (plan, status) = world.pass(yaml, usize::MAX);
    let why = "it is still starting after 30 s, x-agent.health_deadline";
    assert!(plan.steps.is_empty() && plan.findings[0].verdict == Verdict::Leave(why.into()), "{plan:#?}");
    assert_ne!(status.phase, Phase::Converged, "{status:#?}");
}

#[test]
fn a_secrets_new_bytes_do_what_the_spec_says() {
    let yaml = |policy: &str| {
        format!(
            "name: p\nx-agent: {{on_secret_change: '{policy}'}}\nservices:\n  web: {{image: 'app:1', secrets: [db]}}\n  far: {{image: 'app:1'}}\nsecrets: {{db: {{file: ./db.age}}}}\n"
        )
    };
    let expected: [(&str, &[&str]); 4] = [
        ("recreate", &["create", "start", "stop", "remove", "rename"]),
        ("restart", &["restart"]),
        ("signal:SIGHUP", &["send"]),
        ("none", &[]),
    ];
    for (policy, verbs) in expected {
        let mut world = world();
        let rotate = |world: &mut World, digest: &str| {
            let placed = PlacedFile { path: "/run/secrets/db".into(), digest: digest.into() };
            world.inputs.placed_files.insert("/stack/db.age".into(), placed);
        };
        rotate(&mut world, "one");
        world.converge(&yaml(policy));
        let far = world.id("p-far-1");
        world.done.clear();
        rotate(&mut world, "two");
        let status = world.converge(&yaml(policy));
        let done: Vec<&str> = world.done.iter().filter_map(|act| act.split(' ').next()).collect();
        assert_eq!(done, verbs, "{policy}: {:#?}", world.done);
        assert_eq!(world.id("p-far-1"), far);
        assert!(policy == "none" || status.drift.is_empty(), "{policy}: {status:#?}");
    }
}

#[test]
fn what_keeps_coming_back_is_spaced_out_and_in_the_end_left() {
    let mut world = world();
    world.converge(ONE);
    world.done.clear();
    let mut last = None;
    for _ in 0..400 {
        world.change("p-web-1", |found| found.state.status = RunState::Exited);
        let (_, status) = world.pass(ONE, usize::MAX);
        last = Some(status);
    }
    assert_eq!(world.done.len(), 8, "{:#?}", world.done);
    assert!(refusal(&last.unwrap()).contains("contested"));
}

#[test]
fn what_a_replacement_takes_with_it_is_named_too() {
    let mut world = world();
    world.converge(ONE);
    world.change("p-web-1", |found| found.state.status = RunState::Exited);
    let (plan, _) = world.pass(&blue("app:1"), usize::MAX);
    let kinds: Vec<_> = plan.findings.iter().map(|finding| finding.drift.kind.as_str()).collect();
    assert_eq!(kinds, ["altered", "stopped"], "{plan:#?}");
    assert!(plan.findings.iter().all(|finding| matches!(finding.verdict, Verdict::Act(_))), "{plan:#?}");
}

#[test]
fn a_container_that_may_not_be_replaced_is_kept_running() {
    let policy = "x-agent: {drift: {kinds: {altered: report}}}";
    let given_up = blue("app:crash");
    for changed in [format!("{}{policy}", blue("app:1")), given_up] {
        let mut world = world();
        world.converge(ONE);
        let old = world.id("p-web-1");
        world.converge(&changed);
        assert_eq!(world.id("p-web-1"), old);
        world.change("p-web-1", |found| found.state.status = RunState::Exited);
        world.converge(&changed);
        let found = world.find("p-web-1").unwrap();
        assert_eq!((found.state.status, found.id.as_str()), (RunState::Running, old.as_str()), "{changed}");
    }
}

#[test]
fn a_one_shot_that_has_ended_is_not_run_again_before_its_inputs_change() {
    let yaml = "name: p\nservices:\n  job: {image: 'app:job', restart: 'no', environment: {A: '1'}}\n";
    let mut world = world();
    world.converge(yaml);
    world.done.clear();
    assert_eq!(world.converge(yaml).phase, Phase::Converged);
    assert_eq!(world.done.len(), 0);
    world.converge(&yaml.replace("'1'", "'2'"));
    assert!(world.done.iter().any(|act| act.starts_with("start")), "{:#?}", world.done);
    assert_eq!(world.names().len(), 1);
}

#[test]
fn an_image_is_fetched_as_its_pull_policy_says() {
    let yaml = |policy: &str| ONE.replace("environment", &format!("pull_policy: {policy}, environment"));
    for (policy, after_a_day) in
        [("always", 1), ("daily", 2), ("weekly", 1), ("every_12h", 2), ("missing", 0), ("never", 0)]
    {
        let mut world = world();
        let pulls = |world: &World| world.done.iter().filter(|act| act.starts_with("pull")).count();
        world.converge(&yaml(policy));
        world.converge(&yaml(policy));
        assert_eq!(pulls(&world), after_a_day.min(1), "{policy}");
        world.now = world.now.plus_ms(86_400_000);
        world.converge(&yaml(policy));
        assert_eq!(pulls(&world), after_a_day, "{policy}");
    }
}

#[test]
fn an_operators_restart_goes_in_the_order_of_the_dependencies_and_once() {
    let yaml = "
name: p
services:
  web: {image: 'app:1', depends_on: [db]}
  db: {image: 'app:1'}
  far: {image: 'app:1'}
";
    let mut world = world();
    world.converge(yaml);
    world.done.clear();
    world.now = world.now.plus_ms(5_000);
    world.memory.restart = Some(Restart { service: None, at: world.now, by: "root".into() });
    world.converge(yaml);
    let order = |name: &str| world.done.iter().position(|act| act == name).expect("done");
    assert!(order("restart p-db-1") < order("restart p-web-1"), "{:#?}", world.done);
    assert_eq!(world.done.len(), 3, "{:#?}", world.done);
    assert_eq!(world.memory.restart, None);
    world.done.clear();
    world.now = world.now.plus_ms(5_000);
    world.memory.restart = Some(Restart { service: Some("far".into()), at: world.now, by: "root".into() });
    world.converge(yaml);
    assert_eq!(world.done, ["restart p-far-1"]);
}

#[test]
fn a_stack_that_is_taken_down_stays_down_until_it_is_released() {
    let yaml = ONE.to_owned() + "    volumes: ['data:/d']\nvolumes: {data: {}}\n";
    let yaml =
        yaml.replace("web: {image: 'app:1', environment: {COLOUR: green}}", "web:\n    image: 'app:1'");
    let mut world = world();
    world.converge(&yaml);
    let hold = Hold { since: world.now, until: None, reason: "x".into(), by: "root".into(), down: true };
    world.memory.holds.insert(String::new(), hold);
    for _ in 0..3 {
        let (_, status) = world.pass(&yaml, usize::MAX);
        assert_eq!(status.phase, Phase::Held);
    }
    assert!(world.names().is_empty() && world.observed.networks.is_empty());
    assert_eq!(world.observed.volumes.len(), 1, "volumes stay");
    world.memory.holds.clear();
    assert_eq!(world.converge(&yaml).phase, Phase::Converged);
}

/// Docker Compose 5 writes another hash of the same declaration.
#[test]
fn a_container_with_another_hash_and_the_same_fields_is_kept_and_that_is_said() {
    let yaml = "
name: p
services:
  web: {image: 'app:1', volumes: ['/srv/data:/data']}
";
    let mut world = world();
    world.converge(yaml);
    let id = world.id("p-web-1");
    world.done.clear();
    world.change("p-web-1", |web| {
        web.labels.owner.config_hash = Some("5".repeat(64));
        web.labels.owner.agent = None;
    });
    let (plan, status) = world.pass(yaml, usize::MAX);
    assert!(plan.steps.is_empty() && world.done.is_empty(), "{plan:#?}");
    assert_eq!((world.id("p-web-1"), status.phase), (id, Phase::Converged));
    assert!(status.drift.iter().any(|open| open.drift.kind == DriftKind::HashOnly), "{status:#?}");
}

#[test]
fn whatever_is_removed_goes_after_all_who_need_it() {
    let yaml = "
name: p
services:
  a: {image: 'app:1'}
  b: {image: 'app:1', depends_on: [a]}
  c: {image: 'app:1', network_mode: 'service:b'}
";
    let removals = |plan: &Plan| -> Vec<String> {
        let removing = |step: &&Step| matches!(step.act, Act::RemoveContainer { .. });
        let step = |id: &StepId| plan.steps.iter().find(|step| step.id == *id).expect("a step");
        for removal in plan.steps.iter().filter(removing).skip(1) {
            let stop = step(removal.after.last().expect("stopped before"));
            assert!(stop.after.iter().any(|id| removing(&step(id))), "{} waits for nobody", removal.act);
        }
        plan.steps.iter().filter(removing).map(|step| step.act.to_string()).collect()
    };
    let order = ["remove p-c-1", "remove p-b-1", "remove p-a-1"];
    let mut world = world();
    world.converge(yaml);
    let gone = gone_stacks(&world.observed, world::HOST, &"stack".into(), None);
    assert_eq!(removals(&gone), order);
    let (orphans, _) = world.pass("name: p\nservices: {other: {image: 'app:1'}}\n", 0);
    assert_eq!(removals(&orphans), order);
    let hold = Hold { since: world.now, until: None, reason: "x".into(), by: "root".into(), down: true };
    world.memory.holds.insert(String::new(), hold);
    let (down, _) = world.pass(yaml, 0);
    assert_eq!(removals(&down), order);
}

#[test]
fn a_held_stack_shows_each_difference_and_nothing_is_done_about_it() {
    let mut world = world();
    world.converge(ONE);
    let hold = Hold { since: world.now, until: None, reason: "x".into(), by: "root".into(), down: false };
    world.memory.holds.insert(String::new(), hold);
    world.done.clear();
    let (plan, status) = world.pass(&blue("app:1"), usize::MAX);
    assert_eq!((status.phase, plan.steps.len(), world.done.len()), (Phase::Held, 0, 0));
    assert!(plan.findings.iter().any(|finding| finding.drift.field == "environment.COLOUR"), "{plan:#?}");
}
