//! What has happened on the Engine lately, apart from what the agent itself did?
//!
//! A bounded memory of events. Which of them are the agent's own is told from what it worked on while they were heard: an
//! event about a container of one of its steps, from the step's start until a moment after its end.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use docker::events::EngineEvent;
use plan::{
    cause::{Happened, Heard},
    ids::Time,
    step::{Act, Outcome, Plan, Target},
};

use tokio::sync::Notify;

use crate::clock;

/// So many events are remembered.
const MOST: usize = 1024;
/// So many absences of the Engine, and spans of own work.
const SPANS: usize = 64;
/// An event of an own act may be heard so long after its end, in milliseconds.
const LATE_MS: i64 = 1_500;
/// What is worth remembering.
const ACTIONS: [&str; 19] = [
    "create",
    "start",
    "restart",
    "stop",
    "kill",
    "die",
    "oom",
    "pause",
    "unpause",
    "update",
    "rename",
    "destroy",
    "remove",
    "connect",
    "disconnect",
    "tag",
    "pull",
    "load",
    "import",
];
/// What is said of an event; labels are not.
const ATTRIBUTES: [&str; 6] = ["name", "signal", "exitCode", "container", "oldName", "image"];

/// The agent's own work on some containers.
#[derive(Debug, Clone)]
struct Own {
    from: Time,
    to: Option<Time>,
    /// The events that its acts on a container give rise to, by the container's id.
    acts: BTreeMap<String, BTreeSet<&'static str>>,
}

/// The ear.
#[derive(Debug, Default)]
pub struct Ear {
    events: RefCell<VecDeque<Heard>>,
    own: RefCell<VecDeque<Own>>,
    away: RefCell<VecDeque<(Time, Time)>>,
    lost: RefCell<Option<Time>>,
    /// Told at each event.
    pub news: Notify,
}

impl Ear {
    /// Takes an event in.
    pub fn hear(&self, event: &EngineEvent) {
        if !ACTIONS.contains(&event.action.as_str()) {
            return;
        }
        let attributes: BTreeMap<String, String> = ATTRIBUTES
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), event.attributes.get(*key)?.clone())))
            .collect();
        let (kind, action, id) = (event.kind.clone(), event.action.clone(), event.id.clone());
        push(&mut self.events.borrow_mut(), Heard { at: clock::now(), kind, action, id, attributes }, MOST);
        self.news.notify_waiters();
    }

    /// Events are not heard any more, or again.
    pub fn listening(&self, listening: bool) {
        let now = clock::now();
        let lost = if listening { self.lost.take() } else { self.lost.replace(Some(now)) };
        let Some(since) = lost.filter(|_| listening) else { return };
        let mut away = self.away.borrow_mut();
        match away.back_mut() {
            // Every try that fails at once is of the same absence.
            Some((_, to)) if since.since(*to) < LATE_MS => *to = now,
            _ => push(&mut away, (since, now), SPANS),
        }
    }

    /// A plan is about to be done. Answers its number for [`Self::done`].
    pub fn begin(&self, plan: &Plan) -> Time {
        let mut acts: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
        for step in &plan.steps {
            if let Some(Target::Existing { id, .. }) = step.act.target() {
                acts.entry(id.to_string()).or_default().extend(events_of(&step.act));
            }
        }
        let from = clock::now();
        push(&mut self.own.borrow_mut(), Own { from, to: None, acts }, SPANS);
        from
    }

    /// The plan that was begun then is done, and has made these.
    pub fn done<'a>(&self, begun: Time, outcomes: impl Iterator<Item = &'a Outcome>) {
        let made = outcomes.filter_map(|outcome| match outcome {
            Outcome::Done { made } => made.clone(),
            _ => None,
        });
        let mut own = self.own.borrow_mut();
        if let Some(own) = own.iter_mut().rev().find(|own| own.from == begun && own.to.is_none()) {
            own.to = Some(clock::now());
            own.acts.extend(made.map(|id| (id, BTreeSet::from(MAKING))));
        }
    }

    /// What others did.
    pub fn happened(&self) -> Happened {
        let own = self.own.borrow();
        let is_own = |event: &Heard| {
            let about = |id: &String| own.iter().any(|own| own.covers(event, id));
            about(&event.id) || event.attributes.get("container").is_some_and(about)
        };
        let events = self.events.borrow().iter().filter(|event| !is_own(event)).cloned().collect();
        Happened { events, away: self.away.borrow().iter().copied().collect() }
    }
}

