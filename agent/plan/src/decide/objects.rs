//! Which networks and volumes are missing or differ, and what is made of it?
//!
//! A network whose options changed is made anew under the living containers: they leave it, it goes, comes back, and they
//! join it again with their aliases and addresses. Killed in between, the next pass finds a network that is missing, or
//! containers that have lost it, and goes on from there. A volume is never replaced: it holds data.

use super::{
    draft::Draft,
    judge::spec_for,
    make::target,
    slots::{number, slots},
};
use crate::{
    desired::{DesiredNetwork, DesiredService},
    drift::{Drift, DriftKind, Subject, differs},
    labels,
    observed::ObservedContainer,
    resource::{ObservedNetwork, OptionDifference, Owner, network_differences, volume_differences},
    step::{Act, StepId, Verdict, Wait, WaitKind},
};

/// Networks and volumes come before every container.
pub(super) fn decide(draft: &mut Draft<'_>) {
    networks(draft);
    volumes(draft);
}

fn drift(subject: Subject, kind: DriftKind, want: &str, have: &str) -> Drift {
    Drift {
        subject,
        kind,
        field: String::new(),
        want: want.into(),
        have: have.into(),
        place: None,
        cause: None,
    }
}

fn networks(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    for (key, wanted) in &desired.networks {
        let name = &wanted.spec.name;
        let subject = Subject::Network { name: name.clone() };
        let declared = Declared { subject, key, name, external: wanted.external, hash: &wanted.hash };
        let create = || Act::CreateNetwork {
            key: key.clone(),
            spec: wanted.spec.clone(),
            labels: labels::network(desired, key, &wanted.hash),
        };
        let Some(found) = draft.observed.networks.iter().find(|network| network.spec.name == *name) else {
            missing(draft, declared, create());
            continue;
        };
        let Some(hash) = declared.other_hash(&found.owner) else { continue };
        let differences = network_differences(&wanted.spec, &found.spec);
        differ(draft, &declared, hash, differences, |draft, cause| {
            replace(draft, wanted, found, cause, create)
        });
    }
}

fn volumes(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    for (key, wanted) in &desired.volumes {
        let name = &wanted.spec.name;
        let subject = Subject::Volume { name: name.clone() };
        let declared = Declared { subject, key, name, external: wanted.external, hash: &wanted.hash };
        let Some(found) = draft.observed.volumes.iter().find(|volume| volume.spec.name == *name) else {
            let labels = labels::volume(desired, key, &wanted.hash);
            let create = Act::CreateVolume { key: key.clone(), spec: wanted.spec.clone(), labels };
            missing(draft, declared, create);
            continue;
        };
        let Some(hash) = declared.other_hash(&found.owner) else { continue };
        let differences = volume_differences(&wanted.spec, &found.spec);
        differ(draft, &declared, hash, differences, |_, _| {
            Verdict::Refuse(format!(
                "a volume is never replaced: it holds data. Move that, then `docker volume rm {name}`"
            ))
        });
    }
}

/// A network or a volume as declared.
struct Declared<'a> {
    subject: Subject,
    key: &'a str,
    name: &'a str,
    external: bool,
    hash: &'a str,
}

impl Declared<'_> {
    /// The hash of one that is there, where that is not the declaration's.
    fn other_hash<'o>(&self, owner: &'o Owner) -> Option<&'o str> {
        owner.config_hash.as_deref().filter(|hash| !self.external && *hash != self.hash)
    }
}

/// One that is declared and not there.
fn missing(draft: &mut Draft<'_>, declared: Declared<'_>, create: Act) {
    let Declared { subject, key, name, external, .. } = declared;
    let what = format!("{subject}, declared external, is not there");
    let section = if matches!(subject, Subject::Network { .. }) { "networks" } else { "volumes" };
    let drift = drift(subject, DriftKind::Missing, name, "nothing");
    if external {
        draft.lacking.insert(name.to_owned());
        draft.find(drift, Verdict::Wait(Wait { on: WaitKind::External, what, retry_at: None }));
        return;
    }
    let step = draft.step(create, format!("{section}.{key} is declared and missing"), &[]);
    draft.made.insert(name.to_owned(), step);
    draft.find(drift, Verdict::Act(vec![step]));
}

