//! `agentctl reconcile`: look now, put right what differs, and wait for it if asked.

use std::{path::Path, time::Duration};

use clap::Args;
use clap_complete::ArgValueCandidates;
use plan::status::{HostStatus, Phase};
use serde_json::json;

use super::{
    complete, print_json,
    remote::{PATIENCE, Subject, status_of},
    status,
    table::terminal_width,
};
use crate::{
    clock::parse_span,
    control::client::Client,
    exit::{Exit, Failure},
};

/// Starts a pass now, of one stack or of all.
#[derive(Debug, Args)]
pub(super) struct Reconcile {
    /// Only this stack.
    #[arg(add = ArgValueCandidates::new(complete::stacks))]
    stack: Option<String>,

    /// Wait until nothing is in flight any more, and end with the status.
    #[arg(long)]
    wait: bool,

    /// How long to wait.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = parse_span)]
    timeout: Duration,

    /// The profile declares no stack, and means it: take away what the agent owns.
    #[arg(long)]
    allow_empty: bool,

    /// Print the status as JSON.
    #[arg(long)]
    json: bool,
}

impl Reconcile {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let subject = self.stack.as_ref().map(|stack| Subject { stack: stack.clone(), service: None });
        let mut arguments = Subject::arguments(subject.as_ref());
        arguments.insert("allow_empty".to_owned(), json!(self.allow_empty));
        arguments.insert("wait".to_owned(), json!(self.wait));
        let timeout = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        arguments.insert("timeout_ms".to_owned(), json!(timeout));
        let mut client = Client::connect(socket)?;
        if !self.wait {
            client.call("Reconcile", arguments, Some(PATIENCE))?;
            return Ok(Exit::Converged);
        }
        client.stream("Reconcile", arguments, Some(self.timeout + PATIENCE))?;
        let mut said = Vec::new();
        let mut last = None;
        while let Some(answer) = client.next()? {
            let status = status_of(answer)?;
            talk(&status, &mut said);
            last = Some(status);
        }
        let Some(status) = last else { return Ok(Exit::NoAnswer) };
        if self.json {
            print_json(&status)?;
        } else {
            super::print(&status::text(&status, false, terminal_width()));
        }
        Ok(Exit::of_host(&status))
    }
}

/// Progress: each stack's state, once per change.
fn talk(status: &HostStatus, said: &mut Vec<String>) {
    let lines = status.stacks.iter().filter(|stack| stack.phase != Phase::Converged);
    for line in lines.map(|stack| format!("{}: {}: {}", stack.name, stack.phase.as_str(), stack.reason)) {
        if !said.contains(&line) {
            anstream::eprintln!("{line}");
            said.push(line);
        }
    }
}