impl Own {
    fn covers(&self, event: &Heard, id: &str) -> bool {
        event.at >= self.from
            && self.to.is_none_or(|to| event.at <= to.plus_ms(LATE_MS))
            && self.acts.get(id).is_some_and(|acts| acts.contains(event.action.as_str()))
    }
}

/// What the Engine says of a container that the agent makes.
const MAKING: [&str; 4] = ["create", "connect", "start", "rename"];

/// What the Engine says when an act is done.
fn events_of(act: &Act) -> &'static [&'static str] {
    match act {
        Act::StartContainer { .. } => &["start", "connect"],
        Act::StopContainer { .. } => &["kill", "die", "stop", "disconnect"],
        Act::RestartContainer { .. } => &["kill", "die", "stop", "start", "restart", "connect", "disconnect"],
        Act::SignalContainer { .. } => &["kill"],
        Act::RemoveContainer { .. } => &["kill", "die", "stop", "destroy", "disconnect"],
        Act::RenameContainer { .. } => &["rename"],
        Act::UpdateContainer { .. } => &["update"],
        Act::UnpauseContainer { .. } => &["unpause"],
        Act::ConnectNetwork { .. } => &["connect"],
        Act::DisconnectNetwork { .. } => &["disconnect"],
        _ => &[],
    }
}

fn push<T>(list: &mut VecDeque<T>, one: T, most: usize) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(one);
}

#[cfg(test)]
mod tests {
    use plan::step::{Step, StepId};

    use super::*;

    fn event(action: &str, id: &str) -> EngineEvent {
        let attributes = [("name".to_owned(), id.to_owned()), ("password".to_owned(), "x".to_owned())].into();
        EngineEvent { kind: "container".into(), action: action.into(), id: id.into(), attributes }
    }

    #[test]
    fn what_the_agent_did_is_not_outside_and_what_it_did_not_is() {
        let ear = Ear::default();
        let act = Act::StopContainer {
            container: Target::Existing { id: "a".into(), name: "a".into() },
            timeout: None,
        };
        let (cause, after) = (String::new(), Vec::new());
        let step = Step { id: StepId(0), act, cause, after, deadline_ms: 1, interrupts: true };
        let begun = ear.begin(&Plan { steps: vec![step], ..Plan::default() });
        ear.hear(&event("stop", "a"));
        ear.hear(&event("stop", "b"));
        ear.hear(&event("update", "a"));
        ear.hear(&event("exec_start", "b"));
        ear.hear(&event("create", "c"));
        ear.done(begun, [Outcome::Done { made: Some("c".into()) }].iter());
        let said: Vec<_> = ear.happened().events.into_iter().map(|heard| (heard.id, heard.action)).collect();
        let expected =
            [("b", "stop"), ("a", "update")].map(|(id, action)| (id.to_owned(), action.to_owned()));
        assert_eq!(said, expected);
        let first = ear.happened().events.remove(0);
        assert_eq!(first.attributes.keys().collect::<Vec<_>>(), ["name"], "labels are not remembered");
    }

    #[test]
    fn memory_is_bounded_and_absences_are_spans() {
        let ear = Ear::default();
        ear.listening(true);
        for _ in 0..MOST + 9 {
            ear.hear(&event("die", "a"));
        }
        for _ in 0..3 {
            ear.listening(false);
            ear.listening(true);
        }
        let happened = ear.happened();
        assert_eq!((happened.events.len(), happened.away.len()), (MOST, 1));
    }
}
