//! What is said of what has happened, and where to?
//!
//! Each transition once: to the history, to whoever listens on the control socket, and to the log, with stable fields
//! (`STACK`, `SERVICE`, `CONTAINER`, `KIND`, `FIELD`, `EXPECTED`, `ACTUAL`, `CAUSE`, `GENERATION`, `PASS`). What is a transition,
//! `plan` says; this file never decides that something is new. Lines on standard error start with the `<N>` that
//! journald reads as their priority where it is the reader.

pub mod history;
pub mod quiet;
pub mod spans;
pub mod voice;

use plan::{
    drift::{Drift, Subject},
    ids::Time,
    status::{Transition, TransitionEvent},
};
use systemd::{journal::Entry, message_ids};

use crate::{clock, daemon::Agent, report::quiet::Leave};

/// Tells everybody once.
pub fn report(agent: &Agent, transitions: &[Transition]) {
    if let Err(error) = agent.history.append(transitions) {
        tracing::error!("cannot write the history in {}: {error}", agent.options.state_dir.display());
    }
    say_held_back(agent);
    for transition in transitions {
        agent.store.tell(transition);
        if let Some(metrics) = agent.metrics.get() {
            metrics.said(transition);
        }
        if agent.limiter.borrow_mut().ask(&transition.stack, transition.at) == Leave::Say {
            say(agent, transition);
        }
    }
}

/// Says how many entries were held back, where the time that they were counted for is over.
pub fn say_held_back(agent: &Agent) {
    let now = clock::now();
    let counts = agent.limiter.borrow_mut().counts(now);
    counts.into_iter().for_each(|(stack, count)| say(agent, &quiet::held_back(stack, count, now)));
}

/// Sums the last day up, once a day at most and only where there is something to say.
pub fn sum_up(agent: &Agent) {
    let now = clock::now();
    let due = |last: Time| now.since(last) >= quiet::DAY_MS;
    let last = *agent.memory.borrow_mut().memory.summed_up.get_or_insert(now);
    if !due(last) {
        return;
    }
    agent.memory.borrow_mut().memory.summed_up = Some(now);
    let day = agent.history.last(MOST_ENTRIES, |entry| entry.at > last).unwrap_or_default();
    let summary = agent.store.status(None, None).and_then(|status| quiet::summary(&day, &status));
    if let Some(summary) = summary {
        tracing::info!("{summary}");
    }
}

/// So many entries of a day are counted.
const MOST_ENTRIES: usize = 10_000;

fn say(agent: &Agent, transition: &Transition) {
    agent.voice.say(&entry(transition, spans::fields()), transition.at);
}

/// The structured entry, with what the pass that has found it says of itself. What is secret was masked where it was made.
fn entry(transition: &Transition, around: spans::Fields) -> Entry {
    let kind = transition.drift.as_ref().map(|drift| drift.kind);
    let mut fields = named(transition);
    for (name, value) in around {
        if !fields.iter().any(|(known, own)| *known == name && !own.is_empty()) {
            fields.push((name, value));
        }
    }
    Entry {
        message: words(transition),
        priority: priority(transition),
        message_id: Some(message_ids::of(transition.event, kind)),
        fields,
    }
}

/// One line for people: never more, whatever a name or an error holds.
pub fn words(transition: &Transition) -> String {
    format!("{}: {}", transition.stack, one_line(&transition.message))
}

fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// How much it matters, as syslog counts.
pub fn priority(transition: &Transition) -> u8 {
    match transition.event {
        TransitionEvent::Failed => 3,
        TransitionEvent::Found | TransitionEvent::Waiting => 4,
        TransitionEvent::Corrected | TransitionEvent::Gone | TransitionEvent::Generation => 5,
        TransitionEvent::Done
        | TransitionEvent::Phase
        | TransitionEvent::Note
        | TransitionEvent::Explained => 6,
    }
}

/// The stable fields; empty ones mean nothing.
fn named(transition: &Transition) -> Vec<(&'static str, String)> {
    let generation = transition.generation.as_ref().map_or("", |generation| generation.as_str());
    let mut fields = vec![
        ("EVENT", transition.event.as_str().to_owned()),
        ("STACK", transition.stack.to_string()),
        ("GENERATION", generation.to_owned()),
    ];
    if let Some(drift) = &transition.drift {
        let (service, container) = names(drift);
        fields.extend([
            ("SERVICE", service.to_owned()),
            ("CONTAINER", container.to_owned()),
            ("SUBJECT", drift.subject.to_string()),
            ("KIND", drift.kind.as_str().to_owned()),
            ("FIELD", drift.field.clone()),
            ("EXPECTED", drift.want.clone()),
            ("ACTUAL", drift.have.clone()),
            ("PLACE", drift.place.clone().unwrap_or_default()),
            ("CAUSE", drift.cause.clone().unwrap_or_default()),
        ]);
    }
    fields
}

fn names(drift: &Drift) -> (&str, &str) {
    match &drift.subject {
        Subject::Service { service, container, .. } => {
            (service.as_str(), container.as_deref().unwrap_or_default())
        }
        Subject::Container { name, .. } => ("", name),
        Subject::Stack | Subject::Network { .. } | Subject::Volume { .. } | Subject::Image { .. } => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use plan::drift::DriftKind;

    use super::*;

    #[test]
    fn an_entry_has_stable_fields_and_one_line() {
        let drift = Drift {
            subject: Subject::Service {
                service: "web".into(),
                number: Some(1),
                container: Some("app-web-1".into()),
                id: None,
            },
            kind: DriftKind::Stopped,
            field: "state".into(),
            want: "running".into(),
            have: "exited (137)".into(),
            place: Some("compose.yaml:3:5".into()),
            cause: None,
        };
        let transition = Transition {
            at: Time(0),
            stack: "app".into(),
            event: TransitionEvent::Found,
            drift: Some(drift),
            message: "web-1 is stopped\n<0>forged".into(),
            generation: Some("/nix/store/x".into()),
        };
        let around = vec![("STACK", "app".to_owned()), ("PASS", "7".to_owned())];
        let entry = entry(&transition, around);
        let said = entry.fields.iter().filter(|(_, value)| !value.is_empty());
        let fields: Vec<_> = said.map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            fields,
            [
                "EVENT=found",
                "STACK=app",
                "GENERATION=/nix/store/x",
                "SERVICE=web",
                "CONTAINER=app-web-1",
                "SUBJECT=web-1",
                "KIND=stopped",
                "FIELD=state",
                "EXPECTED=running",
                "ACTUAL=exited (137)",
                "PLACE=compose.yaml:3:5",
                "PASS=7"
            ]
        );
        assert_eq!((entry.message.as_str(), entry.priority), ("app: web-1 is stopped <0>forged", 4));
    }
}
