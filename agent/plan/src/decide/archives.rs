//! Does an image come from an archive of the stack, and is the one on the Engine the one in it?
//!
//! What an archive holds is known without loading it, so that it is loaded only where the Engine lacks it or means another
//! image by the tag. A service whose tag comes from an archive is never pulled: a registry may have another image of that
//! name.

use std::path::{Path, PathBuf};

use super::{draft::Draft, obstacle::Obstacle, pull::image_drift};
use crate::{
    desired::ArchivedImage,
    memory::Brought,
    step::{Act, Remember, StepId, Verdict, Wait, WaitKind},
};

/// One image of one archive of the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The path as declared.
    declared: &'a Path,
    /// Where it is.
    path: &'a PathBuf,
    image: &'a ArchivedImage,
}

/// The archive that brings a reference.
pub(super) fn source<'a>(draft: &Draft<'a>, reference: &str) -> Option<Source<'a>> {
    let (declared, archive, image) = draft.desired.inputs.archived(reference)?;
    Some(Source { declared, path: &archive.path, image })
}

/// Whether the Engine means the archive's image by the reference.
fn is_loaded(draft: &Draft<'_>, reference: &str, source: Source<'_>) -> bool {
    let there = draft.observed.images.get(reference).and_then(|image| image.id.as_ref());
    there.is_some_and(|there| {
        // An Engine with the containerd store calls it by a manifest that is made while it is loaded.
        let brought = draft.memory.brought.get(there.as_str());
        let from = brought.and_then(|brought| brought.from.as_deref());
        source.image.ids.iter().any(|id| id == there || Some(id.as_str()) == from)
    })
}

/// What stands in the way of using an image of an archive.
pub(super) fn obstacle(draft: &mut Draft<'_>, reference: &str, source: Source<'_>) -> Option<Obstacle> {
    if is_loaded(draft, reference, source) {
        return None;
    }
    let there = draft.observed.images.contains_key(reference);
    match failed_before(draft, source) {
        // What is there is used meanwhile: `refresh` says so.
        Some(_) if there => None,
        Some((error, until)) => {
            let what = format!("image {reference}: {error}");
            Some(Obstacle::Wait(Wait { on: WaitKind::Image, what, retry_at: Some(until) }))
        }
        None => Some(Obstacle::Preparing(vec![load(draft, reference, source)])),
    }
}

/// Why an image that is not on the Engine cannot be known to come from elsewhere: an archive that cannot be used may
/// be the one that brings it.
pub(super) fn unusable(draft: &Draft<'_>, reference: &str) -> Option<Obstacle> {
    let archives = &draft.desired.inputs.archives;
    let (path, error) =
        archives.iter().find_map(|(path, archive)| Some((path, archive.images.as_ref().err()?)))?;
    let what = format!(
        "image {reference} is not on the Engine, and the archive {}, which may bring it, cannot be used: {error}",
        path.display()
    );
    Some(Obstacle::new(WaitKind::Image, what))
}

/// Says which archives cannot be used: only what needs them waits.
pub(super) fn report(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    for (path, archive) in &desired.inputs.archives {
        if let Err(error) = &archive.images {
            let mut drift = image_drift(&path.display().to_string());
            drift.want = "an image archive".into();
            let why = format!(
                "image archive {}: {error}; replace it, or take it out of x-agent.images",
                path.display()
            );
            draft.find(drift, Verdict::Refuse(why));
        }
    }
}

/// Loads an archive's image where the Engine means another one by its tag: what uses that is replaced by the next pass.
pub(super) fn refresh(draft: &mut Draft<'_>, reference: &str, source: Source<'_>) {
    let Some(there) = draft.observed.images.get(reference).and_then(|image| image.id.clone()) else { return };
    if draft.images.contains_key(reference) || is_loaded(draft, reference, source) {
        return;
    }
    let mut drift = image_drift(reference);
    drift.want =
        format!("{} of {}", source.image.ids.first().map_or("", |id| id.as_str()), source.declared.display());
    drift.have = there.to_string();
    let verdict = match failed_before(draft, source) {
        Some((error, _)) => Verdict::Leave(format!("the image that is there is used: {error}")),
        None => Verdict::Act(vec![load(draft, reference, source)]),
    };
    draft.find(drift, verdict);
}

fn failed_before(draft: &Draft<'_>, source: Source<'_>) -> Option<(String, crate::ids::Time)> {
    let backoff = draft.memory.backoff.get(&source.path.display().to_string())?;
    (backoff.until > draft.now).then(|| (backoff.error.clone(), backoff.until))
}

fn load(draft: &mut Draft<'_>, reference: &str, source: Source<'_>) -> StepId {
    let cause = format!(
        "x-agent.images: {} brings {reference}, and it is not what the Engine has",
        source.declared.display()
    );
    let act = Act::LoadImage { archive: source.path.clone(), reference: reference.to_owned() };
    let step = draft.step(act, cause, &[]);
    draft.images.insert(reference.to_owned(), step);
    let from = source.image.ids.first().map(ToString::to_string);
    let brought = Brought::new(reference, from, draft.now);
    draft.remember(Some(step), Remember::Brought { brought });
    step
}
