//! Why has a difference come about?
//!
//! From what the Engine has said since (its events, the agent's own acts left out), what the container's own state says, and
//! what is remembered: which generation the last pass was for, and what failed before. Where nothing of that tells, no cause
//! is made up. A difference that is still open keeps the cause that it was found with.

mod words;

use std::collections::BTreeMap;

use crate::{
    desired::Desired,
    drift::{Drift, DriftKind, Subject},
    ids::{ContainerId, Time},
    memory::StackMemory,
    observed::{Observed, ObservedContainer, RunState},
    step::{Plan, Verdict},
};

use words::{ended, maker, outside, party};

/// One thing that happened on the Engine, and that the agent did not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// When it was heard of.
    pub at: Time,
    /// `container`, `network`, `volume` or `image`.
    pub kind: String,
    /// `stop`, `die`, `destroy`, `connect` …
    pub action: String,
    /// The object's id, or an image's reference.
    pub id: String,
    /// Names, signals, exit codes.
    pub attributes: BTreeMap<String, String>,
}

/// What has happened lately, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Happened {
    /// What others did.
    pub events: Vec<Heard>,
    /// When the Engine's events were not heard: from, to.
    pub away: Vec<(Time, Time)>,
}

/// All that a cause is told from.
struct Context<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    memory: &'a StackMemory,
    happened: &'a Happened,
}

/// Whether a finding is new whose cause only an event can tell that has not been heard: the Engine shows what has happened
/// a moment before it says so.
pub fn is_awaited(
    plan: &Plan,
    desired: &Desired,
    observed: &Observed,
    memory: &StackMemory,
    happened: &Happened,
) -> bool {
    // What a generation that is looked at for the first time finds, is of its own making.
    if memory.generation.as_ref() != Some(&desired.generation) {
        return false;
    }
    let context = Context { desired, observed, memory, happened };
    let news = plan.findings.iter().map(|finding| &finding.drift);
    news.filter(|drift| memory.open.iter().all(|open| open.drift.key() != drift.key()))
        .any(|drift| context.awaits_event(drift))
}

/// Says of each finding why it has come about, where that is known; of a contested one, who the other party may be.
pub fn annotate(
    plan: &mut Plan,
    desired: &Desired,
    observed: &Observed,
    memory: &StackMemory,
    happened: &Happened,
) {
    let context = Context { desired, observed, memory, happened };
    for finding in &mut plan.findings {
        let key = finding.drift.key();
        let known = memory.open.iter().find(|open| open.drift.key() == key);
        // What was seen before its event was heard learns its cause with the next look.
        let kept = known.and_then(|known| known.drift.cause.clone());
        let kept = kept.filter(|kept| !context.is_makeshift(&finding.drift, kept));
        finding.drift.cause = kept.or_else(|| context.cause(&finding.drift));
        if let Verdict::Refuse(why) = &mut finding.verdict
            && crate::contest::is_contested(why)
        {
            let maker = context.container(&finding.drift).and_then(maker);
            for party in maker.into_iter().chain(party(observed)) {
                why.push_str("; ");
                why.push_str(&party);
            }
        }
    }
}

/// Says of differences that are over, and whose cause was not known when they were found, what is known of it now.
pub fn complete(
    memory: &mut StackMemory,
    plan: &Plan,
    desired: &Desired,
    observed: &Observed,
    happened: &Happened,
) {
    let mut open = std::mem::take(&mut memory.open);
    let context = Context { desired, observed, memory, happened };
    let is_over = |drift: &Drift| plan.findings.iter().all(|finding| finding.drift.key() != drift.key());
    for known in open.iter_mut().filter(|known| known.drift.cause.is_none() && is_over(&known.drift)) {
        known.drift.cause = context.cause(&known.drift);
    }
    memory.open = open;
}

