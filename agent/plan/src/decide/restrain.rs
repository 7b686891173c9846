//! Which of the decided steps do the stack's policy and an operator's holds keep back?
//!
//! Deciding stays free of policy: what would be done is decided first, and taken away here with all that hangs on it, so
//! that a stack whose policy is to report does nothing, and says so once a difference.

use std::collections::{BTreeMap, BTreeSet};

use specs::settings::{DriftAction, DriftPolicy};

use crate::{
    contest::{Contest, contest, words},
    drift::Drift,
    ids::Time,
    memory::StackMemory,
    policy,
    step::{Plan, StepId, Verdict, Wait, WaitKind},
};

/// Takes away the steps for differences that are held, only to be reported, or ignored. An ignored one is not mentioned.
pub(super) fn restrain(mut plan: Plan, policy: &DriftPolicy, memory: &StackMemory, now: Time) -> Plan {
    plan.findings.retain(|finding| policy::action(policy, &finding.drift) != DriftAction::Ignore);
    let mut acting: BTreeSet<StepId> = BTreeSet::new();
    for finding in &mut plan.findings {
        let Verdict::Act(steps) = &finding.verdict else { continue };
        match restraint(policy, memory, &finding.drift, now) {
            Some(verdict) => finding.verdict = verdict,
            None => acting.extend(steps),
        }
    }
    let kept = kept(&plan, acting);
    for finding in &mut plan.findings {
        if let Verdict::Act(steps) = &finding.verdict
            && steps.iter().any(|step| !kept.contains(step))
        {
            finding.verdict = Verdict::Leave("it needs a step that is held back".to_owned());
        }
    }
    renumber(plan, &kept)
}

/// What keeps a difference from being put right now.
pub(super) fn restraint(
    policy: &DriftPolicy,
    memory: &StackMemory,
    drift: &Drift,
    now: Time,
) -> Option<Verdict> {
    if let Some(hold) = policy::hold(memory, policy::service_of(&drift.subject), now) {
        let wait = Wait { on: WaitKind::Hold, what: hold.words(), retry_at: hold.until };
        return Some(Verdict::Wait(wait));
    }
    match policy::action(policy, drift) {
        DriftAction::Correct => {}
        DriftAction::Report => return Some(Verdict::Leave("the stack's policy is to report it".to_owned())),
        DriftAction::Ignore => return Some(Verdict::Leave("the stack's policy is to ignore it".to_owned())),
    }
    let made = memory.corrections.get(&drift.key())?;
    match contest(made, now) {
        Contest::No => None,
        Contest::Pause(until) => {
            let what = format!("put right {} times within the hour, and there again", made.len());
            Some(Verdict::Wait(Wait { on: WaitKind::Backoff, what, retry_at: Some(until) }))
        }
        Contest::Contested(_) => Some(Verdict::Refuse(words(made.len()))),
    }
}

/// The steps that may be done: those that a finding acts with, all that they come after, and the unnamed ones that only
/// follow them (hooks). A step that comes after one that was taken away goes too.
fn kept(plan: &Plan, acting: BTreeSet<StepId>) -> BTreeSet<StepId> {
    let named = |id: StepId, findings: &BTreeSet<StepId>| findings.contains(&id);
    let mut kept = acting;
    for step in plan.steps.iter().rev() {
        if kept.contains(&step.id) {
            // Preparations have no finding of their own; a step with one is taken only where that finding acts.
            kept.extend(step.after.iter().filter(|id| is_preparation(plan, **id)));
        }
    }
    for step in &plan.steps {
        let follows = !step.after.is_empty() && step.after.iter().all(|id| kept.contains(id));
        if follows && matches!(step.act, crate::step::Act::RunHook { .. }) {
            kept.insert(step.id);
        }
    }
    let mut out = BTreeSet::new();
    for step in &plan.steps {
        if named(step.id, &kept) && step.after.iter().all(|id| out.contains(id)) {
            out.insert(step.id);
        }
    }
    out
}

fn is_preparation(plan: &Plan, id: StepId) -> bool {
    use crate::step::Act;
    plan.steps.iter().find(|step| step.id == id).is_some_and(|step| {
        matches!(
            step.act,
            Act::PullImage { .. }
                | Act::BuildImage { .. }
                | Act::LoadImage { .. }
                | Act::CopyFiles { .. }
                | Act::DisconnectNetwork { .. }
                | Act::StopContainer { .. }
        )
    })
}

