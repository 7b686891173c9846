//! One pass of one stack: gather, decide, perform, account.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use docker::{Engine, perform};
use plan::{
    account::{Outcomes, account},
    cause::annotate,
    container::from_service::image_of,
    decide::{decide, gone_stacks, owned_stacks},
    desire::{Wish, desire},
    desired::{Desired, RequiredMount},
    ids::{Generation, ProjectName, StackName},
    memory::StackMemory,
    observed::Observed,
    policy,
    status::{FailedBy, Phase, Progress, StackStatus, Transition, TransitionEvent},
    step::{Outcome, Plan, Step},
};
use specs::model::Project;
use systemd::notify;
use systemd::runtime_dir::Medium;
use tokio::time::Instant;

use crate::{
    beside::beside,
    clock,
    daemon::{Agent, unknown},
    gather::folders,
    gather::logins,
    gather::{Source, Want, gather},
    report::{report, sum_up},
    rounds::Rounds,
    scheduler::Due,
    secrets::identities,
    secrets::quoting,
    secrets::tidy::{bound, tidy},
    triggers::Trigger,
};

/// How many steps of a stack are done at a time.
const PARALLEL: usize = 4;
/// When to look again after steps that went well: their effect is the next pass's business.
const AGAIN: Duration = Duration::from_millis(20);
/// When to look again after a step that failed; its own backoff may say later.
const FAILED: Duration = Duration::from_secs(2);
/// When to ask an Engine again that did not answer.
const AWAY: Duration = Duration::from_secs(5);

/// When to ask a file system again that did not answer.
const STUCK: Duration = Duration::from_secs(10);
/// When to try again what only somebody outside can put right.
const BLOCKED: Duration = Duration::from_secs(30);

/// What was decided about a stack, and on what.
#[derive(Debug)]
pub(crate) struct Decided {
    /// What it wants.
    pub(crate) desired: Desired,
    /// What was remembered of it.
    pub(crate) memory: StackMemory,
    /// What is to be done.
    pub(crate) plan: Plan,
}

impl Rounds for Agent {
    async fn pass(&self, due: Due) -> Option<Duration> {
        let stack = due.stack;
        let began = Instant::now();
        let wake = match self.folder_of(&stack) {
            None => self.take_down(&stack, due.asked).await,
            Some((generation, folder)) => {
                // The Engine is asked while files are read; what it says is looked at below.
                let reading = self.want(&stack, generation.clone(), folder);
                let (want, _) = tokio::join!(reading, self.eyes.look(due.asked, BTreeSet::new()));
                match want {
                    Err(reason) => {
                        self.fail(&stack, generation, &reason, None, Vec::new());
                        Some(STUCK)
                    }
                    Ok(want) => match &want.project {
                        Err(reason) => {
                            self.fail(&stack, generation, reason, want.failed_by, want.notes.clone())
                        }
                        Ok(project) => self.reconcile(&stack, due.asked, &want, Arc::clone(project)).await,
                    },
                }
            }
        };
        self.note_guard();
        if let Some(metrics) = self.metrics.get() {
            let phase = self.store.stack(&stack).map_or(Phase::Unknown, |status| status.phase);
            metrics.passed(stack.as_str(), phase.as_str(), began.elapsed());
        }
        wake
    }

    fn panicked(&self, stack: &StackName, message: &str) {
        let known = self.store.stack(stack).unwrap_or_else(|| unknown(stack, ""));
        let reason = format!("internal error: {message}");
        self.conclude(StackStatus { phase: Phase::Failed, reason, last_pass: Some(clock::now()), ..known });
    }

    async fn rescan(&self) -> Vec<StackName> {
        Self::rescan(self).await
    }

    fn stacks(&self) -> Vec<StackName> {
        Self::stacks(self)
    }

    fn stack_of(&self, project: &ProjectName) -> Option<StackName> {
        Self::stack_of(self, project)
    }

    fn alive(&self) {
        notify::alive();
    }

    fn ready(&self) {
        notify::ready(&self.in_a_line());
    }

    fn idle(&self) {
        self.tell_manager();
        sum_up(self);
        self.save();
        self.eyes.rest();
    }

    fn in_flight(&self) -> bool {
        let status = self.store.status(None, None);
        status.is_some_and(|status| status.stacks.iter().any(crate::methods::is_in_flight))
    }
}

