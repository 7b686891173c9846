//! How does a plan grow while it is being decided?

use std::collections::{BTreeMap, BTreeSet};

use super::slots::slots;
use crate::{
    desired::{Desired, DesiredService},
    drift::{Drift, DriftKind, Subject},
    ids::{ContainerId, ServiceName, Time},
    memory::StackMemory,
    observed::{Observed, ObservedContainer},
    step::{Act, Finding, Memo, Plan, Remember, Step, StepId, Verdict, Wait, WaitKind},
};

/// A plan under construction with all that deciding looks at.
pub(super) struct Draft<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) memory: &'a StackMemory,
    pub(super) now: Time,
    plan: Plan,
    blocked: bool,
    /// Steps that make networks and volumes, by the Engine's name: containers come after them.
    pub(super) made: BTreeMap<String, StepId>,
    /// Steps that bring images, by reference.
    pub(super) images: BTreeMap<String, StepId>,
    /// Steps that put containers into networks, by their ids: starts come after them.
    pub(super) joining: BTreeMap<ContainerId, Vec<StepId>>,
    /// Networks and volumes that are not there and cannot be made.
    pub(super) lacking: BTreeSet<String>,
    /// Services whose containers are replaced by this plan.
    pub(super) replaced: BTreeSet<ServiceName>,
    /// Steps that start containers, by service.
    pub(super) starting: BTreeMap<ServiceName, Vec<StepId>>,
    /// Steps that restart containers because somebody asked for it, by service.
    pub(super) restarting: BTreeMap<ServiceName, Vec<StepId>>,
    /// How many places of a service are being renewed.
    pub(super) renewing: BTreeMap<ServiceName, u64>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        memory: &'a StackMemory,
        now: Time,
    ) -> Self {
        Self {
            desired,
            observed,
            memory,
            now,
            plan: Plan::default(),
            blocked: false,
            made: BTreeMap::new(),
            images: BTreeMap::new(),
            joining: BTreeMap::new(),
            lacking: BTreeSet::new(),
            replaced: BTreeSet::new(),
            starting: BTreeMap::new(),
            restarting: BTreeMap::new(),
            renewing: BTreeMap::new(),
        }
    }

    pub(super) fn finish(self) -> Plan {
        self.plan
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The containers that are this project's service now, in the order of their numbers.
    pub(super) fn containers_of(&self, service: &ServiceName) -> Vec<&'a ObservedContainer> {
        let Some(service) = self.desired.services.get(service) else { return Vec::new() };
        slots(self.desired, self.observed, service).slots.iter().filter_map(|slot| slot.current).collect()
    }

    /// Makes a step come after others, too.
    pub(super) fn follow(&mut self, step: StepId, after: &[StepId]) {
        if let Some(step) = self.plan.steps.iter_mut().find(|known| known.id == step) {
            step.after.extend(after);
            step.after.sort_unstable();
            step.after.dedup();
        }
    }

    /// Notes what is to be remembered once a step is done.
    pub(super) fn remember(&mut self, step: Option<StepId>, what: Remember) {
        self.plan.memos.push(Memo { step, what });
    }

    /// Adds a step and gives its number.
    pub(super) fn step(&mut self, act: Act, cause: impl Into<String>, after: &[StepId]) -> StepId {
        let id = StepId(u32::try_from(self.plan.steps.len()).unwrap_or(u32::MAX));
        let interrupts = matches!(
            act,
            Act::StopContainer { .. }
                | Act::RestartContainer { .. }
                | Act::RemoveContainer { .. }
                | Act::DisconnectNetwork { .. }
        );
        let deadline_ms = match act {
            Act::PullImage { .. } | Act::BuildImage { .. } | Act::LoadImage { .. } => 1_800_000,
            Act::StopContainer { .. } | Act::RestartContainer { .. } => 120_000,
            _ => 60_000,
        };
        let mut after = after.to_vec();
        after.sort_unstable();
        after.dedup();
        self.plan.steps.push(Step { id, act, cause: cause.into(), after, deadline_ms, interrupts });
        id
    }

    pub(super) fn find(&mut self, drift: Drift, verdict: Verdict) {
        self.plan.findings.push(Finding { drift, verdict });
    }

    /// Where a field was written, or what it is a part of.
    pub(super) fn place(&self, path: &str) -> Option<String> {
        let places = &self.desired.places;
        std::iter::successors(Some(path), |path| path.rsplit_once('.').map(|(parent, _)| parent))
            .find_map(|path| places.get(path))
            .cloned()
    }

    /// A difference of a service as a whole, or of one of its containers.
    pub(super) fn drift(
        &self,
        service: &DesiredService,
        container: Option<&ObservedContainer>,
        kind: DriftKind,
        field: &str,
    ) -> Drift {
        let path = if field.is_empty() {
            format!("services.{}", service.name)
        } else {
            format!("services.{}.{field}", service.name)
        };
        let place = self.place(&path);
        Drift {
            subject: Subject::Service {
                service: service.name.clone(),
                number: container
                    .and_then(|found| found.labels.replica.as_ref())
                    .map(|replica| replica.number),
                container: container.map(|found| found.name.clone()),
                id: container.map(|found| found.id.clone()),
            },
            kind,
            field: field.to_owned(),
            want: String::new(),
            have: String::new(),
            place,
            cause: None,
        }
    }

    /// A service that has to wait.
    pub(super) fn wait(
        &mut self,
        drift: Drift,
        on: WaitKind,
        what: impl Into<String>,
        retry_at: Option<Time>,
    ) {
        self.find(drift, Verdict::Wait(Wait { on, what: what.into(), retry_at }));
    }

    /// The whole stack has to wait.
    pub(super) fn wait_for_all(&mut self, on: WaitKind, what: &str) {
        self.blocked = true;
        self.say_for_all(DriftKind::Missing, on, what, None);
    }

    /// Says something about the stack as a whole.
    pub(super) fn say_for_all(&mut self, kind: DriftKind, on: WaitKind, what: &str, until: Option<Time>) {
        let drift = Drift {
            subject: Subject::Stack,
            kind,
            field: on.as_str().to_owned(),
            want: what.to_owned(),
            have: String::new(),
            place: None,
            cause: None,
        };
        self.wait(drift, on, what, until);
    }
}
