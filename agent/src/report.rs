//! What is said of what has happened, and where to?
//!
//! Each transition once: to the history, to whoever listens on the control socket, and to the log, with stable fields
//! (`STACK`, `SERVICE`, `CONTAINER`, `KIND`, `FIELD`, `EXPECTED`, `ACTUAL`, `CAUSE`, `GENERATION`). What is a transition,
//! `plan` says; this file never decides that something is new. Lines on standard error start with the `<N>` that
//! journald reads as their priority where it is the reader.

pub mod history;
pub mod quiet;

use std::{
    io::{IsTerminal, Write},
    path::Path,
};

use plan::{
    drift::{Drift, Subject},
    ids::Time,
    status::{Transition, TransitionEvent},
};
use serde_json::{Map, Value};
use systemd::{
    journal::{self, Entry, Journal},
    message_ids,
};

use crate::{clock, daemon::Agent, options::LogFormat, report::quiet::Leave};

/// Tells everybody once.
pub fn report(agent: &Agent, transitions: &[Transition]) {
    if let Err(error) = agent.history.append(transitions) {
        tracing::error!("cannot write the history in {}: {error}", agent.options.state_dir.display());
    }
    for transition in transitions {
        agent.store.tell(transition);
        if let Some(metrics) = agent.metrics.get() {
            metrics.said(transition);
        }
        match agent.limiter.borrow_mut().ask(&transition.stack, transition.at) {
            Leave::HoldBack => {}
            Leave::Say(held) => {
                if held > 0 {
                    agent.voice.say(&quiet::held_back(transition, held));
                }
                agent.voice.say(transition);
            }
        }
    }
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

/// Where messages go.
#[derive(Debug)]
pub enum Voice {
    /// To the journal, with fields.
    Journal(Journal),
    /// To standard error, one line each.
    Lines(LogFormat),
}

impl Voice {
    /// The journal where it is asked for, or where standard error leads to it anyway.
    pub fn of(format: LogFormat, socket: &Path) -> Self {
        let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        let wanted = match format {
            LogFormat::Journal => true,
            LogFormat::Auto => journal::is_stream(&stream, &std::io::stderr()),
            LogFormat::Text | LogFormat::Json => false,
        };
        match wanted.then(|| Journal::at(socket)) {
            Some(Ok(journal)) => Self::Journal(journal),
            Some(Err(error)) => {
                tracing::warn!("{error}; messages go to standard error");
                Self::Lines(format)
            }
            None => Self::Lines(format),
        }
    }

    fn say(&self, transition: &Transition) {
        match self {
            Self::Journal(journal) => {
                if journal.send(&entry(transition)).is_err() {
                    // journald may be restarted at any time: what it cannot take now is not lost.
                    line(transition, LogFormat::Auto);
                }
            }
            Self::Lines(format) => line(transition, *format),
        }
    }
}

/// The structured entry. What is secret was masked where it was made.
fn entry(transition: &Transition) -> Entry {
    let kind = transition.drift.as_ref().map(|drift| drift.kind);
    Entry {
        message: words(transition),
        priority: priority(transition),
        message_id: Some(message_ids::of(transition.event, kind)),
        fields: named(transition),
    }
}

fn line(transition: &Transition, format: LogFormat) {
    let stderr = std::io::stderr();
    let line = match format {
        LogFormat::Json => format!("{}\n", Value::Object(fields(transition))),
        // On a terminal a priority would only be noise.
        _ if stderr.is_terminal() => format!("{} {}\n", clock::stamp(transition.at), words(transition)),
        _ => format!("<{}>{}\n", priority(transition), words(transition)),
    };
    // A log that cannot be written must not stop what it is about.
    let _ = stderr.lock().write_all(line.as_bytes());
}

/// One line for people: never more, whatever a name or an error holds.
pub fn words(transition: &Transition) -> String {
    let message: String =
        transition.message.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    format!("{}: {message}", transition.stack)
}

/// How much it matters, as syslog counts.
pub fn priority(transition: &Transition) -> u8 {
    match transition.event {
        TransitionEvent::Failed => 3,
        TransitionEvent::Found | TransitionEvent::Waiting => 4,
        TransitionEvent::Corrected | TransitionEvent::Gone | TransitionEvent::Generation => 5,
        TransitionEvent::Done | TransitionEvent::Phase | TransitionEvent::Note => 6,
    }
}

/// The fields of a JSON line, under the journal's names. Values are text, as the journal has it.
pub fn fields(transition: &Transition) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: String| drop(fields.insert(name.to_owned(), Value::String(value)));
    put("MESSAGE", words(transition));
    put("PRIORITY", priority(transition).to_string());
    put("TIMESTAMP", clock::stamp(transition.at));
    for (name, value) in named(transition).into_iter().filter(|(_, value)| !value.is_empty()) {
        put(name, value);
    }
    fields
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
        let fields = fields(&transition);
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "MESSAGE",
                "PRIORITY",
                "TIMESTAMP",
                "EVENT",
                "STACK",
                "GENERATION",
                "SERVICE",
                "CONTAINER",
                "SUBJECT",
                "KIND",
                "FIELD",
                "EXPECTED",
                "ACTUAL",
                "PLACE"
            ]
        );
        assert_eq!(fields["MESSAGE"], "app: web-1 is stopped <0>forged");
        assert_eq!(fields["PRIORITY"], "4");
    }
}