/// One that is there with another hash: a finding for each option that differs; where none does, one for the hash.
fn differ(
    draft: &mut Draft<'_>,
    declared: &Declared<'_>,
    hash: &str,
    differences: Vec<OptionDifference>,
    alter: impl FnOnce(&mut Draft<'_>, &str) -> Verdict,
) {
    let Some(first) = differences.first() else {
        let drift = drift(declared.subject.clone(), DriftKind::HashOnly, declared.hash, hash);
        return draft.find(drift, Verdict::Note("every option is as declared: it is kept".into()));
    };
    let cause = differs(&first.field, &first.want.shown(), &first.have.shown());
    let verdict = alter(draft, &cause);
    for difference in differences {
        let (want, have) = (difference.want.shown(), difference.have.shown());
        let mut drift = drift(declared.subject.clone(), DriftKind::Options, &want, &have);
        drift.field.clone_from(&difference.field);
        draft.find(drift, verdict.clone());
    }
}

/// Makes a network anew, with the stack's own containers in it.
fn replace(
    draft: &mut Draft<'_>,
    wanted: &DesiredNetwork,
    found: &ObservedNetwork,
    cause: &str,
    create: impl FnOnce() -> Act,
) -> Verdict {
    let attached = |container: &&ObservedContainer| container.attached.values().any(|id| *id == found.id);
    let (ours, foreign): (Vec<_>, Vec<_>) =
        draft.observed.containers().filter(attached).partition(|container| draft.desired.owns(container));
    if !foreign.is_empty() {
        let names: Vec<&str> = foreign.iter().map(|container| container.name.as_str()).collect();
        return Verdict::Refuse(format!(
            "it cannot be made anew while containers of others are in it: {}; take them out with `docker network \
             disconnect {} NAME`",
            names.join(", "),
            wanted.spec.name
        ));
    }
    let leave = |container: &&ObservedContainer| {
        let network = found.id.clone();
        let act = Act::DisconnectNetwork { network, container: target(container) };
        draft.step(act, cause, &[])
    };
    let mut steps: Vec<StepId> = ours.iter().map(leave).collect();
    let act = Act::RemoveNetwork { id: found.id.clone(), name: wanted.spec.name.clone() };
    steps.push(draft.step(act, cause, &steps));
    let made = draft.step(create(), cause, &steps[steps.len() - 1..]);
    steps.push(made);
    draft.made.insert(wanted.spec.name.clone(), made);
    for container in ours {
        steps.extend(rejoin(draft, container, &wanted.spec.name, cause, made));
    }
    Verdict::Act(steps)
}

/// Puts a container that belongs into a network back into it.
fn rejoin(
    draft: &mut Draft<'_>,
    container: &ObservedContainer,
    network: &str,
    cause: &str,
    made: StepId,
) -> Option<StepId> {
    let service = service_of(draft, container)?;
    let endpoint = spec_for(draft, service, number(container)).networks.remove(network)?;
    let act = Act::ConnectNetwork { network: network.to_owned(), container: target(container), endpoint };
    let step = draft.step(act, cause, &[made]);
    draft.joining.entry(container.id.clone()).or_default().push(step);
    Some(step)
}

/// The service whose container it is now; a kept or surplus one is nobody's.
fn service_of<'a>(draft: &Draft<'a>, container: &ObservedContainer) -> Option<&'a DesiredService> {
    let service = draft.desired.services.get(&container.labels.replica.as_ref()?.service)?;
    let places = slots(draft.desired, draft.observed, service).slots;
    places.iter().any(|slot| slot.current.is_some_and(|now| now.id == container.id)).then_some(service)
}
