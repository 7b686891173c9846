//! What becomes of a stack that has left the profile: its containers and networks, and then the images that it brought?

use std::time::Duration;

use docker::Engine;
use plan::{
    account::{Outcomes, remember_steps},
    decide::{gone_stacks, prune_gone},
    ids::StackName,
    observed::Observed,
    status::{Phase, StackStatus, Transition, TransitionEvent},
    step::{Outcome, Plan},
};
use tokio::time::Instant;

use super::{AGAIN, AWAY};
use crate::{
    clock,
    daemon::{Agent, unknown},
    report::report,
};

impl Agent {
    /// Brings down what is ours of it, unless something holds that back.
    pub(super) async fn take_down(&self, stack: &StackName, asked: Instant) -> Option<Duration> {
        let Ok((engine, observed)) = self.observe(asked).await else { return Some(AWAY) };
        let guard = self.removal_guard();
        if !self.owned.borrow().contains_key(stack) {
            self.store.forget(stack);
            if guard.is_none() {
                self.prune(stack, &engine, &observed).await;
            }
            return None;
        }
        let mut plan = gone_stacks(&observed, &self.host, stack, guard.as_deref());
        let outcomes = self.perform(stack, &engine, &mut plan).await;
        report(self, &said(stack, &plan, &outcomes));
        let reason = guard.unwrap_or_else(|| "it is not declared any more and is brought down".to_owned());
        if plan.steps.is_empty() {
            self.tidy(&observed);
        }
        let phase = if plan.steps.is_empty() { Phase::Waiting } else { Phase::Working };
        self.conclude(StackStatus { phase, last_pass: Some(clock::now()), ..unknown(stack, &reason) });
        Some(if plan.steps.is_empty() { Duration::from_secs(60) } else { AGAIN })
    }

    /// Removes the images that it brought, when they are old enough.
    async fn prune(&self, stack: &StackName, engine: &Engine, observed: &Observed) {
        let memory = self.memory.borrow().memory.stacks.get(stack).cloned().unwrap_or_default();
        let memory = memory.believed(clock::now());
        let mut plan = prune_gone(observed, &memory, &self.declared_images(None), clock::now());
        let outcomes = self.perform(stack, engine, &mut plan).await;
        self.remember(stack, |memory| remember_steps((&plan, &outcomes), observed, memory, clock::now()));
        report(self, &said(stack, &plan, &outcomes));
    }
}

/// How each step ended that somebody may want to know of.
fn said(stack: &StackName, plan: &Plan, outcomes: &Outcomes) -> Vec<Transition> {
    let ended = plan.steps.iter().filter_map(|step| {
        let (event, message) = match outcomes.get(&step.id)? {
            Outcome::Done { .. } => (TransitionEvent::Done, format!("{}: {}", step.act, step.cause)),
            Outcome::Failed { error, .. } => (TransitionEvent::Failed, format!("{}: {error}", step.act)),
            _ => return None,
        };
        let at = clock::now();
        Some(Transition { at, stack: stack.clone(), event, drift: None, message, generation: None })
    });
    ended.collect()
}
