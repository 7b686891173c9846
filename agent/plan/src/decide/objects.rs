//! Which networks and volumes are missing or differ?

use super::draft::Draft;
use crate::{
    drift::{Drift, DriftKind, Subject},
    labels,
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
        let subject = Subject::Network { name: name.clone() };
        let found = draft.observed.networks.iter().find(|network| network.spec.name == *name);
        match found {
            Some(network) => {
                let known = network.owner.config_hash.as_deref();
                if !wanted.external && known.is_some_and(|known| known != wanted.hash) {
                    let drift = drift(subject, DriftKind::Options, &wanted.hash, known.unwrap_or_default());
                    let words = "its options are not those declared; a network with containers in it is not replaced by itself";
                    draft.find(drift, Verdict::Refuse(words.into()));
                }
            }
            None if wanted.external => {
                draft.lacking.insert(name.clone());
                let what = format!("network {name}, declared external, is not there");
                draft.find(drift(subject, DriftKind::Missing, name, "nothing"), Verdict::Wait(wait(what)));
            }
            None => {
                let labels = labels::network(desired, key, &wanted.hash);
                let act = Act::CreateNetwork { key: key.clone(), spec: wanted.spec.clone(), labels };
                let step = draft.step(act, format!("networks.{key} is declared and missing"), &[]);
                draft.made.insert(name.clone(), step);
                draft.find(drift(subject, DriftKind::Missing, name, "nothing"), Verdict::Act(vec![step]));
            }
        }
    }
}

fn volumes(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    for (key, wanted) in &desired.volumes {
        let name = &wanted.spec.name;
        let subject = Subject::Volume { name: name.clone() };
        let found = draft.observed.volumes.iter().find(|volume| volume.spec.name == *name);
        match found {
            Some(volume) => {
                let known = volume.owner.config_hash.as_deref();
                if !wanted.external && known.is_some_and(|known| known != wanted.hash) {
                    let drift = drift(subject, DriftKind::Options, &wanted.hash, known.unwrap_or_default());
                    draft.find(
                        drift,
                        Verdict::Refuse(
                            "its options are not those declared; a volume is never replaced".into(),
                        ),
                    );
                }
            }
            None if wanted.external => {
                draft.lacking.insert(name.clone());
                let what = format!("volume {name}, declared external, is not there");
                draft.find(drift(subject, DriftKind::Missing, name, "nothing"), Verdict::Wait(wait(what)));
            }
            None => {
                let labels = labels::volume(desired, key, &wanted.hash);
                let act = Act::CreateVolume { key: key.clone(), spec: wanted.spec.clone(), labels };
                let step = draft.step(act, format!("volumes.{key} is declared and missing"), &[]);
                draft.made.insert(name.clone(), step);
                draft.find(drift(subject, DriftKind::Missing, name, "nothing"), Verdict::Act(vec![step]));
            }
        }
    }
}

fn wait(what: String) -> Wait {
    Wait { on: WaitKind::Dependency, what, retry_at: None }
}
