//! How is a container replaced, so that a failure at any moment leaves one that works?
//!
//! Stop-first, Compose's sequence with one change: the new container is made under a name of its own while the old one
//! still runs; the old one is stopped and, instead of being removed, put aside under another name; the new one takes the
//! name and is started. Once it has proven itself the old one goes; where it fails, it goes itself and the old one is
//! started again. Start-first: the new one is started under its own name and proves itself beside the old one.
//!
//! Every step leaves names and labels from which [`super::slots`] tells how far it got.

use specs::settings::UpdatePolicy;

use super::{
    draft::Draft,
    images,
    judge::{Judgement, altered, declaration, judge},
    make::{make, remove, start, stop, target},
    obstacle::Obstacle,
    order::{Order, order},
    proof::{Proof, proof},
    repair::at_rest,
    restrain::restraint,
    slots::{Slot, kept_name, successor_name},
    waits::{Gate, awaited, gate, obstacle, unjoined},
};
use crate::{
    container::fields::FieldDifference,
    desire::container_name,
    desired::DesiredService,
    drift::{Drift, DriftKind, differs},
    ids::Time,
    memory::Rejection,
    observed::{ObservedContainer, RunState},
    step::{Act, Remember, StepId, Target, Verdict, Wait, WaitKind},
};

/// What becomes of a container that is not as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Old {
    /// Another one takes its place, now or as soon as what that needs is there.
    Goes,
    /// It is not to be replaced for now, and does its work until then.
    Stays,
}

/// Replaces the container of a place, or goes on with it.
pub(super) fn replace(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    slot: &Slot<'_>,
    old: &ObservedContainer,
    judgement: &Judgement,
) -> Old {
    let mut reasons = judgement.reasons(draft, service, old);
    let replica = format!("{}-{}", service.name, slot.number);
    if let Some(verdicts) = refusals(draft, service, &replica, &reasons) {
        for (drift, verdict) in reasons.into_iter().zip(verdicts) {
            draft.find(drift, verdict);
        }
        return Old::Stays;
    }
    reasons.extend(folded(draft, service, slot, old, judgement));
    let choice = order(draft, service, old);
    let cause = reasons.first().map_or_else(String::new, cause_of);
    let swap = Swap { service, slot, old, replica, cause: format!("{cause}; {}", choice.why) };
    let verdict = match swap.beside(draft).filter(|_| choice.order == Order::StartFirst) {
        Some(made) => swap.prove(draft, made),
        None => match stands_in_the_way(draft, service, slot, old) {
            Some(obstacle) => {
                obstacle.explain(draft, reasons);
                return Old::Goes;
            }
            None if choice.order == Order::StartFirst => Verdict::Act(swap.start_first(draft)),
            None => Verdict::Act(swap.stop_first(draft)),
        },
    };
    draft.replaced.insert(service.name.clone());
    if !has_begun(slot) {
        *draft.renewing.entry(service.name.clone()).or_default() += 1;
    }
    for drift in reasons {
        draft.find(drift, verdict.clone());
    }
    Old::Goes
}

/// Why none of these reasons may be acted on now, one verdict each; `None`: one may.
fn refusals(
    draft: &Draft<'_>,
    service: &DesiredService,
    replica: &str,
    reasons: &[Drift],
) -> Option<Vec<Verdict>> {
    if let Some(words) = given_up(draft, service, replica) {
        return Some(vec![Verdict::Refuse(words); reasons.len()]);
    }
    let policy = &draft.desired.project.settings.drift;
    reasons.iter().map(|drift| restraint(policy, draft.memory, drift, draft.now)).collect()
}

