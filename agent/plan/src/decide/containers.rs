//! What does one service's set of containers need?
//!
//! Keep what is as declared, put right in place what the Engine can change on a living container, replace the rest, and
//! make what is missing. Nothing that runs is stopped before all that its successor needs is there.

use super::{
    draft::Draft,
    judge::{Judgement, judge},
    make::{create, remove, start, target},
    repair::{repair, run},
    replace::{Old, is_in_flight, prove, replace, restore},
    slots::{Slot, is_successor, slots},
    waits::{Gate, gate},
};
use crate::{
    desire::container_name,
    desired::DesiredService,
    drift::DriftKind,
    observed::{ObservedContainer, RunState},
    step::{Act, Remember, StepId, Verdict},
};

/// Decides for one service.
pub(super) fn decide(draft: &mut Draft<'_>, service: &DesiredService) {
    if let Some(foreign) = draft.desired.foreign_name(draft.observed, service) {
        let mut drift = draft.drift(service, None, DriftKind::ForeignName, "container_name");
        drift.want.clone_from(&foreign.name);
        drift.have = format!("a container that is not this stack's ({})", foreign.id.short());
        let why = "another container has the name: rename or remove it, or change container_name";
        draft.find(drift, Verdict::Refuse(why.into()));
        return;
    }
    let found = slots(draft.desired, draft.observed, service);
    let mut gone: Vec<StepId> = Vec::new();
    for container in found.surplus {
        let cause = "another container has its place";
        gone.extend(surplus(draft, service, container, DriftKind::Unfinished, cause));
    }
    let mut judged: Vec<(Option<Judgement>, Slot<'_>)> = found
        .slots
        .into_iter()
        .map(|slot| (slot.current.map(|container| judge(draft, service, container)), slot))
        .collect();
    let replicas = service.replicas as usize;
    if judged.len() > replicas {
        // From the highest number, but what has to be replaced anyway first.
        judged.sort_by_key(|(judgement, slot)| {
            (judgement.as_ref().is_none_or(Judgement::must_recreate), slot.number)
        });
        for (_, slot) in judged.drain(replicas..) {
            let cause = format!(
                "services.{} declares {} containers, number {} is one too many",
                service.name, service.replicas, slot.number
            );
            for container in [slot.current, slot.successor, slot.predecessor].into_iter().flatten() {
                gone.extend(surplus(draft, service, container, DriftKind::Orphan, &cause));
            }
        }
        judged.sort_by_key(|(_, slot)| slot.number);
    }
    let in_flight = judged.iter().filter(|(_, slot)| is_in_flight(draft, service, slot)).count();
    draft.renewing.insert(service.name.clone(), in_flight as u64);
    let highest = judged.last().map_or(0, |(_, slot)| slot.number);
    for (judgement, slot) in &judged {
        place(draft, service, slot, judgement.as_ref(), &gone);
    }
    let missing = service.replicas.saturating_sub(u32::try_from(judged.len()).unwrap_or(u32::MAX));
    for number in 1..=missing {
        create(draft, service, highest + number, None);
    }
}

/// Decides for one place.
fn place(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    slot: &Slot<'_>,
    judgement: Option<&Judgement>,
    gone: &[StepId],
) {
    let (Some(current), Some(judgement)) = (slot.current, judgement) else {
        if let Some(kept) = slot.predecessor {
            vacant(draft, service, slot, kept);
        }
        return;
    };
    if matches!(current.state.status, RunState::Removing | RunState::Dead) {
        run(draft, service, current);
        return;
    }
    if judgement.must_recreate() {
        if replace(draft, service, slot, current, judgement) == Old::Goes {
            return;
        }
    } else if let Some(made) = slot.successor {
        let cause = format!("{} is as declared and needs no successor", current.name);
        surplus(draft, service, made, DriftKind::Unfinished, &cause);
    }
    let name = container_name(&draft.desired.project_name, service, slot.number);
    if slot.predecessor.is_none() && is_successor(current, &name) {
        inherit(draft, service, current, name, gone);
        return;
    }
    let stays = match slot.predecessor {
        Some(kept) => prove(draft, service, slot, current, kept),
        None => true,
    };
    if !stays {
        return;
    }
    let replica = format!("{}-{}", service.name, slot.number);
    let settled = !judgement.must_recreate() && slot.predecessor.is_none();
    if settled && draft.memory.rejected.contains_key(&replica) {
        draft.remember(None, Remember::Settled { replica });
    }
    repair(draft, service, current, judgement, gone);
    run(draft, service, current);
}

/// Somebody has removed the container that this one was made to replace: it is in its place before its time.
fn inherit(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    successor: &ObservedContainer,
    name: String,
    gone: &[StepId],
) {
    let mut drift = draft.drift(service, None, DriftKind::Missing, "");
    drift.want.clone_from(&name);
    drift.have = format!("{}, which was to replace it", successor.name);
    let cause = format!("{name} is gone, and {} was made to replace it", successor.name);
    let act = Act::RenameContainer { container: target(successor), name };
    let mut steps = vec![draft.step(act, cause.as_str(), gone)];
    if successor.state.status != RunState::Running
        && let Gate::Open(mut after) = gate(draft, service)
    {
        after.extend(&steps);
        steps.push(start(draft, service, &target(successor), &cause, &after));
    }
    draft.find(drift, Verdict::Act(steps));
}

/// A place whose container is gone while the one that it replaced is still kept.
fn vacant(draft: &mut Draft<'_>, service: &DesiredService, slot: &Slot<'_>, kept: &ObservedContainer) {
    if judge(draft, service, kept).must_recreate() {
        create(draft, service, slot.number, Some(kept));
        return;
    }
    let name = container_name(&draft.desired.project_name, service, slot.number);
    let mut drift = draft.drift(service, Some(kept), DriftKind::Missing, "");
    drift.want = name;
    drift.have = "nothing in its place".into();
    let steps = restore(draft, service, slot, kept, "it is as declared, and its successor is gone", &[]);
    draft.find(drift, Verdict::Act(steps));
}

fn surplus(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    kind: DriftKind,
    cause: &str,
) -> Vec<StepId> {
    let mut drift = draft.drift(service, Some(container), kind, "scale");
    drift.want = "nothing".into();
    drift.have.clone_from(&container.name);
    let steps = remove(draft, container, cause, &[]);
    draft.find(drift, Verdict::Act(steps.clone()));
    steps
}
