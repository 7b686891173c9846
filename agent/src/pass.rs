//! One pass of one stack: gather, decide, perform, account.
//!
//! **Not finished:** it gathers the declaration and says that nothing is known of the Engine. Deciding (`plan`) and
//! performing (`docker`) take their places here, between gathering and reporting, when those crates have them.

use std::{path::PathBuf, time::Duration};

use plan::{
    ids::{Generation, ProjectName, StackName},
    status::{Phase, StackStatus},
};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    clock,
    daemon::{Agent, unknown},
    gather::{Source, Want, gather},
    rounds::Rounds,
    scheduler::Due,
};

/// How long reading a spec may take: a file may be on a mount that does not answer.
const PATIENCE: Duration = Duration::from_secs(20);

impl Rounds for Agent {
    async fn pass(&self, due: Due) -> Option<Duration> {
        let stack = due.stack;
        let Some((generation, folder)) = self.folder_of(&stack) else {
            self.store.forget(&stack);
            return None;
        };
        let status = match self.want(&stack, generation.clone(), folder).await {
            Err(reason) => StackStatus { phase: Phase::Failed, ..unknown(&stack, &reason) },
            Ok(want) => {
                let project = want.project_name().unwrap_or_else(|| ProjectName::from(stack.as_str()));
                let status = match &want.project {
                    Err(reason) => StackStatus { phase: Phase::Failed, ..unknown(&stack, reason) },
                    Ok(_) => unknown(&stack, "the Engine has not been asked"),
                };
                StackStatus { project, generation: Some(generation), notes: want.notes.clone(), ..status }
            }
        };
        self.conclude(StackStatus { last_pass: Some(clock::now()), ..status });
        self.note_guard();
        None
    }

    fn panicked(&self, stack: &StackName, message: &str) {
        let known = self.store.stack(stack).unwrap_or_else(|| unknown(stack, ""));
        let reason = format!("internal error: {message}");
        self.conclude(StackStatus { phase: Phase::Failed, reason, last_pass: Some(clock::now()), ..known });
    }

    fn rescan(&self) -> Vec<StackName> {
        Self::rescan(self)
    }

    fn stacks(&self) -> Vec<StackName> {
        Self::stacks(self)
    }

    fn stack_of(&self, project: &ProjectName) -> Option<StackName> {
        Self::stack_of(self, project)
    }

    fn idle(&self) {
        self.save();
    }

    fn in_flight(&self) -> bool {
        let status = self.store.status(None, None);
        status.is_some_and(|status| status.stacks.iter().any(crate::methods::is_in_flight))
    }
}

impl Agent {
    /// The stack's spec: as it was loaded where nothing has changed since, else loaded now, in bounded time.
    async fn want(&self, stack: &StackName, generation: Generation, folder: PathBuf) -> Result<Want, String> {
        let known = self.wants.borrow().get(stack).cloned();
        let source = Source { generation, folder, age_keys: self.options.age_key.clone() };
        let reading = spawn_blocking(move || {
            match known.filter(|known| known.is_current(&source.generation, &source.folder)) {
                Some(known) => known,
                None => gather(source),
            }
        });
        let want = match timeout(PATIENCE, reading).await {
            Ok(Ok(want)) => want,
            Ok(Err(error)) => return Err(format!("internal error while reading the spec: {error}")),
            Err(_) => return Err(format!("the spec could not be read within {} s", PATIENCE.as_secs())),
        };
        self.wants.borrow_mut().insert(stack.clone(), want.clone());
        Ok(want)
    }

    /// Puts a stack's new status where it is read. "Since" stays where the phase does.
    fn conclude(&self, mut status: StackStatus) {
        if let Some(before) = self.store.stack(&status.name).filter(|before| before.phase == status.phase) {
            status.since = before.since;
        }
        self.store.put(status);
    }
}

#[cfg(test)]
mod tests {
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
        control::{
            access::Rules,
            client::{Client, ClientError},
            server::serve,
        },
        methods::Control,
        options::Options,
        rounds::{Pace, run},
        socket::listen,
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
        ])
    }

    type Asked = (&'static str, Value);

    /// Starts the daemon's parts on a profile, makes calls, and gives their answers.
    async fn ask(folder: &Path, calls: Vec<Asked>) -> Vec<Result<Map<String, Value>, ClientError>> {
        let options = options(folder);
        let path = options.socket();
        let (sender, triggers) = mpsc::unbounded_channel();
        let agent = Agent::new(options, sender.clone());
        let listener = UnixListener::from_std(listen(&path, None, false).expect("free")).expect("served");
        let pace = Pace { resync: Duration::from_secs(60), parallel: 2, until: None::<Instant> };
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
        assert_eq!(names(&answers[1]), ["db"]);
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
        let agent = Agent::new(options_of_missing(folder.path()), mpsc::unbounded_channel().0);
        assert!(Rounds::rescan(&*agent).is_empty());
        let status = agent.store.status(None, None).expect("the host");
        assert!(status.profile_error.is_some_and(|error| error.contains("cannot resolve the profile")));
        assert!(agent.removal_guard().is_some(), "nothing may be taken away");
    }

    fn options_of_missing(folder: &Path) -> Options {
        let state = folder.join("state").to_string_lossy().into_owned();
        Options::parse_from(["compose-agent", "--profile", "/nowhere/at/all", "--state-dir", &state])
    }
}
