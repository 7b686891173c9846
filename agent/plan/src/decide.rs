//! What is to be done for one stack, now?
//!
//! Level-triggered: a plan has only steps that can be done at this moment. What has to wait for a health check, a mount or
//! an image is a finding; the event that ends the wait starts the next pass.

mod archives;
mod builds;
mod containers;
mod draft;
mod images;
mod judge;
mod make;
mod objects;
mod obstacle;
mod order;
mod orphans;
mod proof;
mod prune;
mod pull;
mod registry;
mod repair;
mod replace;
mod restrain;
mod slots;
mod unacted;
mod waits;

use crate::{
    desired::Desired,
    drift::DriftKind,
    ids::Time,
    memory::{Pruning, StackMemory},
    observed::Observed,
    step::{Plan, WaitKind},
};

pub use orphans::{gone_stacks, owned_stacks};
pub use prune::prune_gone;
pub use registry::to_ask;

use draft::Draft;

/// Decides for a declared stack.
pub fn decide(desired: &Desired, observed: &Observed, memory: &StackMemory, now: Time) -> Plan {
    let mut draft = Draft::new(desired, observed, memory, now);
    let hold = memory.holds.get("").filter(|hold| hold.until.is_none_or(|until| until > now));
    if let Some(hold) = hold {
        let what = hold.words();
        draft.say_for_all(DriftKind::NotActedOn, WaitKind::Hold, &what, hold.until);
        if hold.down {
            orphans::take_down(&mut draft);
            return draft.finish();
        }
    }
    for mount in desired.inputs.mounts.iter().filter(|mount| !mount.optional) {
        if let Err(found) = &mount.present {
            draft.wait_for_all(WaitKind::Mount, &format!("mount {} ({found})", mount.path.display()));
        }
    }
    if draft.is_blocked() {
        return draft.finish();
    }
    unacted::decide(&mut draft);
    objects::decide(&mut draft);
    for service in order(desired) {
        containers::decide(&mut draft, service);
    }
    images::freshen(&mut draft);
    registry::report(&mut draft);
    if desired.project.settings.remove_orphans {
        orphans::decide(&mut draft);
    }
    let mut plan = restrain::restrain(draft.finish(), &desired.project.settings.drift, memory, now);
    if hold.is_none() {
        let policy = Pruning::of(desired.project.settings.prune_images);
        prune::prune(&mut plan, policy, &desired.inputs.declared_images, (observed, memory), now);
    }
    plan
}

/// The services, dependencies first.
fn order(desired: &Desired) -> Vec<&crate::desired::DesiredService> {
    let mut ordered: Vec<&crate::desired::DesiredService> = Vec::new();
    let mut left: Vec<&crate::desired::DesiredService> = desired.services.values().collect();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|service| {
            let ready = service.depends_on.keys().all(|name| {
                !desired.services.contains_key(name) || ordered.iter().any(|done| done.name == *name)
            });
            if ready {
                ordered.push(service);
            }
            !ready
        });
        if left.len() == before {
            // The loader refuses cycles; nothing is lost if one came through.
            ordered.append(&mut left);
        }
    }
    ordered
}
