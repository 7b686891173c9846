//! `agentctl wait`: ends when the host, or one stack, is as declared.
//!
//! Never on old knowledge: the daemon looks at the profile and at every stack after the call, and only what it finds then
//! counts. A switch, a restart of the Engine or a kill a millisecond before the call is seen.

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use clap::Args;
use clap_complete::ArgValueCandidates;
use plan::status::{HealthSummary, HostStatus, Phase};

use super::complete;
use super::remote::{Subject, status_of};
use crate::{
    clock::parse_span,
    control::client::{Client, ClientError},
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

/// How long to leave between two tries to reach the daemon.
const AGAIN: Duration = Duration::from_millis(200);

impl Wait {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let generation = self.generation.as_ref().map(std::fs::canonicalize).transpose()?;
        let generation = generation.map(|path| path.to_string_lossy().into_owned());
        let end = Instant::now() + self.timeout;
        let mut said = false;
        loop {
            match self.follow(socket, generation.as_deref(), end) {
                // A daemon that is being restarted is back in a moment.
                Err(Stopped::Unreachable(_)) if Instant::now() + AGAIN < end => {
                    if !std::mem::replace(&mut said, true) {
                        anstream::eprintln!("the daemon does not answer; waiting for it");
                    }
                    sleep(AGAIN);
                }
                Err(Stopped::Unreachable(error)) => return Err(error.into()),
                Err(Stopped::Failed(failure)) => return Err(failure),
                Ok(exit) => return Ok(exit),
            }
        }
    }

    /// Follows one connection. What the daemon knew before the call counts for nothing: it looks again first.
    fn follow(&self, socket: &Path, generation: Option<&str>, end: Instant) -> Result<Exit, Stopped> {
        let left = || end.saturating_duration_since(Instant::now());
        let subject = self.stack.as_ref().map(|stack| Subject { stack: stack.clone(), service: None });
        let mut arguments = Subject::arguments(subject.as_ref());
        arguments.insert("fresh".to_owned(), true.into());
        let mut client = Client::connect(socket).map_err(Stopped::Unreachable)?;
        client.stream("Status", arguments, Some(left())).map_err(Stopped::Unreachable)?;
        let mut exit = Exit::NotConverged;
        loop {
            client.patience(left());
            let answer = match client.next() {
                Ok(Some(answer)) => answer,
                Ok(None) => return Ok(exit),
                Err(_) if Instant::now() >= end => return Ok(exit),
                Err(error @ ClientError::Refused { .. }) => return Err(Stopped::Failed(error.into())),
                Err(error) => return Err(Stopped::Unreachable(error)),
            };
            let status = status_of(answer).map_err(Stopped::Failed)?;
            exit = Exit::of_host(&status);
            if is_reached(&status, generation, self.healthy) || Instant::now() >= end {
                return Ok(exit);
            }
        }
    }
}

/// Why nothing more is heard on a connection.
enum Stopped {
    /// The daemon is not there, or not any more.
    Unreachable(ClientError),
    /// It refuses, or says something that is not understood.
    Failed(Failure),
}

/// Whether there is nothing more to wait for. A failed stack is not waited for: it has said why.
fn is_reached(status: &HostStatus, generation: Option<&str>, healthy: bool) -> bool {
    let at = |known: Option<&plan::ids::Generation>| {
        generation.is_none_or(|wanted| known.is_some_and(|known| known.as_str() == wanted))
    };
    status.profile_error.is_none()
        && status.engine.reachable
        && at(status.generation.as_ref())
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
        status.stacks.clear();
        status.engine.reachable = false;
        assert!(!is_reached(&status, None, false), "nobody knows what runs");
    }
}
