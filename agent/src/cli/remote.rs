//! How does a verb ask the daemon, and what does it say where there is no answer?

use std::{path::Path, time::Duration};

use plan::{
    ids::Time,
    status::{HostStatus, StackStatus},
};
use serde_json::{Map, Value};

use crate::{control::client::Client, exit::Failure};

/// How long an answer that needs no waiting may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// `STACK` or `STACK/SERVICE` as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) stack: String,
    pub(super) service: Option<String>,
}

impl std::str::FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (stack, service) =
            text.split_once('/').map_or((text, None), |(stack, service)| (stack, Some(service)));
        if stack.is_empty() || service.is_some_and(|service| service.is_empty() || service.contains('/')) {
            return Err("write STACK or STACK/SERVICE".to_owned());
        }
        Ok(Self { stack: stack.to_owned(), service: service.map(str::to_owned) })
    }
}

impl Subject {
    /// As arguments of a call.
    pub(super) fn arguments(subject: Option<&Self>) -> Map<String, Value> {
        let mut arguments = Map::new();
        if let Some(subject) = subject {
            arguments.insert("stack".to_owned(), Value::String(subject.stack.clone()));
            if let Some(service) = &subject.service {
                arguments.insert("service".to_owned(), Value::String(service.clone()));
            }
        }
        arguments
    }
}

/// Makes one call.
pub(super) fn call(
    socket: &Path,
    method: &str,
    arguments: Map<String, Value>,
) -> Result<Map<String, Value>, Failure> {
    Ok(Client::connect(socket)?.call(method, arguments, Some(PATIENCE))?)
}

/// The status in an answer.
pub(super) fn status_of(mut answer: Map<String, Value>) -> Result<HostStatus, Failure> {
    let status = answer.remove("status").unwrap_or_default();
    Ok(serde_json::from_value(status)?)
}

/// How long ago something was, as people say it.
pub(super) fn ago(since: Time) -> String {
    crate::clock::span(crate::clock::now().since(since))
}

/// How many of a stack's services are as they should be, of how many.
pub(super) fn services_up(stack: &StackStatus) -> String {
    use plan::status::HealthSummary::{Completed, Healthy, Running};
    let up = stack
        .services
        .iter()
        .filter(|service| matches!(service.health, Healthy | Running | Completed))
        .count();
    format!("{up}/{}", stack.services.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_stack_or_a_service_of_it() {
        let parsed: Subject = "web/db".parse().expect("valid");
        assert_eq!((parsed.stack.as_str(), parsed.service.as_deref()), ("web", Some("db")));
        assert!("web/".parse::<Subject>().is_err() && "/db".parse::<Subject>().is_err());
        assert!("a/b/c".parse::<Subject>().is_err());
    }
}