impl Agent {
    /// A declared stack whose spec loads: observe, decide, perform, account.
    async fn reconcile(
        &self,
        stack: &StackName,
        asked: Instant,
        want: &Want,
        project: Arc<Project>,
    ) -> Option<Duration> {
        let (engine, observed) = match self.observe(asked).await {
            Ok(seen) => seen,
            Err(reason) => {
                let status =
                    StackStatus { generation: Some(want.generation.clone()), ..unknown(stack, &reason) };
                self.conclude(StackStatus {
                    last_pass: Some(clock::now()),
                    notes: want.notes.clone(),
                    ..status
                });
                return Some(AWAY);
            }
        };
        if let Err(reason) = self.make_folders(stack, &project).await {
            self.fail(stack, want.generation.clone(), &reason, None, want.notes.clone());
            return Some(BLOCKED);
        }
        let Decided { desired, memory, mut plan } = self.decided(stack, want, project, &observed).await;
        let outcomes = quoting::outcomes(self.perform(stack, &engine, &mut plan).await, &want.secrets);
        let (status, remembered, said) =
            account(&desired, &observed, &memory, (&plan, &outcomes), clock::now());
        self.remember(stack, |memory| {
            // An operator may have said so while steps were done.
            let holds = std::mem::take(&mut memory.holds);
            *memory = StackMemory { holds, ..remembered };
        });
        report(self, &said);
        if plan.steps.is_empty() {
            self.tidy(&observed);
        }
        let wake = wake(&plan, &outcomes, &status);
        self.conclude(StackStatus { notes: want.notes.clone(), ..status });
        wake
    }

    /// The folders that the stack wants to be there; none while it is held, or where a mount that it needs is missing.
    async fn make_folders(&self, stack: &StackName, project: &Project) -> Result<(), String> {
        let is_held = |of| policy::hold(of, None, clock::now()).is_some();
        let held = self.memory.borrow().memory.stacks.get(stack).is_some_and(is_held);
        let waits = || mounts(project).iter().any(|mount| !mount.optional && mount.present.is_err());
        let wanted = project.settings.ensure_dirs.clone();
        if wanted.is_empty() || held || waits() {
            return Ok(());
        }
        let made = beside(move || folders::ensure_all(&wanted)).await;
        made.map_err(|error| format!("making folders: {error}"))?
    }

    /// What a stack wants of what was observed, what is remembered of it, and what is to be done.
    pub(crate) async fn decided(
        &self,
        stack: &StackName,
        want: &Want,
        project: Arc<Project>,
        observed: &Observed,
    ) -> Decided {
        let mut inputs = want.inputs.clone();
        inputs.mounts = mounts(&project);
        inputs.missing_paths.retain(|path| !folders::is_ensured(&project, path));
        let mut desired = desire(Wish {
            stack: stack.clone(),
            host: self.host.clone(),
            generation: want.generation.clone(),
            project,
            inputs,
            places: want.places.clone(),
        });
        desired.inputs.sources = self.bound_sources(&desired).await;
        let memory = self.memory.borrow().memory.stacks.get(stack).cloned().unwrap_or_default();
        let memory = memory.believed(clock::now());
        let observed = quoting::snapshot(observed, &want.secrets);
        let mut plan = decide(&desired, &observed, &memory, clock::now());
        annotate(&mut plan, &desired, &observed, &memory, &self.ear.happened());
        Decided { desired, memory, plan }
    }

    /// A stack that has left the profile: bring down what is ours of it, unless something holds that back.
    async fn take_down(&self, stack: &StackName, asked: Instant) -> Option<Duration> {
        let Ok((engine, observed)) = self.observe(asked).await else { return Some(AWAY) };
        if !self.owned.borrow().contains_key(stack) {
            self.store.forget(stack);
            return None;
        }
        let guard = self.removal_guard();
        let mut plan = gone_stacks(&observed, &self.host, stack, guard.as_deref());
        let outcomes = self.perform(stack, &engine, &mut plan).await;
        let said: Vec<Transition> = plan
            .steps
            .iter()
            .filter_map(|step| {
                let (event, message) = match outcomes.get(&step.id)? {
                    Outcome::Done { .. } => (TransitionEvent::Done, format!("{}: {}", step.act, step.cause)),
                    Outcome::Failed { error, .. } => {
                        (TransitionEvent::Failed, format!("{}: {error}", step.act))
                    }
                    _ => return None,
                };
                let at = clock::now();
                Some(Transition { at, stack: stack.clone(), event, drift: None, message, generation: None })
            })
            .collect();
        report(self, &said);
        let reason = guard.unwrap_or_else(|| "it is not declared any more and is brought down".to_owned());
        if plan.steps.is_empty() {
            self.tidy(&observed);
        }
        let phase = if plan.steps.is_empty() { Phase::Waiting } else { Phase::Working };
        self.conclude(StackStatus { phase, last_pass: Some(clock::now()), ..unknown(stack, &reason) });
        Some(if plan.steps.is_empty() { Duration::from_secs(60) } else { AGAIN })
    }

