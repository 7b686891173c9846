//! How is an image fetched from its registry, and how is a difference of one named?

use super::draft::Draft;
use crate::{
    drift::{Drift, DriftKind, Subject},
    memory::{Brought, Pull},
    step::{Act, Remember, StepId},
};

/// The step that fetches an image, with the stack's login.
pub(super) fn pull(
    draft: &mut Draft<'_>,
    reference: &str,
    platform: Option<String>,
    cause: String,
) -> StepId {
    let reference = reference.to_owned();
    let login = draft.desired.inputs.login(&reference);
    let step = draft.step(Act::PullImage { reference: reference.clone(), platform, login }, cause, &[]);
    draft.images.insert(reference.clone(), step);
    let pull = Pull { generation: draft.desired.generation.clone(), at: draft.now };
    let brought = Brought::new(&reference, None, draft.now);
    draft.remember(Some(step), Remember::Brought { brought });
    draft.remember(Some(step), Remember::Pulled { reference, pull });
    step
}

/// A difference of an image as a whole.
pub(super) fn image_drift(reference: &str) -> Drift {
    Drift {
        subject: Subject::Image { reference: reference.to_owned() },
        kind: DriftKind::Image,
        field: String::new(),
        want: String::new(),
        have: String::new(),
        place: None,
        cause: None,
    }
}
