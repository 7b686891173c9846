//! What is remembered of a pass, for the passes after it and after a restart?

use super::Outcomes;
use crate::{
    backoff::{self, Backoff},
    contest,
    desired::Desired,
    ids::Time,
    memory::StackMemory,
    observed::{Observed, RunState},
    sources,
    step::{Act, Outcome, Plan, Remember, Retry, StepId, Target, Verdict},
};

/// Backoffs after failures; the words of the first failure.
pub(super) fn remember_failures(
    plan: &Plan,
    observed: &Observed,
    outcomes: &Outcomes,
    memory: &mut StackMemory,
    now: Time,
) -> Option<String> {
    let mut first = None;
    memory.backoff.retain(|_, known| !known.is_over(now));
    for step in &plan.steps {
        let key = backoff_key(&step.act, plan, observed);
        match (outcomes.get(&step.id), &step.act) {
            // An image that somebody builds upon is theirs now.
            (Some(Outcome::Failed { retry: Retry::Now | Retry::Never, .. }), Act::RemoveImage { id, .. }) => {
                memory.brought.remove(id);
            }
            // The world moved under us: the next pass sees it as it is. Where it does not, that is a failure.
            (Some(Outcome::Failed { error, retry: Retry::Now }), _)
                if !step.act.brings_image() && !memory.backoff.contains_key(&key) =>
            {
                memory.backoff.insert(key, Backoff::collision(error, now));
            }
            (Some(Outcome::Failed { error, .. }), _) => {
                first.get_or_insert_with(|| format!("{}: {error}", step.act));
                let backoff = backoff::after_failure(memory.backoff.get(&key), &key, error, now);
                memory.backoff.insert(key, backoff);
            }
            (Some(Outcome::TimedOut), _) => {
                let error = format!("no answer within {} s", step.deadline_ms / 1000);
                let backoff = backoff::after_failure(memory.backoff.get(&key), &key, &error, now);
                memory.backoff.insert(key, backoff);
                first.get_or_insert_with(|| format!("{}: {error}", step.act));
            }
            (Some(Outcome::Done { .. }), act)
                if matches!(act, Act::StartContainer { .. } | Act::RemoveImage { .. })
                    || act.brings_image() =>
            {
                memory.backoff.remove(&key);
            }
            _ => {}
        }
    }
    first
}

/// What the plan asked to remember, where its step was done.
pub(super) fn keep_memos(plan: &Plan, observed: &Observed, outcomes: &Outcomes, memory: &mut StackMemory) {
    let done = |step: StepId| matches!(outcomes.get(&step), Some(Outcome::Done { .. }));
    for memo in plan.memos.iter().filter(|memo| memo.step.is_none_or(done)) {
        match memo.what.clone() {
            Remember::Rejected { replica, rejection } => {
                memory.rejected.insert(replica, rejection);
            }
            Remember::Settled { replica } => {
                memory.rejected.remove(&replica);
            }
            Remember::Delivered { container, key, digest } => {
                memory.delivered.entry(container.to_string()).or_default().insert(key, digest);
            }
            Remember::Brought { brought } => {
                if let Some(Outcome::Done { made: Some(id) }) = memo.step.and_then(|step| outcomes.get(&step))
                    // A pull that found what somebody else has brought has brought nothing.
                    && (brought.from.is_some() || !observed.images.contains_key(id))
                {
                    memory.brought.insert(id.clone(), brought);
                }
            }
            Remember::Unused { image, since } => {
                if let Some(brought) = memory.brought.get_mut(&image) {
                    brought.unused_since = since;
                }
            }
            Remember::Forgotten { image } => {
                memory.brought.remove(&image);
            }
            Remember::AdoptedBuild { reference, digest } => {
                memory.adopted_builds.insert(reference, digest);
            }
            Remember::Pulled { reference, pull } => {
                memory.pulled.insert(reference, pull);
            }
        }
    }
}

/// Counts what was put right, so that deciding sees what keeps coming back.
pub(super) fn count_corrections(
    desired: &Desired,
    done: (&Plan, &Outcomes),
    memory: &mut StackMemory,
    now: Time,
) {
    let (plan, outcomes) = done;
    if memory.generation.as_ref() != Some(&desired.generation) {
        memory.generation = Some(desired.generation.clone());
        memory.corrections.clear();
    }
    let succeeded = |step: &StepId| matches!(outcomes.get(step), Some(Outcome::Done { .. }));
    for finding in &plan.findings {
        let Verdict::Act(steps) = &finding.verdict else { continue };
        if !steps.is_empty() && steps.iter().all(succeeded) {
            memory.corrections.entry(finding.drift.key()).or_default().push(now);
        }
    }
    memory.corrections.retain(|_, made| {
        made.retain(|at| now.since(*at) < contest::WINDOW_MS);
        let surplus = made.len().saturating_sub(contest::MOST);
        made.drain(..surplus);
        !made.is_empty()
    });
}

