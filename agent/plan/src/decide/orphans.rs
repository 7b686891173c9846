//! What is ours, and no longer declared?
//!
//! Removal is for containers and networks that carry our owner label, or Compose's labels of a declared project. Volumes
//! are never removed: there is no act for it.

use std::collections::BTreeSet;

use super::{
    draft::Draft,
    make::{remove, target},
};
use crate::{
    container::Namespace,
    drift::{Drift, DriftKind, Subject},
    ids::StackName,
    labels,
    observed::{Observed, ObservedContainer},
    step::{Act, Finding, Plan, Step, StepId, Verdict},
};

/// Containers of this project whose service is neither declared nor disabled by a profile.
pub(super) fn decide(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    let orphans: Vec<&ObservedContainer> = draft
        .observed
        .containers()
        .filter(|container| desired.owns(container))
        .filter(|container| !container.labels.oneoff)
        .filter(|container| {
            container.labels.replica.as_ref().is_some_and(|replica| {
                let name = replica.service.as_str();
                !desired.project.services.contains_key(name)
                    && !desired.project.disabled_services.contains_key(name)
            })
        })
        .collect();
    remove_each(orphans, |container, after| {
        let cause = format!("{} is of a service that is not declared any more", container.name);
        let steps = remove(draft, container, &cause, after);
        draft.find(orphan(container), Verdict::Act(steps.clone()));
        steps
    });
}

/// Removes each after all who need it; gives the last step of each. `remove` is given the steps to come after.
fn remove_each<'a>(
    mut left: Vec<&'a ObservedContainer>,
    mut remove: impl FnMut(&'a ObservedContainer, &[StepId]) -> Vec<StepId>,
) -> Vec<StepId> {
    let mut removed: Vec<(&ObservedContainer, StepId)> = Vec::new();
    while !left.is_empty() {
        // Labels that go round in a circle are no reason to keep anything.
        let free = left.iter().position(|one| !left.iter().any(|other| needs(other, one))).unwrap_or(0);
        let container = left.remove(free);
        let needing = removed.iter().filter(|(other, _)| needs(other, container));
        let after: Vec<StepId> = needing.map(|(_, step)| *step).collect();
        let steps = remove(container, &after);
        removed.extend(steps.last().map(|step| (container, *step)));
    }
    removed.into_iter().map(|(_, step)| step).collect()
}

/// Whether a container depends on another one, or shares something with it.
fn needs(one: &ObservedContainer, other: &ObservedContainer) -> bool {
    let declared = one.labels.all.get(labels::DEPENDS_ON).map_or("", String::as_str);
    let service = other.labels.replica.as_ref().map(|replica| replica.service.as_str());
    let depends = declared.split(',').any(|edge| edge.split(':').next() == service && service.is_some());
    let shares = [&one.spec.network_mode, &one.spec.ipc, &one.spec.pid]
        .into_iter()
        .any(|mode| matches!(mode, Some(Namespace::Container(id)) if *id == other.id));
    one.id != other.id && (depends || shares)
}

/// Stops and removes everything of a stack that an operator has taken down.
pub(super) fn take_down(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    let ours = draft.observed.containers().filter(|container| desired.owns(container)).collect();
    let gone = remove_each(ours, |container, after| {
        let steps = remove(draft, container, "an operator has taken the stack down", after);
        draft.find(orphan(container), Verdict::Act(steps.clone()));
        steps
    });
    for network in draft
        .observed
        .networks
        .iter()
        .filter(|network| network.owner.project.as_ref() == Some(&desired.project_name))
    {
        let act = Act::RemoveNetwork { id: network.id.clone(), name: network.spec.name.clone() };
        let step = draft.step(act, "an operator has taken the stack down", &gone);
        draft.find(orphan_network(&network.spec.name), Verdict::Act(vec![step]));
    }
}

fn orphan_network(name: &str) -> Drift {
    Drift {
        subject: Subject::Network { name: name.to_owned() },
        kind: DriftKind::Orphan,
        field: String::new(),
        want: "nothing".into(),
        have: "a network".into(),
        place: None,
        cause: None,
    }
}

fn orphan(container: &ObservedContainer) -> Drift {
    Drift {
        subject: Subject::Container { name: container.name.clone(), id: container.id.clone() },
        kind: DriftKind::Orphan,
        field: String::new(),
        want: "nothing".into(),
        have: container.state.status.as_str().into(),
        place: None,
        cause: None,
    }
}

/// The stacks of this host that own something on the Engine.
pub fn owned_stacks(observed: &Observed, host: &str) -> BTreeSet<StackName> {
    let of =
        |owner: &Option<String>| owner.as_deref()?.strip_prefix(host)?.strip_prefix('/').map(StackName::from);
    let containers = observed.containers().filter_map(|container| container.labels.stack_of(host));
    let networks = observed.networks.iter().filter_map(|network| of(&network.owner.agent));
    containers.chain(networks).collect()
}

/// Brings a stack down that is not declared any more. `guard` holds everything back, with its words.
pub fn gone_stacks(observed: &Observed, host: &str, stack: &StackName, guard: Option<&str>) -> Plan {
    let owner = format!("{host}/{stack}");
    let mut plan = Plan::default();
    let containers: Vec<&ObservedContainer> = observed
        .containers()
        .filter(|container| container.labels.owner.agent.as_ref() == Some(&owner))
        .collect();
    if let Some(guard) = guard {
        let leave =
            |container| Finding { drift: orphan(container), verdict: Verdict::Leave(guard.to_owned()) };
        plan.findings.extend(containers.into_iter().map(leave));
        return plan;
    }
    let cause = format!("the stack {stack} is not declared any more");
    let done = remove_each(containers, |container, after| {
        let stop = Act::StopContainer { container: target(container), timeout: None };
        let stop = push(&mut plan, stop, &cause, after);
        let gone = push(&mut plan, Act::RemoveContainer { container: target(container) }, &cause, &[stop]);
        plan.findings.push(Finding { drift: orphan(container), verdict: Verdict::Act(vec![stop, gone]) });
        vec![stop, gone]
    });
    for network in observed.networks.iter().filter(|network| network.owner.agent.as_ref() == Some(&owner)) {
        let name = network.spec.name.clone();
        let act = Act::RemoveNetwork { id: network.id.clone(), name: name.clone() };
        let step = push(&mut plan, act, &cause, &done);
        let drift = orphan_network(&name);
        plan.findings.push(Finding { drift, verdict: Verdict::Act(vec![step]) });
    }
    plan
}

/// Adds a step to a plan that is no draft any more.
pub(super) fn push(plan: &mut Plan, act: Act, cause: &str, after: &[StepId]) -> StepId {
    let id = StepId(u32::try_from(plan.steps.len()).unwrap_or(u32::MAX));
    let interrupts = matches!(act, Act::StopContainer { .. } | Act::RemoveContainer { .. });
    plan.steps.push(Step {
        id,
        act,
        cause: cause.to_owned(),
        after: after.to_vec(),
        deadline_ms: 120_000,
        interrupts,
    });
    id
}
