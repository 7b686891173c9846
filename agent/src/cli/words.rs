//! `agentctl completion` and `agentctl man`: what shells and readers need, made from the command line itself.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::{Cli, print};
use crate::{
    exit::{Exit, Failure},
    options::Options,
};

/// Prints the completion script of a shell: `source <(agentctl completion bash)`.
#[derive(Debug, Args)]
pub(super) struct Completion {
    /// Which shell.
    shell: clap_complete::Shell,
}

impl Completion {
    pub(super) fn run(&self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "agentctl", &mut script);
        print(&String::from_utf8_lossy(&script));
        Exit::Converged
    }
}

/// Writes the manual pages of both programs into a folder.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Where to.
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        for command in [Cli::command(), Options::command()] {
            clap_mangen::generate_to(command, &self.folder)?;
        }
        Ok(Exit::Converged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_its_page() {
        let folder = tempfile::tempdir().expect("a folder");
        Man { folder: folder.path().to_owned() }.run().expect("written");
        for page in ["agentctl.1", "agentctl-status.1", "agentctl-hold.1", "compose-agent.1"] {
            let text = std::fs::read_to_string(folder.path().join(page)).expect(page);
            assert!(text.contains(".SH SYNOPSIS"), "{page}");
        }
    }
}
