//! `agentctl graph`: what hangs on what? One walk over the stacks, several pens.

mod pens;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use plan::status::{HealthSummary, HostStatus, ServiceStatus, StackStatus};

use super::{
    complete, print,
    remote::{Subject, call, status_of},
};
use crate::exit::{Exit, Failure};

/// Draws services with their dependencies, networks and health.
#[derive(Debug, Args)]
pub(super) struct Graph {
    /// Only this stack.
    #[arg(add = ArgValueCandidates::new(complete::stacks))]
    stack: Option<String>,

    /// With which pen.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Mermaid,
    Dot,
    Svg,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    name: String,
    health: HealthSummary,
    networks: Vec<String>,
    /// How many dependencies deep it stands: one more than the deepest that it needs.
    depth: usize,
    /// What it needs, and until when it waits for it.
    needs: BTreeMap<String, String>,
}

/// One stack, its services in the order in which they come up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Drawing {
    stack: String,
    nodes: Vec<Node>,
}

impl Graph {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let subject = self.stack.as_ref().map(|stack| Subject { stack: stack.clone(), service: None });
        let status = status_of(call(socket, "Status", Subject::arguments(subject.as_ref()))?)?;
        let drawings = walk(&status);
        print(&match self.format {
            Format::Text => pens::text(&drawings),
            Format::Mermaid => pens::mermaid(&drawings),
            Format::Dot => pens::dot(&drawings),
            Format::Svg => pens::svg(&drawings),
        });
        Ok(Exit::Converged)
    }
}

/// The one walk that every pen draws from.
fn walk(status: &HostStatus) -> Vec<Drawing> {
    status.stacks.iter().map(drawing).collect()
}

fn drawing(stack: &StackStatus) -> Drawing {
    let services: BTreeMap<&str, &ServiceStatus> =
        stack.services.iter().map(|service| (service.name.as_str(), service)).collect();
    let mut nodes: Vec<Node> = stack
        .services
        .iter()
        .map(|service| Node {
            name: service.name.to_string(),
            health: service.health,
            networks: service.networks.clone(),
            depth: depth(service, &services, &mut BTreeSet::new()),
            needs: service.depends_on.iter().map(|(name, on)| (name.to_string(), on.clone())).collect(),
        })
        .collect();
    nodes.sort_by(|a, b| (a.depth, &a.name).cmp(&(b.depth, &b.name)));
    Drawing { stack: stack.name.to_string(), nodes }
}

/// The loader refuses cycles; an answer that has one all the same ends the walk there.
fn depth<'a>(
    service: &'a ServiceStatus,
    services: &BTreeMap<&str, &'a ServiceStatus>,
    seen: &mut BTreeSet<&'a str>,
) -> usize {
    if !seen.insert(service.name.as_str()) {
        return 0;
    }
    let needs = service.depends_on.keys().filter_map(|name| services.get(name.as_str()));
    let deepest = needs.map(|need| depth(need, services, seen) + 1).max().unwrap_or(0);
    seen.remove(service.name.as_str());
    deepest
}
