//! Which stacks and services can be meant? Asked of the daemon while a shell completes a word.

use std::{path::PathBuf, time::Duration};

use clap_complete::CompletionCandidate;
use plan::status::HostStatus;
use serde_json::Map;

use super::remote::status_of;
use crate::control::{SOCKET, client::Client};

/// A person waits for the completion of a word: no answer is better than a late one.
const PATIENCE: Duration = Duration::from_millis(800);

/// Every stack.
pub(super) fn stacks() -> Vec<CompletionCandidate> {
    candidates(&status(), false)
}

/// Every stack, and every service as `STACK/SERVICE`.
pub(super) fn subjects() -> Vec<CompletionCandidate> {
    candidates(&status(), true)
}

/// What the daemon says; nothing where it does not answer.
fn status() -> Option<HostStatus> {
    let socket = std::env::var_os("AGENTCTL_SOCKET").map_or_else(|| SOCKET.into(), PathBuf::from);
    let answer = Client::connect(&socket).ok()?.call("Status", Map::new(), Some(PATIENCE)).ok()?;
    status_of(answer).ok()
}

fn candidates(status: &Option<HostStatus>, services: bool) -> Vec<CompletionCandidate> {
    let stacks = status.iter().flat_map(|status| &status.stacks);
    stacks
        .flat_map(|stack| {
            let own = CompletionCandidate::new(stack.name.as_str()).help(Some(stack.phase.as_str().into()));
            let services = stack.services.iter().filter(|_| services).map(|service| {
                let name = format!("{}/{}", stack.name, service.name);
                CompletionCandidate::new(name).help(Some(service.health.as_str().into()))
            });
            std::iter::once(own).chain(services).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use plan::status::{HealthSummary, ServiceStatus};

    use super::*;

    #[test]
    fn stacks_and_services_are_offered_and_nothing_where_nobody_answers() {
        let mut status = crate::cli::tests::example();
        status.stacks[0].services.push(ServiceStatus {
            name: "db".into(),
            replicas: 1,
            health: HealthSummary::Running,
            containers: Vec::new(),
            depends_on: std::collections::BTreeMap::new(),
            networks: Vec::new(),
        });
        let names = |services| -> Vec<String> {
            let found = candidates(&Some(status.clone()), services);
            found.iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(false), ["web"]);
        assert_eq!(names(true), ["web", "web/db"]);
        assert!(candidates(&None, true).is_empty());
    }
}
