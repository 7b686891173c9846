//! What is there to be counted, for whoever collects metrics?
//!
//! Nothing is kept before [`Agent::metrics`] is filled, which happens where somebody is to collect: at an address, or
//! from a text file. How things stand is not kept at all: `gauges` reads it off the
//! status at the moment of a scrape. Moments are given as they are, never as ages, so that nothing has to be renewed.
//!
//! [`Agent::metrics`]: crate::daemon::Agent::metrics

mod gauges;
pub mod listen;
mod names;
mod serve;
mod text;
mod text_file;

use std::time::Duration;

use plan::{
    ids::Time,
    status::{HostStatus, Transition, TransitionEvent},
    step::{Outcome, Plan, StepId},
};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
pub use serve::serve;
pub use text::Format;
pub use text_file::{keep, write};

use crate::clock;

/// What all names begin with.
const PREFIX: &str = "compose_agent";
/// Names and values of one series.
type Labels = Vec<(&'static str, String)>;

/// Everything that only counting can know.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    started: Time,
    passes: Family<Labels, Counter>,
    durations: Histogram,
    steps: Family<Labels, Counter>,
    transitions: Family<Labels, Counter>,
    found: Family<Labels, Counter>,
    corrected: Family<Labels, Counter>,
}

impl Metrics {
    /// Nothing has been counted yet.
    pub fn new() -> Self {
        // From a pass that finds nothing to do to one that waits for large pulls.
        let durations = Histogram::new([0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0]);
        let mut registry = Registry::with_prefix(PREFIX);
        let mut counted = |name: &str, help: &str| {
            let family = Family::<Labels, Counter>::default();
            registry.register(name, help, family.clone());
            family
        };
        let passes = counted("passes", "Passes of a stack, by the phase that it had afterwards");
        let steps = counted("steps", "Calls of the Engine that changed something, by act and result");
        let transitions = counted("transitions", "Journal entries about a stack, by event");
        let found = counted("drift_found", "Differences that were found, by kind");
        let corrected = counted("drift_corrected", "Differences that the agent put right, by kind");
        registry.register("pass_duration_seconds", "How long passes took", durations.clone());
        Self { registry, started: clock::now(), passes, durations, steps, transitions, found, corrected }
    }

    /// A pass of a stack has ended, in this phase.
    pub fn passed(&self, stack: &str, phase: &str, took: Duration) {
        let labels = vec![("stack", stack.to_owned()), ("phase", phase.to_owned())];
        self.passes.get_or_create(&labels).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// The steps of a plan have ended, in these ways.
    pub fn did<'a>(&self, stack: &str, plan: &Plan, outcome: impl Fn(StepId) -> Option<&'a Outcome>) {
        for step in &plan.steps {
            let Some(outcome) = outcome(step.id) else { continue };
            let labels = vec![
                ("stack", stack.to_owned()),
                ("act", names::act(&step.act).to_owned()),
                ("result", names::result(outcome).to_owned()),
            ];
            self.steps.get_or_create(&labels).inc();
        }
    }

    /// Something was said of a stack.
    pub fn said(&self, transition: &Transition) {
        let stack = transition.stack.to_string();
        let event = transition.event;
        let labels = vec![("stack", stack.clone()), ("event", event.as_str().to_owned())];
        self.transitions.get_or_create(&labels).inc();
        let family = match event {
            TransitionEvent::Found | TransitionEvent::Waiting => &self.found,
            TransitionEvent::Corrected => &self.corrected,
            _ => return,
        };
        if let Some(drift) = &transition.drift {
            let labels = vec![("stack", stack), ("kind", drift.kind.as_str().to_owned())];
            family.get_or_create(&labels).inc();
        }
    }

    /// Everything, as it is now.
    pub fn text(&self, status: &HostStatus, format: Format) -> String {
        text::of(&[&self.registry, &gauges::of(status, self.started)], format)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use plan::{
        drift::{Drift, DriftKind, Subject},
        step::{Act, Step},
    };

    use super::*;
    use crate::cli::tests::example;

    fn transition(event: TransitionEvent) -> Transition {
        let drift = Drift {
            subject: Subject::Stack,
            kind: DriftKind::Secret,
            field: "environment.PASSWORD".into(),
            want: String::new(),
            have: String::new(),
            place: None,
            cause: None,
        };
        let message = "password=open-sesame".to_owned();
        Transition { at: Time(0), stack: "web".into(), event, drift: Some(drift), message, generation: None }
    }

    #[test]
    fn what_happens_is_counted_and_what_stands_is_read_off_the_status() {
        let metrics = Metrics::new();
        metrics.passed("web", "converged", Duration::from_millis(7));
        metrics.said(&transition(TransitionEvent::Found));
        metrics.said(&transition(TransitionEvent::Corrected));
        metrics.said(&transition(TransitionEvent::Failed));
        let act = Act::PullImage { reference: "nginx".into(), platform: None, login: Err(String::new()) };
        let step = Step {
            id: StepId(0),
            act,
            cause: String::new(),
            after: Vec::new(),
            deadline_ms: 1,
            interrupts: false,
        };
        let plan = Plan { steps: vec![step], ..Plan::default() };
        metrics.did("web", &plan, |_| Some(&Outcome::TimedOut));
        let text = metrics.text(&example(), Format::OpenMetrics);
        for line in [
            "compose_agent_engine_up 1.0",
            "compose_agent_passes_total{stack=\"web\",phase=\"converged\"} 1",
            "compose_agent_pass_duration_seconds_bucket{le=\"0.02\"} 1",
            "compose_agent_steps_total{stack=\"web\",act=\"pull-image\",result=\"timed-out\"} 1",
            "compose_agent_transitions_total{stack=\"web\",event=\"failed\"} 1",
            "compose_agent_stack_phase{stack=\"web\",phase=\"waiting\"} 1.0",
            "compose_agent_stack_phase{stack=\"web\",phase=\"failed\"} 0.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("compose_agent_drift_found_total{stack=\"web\",kind=\"secret\"} 1"), "{text}");
        assert!(!text.contains("open-sesame"), "what is said of a stack is counted, never quoted");
    }
}
