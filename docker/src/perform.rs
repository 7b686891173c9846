//! How is a plan done: every step after those that it needs, as many at a time as allowed?
//!
//! No policy lives here: what is in the plan is done, and nothing else. A failure skips only what depends on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use plan::{
    ids::ServiceName,
    step::{Outcome, Plan, Step, StepId},
};
use tracing::Instrument as _;

use crate::engine::{Engine, EngineError, Made};

/// Does all steps of a plan, at most `limit` at a time. `say` hears how far a step has got that takes a while.
pub async fn perform(
    engine: &Engine,
    plan: &Plan,
    limit: usize,
    say: &dyn Fn(&Step, String),
) -> BTreeMap<StepId, Outcome> {
    let mut outcomes: BTreeMap<StepId, Outcome> = BTreeMap::new();
    let mut made = Made::new();
    let mut left: Vec<&Step> = plan.steps.iter().collect();
    let mut running = FuturesUnordered::new();
    let mut busy: BTreeSet<StepId> = BTreeSet::new();
    loop {
        for step in std::mem::take(&mut left) {
            match readiness(step, &outcomes) {
                Readiness::Skipped(because) => drop(outcomes.insert(step.id, Outcome::Skipped { because })),
                Readiness::Ready if busy.len() < limit.max(1) => {
                    busy.insert(step.id);
                    let made = made.clone();
                    let service = plan.service_of(step.id).map(ServiceName::as_str);
                    let span = tracing::error_span!("step", SERVICE = service);
                    let done = async move {
                        let deadline = Duration::from_millis(step.deadline_ms);
                        tracing::debug!("{}: {}", step.act, step.cause);
                        (step.id, engine.act(&step.act, &made, deadline, &|words| say(step, words)).await)
                    };
                    running.push(done.instrument(span));
                }
                _ => left.push(step),
            }
        }
        let Some((id, answer)) = running.next().await else { break };
        busy.remove(&id);
        if let Ok(Some(new)) = &answer {
            made.insert(id, new.clone());
        }
        outcomes.insert(id, outcome(answer));
    }
    outcomes
}

enum Readiness {
    Ready,
    Waiting,
    Skipped(StepId),
}

fn readiness(step: &Step, outcomes: &BTreeMap<StepId, Outcome>) -> Readiness {
    for before in &step.after {
        match outcomes.get(before) {
            Some(Outcome::Done { .. }) => {}
            Some(_) => return Readiness::Skipped(*before),
            None => return Readiness::Waiting,
        }
    }
    Readiness::Ready
}

fn outcome(answer: Result<Option<String>, EngineError>) -> Outcome {
    match answer {
        Ok(made) => Outcome::Done { made },
        Err(error) if matches!(error.source, crate::wire::WireError::TimedOut(_)) => Outcome::TimedOut,
        Err(error) => Outcome::Failed { error: error.source.to_string(), retry: error.retry },
    }
}
