//! What was done in one round, and what was said of it: does the one account for the other?
//!
//! **Exactly once** means:
//! - Whatever was said was done: each report names a service, a kind and a field that an interference of this round has
//!   changed, no more often than it was changed; or it follows from one (see [`follows`]).
//! - Whatever was done was said: each difference that an interference made has its report. The only ones without are those
//!   that another interference, or the agent's answer to it, took away before anybody looked ([`covers`]): who kills a
//!   container and then removes it has one missing container, not a stopped one beside it. They are counted.

use serde_json::Value;

use crate::{acts::Expected, lab::Service};

/// A report: what the agent said that it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) stack: String,
    pub(crate) service: String,
    pub(crate) kind: String,
    pub(crate) field: String,
    /// `found`, `waiting` or `note`.
    pub(crate) event: String,
    pub(crate) message: String,
}

impl Report {
    /// A transition, where it is a report of a difference.
    pub(crate) fn of(transition: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let event = text(&transition["event"]);
        let drift = &transition["drift"];
        (drift.is_object() && matches!(event.as_str(), "found" | "waiting" | "note")).then(|| Self {
            stack: text(&transition["stack"]),
            service: text(&drift["subject"]["service"]),
            kind: text(&drift["kind"]),
            field: text(&drift["field"]),
            event,
            message: text(&transition["message"]),
        })
    }

    fn is_of(&self, expected: &Expected) -> bool {
        (&self.stack, &self.service) == (&expected.stack, &expected.service)
            && self.kind == expected.kind
            && self.field.starts_with(&expected.field)
    }
}

/// One round: what was expected to be found, and what was.
pub(crate) struct Book<'a> {
    pub(crate) services: &'a [Service],
    pub(crate) expected: &'a [Expected],
    pub(crate) reports: &'a [Report],
}

impl Book<'_> {
    /// What was done and not said, though nothing covers it.
    pub(crate) fn unsaid(&self) -> Vec<&Expected> {
        self.expected
            .iter()
            .filter(|expected| !self.is_said(expected) && !self.is_covered(expected))
            .collect()
    }

    /// How many were covered by others.
    pub(crate) fn covered(&self) -> usize {
        self.expected.iter().filter(|expected| !self.is_said(expected)).count()
    }

    /// What was said and not done, or said too often.
    pub(crate) fn unfounded(&self) -> Vec<&Report> {
        let too_often = |report: &Report| {
            let same = |other: &&Report| {
                (&other.stack, &other.service, &other.kind, &other.field)
                    == (&report.stack, &report.service, &report.kind, &report.field)
            };
            let said: Vec<&Report> = self.reports.iter().filter(same).collect();
            let accounts_for = |expected: &Expected| {
                let follows = said.iter().any(|report| self.follows(report, expected));
                usize::from(report.is_of(expected)) + usize::from(follows)
            };
            said.len() > self.expected.iter().map(accounts_for).sum()
        };
        self.reports.iter().filter(|report| too_often(report)).collect()
    }

    fn is_said(&self, expected: &Expected) -> bool {
        self.reports.iter().any(|report| report.is_of(expected))
    }

    fn is_covered(&self, expected: &Expected) -> bool {
        let same_service =
            |report: &&Report| (&report.stack, &report.service) == (&expected.stack, &expected.service);
        let mut others = self.reports.iter().filter(same_service);
        others.any(|report| covers(&report.kind, expected.kind))
    }

    /// Whether a report is no interference of its own, but what the agent or the Engine makes of one: whoever shares the
    /// network of a container that was renewed is renewed, whoever wants to be restarted with it is restarted; what is started has its health waited for; what was replaced has
    /// to prove itself; what is made while its dependency is down is started later; the check of what is paused fails.
    fn follows(&self, report: &Report, expected: &Expected) -> bool {
        if report.stack != expected.stack {
            return false;
        }
        let service = self
            .services
            .iter()
            .find(|known| (&known.stack, &known.name) == (&report.stack, &report.service));
        let owner = service.and_then(|service| service.owner.as_deref());
        let on_owner = owner == Some(expected.service.as_str());
        // With `depends_on.restart`.
        if report.field == format!("depends_on.{}.restart", expected.service) {
            return replaces(expected.kind);
        }
        if !on_owner && report.service != expected.service {
            return false;
        }
        match report.kind.as_str() {
            "stale-namespace" => on_owner,
            "unhealthy" => report.event == "waiting" || expected.kind == "paused",
            "stopped" => report.event == "waiting",
            "unfinished" => on_owner || replaces(expected.kind),
            _ => false,
        }
    }
}

/// Whether a difference is put right with another container.
fn replaces(kind: &str) -> bool {
    matches!(kind, "image" | "side-file" | "secret" | "missing" | "stale-namespace")
}

/// Whether what was found, or what the agent did about it, may have taken another difference of the same service away.
fn covers(found: &str, other: &str) -> bool {
    match other {
        "paused" => found == "stopped" || replaces(found),
        _ => replaces(found),
    }
}