impl Context<'_> {
    fn awaits_event(&self, drift: &Drift) -> bool {
        match drift.kind {
            DriftKind::Unhealthy
            | DriftKind::Restarting
            | DriftKind::SideFile
            | DriftKind::Secret
            | DriftKind::StaleMount
            | DriftKind::StaleBind
            | DriftKind::NotActedOn => false,
            _ => match self.cause(drift) {
                Some(cause) => self.is_makeshift(drift, &cause) && !self.has_died(drift),
                None => true,
            },
        }
    }

    /// Whether a cause was told from the state that a container has ended in, for want of a better one.
    fn is_makeshift(&self, drift: &Drift, cause: &str) -> bool {
        drift.kind == DriftKind::Stopped
            && self.container(drift).is_some_and(|container| cause == ended(&container.state))
    }

    fn has_died(&self, drift: &Drift) -> bool {
        let about = self.container(drift);
        self.last(&["die"], |event| {
            is_about(event, about) && about.is_some_and(|container| is_since_start(event, container))
        })
        .is_some()
    }

    fn cause(&self, drift: &Drift) -> Option<String> {
        let about = self.container(drift);
        match drift.kind {
            DriftKind::Stopped => self.stopped(drift, about?),
            DriftKind::Missing => self.missing(drift),
            DriftKind::Paused => self.last(&["pause"], |event| is_about(event, about)),
            DriftKind::Restarting => {
                let state = &about?.state;
                Some(format!("{}; restarted {} times", ended(state), state.restart_count))
            }
            DriftKind::Altered | DriftKind::HashOnly => {
                self.generation(drift).or_else(|| self.altered(drift, about))
            }
            // What others have published is nobody's doing here.
            DriftKind::Image if drift.field == "registry" => None,
            DriftKind::Image => self.generation(drift).or_else(|| self.image(drift)),
            DriftKind::SideFile => {
                self.generation(drift).or_else(|| Some("the file was changed in place".into()))
            }
            DriftKind::Secret => {
                self.generation(drift).or_else(|| Some("the secret was rotated in place".into()))
            }
            DriftKind::StaleNamespace => {
                let owner = drift.have.split(' ').next().unwrap_or_default();
                let named = |event: &Heard| event.attributes.get("name").is_some_and(|name| name == owner);
                self.last(&["restart", "start", "create", "die"], named)
            }
            DriftKind::Options => {
                let (Subject::Network { name } | Subject::Volume { name }) = &drift.subject else {
                    return None;
                };
                let made = |event: &Heard| event.attributes.get("name").unwrap_or(&event.id) == name;
                self.generation(drift).or_else(|| self.last(&["create"], made))
            }
            DriftKind::Orphan | DriftKind::Unfinished => {
                self.generation(drift).or_else(|| self.last(&["create"], |event| is_about(event, about)))
            }
            DriftKind::ForeignName => {
                self.last(&["create", "rename"], |event| event.attributes.get("name") == Some(&drift.want))
            }
            DriftKind::Updated => {
                let made = self.last(&["create"], |event| is_about(event, about));
                let words: Vec<String> = made.into_iter().chain(party(self.observed)).collect();
                (!words.is_empty()).then(|| words.join("; "))
            }
            DriftKind::Unhealthy => {
                let said = about?.state.health_output.trim();
                Some(match said {
                    "" => "its check fails and says nothing".into(),
                    said => format!("its check says: {said}"),
                })
            }
            DriftKind::StaleMount => Some("something else was mounted there, or nothing is any more".into()),
            DriftKind::StaleBind => Some("the file was replaced on the host".into()),
            DriftKind::NotActedOn => None,
        }
    }

    fn container(&self, drift: &Drift) -> Option<&ObservedContainer> {
        let (Subject::Service { id: Some(id), .. } | Subject::Container { id, .. }) = &drift.subject else {
            return None;
        };
        self.observed.containers().find(|found| found.id == *id)
    }

    /// The last outside action of one of these sorts that is about the difference, in words.
    fn last(&self, actions: &[&str], about: impl Fn(&Heard) -> bool) -> Option<String> {
        let mut events = self.happened.events.iter().rev();
        events.find(|event| actions.contains(&event.action.as_str()) && about(event)).map(outside)
    }

    fn stopped(&self, drift: &Drift, container: &ObservedContainer) -> Option<String> {
        let state = &container.state;
        if let Some(error) = self.failed(drift) {
            return Some(error);
        }
        if state.status == RunState::Created {
            return Some("it was made and never started".into());
        }
        if state.oom_killed {
            return Some("memory ran out".into());
        }
        let since = |event: &Heard| is_about(event, Some(container)) && is_since_start(event, container);
        let away = |(from, to): &&(Time, Time)| {
            state.finished_at.is_some_and(|at| at.plus_ms(AROUND_MS) >= *from && at <= to.plus_ms(AROUND_MS))
        };
        self.last(&["stop", "kill", "restart"], since)
            .or_else(|| {
                let (_, back) = self.happened.away.iter().rev().find(away)?;
                Some(format!("the Engine was away and came back at {}", back.stamp()))
            })
            .or_else(|| Some(ended(state)))
    }

    fn missing(&self, drift: &Drift) -> Option<String> {
        if let Some(error) = self.failed(drift) {
            return Some(error);
        }
        let named = |event: &Heard| event.attributes.get("name").unwrap_or(&event.id) == &drift.want;
        let removed = self.last(&["destroy", "rename", "remove"], named);
        removed.or_else(|| self.generation(drift))
    }

    fn altered(&self, drift: &Drift, container: Option<&ObservedContainer>) -> Option<String> {
        if drift.field == "restart" && drift.want == "started anew" {
            return self.memory.restart.as_ref().map(|wish| format!("{} asked for it", wish.by));
        }
        let actions: &[&str] = match drift.field.split('.').next().unwrap_or_default() {
            "networks" => &["connect", "disconnect", "create"],
            "container_name" => &["rename", "create"],
            _ => &["update", "create"],
        };
        self.last(actions, |event| is_about(event, container))
    }

    fn image(&self, drift: &Drift) -> Option<String> {
        let service = crate::policy::service_of(&drift.subject)?;
        let reference = self.desired.services.get(service)?.spec.image.expose();
        let moved = |event: &Heard| event.attributes.get("name").is_some_and(|name| is_same(name, reference));
        self.last(&["tag", "pull", "load", "import"], moved).or_else(|| {
            let pull = self.memory.pulled.get(reference)?;
            Some(format!("fetched at {} as its pull_policy says", pull.at.stamp()))
        })
    }

    /// The declaration is another one than that of the last pass.
    fn generation(&self, drift: &Drift) -> Option<String> {
        let now = &self.desired.generation;
        let place = drift.place.as_ref().map_or_else(String::new, |place| format!(", {place}"));
        match &self.memory.generation {
            Some(before) if before == now => None,
            Some(before) => Some(format!("generation {before} → {now}{place}")),
            None => Some(format!("first seen in generation {now}{place}")),
        }
    }

    /// What the agent itself could not do before.
    fn failed(&self, drift: &Drift) -> Option<String> {
        let service = crate::policy::service_of(&drift.subject)?;
        let backoff = self.memory.backoff.get(service.as_str()).filter(|backoff| backoff.failures > 0)?;
        Some(format!("the agent's last try failed: {}", backoff.error))
    }
}

/// How far the end of a container and that of the Engine's events may lie apart, in milliseconds.
const AROUND_MS: i64 = 15_000;

fn is_about(event: &Heard, container: Option<&ObservedContainer>) -> bool {
    let id = |id: &ContainerId| {
        event.id == id.as_str() || event.attributes.get("container").is_some_and(|of| of == id.as_str())
    };
    container.is_some_and(|container| id(&container.id))
}

/// The Engine's clock and the moment of hearing may be a little apart.
fn is_since_start(event: &Heard, container: &ObservedContainer) -> bool {
    container.state.started_at.is_none_or(|started| event.at.plus_ms(1_000) >= started)
}

/// Whether two references mean the same tag, `latest` being what is meant where none is written.
fn is_same(a: &str, b: &str) -> bool {
    let full = |name: &str| {
        let tagged = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
        if tagged { name.to_owned() } else { format!("{name}:latest") }
    };
    full(a) == full(b)
}

#[cfg(test)]
mod tests;