/// Containers that are no more have been told of nothing, and a wish that nothing is left to do for is fulfilled.
pub(super) fn forget_the_gone(plan: &Plan, observed: &Observed, memory: &mut StackMemory) {
    if plan.steps.is_empty() {
        memory.restart = None;
    }
    memory.delivered.retain(|id, _| observed.containers().any(|found| found.id.as_str() == id));
}

/// What containers have bound that have started since it was last looked at.
pub(super) fn remember_bound(desired: &Desired, observed: &Observed, memory: &mut StackMemory) {
    memory.bound.retain(|id, _| observed.containers().any(|found| found.id.as_str() == id));
    let running = observed.containers().filter(|found| found.state.status == RunState::Running);
    for container in running.filter(|found| desired.owns(found)) {
        let Some(replica) = &container.labels.replica else { continue };
        let Some(service) = desired.services.get(&replica.service) else { continue };
        let known = memory.bound.get(container.id.as_str());
        if known.is_some_and(|known| known.started == container.state.started_at) {
            continue;
        }
        let bound = sources::bound(&service.spec, &desired.inputs.sources, container.state.started_at);
        if bound.sources.is_empty() {
            memory.bound.remove(container.id.as_str());
        } else {
            memory.bound.insert(container.id.to_string(), bound);
        }
    }
}

/// What is left alone after a failure: the image, or the service. It is what deciding looks a backoff up by.
fn backoff_key(act: &Act, plan: &Plan, observed: &Observed) -> String {
    let service = match act {
        Act::PullImage { reference, .. } => return reference.clone(),
        Act::BuildImage { build } => return build.reference.clone(),
        Act::LoadImage { archive, .. } => return archive.display().to_string(),
        Act::RemoveImage { id, .. } => return id.clone(),
        Act::CreateContainer(new) => Some(new.replica.service.to_string()),
        other => match other.target() {
            Some(Target::Existing { id, .. }) => {
                let container = observed.containers().find(|container| container.id == *id);
                container
                    .and_then(|container| container.labels.replica.as_ref())
                    .map(|replica| replica.service.to_string())
            }
            Some(Target::Made { step: id, .. }) => {
                plan.steps.iter().find(|step| step.id == *id).and_then(|step| match &step.act {
                    Act::CreateContainer(new) => Some(new.replica.service.to_string()),
                    _ => None,
                })
            }
            None => None,
        },
    };
    service.unwrap_or_else(|| act.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::{
        observed::{ComposeLabels, ObservedContainer},
        step::Step,
    };

    #[test]
    fn a_failed_start_keeps_its_service_back_and_a_good_one_lets_it_go() {
        let replica = crate::ids::Replica { service: "web".into(), number: 1 };
        let container = ObservedContainer {
            id: "1".into(),
            name: "p-web-1".into(),
            labels: ComposeLabels { replica: Some(replica), ..ComposeLabels::default() },
            state: crate::observed::ContainerState::default(),
            spec: crate::container::ContainerSpec::default(),
            image_id: "i".into(),
            attached: BTreeMap::new(),
            anonymous_volumes: BTreeMap::new(),
            created_at: Time(0),
        };
        let observed = Observed { containers: vec![container.into()], ..Observed::default() };
        let act =
            Act::StartContainer { container: Target::Existing { id: "1".into(), name: "p-web-1".into() } };
        let step = Step {
            id: StepId(0),
            act,
            cause: String::new(),
            after: Vec::new(),
            deadline_ms: 1,
            interrupts: false,
        };
        let plan = Plan { steps: vec![step], ..Plan::default() };
        let mut memory = StackMemory::default();
        let failed = Outcome::Failed { error: "port taken".into(), retry: Retry::Later };
        let failed: Outcomes = [(StepId(0), failed)].into();
        remember_failures(&plan, &observed, &failed, &mut memory, Time(0));
        assert_eq!(memory.backoff["web"].failures, 1);
        let done: Outcomes = [(StepId(0), Outcome::Done { made: None })].into();
        remember_failures(&plan, &observed, &done, &mut memory, Time(9));
        assert!(memory.backoff.is_empty());
    }
}
