//! Does a registry mean another image by a tag than the Engine, where the stack wants to know that?
//!
//! It is said and nothing else: what is declared is what runs. When a newer image is fetched is `pull_policy`'s business.

use std::collections::BTreeSet;

use super::{archives, draft::Draft, pull::image_drift};
use crate::{desired::Desired, observed::Observed, reference::Reference, step::Verdict};

/// Images of a stack that a registry may mean otherwise by now: pulled by a tag, and neither built nor out of an archive.
pub fn to_ask(desired: &Desired, observed: &Observed) -> BTreeSet<String> {
    let pulled = |reference: &String| {
        let image = observed.images.get(reference);
        image.is_some_and(|image| !image.digests.is_empty()) && Reference::parse(reference).digest.is_none()
    };
    let services = desired.services.values().filter(|service| {
        let policy = service.service.pull_policy.expose();
        service.replicas > 0
            && !desired.inputs.builds.contains_key(service.name.as_str())
            && policy != "never"
    });
    services.map(|service| service.spec.image.expose().to_owned()).filter(pulled).collect()
}

/// Says what registries have answered.
pub(super) fn report(draft: &mut Draft<'_>) {
    let (desired, observed) = (draft.desired, draft.observed);
    for reference in to_ask(desired, observed) {
        let Some(answer) = desired.inputs.registry.get(&reference) else { continue };
        if archives::source(draft, &reference).is_some() {
            continue;
        }
        let have: Vec<&str> = observed.images[&reference]
            .digests
            .iter()
            .filter_map(|digest| Some(digest.rsplit_once('@')?.1))
            .collect();
        let mut drift = image_drift(&reference);
        "registry".clone_into(&mut drift.field);
        have.join(", ").clone_into(&mut drift.have);
        let why = match answer {
            Ok(digest) if have.contains(&digest.as_str()) => continue,
            Ok(digest) => {
                drift.want.clone_from(digest);
                "the registry has another image by this tag; a pull_policy such as daily fetches it"
                    .to_owned()
            }
            Err(why) => format!("the registry cannot be asked: {why}"),
        };
        draft.find(drift, Verdict::Note(why));
    }
}
