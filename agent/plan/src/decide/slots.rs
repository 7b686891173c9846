//! Which container of a service is what: the service now, its successor in the making, or what it replaced?
//!
//! Told from names and labels alone, so that an agent that was killed between any two Engine calls goes on where it
//! stopped, with nothing remembered.

use std::collections::BTreeMap;

use crate::{
    desire::container_name,
    desired::{Desired, DesiredService},
    ids::{ContainerId, ServiceName},
    observed::{Observed, ObservedContainer, RunState},
};

/// The place of one replica, and who is in it.
#[derive(Debug, Clone)]
pub(super) struct Slot<'a> {
    /// The replica's number.
    pub(super) number: u32,
    /// The container that is the replica now.
    pub(super) current: Option<&'a ObservedContainer>,
    /// One that was made to take its place, under a name of its own.
    pub(super) successor: Option<&'a ObservedContainer>,
    /// The one that it replaced, kept until it has proven itself.
    pub(super) predecessor: Option<&'a ObservedContainer>,
}

/// The places of a service by number, and containers that are in nobody's.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots<'a> {
    pub(super) slots: Vec<Slot<'a>>,
    pub(super) surplus: Vec<&'a ObservedContainer>,
}

/// The name under which a container waits for its successor's proof.
pub(super) fn kept_name(name: &str, id: &ContainerId) -> String {
    format!("{name}_kept_{}", id.short())
}

/// The name under which a container is made that replaces `id`: Compose's.
pub(super) fn successor_name(name: &str, id: &ContainerId) -> String {
    format!("{}_{name}", id.short())
}

enum Part {
    Current,
    Successor,
    Predecessor,
}

fn part(container: &ObservedContainer, name: &str) -> Part {
    if container.name == kept_name(name, &container.id) {
        return Part::Predecessor;
    }
    let id = container.name.strip_suffix(name).and_then(|rest| rest.strip_suffix('_'));
    match id {
        Some(id)
            if container.labels.replaces.is_some()
                && id.len() == 12
                && id.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            Part::Successor
        }
        _ => Part::Current,
    }
}

/// Whether a container was made to take another's place, and has not got its name yet.
pub(super) fn is_successor(container: &ObservedContainer, name: &str) -> bool {
    matches!(part(container, name), Part::Successor)
}

/// Sorts the containers of a service into its places.
pub(super) fn slots<'a>(desired: &Desired, observed: &'a Observed, service: &DesiredService) -> Slots<'a> {
    let mut all: Vec<&ObservedContainer> = containers(desired, observed, &service.name).collect();
    // Whoever is found first in a place stays in it: the one with the right name, one that runs, the youngest.
    all.sort_by_key(|container| {
        let name = container_name(&desired.project_name, service, number(container));
        (
            number(container),
            container.name != name,
            container.state.status != RunState::Running,
            std::cmp::Reverse(container.created_at),
        )
    });
    let mut places: BTreeMap<u32, Slot<'a>> = BTreeMap::new();
    let mut surplus = Vec::new();
    for container in all {
        let number = number(container);
        let name = container_name(&desired.project_name, service, number);
        let slot = places.entry(number).or_insert(Slot {
            number,
            current: None,
            successor: None,
            predecessor: None,
        });
        let place = match part(container, &name) {
            Part::Current => &mut slot.current,
            Part::Successor => &mut slot.successor,
            Part::Predecessor => &mut slot.predecessor,
        };
        match place {
            None => *place = Some(container),
            Some(_) => surplus.push(container),
        }
    }
    let mut slots: Vec<Slot<'a>> = places.into_values().collect();
    for slot in &mut slots {
        // Whom it was to replace is gone: it is the replica, and has only the wrong name yet.
        if slot.current.is_none() {
            slot.current = slot.successor.take();
        }
    }
    Slots { slots, surplus }
}

/// The containers of a service of this stack, one-off runs aside.
fn containers<'a>(
    desired: &Desired,
    observed: &'a Observed,
    service: &ServiceName,
) -> impl Iterator<Item = &'a ObservedContainer> {
    observed.containers().filter(|container| {
        desired.owns(container)
            && !container.labels.oneoff
            && container.labels.replica.as_ref().is_some_and(|replica| replica.service == *service)
    })
}

/// A container's number; 1 where its labels have none.
pub(super) fn number(container: &ObservedContainer) -> u32 {
    container.labels.replica.as_ref().map_or(1, |replica| replica.number)
}
