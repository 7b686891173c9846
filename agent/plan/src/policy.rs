//! What do the stack's policy and an operator's holds say about a difference?

use specs::settings::{DriftAction, DriftPolicy};

use crate::{
    drift::{Drift, Subject},
    ids::{ServiceName, Time},
    memory::{Hold, StackMemory},
};

/// The service that a difference is about.
pub fn service_of(subject: &Subject) -> Option<&ServiceName> {
    match subject {
        Subject::Service { service, .. } => Some(service),
        _ => None,
    }
}

/// What is done about a difference: an ignored field first, then the service's, then the kind's word, then the stack's.
pub fn action(policy: &DriftPolicy, drift: &Drift) -> DriftAction {
    let service = service_of(&drift.subject).map_or("", ServiceName::as_str);
    let path = format!("{service}.{}", drift.field);
    let within = |path: &str, field: &str| {
        path == field || path.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'))
    };
    if !drift.field.is_empty()
        && policy.ignore.iter().any(|field| within(&drift.field, field) || within(&path, field))
    {
        return DriftAction::Ignore;
    }
    let said = policy.services.get(service).or_else(|| policy.kinds.get(drift.kind.as_str()));
    said.copied().unwrap_or(policy.default)
}

/// The hold that is on a service, or on its whole stack, now.
pub fn hold<'a>(memory: &'a StackMemory, service: Option<&ServiceName>, now: Time) -> Option<&'a Hold> {
    let holds = [Some(""), service.map(ServiceName::as_str)];
    let mut holds = holds.into_iter().flatten().filter_map(|key| memory.holds.get(key));
    holds.find(|hold| hold.until.is_none_or(|until| until > now))
}
