//! How does everything stand, in numbers? Read off the status, at the moment of a scrape.

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use plan::{
    ids::Time,
    status::{HealthSummary, HostStatus, Phase, ServiceStatus, StackStatus},
};
use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Labels, PREFIX};

/// Every phase: a series each, of which one is 1, so that an alert needs no history.
const PHASES: [Phase; 8] = [
    Phase::Converged,
    Phase::Held,
    Phase::Working,
    Phase::Waiting,
    Phase::Drifted,
    Phase::Unknown,
    Phase::Contested,
    Phase::Failed,
];

/// Everything that the status says.
pub(super) fn of(status: &HostStatus, started: Time) -> Registry {
    let mut gauges = Gauges { registry: Registry::with_prefix(PREFIX) };
    host(&mut gauges, status, started);
    stacks(&mut gauges, &status.stacks);
    services(&mut gauges, &status.stacks);
    gauges.registry
}

/// One gauge after another.
struct Gauges {
    registry: Registry,
}

impl Gauges {
    fn put(&mut self, name: &str, help: &str, series: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in series {
            family.get_or_create(&labels).set(value);
        }
        self.registry.register(name, help, family);
    }

    fn one(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.registry.register(name, help, gauge);
    }
}

fn host(gauges: &mut Gauges, status: &HostStatus, started: Time) {
    let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    gauges.put("build_info", "The agent's version", [(build, 1.0)]);
    gauges.one("start_timestamp_seconds", "When the agent started", seconds(started));
    gauges.one("engine_up", "Whether the Engine answers", number(status.engine.reachable));
    let engine = vec![("version", status.engine.version.clone()), ("api_version", status.engine.api.clone())];
    gauges.put("engine_info", "The Engine's version", [(engine, 1.0)]);
    let readable = status.profile_error.is_none();
    gauges.one("profile_up", "Whether the profile can be read", number(readable));
    let generation = status.generation.iter().map(|generation| (vec![("path", generation.to_string())], 1.0));
    gauges.put("generation_info", "The generation that is in force", generation);
    if let Some(since) = status.generation_since {
        gauges.one("generation_timestamp_seconds", "When the generation was first seen", seconds(since));
    }
    gauges.one("notes", "Remarks about the host as a whole", count(status.notes.len()));
}

fn stacks(gauges: &mut Gauges, stacks: &[StackStatus]) {
    let label = |stack: &StackStatus| vec![("stack", stack.name.to_string())];
    let phases = stacks.iter().flat_map(|stack| {
        PHASES.map(|phase| (with(label(stack), "phase", phase.as_str()), number(stack.phase == phase)))
    });
    gauges.put("stack_phase", "Whether the stack is in this phase", phases);
    let since = stacks.iter().map(|stack| (label(stack), seconds(stack.since)));
    gauges.put("stack_phase_timestamp_seconds", "When the stack came into its phase", since);
    let passes = stacks.iter().filter_map(|stack| Some((label(stack), seconds(stack.last_pass?))));
    gauges.put("stack_pass_timestamp_seconds", "When the last pass of the stack ended", passes);
    let applied = stacks.iter().map(|stack| (label(stack), number(stack.applied)));
    gauges.put("stack_applied", "Whether the last pass did all that it wanted to", applied);
    let drift = tally(stacks, "kind", |stack| {
        stack.drift.iter().map(|open| open.drift.kind.as_str().to_owned()).collect()
    });
    gauges.put("drift_open", "Differences that are open, by kind", drift);
    let waits = tally(stacks, "on", |stack| stack.waiting.iter().map(|wait| wait.on.clone()).collect());
    gauges.put("waiting", "What the stack waits for, by what it is", waits);
    let notes = stacks.iter().map(|stack| (label(stack), count(stack.notes.len())));
    gauges.put("stack_notes", "Warnings of the stack's spec", notes);
}

fn services(gauges: &mut Gauges, stacks: &[StackStatus]) {
    let services: Vec<(&StackStatus, &ServiceStatus)> =
        stacks.iter().flat_map(|stack| stack.services.iter().map(move |service| (stack, service))).collect();
    let label = |(stack, service): &(&StackStatus, &ServiceStatus)| {
        vec![("stack", stack.name.to_string()), ("service", service.name.to_string())]
    };
    let health = services.iter().flat_map(|pair| {
        HealthSummary::ALL
            .map(|health| (with(label(pair), "health", health.as_str()), number(pair.1.health == health)))
    });
    gauges.put("service_health", "Whether the service has this health", health);
    let declared = services.iter().map(|pair| (label(pair), f64::from(pair.1.replicas)));
    gauges.put("service_replicas_declared", "Containers that the service declares", declared);
    let running = services.iter().map(|pair| {
        let running = pair.1.containers.iter().filter(|container| container.state == "running");
        (label(pair), count(running.count()))
    });
    gauges.put("service_replicas_running", "Containers of the service that run", running);
}

/// How often each word comes up in each stack. A stack without any has one series of 0, so that sums and alerts have
/// something to look at.
fn tally(
    stacks: &[StackStatus],
    name: &'static str,
    words: impl Fn(&StackStatus) -> Vec<String>,
) -> Vec<(Labels, f64)> {
    let mut series = Vec::new();
    for stack in stacks {
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        for word in words(stack) {
            *counts.entry(word).or_default() += 1.0;
        }
        if counts.is_empty() {
            counts.insert("none".to_owned(), 0.0);
        }
        let labelled = counts
            .into_iter()
            .map(|(word, count)| (vec![("stack", stack.name.to_string()), (name, word)], count));
        series.extend(labelled);
    }
    series
}

fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

fn number(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn count(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// Unix time with a fraction, as Prometheus has it.
fn seconds(time: Time) -> f64 {
    // Exact to the millisecond until long after anybody asks.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit 53 bits")]
    let milliseconds = time.0 as f64;
    milliseconds / 1000.0
}
