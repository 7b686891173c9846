//! Is a service's image built from what is declared now?
//!
//! The digest of all that goes into a build is a label of the image that comes out. An image that somebody else has built,
//! Docker Compose for example, is taken as it is, until what it would be built from changes.

use super::{
    archives,
    draft::Draft,
    obstacle::Obstacle,
    pull::{image_drift, pull},
};
use crate::{
    build::Build,
    desired::DesiredService,
    ids::Time,
    labels,
    memory::Brought,
    reference::Reference,
    step::{Act, Remember, StepId, Verdict, Wait, WaitKind},
};

/// Whether a service's image is built, and from what; or why it cannot be.
pub(super) fn declared<'a>(draft: &Draft<'a>, service: &DesiredService) -> Option<&'a Result<Build, String>> {
    draft.desired.inputs.builds.get(service.name.as_str())
}

/// What stands in the way of using an image that is to be built.
pub(super) fn obstacle(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    build: &Result<Build, String>,
) -> Option<Obstacle> {
    let reference = service.spec.image.expose();
    let there = draft.observed.images.contains_key(reference);
    let waits = |what: &str, retry_at| {
        let what = format!("image {reference}: {what}");
        Some(Obstacle::Wait(Wait { on: WaitKind::Image, what, retry_at }))
    };
    match build {
        Err(_) if there => None,
        Err(error) => waits(error, None),
        Ok(build) if is_built(draft, service, build) => None,
        Ok(build) => match failed_before(draft, reference) {
            Some(_) if there => None,
            Some((error, until)) => waits(&error, Some(until)),
            None => Some(Obstacle::Preparing(vec![step(draft, service, build)])),
        },
    }
}

/// Builds an image that is there from what is declared now; what uses it is replaced by the next pass.
pub(super) fn refresh(draft: &mut Draft<'_>, service: &DesiredService, build: &Result<Build, String>) {
    let reference = service.spec.image.expose();
    let Some(image) = draft.observed.images.get(reference) else { return };
    if draft.images.contains_key(reference) {
        return;
    }
    let mut drift = image_drift(reference);
    let build = match build {
        Ok(build) => build,
        Err(error) => {
            drift.want = "an image that this agent builds".into();
            return draft.find(drift, Verdict::Note(format!("the image that is there is used: {error}")));
        }
    };
    if is_built(draft, service, build) {
        if !image.labels.contains_key(labels::BUILD) && !draft.memory.adopted_builds.contains_key(reference) {
            let (reference, digest) = (reference.to_owned(), build.digest.clone());
            draft.remember(None, Remember::AdoptedBuild { reference, digest });
        }
        return;
    }
    drift.want = "built from what is declared now".into();
    drift.have = "built from something else".into();
    let verdict = match failed_before(draft, reference) {
        Some((error, _)) => {
            Verdict::Leave(format!("the image that is there is used; building it failed: {error}"))
        }
        None => Verdict::Act(vec![step(draft, service, build)]),
    };
    draft.find(drift, verdict);
}

fn is_built(draft: &Draft<'_>, service: &DesiredService, build: &Build) -> bool {
    let reference = service.spec.image.expose();
    let Some(image) = draft.observed.images.get(reference) else { return false };
    match (image.labels.get(labels::BUILD), draft.memory.adopted_builds.get(reference)) {
        (Some(digest), _) | (None, Some(digest)) => *digest == build.digest,
        (None, None) => service.service.pull_policy != *"build",
    }
}

fn failed_before(draft: &Draft<'_>, reference: &str) -> Option<(String, Time)> {
    let backoff = draft.memory.backoff.get(reference)?;
    (backoff.until > draft.now).then(|| (backoff.error.clone(), backoff.until))
}

/// The step that builds it, after those that bring what it builds upon.
fn step(draft: &mut Draft<'_>, service: &DesiredService, build: &Build) -> StepId {
    if let Some(step) = draft.images.get(&build.reference) {
        return *step;
    }
    let mut after = Vec::new();
    for base in &build.bases {
        after.extend(bring(draft, service, base));
    }
    let cause = format!("services.{}.build: its image is not built from what is declared now", service.name);
    let act = Act::BuildImage { build: std::sync::Arc::new(build.clone()) };
    let step = draft.step(act, cause, &after);
    draft.images.insert(build.reference.clone(), step);
    let brought = Brought::new(&build.reference, Some(build.digest.clone()), draft.now);
    draft.remember(Some(step), Remember::Brought { brought });
    step
}

/// A base image: built where another service builds it, loaded where an archive has it, else pulled where it is not there.
/// The loader lets no services build upon each other in a circle.
fn bring(draft: &mut Draft<'_>, service: &DesiredService, base: &str) -> Option<StepId> {
    let desired = draft.desired;
    let wanted = Reference::parse(base);
    let is_it = |other: &&DesiredService| {
        other.name != service.name && Reference::parse(other.spec.image.expose()) == wanted
    };
    if let Some(other) = desired.services.values().find(is_it)
        && let Some(Ok(build)) = declared(draft, other)
    {
        return (!is_built(draft, other, build)).then(|| step(draft, other, build));
    }
    if let Some(step) = draft.images.get(base) {
        return Some(*step);
    }
    if let Some(source) = archives::source(draft, base) {
        return match archives::obstacle(draft, base, source) {
            Some(Obstacle::Preparing(steps)) => steps.first().copied(),
            _ => None,
        };
    }
    if draft.observed.images.contains_key(base) {
        return None;
    }
    let cause = format!("services.{}.build builds upon {base}, which is not on the Engine", service.name);
    Some(pull(draft, base, None, cause))
}