/// What is wrong with the old container beside the reasons, and goes with it: nobody would hear of it otherwise.
fn folded(
    draft: &Draft<'_>,
    service: &DesiredService,
    slot: &Slot<'_>,
    old: &ObservedContainer,
    judgement: &Judgement,
) -> Vec<Drift> {
    let in_place = |difference: &&FieldDifference| difference.repair.is_in_place();
    let fields = judgement.differences.iter().filter(in_place);
    let mut folded: Vec<Drift> = fields.map(|difference| altered(draft, service, old, difference)).collect();
    // Half way through, it does not run because the agent has stopped it.
    if slot.successor.is_none() {
        folded.extend(at_rest(draft, service, old));
    }
    folded
}

/// Why a replacement cannot begin now.
fn stands_in_the_way(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    slot: &Slot<'_>,
    old: &ObservedContainer,
) -> Option<Obstacle> {
    obstacle(draft, service)
        .or_else(|| unjoined(draft, service))
        // What runs goes on running until its successor could start.
        .or_else(|| if old.state.status == RunState::Running { awaited(draft, service) } else { None })
        .or_else(|| turn(draft, service, slot))
        .or_else(|| images::fresh_first(draft, service))
}

/// One line: field, what it is, what is declared, where.
fn cause_of(drift: &Drift) -> String {
    let place = drift.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    differs(&drift.field, &drift.want, &drift.have) + &place
}

struct Swap<'a, 'b> {
    service: &'a DesiredService,
    slot: &'a Slot<'b>,
    old: &'a ObservedContainer,
    replica: String,
    cause: String,
}

impl Swap<'_, '_> {
    fn name(&self, draft: &Draft<'_>) -> String {
        container_name(&draft.desired.project_name, self.service, self.slot.number)
    }

    /// The new container: one that an earlier pass made and that is as declared, or one that is made now.
    fn successor(&self, draft: &mut Draft<'_>) -> (Target, Vec<StepId>) {
        let mut after = Vec::new();
        if let Some(made) = self.slot.successor {
            if !judge(draft, self.service, made).must_recreate() {
                return (target(made), after);
            }
            after = remove(draft, made, "it was made for a declaration that has changed since", &[]);
        }
        let name = self.name(draft);
        let new_name = successor_name(&name, &self.old.id);
        let step = make(draft, self.service, self.slot.number, &new_name, Some(self.old), &self.cause);
        draft.follow(step, &after);
        after.push(step);
        (Target::Made { step, name }, after)
    }

    /// Old one aside, new one into its place, and started.
    fn stop_first(&self, draft: &mut Draft<'_>) -> Vec<StepId> {
        let name = self.name(draft);
        let policy = &draft.desired.project.settings.update;
        // What ran before is worth keeping; half way through, it has been stopped by us.
        let ran = self.old.state.status == RunState::Running || self.slot.successor.is_some();
        let keep = policy.keep_old && ran && self.slot.predecessor.is_none() && !self.service.one_shot;
        let (new, mut steps) = self.successor(draft);
        let stopped = stop(draft, self.old, &self.cause, &steps);
        steps.extend(stopped);
        let aside = if keep {
            let act =
                Act::RenameContainer { container: target(self.old), name: kept_name(&name, &self.old.id) };
            draft.step(act, self.cause.as_str(), &steps)
        } else {
            draft.step(Act::RemoveContainer { container: target(self.old) }, self.cause.as_str(), &steps)
        };
        steps.push(aside);
        let renamed =
            draft.step(Act::RenameContainer { container: new.clone(), name }, self.cause.as_str(), &steps);
        steps.push(renamed);
        if let Gate::Open(mut after) = gate(draft, self.service) {
            after.push(renamed);
            steps.push(start(draft, self.service, &new, &self.cause, &after));
        }
        steps
    }

    /// A successor that was started beside the old one, or could not be.
    fn beside(&self, draft: &Draft<'_>) -> Option<&ObservedContainer> {
        self.slot.successor.filter(|made| {
            let waits = made.state.status == RunState::Created && made.state.error.is_empty();
            !waits && !judge(draft, self.service, made).must_recreate()
        })
    }

