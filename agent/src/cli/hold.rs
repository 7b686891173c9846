//! `agentctl hold` and `agentctl release`: hands off, until further notice.

use std::{path::Path, time::Duration};

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde_json::json;

use super::complete;
use super::remote::{Subject, call};
use crate::{
    clock::parse_span,
    exit::{Exit, Failure},
};

/// Keeps the agent's hands off a stack or one of its services; differences are still reported.
#[derive(Debug, Args)]
pub(super) struct Hold {
    /// What to leave alone.
    #[arg(value_name = "STACK[/SERVICE]", add = ArgValueCandidates::new(complete::subjects))]
    subject: Subject,

    /// For how long; without it, until released.
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_span)]
    span: Option<Duration>,

    /// Why, for whoever finds it.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Hold {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let mut arguments = Subject::arguments(Some(&self.subject));
        if let Some(span) = self.span {
            arguments.insert("for_ms".to_owned(), json!(span.as_millis()));
        }
        if let Some(reason) = &self.reason {
            arguments.insert("reason".to_owned(), json!(reason));
        }
        call(socket, "Hold", arguments)?;
        Ok(Exit::Converged)
    }
}

/// Restarts a stack or one of its services, in the order of their dependencies.
#[derive(Debug, Args)]
pub(super) struct Restart {
    /// What to restart.
    #[arg(value_name = "STACK[/SERVICE]", add = ArgValueCandidates::new(complete::subjects))]
    subject: Subject,
}

impl Restart {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        call(socket, "Restart", Subject::arguments(Some(&self.subject)))?;
        Ok(Exit::Converged)
    }
}

/// Stops and removes a stack's containers and networks, and holds it so until it is released. Volumes stay.
#[derive(Debug, Args)]
pub(super) struct Down {
    /// The stack.
    stack: String,
}

impl Down {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let subject = Subject { stack: self.stack.clone(), service: None };
        call(socket, "Down", Subject::arguments(Some(&subject)))?;
        Ok(Exit::Converged)
    }
}

/// Ends a hold.
#[derive(Debug, Args)]
pub(super) struct Release {
    /// What is held.
    #[arg(value_name = "STACK[/SERVICE]", add = ArgValueCandidates::new(complete::subjects))]
    subject: Subject,
}

impl Release {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        call(socket, "Release", Subject::arguments(Some(&self.subject)))?;
        Ok(Exit::Converged)
    }
}
