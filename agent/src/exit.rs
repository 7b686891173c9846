//! With which status does a program end? The one place where phases and errors become exit statuses.

use std::{fmt, process::ExitCode};

use plan::status::{HostStatus, Phase};

use crate::control::client::ClientError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything declared runs as declared; or the command did what it was asked.
    Converged,
    /// Nobody answered, or something inside failed.
    NoAnswer,
    /// The command was called wrongly; `agentctl plan`: there are changes to make.
    Usage,
    /// Something differs, waits, or is being worked on.
    NotConverged,
    /// A stack failed.
    Failed,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Converged => 0,
            Self::NoAnswer => 1,
            Self::Usage => 2,
            Self::NotConverged => 3,
            Self::Failed => 4,
        }
    }

    /// What a number means that a program ended with.
    pub fn of_code(code: i32) -> Option<Self> {
        [Self::Converged, Self::NoAnswer, Self::Usage, Self::NotConverged, Self::Failed]
            .into_iter()
            .find(|exit| i32::from(exit.code()) == code)
    }

    /// What a phase means to a script.
    pub fn of_phase(phase: Phase) -> Self {
        match phase {
            Phase::Converged => Self::Converged,
            Phase::Held
            | Phase::Working
            | Phase::Waiting
            | Phase::Drifted
            | Phase::Unknown
            | Phase::Contested => Self::NotConverged,
            Phase::Failed => Self::Failed,
        }
    }

    /// What the host's status means to a script. An Engine that does not answer, or a profile that cannot be read, is
    /// "not known", hence never 0.
    pub fn of_host(status: &HostStatus) -> Self {
        let worst = status.stacks.iter().map(|stack| stack.phase).max().unwrap_or(Phase::Converged);
        match Self::of_phase(worst.max(status.phase)) {
            Self::Converged if !status.engine.reachable || status.profile_error.is_some() => {
                Self::NotConverged
            }
            exit => exit,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that knows its exit status and, where there is one, a way out.
#[derive(Debug)]
pub struct Failure {
    /// The status.
    pub exit: Exit,
    /// What to do about it.
    pub hint: Option<String>,
    /// What failed, with its causes.
    pub error: anyhow::Error,
}

impl Failure {
    /// A call that was wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, hint: None, error: anyhow::Error::msg(message.into()) }
    }

    /// The same failure with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let (exit, hint) = match error.downcast_ref::<ClientError>() {
            Some(client) => (if client.is_not_found() { Exit::Usage } else { Exit::NoAnswer }, client.hint()),
            None => (Exit::NoAnswer, None),
        };
        Self { exit, hint, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        for cause in self.error.chain().skip(1) {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

/// Says what failed on standard error and gives the exit status: the last line of both `main`s.
pub fn end(result: Result<Exit, Failure>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            anstream::eprintln!("error: {failure}");
            if let Some(hint) = &failure.hint {
                anstream::eprintln!("  hint: {hint}");
            }
            failure.exit.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_phase_decides_and_unknown_is_never_success() {
        assert_eq!(Exit::of_phase(Phase::Converged).code(), 0);
        assert_eq!(Exit::of_phase(Phase::Waiting).code(), 3);
        assert_eq!(Exit::of_phase(Phase::Unknown).code(), 3);
        assert_eq!(Exit::of_phase(Phase::Failed).code(), 4);
    }

    #[test]
    fn a_failure_says_each_cause_once() {
        let failure = Failure::from(anyhow::anyhow!("no such file").context("cannot read /x"));
        assert_eq!(failure.to_string(), "cannot read /x: no such file");
        assert_eq!(failure.exit, Exit::NoAnswer);
    }
}
