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
    drift::{Drift, DriftKind, Subject},
    labels,
    observed::ObservedContainer,
    resource::{ObservedNetwork, OptionDifference, network_differences, volume_differences},
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
        let create = || Act::CreateNetwork {
            key: key.clone(),
            spec: wanted.spec.clone(),
            labels: labels::network(desired, key, &wanted.hash),
        };
        let subject = Subject::Network { name: name.clone() };
        match draft.observed.networks.iter().find(|network| network.spec.name == *name) {
            Some(found) => {
                let hash = found.owner.config_hash.as_ref().filter(|hash| **hash != wanted.hash);
                if let Some(hash) = hash.filter(|_| !wanted.external) {
                    let differences = network_differences(&wanted.spec, &found.spec);
                    let options = Options { subject, hash, wanted: &wanted.hash, differences };
                    let verdict = if options.differences.is_empty() {
                        Verdict::Note("every option is as declared: the network is kept".into())
                    } else {
                        replace(draft, wanted, found, &options, create)
                    };
                    options.find(draft, verdict);
                }
            }
            None => missing(draft, subject, name, wanted.external, ("networks", key), create),
        }
    }
}

fn volumes(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    for (key, wanted) in &desired.volumes {
        let name = &wanted.spec.name;
        let create = || Act::CreateVolume {
            key: key.clone(),
            spec: wanted.spec.clone(),
            labels: labels::volume(desired, key, &wanted.hash),
        };
        let subject = Subject::Volume { name: name.clone() };
        match draft.observed.volumes.iter().find(|volume| volume.spec.name == *name) {
            Some(found) => {
                let hash = found.owner.config_hash.as_ref().filter(|hash| **hash != wanted.hash);
                if let Some(hash) = hash.filter(|_| !wanted.external) {
                    let differences = volume_differences(&wanted.spec, &found.spec);
                    let options = Options { subject, hash, wanted: &wanted.hash, differences };
                    let verdict = if options.differences.is_empty() {
                        Verdict::Note("every option is as declared: the volume is kept".into())
                    } else {
                        Verdict::Refuse(format!(
                            "a volume is never replaced: it holds data. Move that, then `docker volume rm {name}`"
                        ))
                    };
                    options.find(draft, verdict);
                }
            }
            None => missing(draft, subject, name, wanted.external, ("volumes", key), create),
        }
    }
}

/// A network or a volume that is declared and not there.
fn missing(
    draft: &mut Draft<'_>,
    subject: Subject,
    name: &str,
    external: bool,
    (section, key): (&str, &str),
    create: impl FnOnce() -> Act,
) {
    let what = format!("{subject}, declared external, is not there");
    let drift = drift(subject, DriftKind::Missing, name, "nothing");
    if external {
        draft.lacking.insert(name.to_owned());
        draft.find(drift, Verdict::Wait(Wait { on: WaitKind::External, what, retry_at: None }));
        return;
    }
    let step = draft.step(create(), format!("{section}.{key} is declared and missing"), &[]);
    draft.made.insert(name.to_owned(), step);
    draft.find(drift, Verdict::Act(vec![step]));
}

/// A network or a volume with another hash than its declaration's.
struct Options<'a> {
    subject: Subject,
    hash: &'a str,
    wanted: &'a str,
    differences: Vec<OptionDifference>,
}

impl Options<'_> {
    /// One finding for each option that differs; where none does, one for the hash.
    fn find(self, draft: &mut Draft<'_>, verdict: Verdict) {
        if self.differences.is_empty() {
            let drift = drift(self.subject, DriftKind::HashOnly, self.wanted, self.hash);
            return draft.find(drift, verdict);
        }
        for difference in self.differences {
            let (want, have) = (difference.want.shown(), difference.have.shown());
            let mut drift = drift(self.subject.clone(), DriftKind::Options, &want, &have);
            drift.field.clone_from(&difference.field);
            draft.find(drift, verdict.clone());
        }
    }

    fn cause(&self) -> String {
        let said = |difference: &OptionDifference| {
            let OptionDifference { field, want, have } = difference;
            format!("{field} is {}, declared is {}", have.shown(), want.shown())
        };
        self.differences.first().map_or_else(String::new, said)
    }
}

/// Makes a network anew, with the stack's own containers in it.
fn replace(
    draft: &mut Draft<'_>,
    wanted: &DesiredNetwork,
    found: &ObservedNetwork,
    options: &Options<'_>,
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
    let cause = options.cause();
    let leave = |container: &&ObservedContainer| {
        let network = found.id.clone();
        let act = Act::DisconnectNetwork { network, container: target(container) };
        draft.step(act, cause.as_str(), &[])
    };
    let mut steps: Vec<StepId> = ours.iter().map(leave).collect();
    let act = Act::RemoveNetwork { id: found.id.clone(), name: wanted.spec.name.clone() };
    steps.push(draft.step(act, cause.as_str(), &steps));
    let made = draft.step(create(), cause.as_str(), &steps[steps.len() - 1..]);
    steps.push(made);
    draft.made.insert(wanted.spec.name.clone(), made);
    for container in ours {
        steps.extend(rejoin(draft, container, &wanted.spec.name, &cause, made));
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