    /// The new one, started beside the old one.
    fn start_first(&self, draft: &mut Draft<'_>) -> Vec<StepId> {
        let (new, mut steps) = self.successor(draft);
        if let Gate::Open(after) = gate(draft, self.service) {
            let after: Vec<StepId> = steps.iter().chain(&after).copied().collect();
            steps.push(start(draft, self.service, &new, &self.cause, &after));
        }
        steps
    }

    /// The new one beside the old one is waited for; where somebody has stopped or paused it, it is put on its way again.
    fn on_trial(&self, draft: &mut Draft<'_>, made: &ObservedContainer, retry_at: Option<Time>) -> Verdict {
        let Some(drift) = at_rest(draft, self.service, made) else {
            let what = format!("{} to prove itself beside {}", made.name, self.old.name);
            return Verdict::Wait(Wait { on: WaitKind::Health, what, retry_at });
        };
        let cause = format!("it is {}, and has to prove itself", drift.have);
        let step = match made.state.status {
            RunState::Paused => draft.step(Act::UnpauseContainer { container: target(made) }, cause, &[]),
            _ => start(draft, self.service, &target(made), &cause, &[]),
        };
        draft.find(drift, Verdict::Act(vec![step]));
        Verdict::Act(vec![step])
    }

    /// The old one goes once the new one beside it has proven itself; the new one goes where it does not.
    fn prove(&self, draft: &mut Draft<'_>, made: &ObservedContainer) -> Verdict {
        let policy = &draft.desired.project.settings.update;
        match proof(self.service, &made.state, policy, draft.now) {
            Proof::Pending(retry_at) => self.on_trial(draft, made, retry_at),
            Proof::Failed(why) => {
                let cause = format!("{} did not prove itself: {why}", made.name);
                let steps = remove(draft, made, &cause, &[]);
                reject(draft, self.service, &self.replica, &why, steps.last().copied());
                Verdict::Act(steps)
            }
            Proof::Given => {
                let name = self.name(draft);
                let cause = format!("{} has proven itself; {}", made.name, self.cause);
                let mut steps = remove(draft, self.old, &cause, &[]);
                let act = Act::RenameContainer { container: target(made), name };
                steps.push(draft.step(act, cause, &steps));
                Verdict::Act(steps)
            }
        }
    }
}

/// A container in its place whose predecessor is still kept: does it prove itself? Gives whether it may be left running.
pub(super) fn prove(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    slot: &Slot<'_>,
    current: &ObservedContainer,
    kept: &ObservedContainer,
) -> bool {
    let policy = draft.desired.project.settings.update.clone();
    let replica = format!("{}-{}", service.name, slot.number);
    let mut drift = draft.drift(service, Some(current), DriftKind::Unfinished, "");
    match proof(service, &current.state, &policy, draft.now) {
        Proof::Given => {
            drift.want = "one container".into();
            drift.have = format!("{} beside it, which it has replaced", kept.name);
            let steps = remove(draft, kept, &format!("{} has proven itself", current.name), &[]);
            draft.find(drift, Verdict::Act(steps));
            true
        }
        Proof::Pending(retry) => {
            drift.want = "proven".into();
            drift.have = format!("{} is kept until then", kept.name);
            draft.wait(drift, WaitKind::Health, format!("{} to prove itself", current.name), retry);
            true
        }
        Proof::Failed(why) if !rolls_back(service, &policy) => {
            drift.have.clone_from(&why);
            draft.find(drift, Verdict::Leave(format!("{why}; rolling back is off, {} is kept", kept.name)));
            true
        }
        Proof::Failed(why) => {
            drift.want = "proven".into();
            drift.have.clone_from(&why);
            let cause = format!("{} did not prove itself: {why}", current.name);
            let mut steps = remove(draft, current, &cause, &[]);
            reject(draft, service, &replica, &why, steps.last().copied());
            steps.extend(restore(draft, service, slot, kept, &cause, &steps));
            draft.find(drift, Verdict::Act(steps));
            false
        }
    }
}

