//! What stands in the way of making or starting a container, and what is made of that?

use super::draft::Draft;
use crate::{
    drift::Drift,
    step::{StepId, Verdict, Wait, WaitKind},
};

/// Something that stands in the way.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// It has to be waited for.
    Wait(Wait),
    /// These steps bring what is lacking; the pass after them goes on.
    Preparing(Vec<StepId>),
}

impl Obstacle {
    pub(super) fn new(on: WaitKind, what: impl Into<String>) -> Self {
        Self::Wait(Wait { on, what: what.into(), retry_at: None })
    }

    /// What is made of a difference that it stands before.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Wait(wait) => Verdict::Wait(wait.clone()),
            Self::Preparing(steps) => Verdict::Act(steps.clone()),
        }
    }

    /// Says so for each of the differences.
    pub(super) fn explain(&self, draft: &mut Draft<'_>, drifts: impl IntoIterator<Item = Drift>) {
        for drift in drifts {
            draft.find(drift, self.verdict());
        }
    }
}
