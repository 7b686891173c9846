//! What is to be done about one stack, of what was gathered: what `plan` decides, with what only this side of it knows.

use std::{sync::Arc, time::Duration};

use plan::{
    cause::{annotate, complete, is_awaited},
    decide::decide,
    desire::{Wish, desire},
    desired::Desired,
    ids::StackName,
    memory::StackMemory,
    observed::Observed,
    step::Plan,
};
use specs::model::Project;
use tokio::time::{Instant, timeout_at};

use crate::{
    clock,
    daemon::Agent,
    gather::{Want, folders, pass::mounts},
    secrets::quoting,
};

/// How long the event of what has been seen is waited for: the Engine says it a moment later.
const MOMENT: Duration = Duration::from_millis(250);

/// What was decided about a stack, and on what.
#[derive(Debug)]
pub(crate) struct Decided {
    /// What it wants.
    pub(crate) desired: Desired,
    /// What was remembered of it.
    pub(crate) memory: StackMemory,
    /// What is to be done.
    pub(crate) plan: Plan,
}

impl Agent {
    /// What a stack wants of what was observed, what is remembered of it, and what is to be done.
    pub(crate) async fn decided(
        &self,
        stack: &StackName,
        want: &Want,
        project: Arc<Project>,
        observed: &Observed,
    ) -> Decided {
        let mut inputs = want.inputs.clone();
        inputs.mounts = mounts(&project);
        inputs.missing_paths.retain(|path| !folders::is_ensured(&project, path));
        let mut desired = desire(Wish {
            stack: stack.clone(),
            host: self.host.clone(),
            generation: want.generation.clone(),
            project,
            inputs,
            places: want.places.clone(),
        });
        desired.inputs.sources = self.bound_sources(&desired).await;
        desired.inputs.absent_devices = self.absent_devices(&desired, &observed.engine).await;
        let memory = self.memory.borrow().memory.stacks.get(stack).cloned().unwrap_or_default();
        let mut memory = memory.believed(clock::now());
        if !memory.brought.is_empty() {
            desired.inputs.declared_images = self.declared_images(Some(&want.generation));
        }
        self.consult_registries(&mut desired, observed);
        let observed = quoting::snapshot(observed, &want.secrets);
        let mut plan = decide(&desired, &observed, &memory, clock::now());
        let until = Instant::now() + MOMENT;
        let mut happened = self.ear.happened();
        while self.eyes.has_listened(MOMENT) && is_awaited(&plan, &desired, &observed, &memory, &happened) {
            if timeout_at(until, self.ear.news.notified()).await.is_err() {
                break;
            }
            happened = self.ear.happened();
        }
        annotate(&mut plan, &desired, &observed, &memory, &happened);
        complete(&mut memory, &plan, &desired, &observed, &happened);
        Decided { desired, memory, plan }
    }
}