    /// Removes plaintext that nothing uses.
    fn tidy(&self, observed: &Observed) {
        if self.readings.are_over() {
            let wants = self.wants.borrow();
            tidy(&self.options.runtime_dir, Medium::Memory, wants.values(), bound(observed));
        }
    }

    /// Does the steps. A snapshot that another stack's pass took meanwhile shows half of them, and counts no more.
    async fn perform(&self, stack: &StackName, engine: &Engine, plan: &mut Plan) -> Outcomes {
        if plan.steps.is_empty() {
            return Outcomes::new();
        }
        logins::supply(plan).await;
        let begun = self.ear.begin(plan);
        let outcomes =
            perform(engine, plan, PARALLEL, &|step, how_far| self.tell(stack, step, how_far)).await;
        self.ear.done(begun, outcomes.values());
        self.eyes.forget(plan).await;
        if let Some(metrics) = self.metrics.get() {
            metrics.did(stack.as_str(), plan, |step| outcomes.get(&step));
        }
        outcomes
    }

    /// Says how far a step has got that takes a while.
    fn tell(&self, stack: &StackName, step: &Step, how_far: String) {
        let known = self.store.stack(stack);
        let begins = || StackStatus { phase: Phase::Working, ..unknown(stack, &step.act.to_string()) };
        let mut status = known.unwrap_or_else(begins);
        let what = step.act.to_string();
        match status.progress.iter_mut().find(|known| known.what == what) {
            Some(known) if known.how_far == how_far => return,
            Some(known) => known.how_far = how_far,
            None => status.progress.push(Progress { what, how_far, since: clock::now() }),
        }
        self.store.put(status);
    }

    /// A snapshot, and what it says about stacks that are not declared.
    async fn observe(&self, asked: Instant) -> Result<(Engine, Rc<Observed>), String> {
        let images: BTreeSet<String> = {
            let wants = self.wants.borrow();
            let projects = wants.values().filter_map(|want| want.project.as_ref().ok());
            let names =
                projects.flat_map(|project| project.services.values().map(move |service| (project, service)));
            let images = names.map(|(project, service)| image_of(project, service).expose().to_owned());
            images.chain(wants.values().flat_map(|want| want.inputs.bases().cloned())).collect()
        };
        let seen = self.eyes.look(asked, images).await;
        self.store.set_engine(self.eyes.status(seen.as_ref().err().map(String::as_str)));
        let (engine, observed) = seen?;
        let declared =
            self.declared.borrow().as_ref().map(|declared| declared.stacks.clone()).unwrap_or_default();
        let owned: BTreeMap<StackName, ProjectName> = owned_stacks(&observed, &self.host)
            .into_iter()
            .filter(|stack| !declared.contains_key(stack))
            .map(|stack| (stack.clone(), ProjectName::from(stack.as_str())))
            .collect();
        for stack in owned.keys().filter(|stack| !self.owned.borrow().contains_key(*stack)) {
            self.trigger(Trigger::Stack(stack.clone()));
        }
        self.owned.replace(owned);
        self.keep_roots(&observed);
        Ok((engine, observed))
    }