/// Puts a kept container back into its place and starts it.
pub(super) fn restore(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    slot: &Slot<'_>,
    kept: &ObservedContainer,
    cause: &str,
    after: &[StepId],
) -> Vec<StepId> {
    let name = container_name(&draft.desired.project_name, service, slot.number);
    let back = Target::Existing { id: kept.id.clone(), name: name.clone() };
    let renamed = draft.step(Act::RenameContainer { container: target(kept), name }, cause, after);
    let started = draft.step(Act::StartContainer { container: back }, cause, &[renamed]);
    vec![renamed, started]
}

fn reject(draft: &mut Draft<'_>, service: &DesiredService, replica: &str, why: &str, step: Option<StepId>) {
    let declaration = declaration(draft, service);
    let rejection = Rejection { declaration, why: why.to_owned(), at: draft.now };
    draft.remember(step, Remember::Rejected { replica: replica.to_owned(), rejection });
}

/// A declaration that was tried and did not prove itself is not tried again by itself, nor in the service's other places
/// unless `failure_action` is `continue`.
fn given_up(draft: &Draft<'_>, service: &DesiredService, replica: &str) -> Option<String> {
    let is_meant = |tried: &str| match tried.rsplit_once('-') {
        Some((of, _)) if failure_action(service) != Some("continue") => of == service.name.as_str(),
        _ => tried == replica,
    };
    let declared = declaration(draft, service);
    let mut rejected = draft.memory.rejected.iter();
    let (_, rejection) =
        rejected.find(|(tried, rejection)| is_meant(tried) && rejection.declaration == declared)?;
    Some(format!(
        "what is declared was tried and did not prove itself ({}); what ran before runs on. Change the \
             declaration, or try it again with `agentctl reconcile {}`",
        rejection.why, draft.desired.stack
    ))
}

/// Whether the container of a place is being replaced: one that has failed for good is not, where the others are to go on.
pub(super) fn is_in_flight(draft: &Draft<'_>, service: &DesiredService, slot: &Slot<'_>) -> bool {
    let policy = &draft.desired.project.settings.update;
    let has_failed = || {
        let proof = slot.current.map(|current| proof(service, &current.state, policy, draft.now));
        matches!(proof, Some(Proof::Failed(_)))
    };
    has_begun(slot) && !(failure_action(service) == Some("continue") && has_failed())
}

fn has_begun(slot: &Slot<'_>) -> bool {
    slot.predecessor.is_some() || slot.successor.is_some()
}

/// `deploy.update_config.parallelism`: as many places of a service as it says are renewed at a time, where it says so.
fn turn(draft: &Draft<'_>, service: &DesiredService, slot: &Slot<'_>) -> Option<Obstacle> {
    let update = service.service.deploy.as_ref()?.update_config.as_ref()?;
    let most = update.parallelism.filter(|most| *most > 0)?;
    if has_begun(slot) {
        return None;
    }
    let in_flight = draft.renewing.get(&service.name).copied().unwrap_or(0);
    if in_flight >= most {
        let what = format!("its turn: update_config.parallelism is {most}");
        return Some(Obstacle::new(WaitKind::Dependency, what));
    }
    let last = draft.containers_of(&service.name).into_iter().map(|found| found.created_at).max()?;
    let next = last.plus_ms(update.delay.0 / 1_000_000);
    let waits = update.delay.0 > 0 && draft.now < next;
    waits.then(|| {
        let what = "its turn: update_config.delay".to_owned();
        Obstacle::Wait(Wait { on: WaitKind::Dependency, what, retry_at: Some(next) })
    })
}

/// `failure_action` where the file has it, else the policy.
fn rolls_back(service: &DesiredService, policy: &UpdatePolicy) -> bool {
    failure_action(service).map_or(policy.rollback, |action| action == "rollback")
}

/// `deploy.update_config.failure_action`, where the file has it.
fn failure_action(service: &DesiredService) -> Option<&str> {
    let update = service.service.deploy.as_ref()?.update_config.as_ref()?;
    Some(update.failure_action.expose()).filter(|action| !action.is_empty())
}
