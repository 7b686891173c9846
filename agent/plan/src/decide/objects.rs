//! Which networks and volumes are missing or differ?

use super::draft::Draft;
use crate::{
    drift::{Drift, DriftKind, Subject},
    labels,
    resource::Owner,
    step::{Act, Verdict, Wait, WaitKind},
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
        let found = draft.observed.networks.iter().find(|network| network.spec.name == *name);
        let object = Object {
            subject: Subject::Network { name: name.clone() },
            section: "networks",
            key,
            name,
            external: wanted.external,
            hash: &wanted.hash,
            found: found.map(|network| &network.owner),
            kept: "a network with containers in it is not replaced by itself",
        };
        decide_one(draft, &object, || Act::CreateNetwork {
            key: key.clone(),
            spec: wanted.spec.clone(),
            labels: labels::network(desired, key, &wanted.hash),
        });
    }
}

fn volumes(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    for (key, wanted) in &desired.volumes {
        let name = &wanted.spec.name;
        let found = draft.observed.volumes.iter().find(|volume| volume.spec.name == *name);
        let object = Object {
            subject: Subject::Volume { name: name.clone() },
            section: "volumes",
            key,
            name,
            external: wanted.external,
            hash: &wanted.hash,
            found: found.map(|volume| &volume.owner),
            kept: "a volume is never replaced",
        };
        decide_one(draft, &object, || Act::CreateVolume {
            key: key.clone(),
            spec: wanted.spec.clone(),
            labels: labels::volume(desired, key, &wanted.hash),
        });
    }
}

/// A declared network or volume, and whose the one is that has its name.
struct Object<'a> {
    subject: Subject,
    section: &'static str,
    key: &'a str,
    name: &'a str,
    external: bool,
    hash: &'a str,
    found: Option<&'a Owner>,
    /// Why one with other options stays.
    kept: &'static str,
}

fn decide_one(draft: &mut Draft<'_>, object: &Object<'_>, create: impl FnOnce() -> Act) {
    let Object { section, key, name, hash, .. } = *object;
    let drift = |kind, want: &str, have: &str| drift(object.subject.clone(), kind, want, have);
    match object.found {
        Some(owner) => {
            let known = owner.config_hash.as_deref();
            if !object.external && known.is_some_and(|known| known != hash) {
                let words = format!("its options are not those declared; {}", object.kept);
                draft
                    .find(drift(DriftKind::Options, hash, known.unwrap_or_default()), Verdict::Refuse(words));
            }
        }
        None if object.external => {
            draft.lacking.insert(name.to_owned());
            let what = format!("{}, declared external, is not there", object.subject);
            let wait = Wait { on: WaitKind::Dependency, what, retry_at: None };
            draft.find(drift(DriftKind::Missing, name, "nothing"), Verdict::Wait(wait));
        }
        None => {
            let step = draft.step(create(), format!("{section}.{key} is declared and missing"), &[]);
            draft.made.insert(name.to_owned(), step);
            draft.find(drift(DriftKind::Missing, name, "nothing"), Verdict::Act(vec![step]));
        }
    }
}
