//! Is the image there, and does its `pull_policy` want it fetched anew?
//!
//! Compose Specification, `pull_policy`: `missing` (the default), `if_not_present`, `always`, `never`, `build`, `daily`,
//! `weekly`, `every_DURATION`. `always` means: once for each generation that declares it.

use super::{
    archives, builds,
    draft::Draft,
    obstacle::Obstacle,
    pull::{image_drift, pull},
};
use crate::{
    desired::DesiredService,
    step::{StepId, Verdict, Wait, WaitKind},
};

const DAY_MS: i64 = 86_400_000;

/// When an image that is there is fetched again.
enum Refresh {
    Never,
    EachGeneration,
    After(i64),
}

fn refresh(policy: &str) -> Refresh {
    match policy {
        "always" => Refresh::EachGeneration,
        "daily" => Refresh::After(DAY_MS),
        "weekly" => Refresh::After(7 * DAY_MS),
        other => other
            .strip_prefix("every_")
            .and_then(specs::values::parse_duration)
            .map_or(Refresh::Never, |nanoseconds| Refresh::After(nanoseconds / 1_000_000)),
    }
}

/// What stands in the way of using a service's image.
pub(super) fn obstacle(draft: &mut Draft<'_>, service: &DesiredService) -> Option<Obstacle> {
    let reference = service.spec.image.expose().to_owned();
    if let Some(step) = draft.images.get(&reference) {
        return Some(Obstacle::Preparing(vec![*step]));
    }
    if let Some(source) = archives::source(draft, &reference) {
        return archives::obstacle(draft, &reference, source);
    }
    if let Some(build) = builds::declared(draft, service) {
        return builds::obstacle(draft, service, build);
    }
    if draft.observed.images.contains_key(&reference) {
        return None;
    }
    if let Some(obstacle) = archives::unusable(draft, &reference) {
        return Some(obstacle);
    }
    if service.service.pull_policy == *"never" {
        let what = format!("image {reference} is not on the Engine, and pull_policy is never");
        return Some(Obstacle::new(WaitKind::Image, what));
    }
    if let Some(backoff) = draft.memory.backoff.get(&reference)
        && backoff.until > draft.now
    {
        let what = format!("image {reference}: {}", backoff.error);
        return Some(Obstacle::Wait(Wait { on: WaitKind::Image, what, retry_at: Some(backoff.until) }));
    }
    let cause = format!("services.{}.image is not on the Engine", service.name);
    Some(Obstacle::Preparing(vec![pull_for(draft, service, cause)]))
}

/// A container that is about to be made waits for a fresh image where `pull_policy` wants one: it would only be replaced
/// again. Where fetching has failed, the image that is there is used.
pub(super) fn fresh_first(draft: &mut Draft<'_>, service: &DesiredService) -> Option<Obstacle> {
    let reference = service.spec.image.expose();
    let is_there = draft.observed.images.contains_key(reference);
    let has_failed = draft.memory.backoff.contains_key(reference);
    let is_ours = archives::source(draft, reference).is_some() || builds::declared(draft, service).is_some();
    if !is_there || has_failed || is_ours || !is_due(draft, service) {
        return None;
    }
    let cause = format!("services.{}.pull_policy is {}", service.name, service.service.pull_policy);
    let step = draft.images.get(reference).copied().unwrap_or_else(|| pull_for(draft, service, cause));
    Some(Obstacle::Preparing(vec![step]))
}

/// Whether a `pull_policy` wants an image that is there fetched again.
fn is_due(draft: &Draft<'_>, service: &DesiredService) -> bool {
    let last = draft.memory.pulled.get(service.spec.image.expose());
    match refresh(service.service.pull_policy.expose()) {
        Refresh::Never => false,
        Refresh::EachGeneration => last.is_none_or(|last| last.generation != draft.desired.generation),
        Refresh::After(ms) => last.is_none_or(|last| draft.now.since(last.at) >= ms),
    }
}

/// Fetches images that are there and whose policy wants them fresh. Nothing waits for it: what is there is used meanwhile.
pub(super) fn freshen(draft: &mut Draft<'_>) {
    archives::report(draft);
    let desired = draft.desired;
    for service in desired.services.values().filter(|service| service.replicas > 0) {
        let reference = service.spec.image.expose();
        if let Some(source) = archives::source(draft, reference) {
            archives::refresh(draft, reference, source);
            continue;
        }
        if let Some(build) = builds::declared(draft, service) {
            builds::refresh(draft, service, build);
            continue;
        }
        if draft.images.contains_key(reference) || !draft.observed.images.contains_key(reference) {
            continue;
        }
        let policy = service.service.pull_policy.expose();
        if !is_due(draft, service) {
            continue;
        }
        let mut drift = image_drift(reference);
        drift.want = format!("fetched as pull_policy {policy} says");
        match draft.memory.backoff.get(reference) {
            Some(backoff) if backoff.until > draft.now => {
                let why = format!("the image that is there is used; fetching it failed: {}", backoff.error);
                draft.find(drift, Verdict::Leave(why));
            }
            _ => {
                let cause = format!("services.{}.pull_policy is {policy}", service.name);
                let step = pull_for(draft, service, cause);
                draft.find(drift, Verdict::Act(vec![step]));
            }
        }
    }
}

fn pull_for(draft: &mut Draft<'_>, service: &DesiredService, cause: String) -> StepId {
    let platform = service.spec.platform.as_ref().map(|platform| platform.expose().to_owned());
    pull(draft, service.spec.image.expose(), platform, cause)
}
