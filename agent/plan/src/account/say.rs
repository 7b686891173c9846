//! What is said of a pass: what is open and waited for now, and which of it is news?

use super::Outcomes;
use crate::{
    desired::Desired,
    drift::{Drift, DriftKind, Subject, told},
    ids::Time,
    memory::{Ran, StackMemory},
    status::{OpenDrift, ServiceStatus, Transition, TransitionEvent, WaitStatus},
    step::{Outcome, Plan, Retry, Verdict, WaitKind},
};

/// The differences and waits that are left after a pass, each since when.
pub(super) fn open(plan: &Plan, memory: &StackMemory, now: Time) -> (Vec<OpenDrift>, Vec<WaitStatus>) {
    let since = |drift: &Drift| {
        memory.open.iter().find(|open| same(&open.drift, drift)).map_or(now, |open| open.since)
    };
    let mut open: Vec<OpenDrift> = Vec::new();
    let mut waiting: Vec<WaitStatus> = Vec::new();
    for finding in &plan.findings {
        let verdict = match &finding.verdict {
            Verdict::Act(_) => "correcting".to_owned(),
            Verdict::Leave(why) => format!("left: {why}"),
            Verdict::Refuse(why) => format!("refused: {why}"),
            Verdict::Note(why) => format!("noted: {why}"),
            Verdict::Wait(wait) => {
                let known = memory.waiting.iter().find(|known| known.what == wait.what);
                waiting.push(WaitStatus {
                    on: wait.on.as_str().to_owned(),
                    what: wait.what.clone(),
                    since: known.map_or(now, |known| known.since),
                    retry_at: wait.retry_at,
                });
                format!("waiting: {}", wait.what)
            }
        };
        // Two replicas that are missing are one thing to say.
        if !open.iter().any(|known| same(&known.drift, &finding.drift)) {
            open.push(OpenDrift { since: since(&finding.drift), drift: finding.drift.clone(), verdict });
        }
    }
    waiting.dedup_by(|a, b| a.what == b.what);
    (open, waiting)
}

/// Whether two reports are about the same difference.
fn same(a: &Drift, b: &Drift) -> bool {
    a.key() == b.key()
}

/// What is said once: each difference that has begun or ended since the last pass, and how each step ended.
pub(super) fn compare_open(
    desired: &Desired,
    (memory, next): (&StackMemory, &StackMemory),
    open: &[OpenDrift],
    done: (&Plan, &Outcomes),
    now: Time,
    transitions: &mut Vec<Transition>,
) {
    let (plan, outcomes) = done;
    let mut say = |event: TransitionEvent, drift: Option<&Drift>, message: String| {
        transitions.push(Transition {
            at: now,
            stack: desired.stack.clone(),
            event,
            drift: drift.cloned(),
            message,
            generation: Some(desired.generation.clone()),
        });
    };
    for found in open.iter().filter(|found| !memory.open.iter().any(|known| same(&known.drift, &found.drift)))
    {
        say(beginning(plan, &found.drift), Some(&found.drift), words(&found.drift, &found.verdict));
    }
    for found in open {
        let mut known = memory.open.iter().filter(|known| same(&known.drift, &found.drift));
        if let Some(cause) = &found.drift.cause
            && known.any(|known| known.drift.cause.as_ref() != Some(cause))
        {
            say(TransitionEvent::Explained, Some(&found.drift), words(&found.drift, cause));
        }
    }
    for known in memory.open.iter().filter(|known| !open.iter().any(|found| same(&known.drift, &found.drift)))
    {
        let event =
            if known.verdict == "correcting" { TransitionEvent::Corrected } else { TransitionEvent::Gone };
        say(event, Some(&known.drift), words(&known.drift, event.as_str()));
    }
    // The same failure of the same thing is said once, however often it is tried again.
    let is_news = |error: &str| !memory.backoff.values().any(|known| known.has_failed_with(error));
    for step in &plan.steps {
        match outcomes.get(&step.id) {
            Some(Outcome::Done { made }) => {
                let image = made.as_ref().filter(|_| step.act.brings_image());
                let image = image.map_or_else(String::new, |id| format!("; it is {id}"));
                say(TransitionEvent::Done, None, format!("{}: {}{image}", step.act, step.cause));
            }
            Some(Outcome::Failed { error, retry: Retry::Now })
                if next.backoff.values().any(|met| met.failures == 0 && met.error == *error) =>
            {
                let message =
                    format!("{}: {error}; somebody else was quicker, it is looked at again", step.act);
                say(TransitionEvent::Note, None, message);
            }
            Some(Outcome::Failed { error, .. }) if is_news(error) => {
                say(TransitionEvent::Failed, None, format!("{}: {error}", step.act));
            }
            Some(Outcome::TimedOut) if is_news("no answer") => {
                say(TransitionEvent::Failed, None, format!("{}: no answer in time", step.act));
            }
            _ => {}
        }
    }
}

/// Which images the generation runs, where that or they are not what they were.
pub(super) fn runs(
    desired: &Desired,
    services: &[ServiceStatus],
    memory: &mut StackMemory,
    now: Time,
) -> Option<Transition> {
    let image = |service: &ServiceStatus| {
        let container = service.containers.first()?;
        let digest = container.image_digest.as_deref().unwrap_or(&container.image_id);
        Some((service.name.clone(), format!("{} ({digest})", container.image)))
    };
    let images = services.iter().filter_map(image).collect();
    let ran = Ran { generation: desired.generation.clone(), images };
    if memory.ran.as_ref() == Some(&ran) {
        return None;
    }
    let each: Vec<String> = ran.images.iter().map(|(service, image)| format!("{service} {image}")).collect();
    let message = format!("{} runs: {}", desired.generation, each.join(", "));
    memory.ran = Some(ran);
    Some(Transition {
        at: now,
        stack: desired.stack.clone(),
        event: TransitionEvent::Generation,
        drift: None,
        message,
        generation: Some(desired.generation.clone()),
    })
}

/// What keeps the agent from putting right what somebody or something else has done.
const KEEPS: [WaitKind; 3] = [WaitKind::Hold, WaitKind::Backoff, WaitKind::Engine];

/// How a difference begins: one that is only a step on the way (a check that has not answered yet, a dependency that is
/// not up) is waited for; one that somebody or something keeps the agent from putting right was found all the same.
fn beginning(plan: &Plan, drift: &Drift) -> TransitionEvent {
    let finding = plan.findings.iter().find(|finding| same(&finding.drift, drift));
    match finding.map(|finding| &finding.verdict) {
        Some(Verdict::Note(_)) => TransitionEvent::Note,
        Some(Verdict::Wait(_)) if drift.subject == Subject::Stack => TransitionEvent::Waiting,
        Some(Verdict::Wait(wait)) if KEEPS.contains(&wait.on) => TransitionEvent::Found,
        Some(Verdict::Wait(_)) if drift.kind != DriftKind::Restarting => TransitionEvent::Waiting,
        _ => TransitionEvent::Found,
    }
}

fn words(drift: &Drift, verdict: &str) -> String {
    let field = if drift.field.is_empty() { String::new() } else { format!(" {}", drift.field) };
    let values = if drift.want.is_empty() && drift.have.is_empty() {
        String::new()
    } else {
        format!(" (declared: {}, found: {})", told(&drift.want), told(&drift.have))
    };
    format!("{} {}{field}{values}: {verdict}", drift.subject, drift.kind.as_str())
}
