//! What came of a pass: how does the stack stand, what is remembered, what does the journal say?

mod remember;
mod say;
mod services;

use std::collections::BTreeMap;

use self::{
    remember::{count_corrections, forget_the_gone, keep_memos, remember_bound, remember_failures},
    say::{compare_open, open, runs},
    services::services,
};
use crate::{
    contest::{self, Contest},
    desired::Desired,
    ids::Time,
    memory::{Pruning, StackMemory},
    observed::Observed,
    status::{HealthSummary, Phase, ServiceStatus, StackStatus, Transition, TransitionEvent},
    step::{Outcome, Plan, StepId, Verdict, WaitKind},
};

/// How the steps of a plan ended.
pub type Outcomes = BTreeMap<StepId, Outcome>;

/// Accounts for one pass of a declared stack. `observed` is what was seen before the steps.
pub fn account(
    desired: &Desired,
    observed: &Observed,
    memory: &StackMemory,
    done: (&Plan, &Outcomes),
    now: Time,
) -> (StackStatus, StackMemory, Vec<Transition>) {
    let (plan, outcomes) = done;
    let mut next = memory.clone();
    let mut transitions = Vec::new();
    let failed = remember_failures(plan, observed, outcomes, &mut next, now);
    keep_memos(plan, observed, outcomes, &mut next);
    forget_the_gone(plan, observed, &mut next);
    remember_bound(desired, observed, &mut next);
    count_corrections(desired, (plan, outcomes), &mut next, now);
    let (open, waiting) = open(plan, memory, now);
    compare_open(desired, (memory, &next), &open, done, now, &mut transitions);
    let (phase, reason) = phase(plan, failed.as_deref());
    let since = memory.phase.filter(|(before, _)| *before == phase).map_or(now, |(_, since)| since);
    if memory.phase.map(|(before, _)| before) != Some(phase) {
        transitions.push(Transition {
            at: now,
            stack: desired.stack.clone(),
            event: TransitionEvent::Phase,
            drift: None,
            message: if reason.is_empty() {
                phase.as_str().to_owned()
            } else {
                format!("{}: {reason}", phase.as_str())
            },
            generation: Some(desired.generation.clone()),
        });
    }
    next.pruning = Pruning::of(desired.project.settings.prune_images);
    next.phase = Some((phase, since));
    next.open.clone_from(&open);
    next.waiting.clone_from(&waiting);
    let services: Vec<ServiceStatus> = services(desired, observed);
    if phase == Phase::Converged {
        transitions.extend(runs(desired, &services, &mut next, now));
    }
    let waits = waiting.iter().filter_map(|wait| wait.retry_at);
    let retry = waits.chain(contests_end(plan, &next, now)).min();
    let status = StackStatus {
        name: desired.stack.clone(),
        project: desired.project_name.clone(),
        generation: Some(desired.generation.clone()),
        phase,
        since,
        failed_by: None,
        reason,
        applied: failed.is_none()
            && !outcomes.values().any(|outcome| !matches!(outcome, Outcome::Done { .. })),
        health: services.iter().map(|service| service.health).max().unwrap_or(HealthSummary::Running),
        services,
        drift: open,
        waiting,
        progress: Vec::new(),
        notes: Vec::new(),
        next_wake: retry,
        last_pass: Some(now),
    };
    (status, next, transitions)
}

/// What is remembered of the steps of a stack that is not declared any more.
pub fn remember_steps(done: (&Plan, &Outcomes), observed: &Observed, memory: &mut StackMemory, now: Time) {
    let (plan, outcomes) = done;
    remember_failures(plan, observed, outcomes, memory, now);
    keep_memos(plan, observed, outcomes, memory);
}

/// When contested differences may be put right again.
fn contests_end(plan: &Plan, memory: &StackMemory, now: Time) -> Vec<Time> {
    let contested = plan
        .findings
        .iter()
        .filter(|finding| matches!(&finding.verdict, Verdict::Refuse(why) if contest::is_contested(why)));
    let made = contested.filter_map(|finding| memory.corrections.get(&finding.drift.key()));
    let end = |made: &Vec<Time>| match contest::contest(made, now) {
        Contest::Contested(until) => Some(until),
        Contest::No | Contest::Pause(_) => None,
    };
    made.filter_map(end).collect()
}

fn phase(plan: &Plan, failed: Option<&str>) -> (Phase, String) {
    if let Some(error) = failed {
        return (Phase::Failed, error.to_owned());
    }
    let verdicts = || plan.findings.iter().map(|finding| &finding.verdict);
    let refused =
        || verdicts().filter_map(|verdict| if let Verdict::Refuse(why) = verdict { Some(why) } else { None });
    if let Some(why) = refused().find(|why| !contest::is_contested(why)) {
        return (Phase::Failed, why.clone());
    }
    if let Some(why) = refused().next() {
        return (Phase::Contested, why.clone());
    }
    let waits =
        || verdicts().filter_map(|verdict| if let Verdict::Wait(wait) = verdict { Some(wait) } else { None });
    if let Some(wait) = waits().find(|wait| wait.on == WaitKind::Hold) {
        return (Phase::Held, wait.what.clone());
    }
    let soft = |kind: WaitKind| matches!(kind, WaitKind::Engine | WaitKind::Health | WaitKind::Dependency);
    if let Some(wait) = waits().find(|wait| wait.on == WaitKind::Backoff) {
        return (Phase::Failed, wait.what.clone());
    }
    if let Some(wait) = waits().find(|wait| !soft(wait.on)) {
        return (Phase::Waiting, wait.what.clone());
    }
    if !plan.steps.is_empty() {
        return (Phase::Working, format!("{} steps done", plan.steps.len()));
    }
    if let Some(wait) = waits().next() {
        return (Phase::Working, format!("waiting for {}", wait.what));
    }
    match verdicts().find_map(|verdict| if let Verdict::Leave(why) = verdict { Some(why) } else { None }) {
        Some(why) => (Phase::Drifted, why.clone()),
        None => (Phase::Converged, String::new()),
    }
}
