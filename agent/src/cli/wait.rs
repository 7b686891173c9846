//! `agentctl wait`: ends when the host, or one stack, is as declared.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use clap_complete::ArgValueCandidates;
use plan::status::{HealthSummary, HostStatus, Phase};

use super::complete;
use super::remote::{Subject, status_of};
use crate::{
    clock::parse_span,
    control::client::Client,
    exit::{Exit, Failure},
};

/// Waits until everything is as declared, and ends with the status.
#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Only this stack.
    #[arg(add = ArgValueCandidates::new(complete::stacks))]
    stack: Option<String>,

    /// Wait until this generation (a path, or a link to one) is the one in force.
    #[arg(long, value_name = "PATH")]
    generation: Option<std::path::PathBuf>,

    /// Wait until every health check passes, too.
    #[arg(long)]
    healthy: bool,

    /// How long to wait.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = parse_span)]
    timeout: Duration,
}

impl Wait {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let generation = self.generation.as_ref().map(std::fs::canonicalize).transpose()?;
        let generation = generation.map(|path| path.to_string_lossy().into_owned());
        let end = Instant::now() + self.timeout;
        let subject = self.stack.as_ref().map(|stack| Subject { stack: stack.clone(), service: None });
        let mut client = Client::connect(socket)?;
        client.stream("Status", Subject::arguments(subject.as_ref()), Some(self.timeout))?;
        let mut exit = Exit::NotConverged;
        loop {
            let answer = match client.next() {
                Ok(Some(answer)) => answer,
                Ok(None) => return Ok(exit),
                Err(_) if Instant::now() >= end => return Ok(exit),
                Err(error) => return Err(error.into()),
            };
            let status = status_of(answer)?;
            exit = Exit::of_host(&status);
            if is_reached(&status, generation.as_deref(), self.healthy) || Instant::now() >= end {
                return Ok(exit);
            }
            client.patience(end.saturating_duration_since(Instant::now()));
        }
    }
}

/// Whether there is nothing more to wait for. A failed stack is not waited for: it has said why.
fn is_reached(status: &HostStatus, generation: Option<&str>, healthy: bool) -> bool {
    let at = |known: Option<&plan::ids::Generation>| {
        generation.is_none_or(|wanted| known.is_some_and(|known| known.as_str() == wanted))
    };
    at(status.generation.as_ref())
        && status.stacks.iter().all(|stack| {
            let well = !healthy
                || matches!(
                    stack.health,
                    HealthSummary::Healthy | HealthSummary::Running | HealthSummary::Completed
                );
            stack.phase == Phase::Failed
                || (at(stack.generation.as_ref())
                    && well
                    && matches!(stack.phase, Phase::Converged | Phase::Held))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::example;

    #[test]
    fn a_wait_ends_at_the_generation_that_was_asked_for() {
        let mut status = example();
        assert!(!is_reached(&status, None, false), "it still waits for a mount");
        status.stacks[0].phase = Phase::Converged;
        assert!(is_reached(&status, None, false));
        assert!(!is_reached(&status, None, true), "it is down");
        assert!(!is_reached(&status, Some("/nix/store/next"), false));
        status.generation = Some("/nix/store/next".into());
        assert!(!is_reached(&status, Some("/nix/store/next"), false), "the stack is not there yet");
        status.stacks[0].generation = Some("/nix/store/next".into());
        assert!(is_reached(&status, Some("/nix/store/next"), false));
    }
}
