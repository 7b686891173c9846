//! How does everything stand, for whoever asks, and who is told when it changes?

use std::{cell::RefCell, collections::BTreeMap};

use plan::{
    ids::{Generation, StackName, Time},
    status::{EngineStatus, HostStatus, Phase, StackStatus, Transition, VERSION},
};
use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};

/// The last known state of the host, in memory.
#[derive(Debug)]
pub struct Store {
    host: RefCell<HostStatus>,
    stacks: RefCell<BTreeMap<StackName, StackStatus>>,
    /// Each stack's status knows of everything that had happened by then.
    as_of: RefCell<BTreeMap<StackName, Instant>>,
    changes: watch::Sender<u64>,
    transitions: broadcast::Sender<Transition>,
}

impl Store {
    /// Nothing is known yet.
    pub fn new(host: &str, profile: &str) -> Self {
        let status = HostStatus {
            version: VERSION,
            host: host.to_owned(),
            profile: profile.to_owned(),
            generation: None,
            generation_since: None,
            profile_error: None,
            engine: EngineStatus::default(),
            phase: Phase::Unknown,
            stacks: Vec::new(),
            notes: Vec::new(),
        };
        Self {
            host: RefCell::new(status),
            stacks: RefCell::default(),
            as_of: RefCell::default(),
            changes: watch::Sender::new(0),
            transitions: broadcast::Sender::new(256),
        }
    }

    /// Everything, or one stack, or one service of it; `None` where there is no such thing.
    pub fn status(&self, stack: Option<&str>, service: Option<&str>) -> Option<HostStatus> {
        let stacks = self.stacks.borrow();
        let mut chosen: Vec<StackStatus> = stacks
            .values()
            .filter(|status| stack.is_none_or(|name| status.name.as_str() == name))
            .cloned()
            .collect();
        if stack.is_some() && chosen.is_empty() {
            return None;
        }
        if let Some(service) = service {
            for status in &mut chosen {
                status.services.retain(|known| known.name.as_str() == service);
                status.drift.retain(|open| {
                    matches!(&open.drift.subject,
                    plan::drift::Subject::Service { service: of, .. } if of.as_str() == service)
                });
            }
            if chosen.iter().all(|status| status.services.is_empty()) {
                return None;
            }
        }
        let mut status = self.host.borrow().clone();
        status.phase = self.phase(stack);
        status.stacks = chosen;
        Some(status)
    }

    /// The worst phase, of all stacks or of one. Nothing declared, and the world known: converged.
    fn phase(&self, stack: Option<&str>) -> Phase {
        let stacks = self.stacks.borrow();
        let chosen = stacks.values().filter(|status| stack.is_none_or(|name| status.name.as_str() == name));
        let worst = chosen.map(|status| status.phase).max().unwrap_or(Phase::Converged);
        let host = self.host.borrow();
        if host.profile_error.is_some() || !host.engine.reachable { worst.max(Phase::Unknown) } else { worst }
    }

    /// What is known of one stack.
    pub fn stack(&self, name: &StackName) -> Option<StackStatus> {
        self.stacks.borrow().get(name).cloned()
    }

    /// Replaces what is known of one stack.
    pub fn put(&self, status: StackStatus) {
        self.stacks.borrow_mut().insert(status.name.clone(), status);
        self.changed();
    }

    /// A pass has ended that took in everything that had happened by `moment`.
    pub fn passed(&self, stack: &StackName, moment: Instant) {
        self.as_of.borrow_mut().insert(stack.clone(), moment);
        self.changed();
    }

    /// Whether what is known of a stack is from after `moment`.
    pub fn knows_since(&self, stack: &StackName, moment: Instant) -> bool {
        self.as_of.borrow().get(stack).is_some_and(|as_of| *as_of >= moment)
    }

    /// A stack is neither declared nor owned any more.
    pub fn forget(&self, stack: &StackName) {
        self.as_of.borrow_mut().remove(stack);
        if self.stacks.borrow_mut().remove(stack).is_some() {
            self.changed();
        }
    }

    /// Which profile is in force, or why it is not known.
    pub fn set_generation(&self, generation: Option<(Generation, Time)>, error: Option<String>) {
        self.set(|host| {
            if let Some((generation, since)) = generation {
                host.generation = Some(generation);
                host.generation_since = Some(since);
            }
            host.profile_error = error;
        });
    }

    /// Whether the Engine answers.
    pub fn set_engine(&self, engine: EngineStatus) {
        self.set(|host| host.engine = engine);
    }

    /// What concerns the host as a whole.
    pub fn set_notes(&self, notes: Vec<String>) {
        self.set(|host| host.notes = notes);
    }

    fn set(&self, change: impl FnOnce(&mut HostStatus)) {
        let mut new = self.host.borrow().clone();
        change(&mut new);
        if *self.host.borrow() != new {
            *self.host.borrow_mut() = new;
            self.changed();
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// Wakes at every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tells everybody who listens.
    pub fn tell(&self, transition: &Transition) {
        // Nobody listening is the usual case.
        let _ = self.transitions.send(transition.clone());
    }

    /// Every transition from now on.
    pub fn transitions(&self) -> broadcast::Receiver<Transition> {
        self.transitions.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::example;

    #[test]
    fn one_stack_one_service_and_what_is_not_there() {
        let store = Store::new("lab", "/p");
        let known = EngineStatus { reachable: true, ..EngineStatus::default() };
        store.set_engine(known.clone());
        assert_eq!(store.status(None, None).map(|status| status.phase), Some(Phase::Converged));
        let stack = example().stacks.remove(0);
        store.put(stack);
        assert_eq!(store.status(Some("web"), None).map(|status| status.phase), Some(Phase::Waiting));
        assert_eq!(store.status(Some("nope"), None), None);
        assert_eq!(store.status(Some("web"), Some("nope")), None);
        store.set_engine(EngineStatus::default());
        assert_eq!(store.status(None, None).map(|status| status.phase), Some(Phase::Unknown));
    }

    #[test]
    fn only_a_change_wakes_those_who_watch() {
        let store = Store::new("lab", "/p");
        let mut changes = store.changes();
        changes.mark_unchanged();
        store.set_notes(Vec::new());
        assert!(!changes.has_changed().expect("the store is there"));
        store.set_notes(vec!["a".into()]);
        assert!(changes.has_changed().expect("the store is there"));
    }
}