/// Steps are numbered by their places again, so that a plan reads the same whatever was taken away.
fn renumber(mut plan: Plan, kept: &BTreeSet<StepId>) -> Plan {
    if plan.steps.len() == kept.len() {
        return plan;
    }
    plan.steps.retain(|step| kept.contains(&step.id));
    let numbers: BTreeMap<StepId, StepId> =
        plan.steps.iter().zip(0..).map(|(step, number)| (step.id, StepId(number))).collect();
    let new = |id: &mut StepId| *id = numbers.get(id).copied().unwrap_or(*id);
    for step in &mut plan.steps {
        new(&mut step.id);
        step.after.iter_mut().for_each(new);
        if let Some(crate::step::Target::Made { step: id, .. }) = step.act.target_mut() {
            new(id);
        }
    }
    plan.memos.retain(|memo| memo.step.is_none_or(|step| kept.contains(&step)));
    plan.memos.iter_mut().filter_map(|memo| memo.step.as_mut()).for_each(new);
    for finding in &mut plan.findings {
        if let Verdict::Act(steps) = &mut finding.verdict {
            steps.iter_mut().for_each(new);
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drift::{DriftKind, Subject},
        memory::Hold,
        step::{Act, Finding, Step, Target},
    };

    fn step(id: u32, act: Act, after: &[u32]) -> Step {
        let after = after.iter().map(|id| StepId(*id)).collect();
        Step { id: StepId(id), act, cause: String::new(), after, deadline_ms: 1, interrupts: false }
    }

    fn start(name: &str) -> Act {
        Act::StartContainer { container: Target::Existing { id: name.into(), name: name.into() } }
    }

    fn found(service: &str, field: &str, steps: &[u32]) -> Finding {
        let subject =
            Subject::Service { service: service.into(), number: Some(1), container: None, id: None };
        let drift = Drift {
            subject,
            kind: DriftKind::Altered,
            field: field.into(),
            want: String::new(),
            have: String::new(),
            place: None,
            cause: None,
        };
        Finding { drift, verdict: Verdict::Act(steps.iter().map(|id| StepId(*id)).collect()) }
    }

    fn two() -> Plan {
        let pull = Act::PullImage { reference: "a".into(), platform: None, login: Err(String::new()) };
        Plan {
            steps: vec![step(0, pull, &[]), step(1, start("a"), &[0]), step(2, start("b"), &[])],
            memos: Vec::new(),
            findings: vec![found("a", "labels.x", &[1]), found("b", "labels.y", &[2])],
        }
    }

    #[test]
    fn without_a_policy_nothing_is_taken_away() {
        let plan = restrain(two(), &DriftPolicy::default(), &StackMemory::default(), Time(0));
        assert_eq!(plan.steps.len(), 3);
        assert!(plan.findings.iter().all(|finding| matches!(finding.verdict, Verdict::Act(_))));
    }

    #[test]
    fn a_reported_service_loses_its_steps_and_what_only_they_needed() {
        let policy =
            DriftPolicy { services: [("a".into(), DriftAction::Report)].into(), ..DriftPolicy::default() };
        let plan = restrain(two(), &policy, &StackMemory::default(), Time(0));
        assert_eq!(plan.steps.iter().map(|step| step.act.to_string()).collect::<Vec<_>>(), ["start b"]);
        assert!(matches!(plan.findings[0].verdict, Verdict::Leave(_)));
        assert_eq!(plan.findings[1].verdict, Verdict::Act(vec![StepId(0)]));
    }

    #[test]
    fn an_ignored_field_is_not_mentioned_and_not_acted_on() {
        let policy = DriftPolicy { ignore: vec!["b.labels".into()], ..DriftPolicy::default() };
        let plan = restrain(two(), &policy, &StackMemory::default(), Time(0));
        assert_eq!((plan.steps.len(), plan.findings.len()), (2, 1));
    }

    #[test]
    fn a_hold_on_a_service_keeps_hands_off_until_it_expires() {
        let hold =
            Hold { since: Time(0), until: Some(Time(9)), reason: "r".into(), by: "root".into(), down: false };
        let memory = StackMemory { holds: [("a".into(), hold)].into(), ..StackMemory::default() };
        let held = restrain(two(), &DriftPolicy::default(), &memory, Time(8));
        assert_eq!(held.steps.len(), 1);
        assert!(matches!(&held.findings[0].verdict, Verdict::Wait(wait) if wait.on == WaitKind::Hold));
        assert_eq!(restrain(two(), &DriftPolicy::default(), &memory, Time(9)).steps.len(), 3);
    }
}
