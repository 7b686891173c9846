//! The daemon's parts together, asked over the control socket, with no Engine that answers.

use std::{fs, path::Path, rc::Rc};

use clap::Parser;
use serde_json::{Map, Value, json};
use tokio::{
    net::UnixListener,
    sync::mpsc,
    task::{LocalSet, spawn_blocking, spawn_local},
    time::Instant,
};

use super::*;
use crate::{
    control::socket::listen,
    control::{
        access::Rules,
        client::{Client, ClientError},
        server::serve,
    },
    methods::Control,
    options::{LogFormat, Options},
    report::voice::Voice,
    rounds::{Pace, run},
    triggers::Trigger,
};

fn options(folder: &Path) -> Options {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (profile, state, runtime) = (path("current"), path("state"), path("run"));
    for name in ["gen1/etc/compose-agent/web", "gen2/etc/compose-agent/db", "state", "run"] {
        fs::create_dir_all(folder.join(name)).expect("made");
    }
    for file in ["gen1/etc/compose-agent/web/compose.yaml", "gen2/etc/compose-agent/db/compose.yaml"] {
        fs::write(folder.join(file), "services: {app: {image: 'x:1'}}\n").expect("written");
    }
    std::os::unix::fs::symlink(folder.join("gen1"), &profile).expect("linked");
    Options::parse_from([
        "compose-agent",
        "--host",
        "lab",
        "--profile",
        &profile,
        "--state-dir",
        &state,
        "--runtime-dir",
        &runtime,
        "--docker-host",
        "unix:///nonexistent/docker.sock",
    ])
}

type Asked = (&'static str, Value);

/// Starts the daemon's parts on a profile, makes calls, and gives their answers.
async fn ask(folder: &Path, calls: Vec<Asked>) -> Vec<Result<Map<String, Value>, ClientError>> {
    let options = options(folder);
    let path = options.socket();
    let (sender, triggers) = mpsc::unbounded_channel();
    let agent = Agent::new(options, silent(), sender.clone());
    let listener = UnixListener::from_std(listen(&path, None, false).expect("free")).expect("served");
    let pace = Pace { resync: Duration::from_secs(60), parallel: 2, alive: None, until: None::<Instant> };
    let folder = folder.to_owned();
    LocalSet::new()
        .run_until(async move {
            let rules = Rules { own_uid: rustix::process::geteuid().as_raw(), ..Rules::default() };
            let server = spawn_local(serve(listener, rules, Rc::new(Control(Rc::clone(&agent)))));
            let rounds = spawn_local(run(Rc::clone(&agent), pace, triggers));
            let answers = spawn_blocking(move || {
                let mut answers = Vec::new();
                for (method, arguments) in calls {
                    if method == "switch" {
                        let next = folder.join("next");
                        std::os::unix::fs::symlink(folder.join("gen2"), &next).expect("linked");
                        fs::rename(next, folder.join("current")).expect("switched");
                        continue;
                    }
                    let mut client = Client::connect(&path).expect("it listens");
                    let arguments = arguments.as_object().cloned().unwrap_or_default();
                    answers.push(client.call(method, arguments, Some(Duration::from_secs(5))));
                }
                answers
            });
            let answers = answers.await.expect("no panic");
            sender.send(Trigger::Stop).expect("the loop listens");
            rounds.await.expect("it ends");
            server.abort();
            agent.save();
            answers
        })
        .await
}

fn names(answer: &Result<Map<String, Value>, ClientError>) -> Vec<String> {
    let status = &answer.as_ref().expect("an answer")["status"]["stacks"];
    status
        .as_array()
        .expect("a list")
        .iter()
        .map(|stack| stack["name"].as_str().unwrap_or_default().into())
        .collect()
}

#[tokio::test]
async fn a_switched_profile_is_seen_at_the_next_look() {
    let folder = tempfile::tempdir().expect("a folder");
    let wait = json!({"wait": true, "timeout_ms": 3000});
    let calls = vec![("Reconcile", wait.clone()), ("switch", Value::Null), ("Reconcile", wait)];
    let answers = ask(folder.path(), calls).await;
    assert_eq!(names(&answers[0]), ["web"]);
    assert_eq!(names(&answers[1]), ["db", "web"], "whether anything of web is left, only the Engine can say");
    let status = &answers[1].as_ref().expect("an answer")["status"];
    assert!(status["generation"].as_str().expect("known").ends_with("/gen2"));
    assert_eq!(status["phase"], "unknown", "nothing is known of the Engine: never converged");
}

#[tokio::test]
async fn a_hold_is_remembered_and_released_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let calls = vec![
        ("Reconcile", json!({"wait": true})),
        ("Hold", json!({"stack": "web", "for_ms": 60000, "reason": "by hand"})),
        ("Hold", json!({"stack": "nope"})),
        ("Hold", json!({"stack": "web", "service": 7})),
    ];
    let answers = ask(folder.path(), calls).await;
    assert!(answers[1].is_ok());
    assert!(answers[2].as_ref().expect_err("no such stack").is_not_found());
    let refused = answers[3].as_ref().expect_err("a number is no name").to_string();
    assert_eq!(refused, "the daemon does not take the argument service");
    let text = fs::read_to_string(folder.path().join("state/memory.json")).expect("remembered");
    let memory: plan::memory::Memory = serde_json::from_str(&text).expect("a memory");
    let hold = &memory.stacks[&StackName::from("web")].holds[""];
    assert_eq!((hold.reason.as_str(), hold.until.is_some()), ("by hand", true));
}

#[tokio::test]
async fn an_unreadable_profile_is_said_and_forgets_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let wait = json!({"wait": true, "timeout_ms": 500});
    let mut answers = ask(folder.path(), vec![("Reconcile", wait.clone())]).await;
    assert_eq!(names(&answers.remove(0)), ["web"]);
    let agent = Agent::new(options_of_missing(folder.path()), silent(), mpsc::unbounded_channel().0);
    assert!(Rounds::rescan(&*agent).await.is_empty());
    let status = agent.store.status(None, None).expect("the host");
    assert!(status.profile_error.is_some_and(|error| error.contains("cannot resolve the profile")));
    assert!(agent.removal_guard().is_some(), "nothing may be taken away");
}

fn silent() -> Arc<Voice> {
    Arc::new(Voice::Lines(LogFormat::Text))
}

fn options_of_missing(folder: &Path) -> Options {
    let state = folder.join("state").to_string_lossy().into_owned();
    Options::parse_from(["compose-agent", "--profile", "/nowhere/at/all", "--state-dir", &state])
}
