//! One pass of one stack: gather, decide, perform, account.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use docker::{Engine, perform};
use plan::{
    account::{Outcomes, account},
    ids::{Generation, ProjectName, StackName},
    memory::StackMemory,
    observed::Observed,
    status::{FailedBy, Phase, Progress, StackStatus, Transition, TransitionEvent},
    step::{Outcome, Plan, Step},
};
use specs::model::Project;
use systemd::{notify, runtime_dir::Medium};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    clock,
    daemon::{Agent, unknown},
    decided::Decided,
    gather::{Want, logins},
    report::{report, say_held_back, sum_up},
    rounds::Rounds,
    scheduler::Due,
    secrets::{
        quoting,
        tidy::{bound, tidy},
    },
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

impl Rounds for Agent {
    async fn pass(&self, due: Due) -> Option<Duration> {
        let span = self.span_of_pass(&due.stack);
        self.look_at(due).instrument(span).await
    }

    fn panicked(&self, stack: &StackName, message: &str) {
        let known = self.store.stack(stack).unwrap_or_else(|| unknown(stack, ""));
        let reason = format!("internal error: {message}");
        self.conclude(StackStatus { phase: Phase::Failed, reason, last_pass: Some(clock::now()), ..known });
        self.store.passed(stack, Instant::now());
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
        say_held_back(self);
        sum_up(self);
        self.save();
        self.eyes.rest();
        self.quiet.notify_one();
    }

    fn in_flight(&self) -> bool {
        let status = self.store.status(None, None);
        status.is_some_and(|status| status.stacks.iter().any(crate::methods::is_in_flight))
    }
}

impl Agent {
    async fn look_at(&self, due: Due) -> Option<Duration> {
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
        self.store.passed(&stack, due.asked);
        self.note_guard();
        if let Some(metrics) = self.metrics.get() {
            let phase = self.store.stack(&stack).map_or(Phase::Unknown, |status| status.phase);
            metrics.passed(stack.as_str(), phase.as_str(), began.elapsed());
        }
        wake
    }

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
        self.note_missed(&desired, &observed.engine);
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

    /// Removes plaintext that nothing uses.
    pub(super) fn tidy(&self, observed: &Observed) {
        if self.readings.are_over() {
            let wants = self.wants.borrow();
            tidy(&self.options.runtime_dir, Medium::Memory, wants.values(), bound(observed));
        }
    }

    /// Does the steps. A snapshot that another stack's pass took meanwhile shows half of them, and counts no more.
    pub(super) async fn perform(&self, stack: &StackName, engine: &Engine, plan: &mut Plan) -> Outcomes {
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

    /// Puts a stack's new status where it is read. "Since" stays where the phase does.
    pub(super) fn conclude(&self, mut status: StackStatus) {
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

mod gone;
#[cfg(test)]
mod tests;