    fn fail(
        &self,
        stack: &StackName,
        generation: Generation,
        reason: &str,
        failed_by: Option<FailedBy>,
        notes: Vec<String>,
    ) -> Option<Duration> {
        let status = StackStatus {
            phase: Phase::Failed,
            generation: Some(generation.clone()),
            failed_by,
            notes,
            ..unknown(stack, reason)
        };
        let before = self.store.stack(stack);
        if before.as_ref().is_none_or(|known| known.phase != Phase::Failed || known.reason != reason) {
            let said = Transition {
                at: clock::now(),
                stack: stack.clone(),
                event: TransitionEvent::Failed,
                drift: None,
                message: format!(
                    "{}: {reason}; running containers are left as they are",
                    status.phase_in_words()
                ),
                generation: Some(generation),
            };
            report(self, &[said]);
        }
        self.conclude(StackStatus { last_pass: Some(clock::now()), ..status });
        None
    }

    /// The stack's spec: as it was loaded where nothing has changed since, else loaded now, in bounded time.
    async fn want(&self, stack: &StackName, generation: Generation, folder: PathBuf) -> Result<Want, String> {
        let known = self.wants.borrow().get(stack).cloned();
        let source = self.source(generation, folder);
        let Some(begun) = self.readings.begin(stack) else {
            return Err(
                "the spec is still being read: a file system that it is on does not answer".to_owned()
            );
        };
        let reading = beside(move || {
            let want = match known.filter(|known| known.is_current(&source.generation, &source.folder)) {
                Some(known) => known,
                None => gather(source),
            };
            (want, begun)
        });
        let (want, _begun) = reading.await.map_err(|error| format!("reading the spec: {error}"))?;
        self.wants.borrow_mut().insert(stack.clone(), want.clone());
        Ok(want)
    }

    /// What is to be read for a stack.
    pub(crate) fn source(&self, generation: Generation, folder: PathBuf) -> Source {
        Source {
            generation,
            folder,
            profile: self.options.profile.clone(),
            keys: identities::places(&self.options.age_key),
            runtime_dir: self.options.runtime_dir.clone(),
            medium: Medium::Memory,
            state_dir: self.options.state_dir.clone(),
            archives: Arc::clone(&self.archives),
            preview: false,
        }
    }

    /// Puts a stack's new status where it is read. "Since" stays where the phase does.
    fn conclude(&self, mut status: StackStatus) {
        if let Some(before) = self.store.stack(&status.name).filter(|before| before.phase == status.phase) {
            status.since = before.since;
        }
        self.store.put(status);
    }
}

/// When to look again, where no event will say so.
fn wake(plan: &Plan, outcomes: &Outcomes, status: &StackStatus) -> Option<Duration> {
    let now = clock::now();
    let all_done = outcomes.values().all(|outcome| matches!(outcome, Outcome::Done { .. }));
    if !plan.steps.is_empty() && all_done {
        return Some(AGAIN);
    }
    if !all_done {
        return Some(FAILED);
    }
    let retry = status.next_wake.map(|at| u64::try_from(at.since(now)).unwrap_or(0));
    retry.map(|ms| Duration::from_millis(ms.max(50)))
}

/// The mounts that the stack requires, as the kernel has them now.
fn mounts(project: &Project) -> Vec<RequiredMount> {
    let required = &project.settings.requires_mounts;
    if required.is_empty() {
        return Vec::new();
    }
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted = systemd::mounts::parse(&text);
    let one = |mount: &specs::settings::RequiredMount| {
        let path = PathBuf::from(&mount.path);
        let present = systemd::mounts::present(&mounted, &path, mount.fs_type.as_deref()).map(drop);
        RequiredMount { path, present, optional: mount.optional }
    };
    required.iter().map(one).collect()
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
        control::socket::listen,
        control::{
            access::Rules,
            client::{Client, ClientError},
            server::serve,
        },
        methods::Control,
        options::Options,
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
        let agent = Agent::new(options, sender.clone());
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
        assert_eq!(
            names(&answers[1]),
            ["db", "web"],
            "whether anything of web is left, only the Engine can say"
        );
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
        assert!(Rounds::rescan(&*agent).await.is_empty());
        let status = agent.store.status(None, None).expect("the host");
        assert!(status.profile_error.is_some_and(|error| error.contains("cannot resolve the profile")));
        assert!(agent.removal_guard().is_some(), "nothing may be taken away");
    }

    fn options_of_missing(folder: &Path) -> Options {
        let state = folder.join("state").to_string_lossy().into_owned();
        Options::parse_from(["compose-agent", "--profile", "/nowhere/at/all", "--state-dir", &state])
    }
}
