//! `agentctl completion` and `agentctl man`: what shells and readers need, made from the command line itself.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::env::Shells;

use super::{Cli, print};
use crate::{
    exit::{Exit, Failure},
    options::Options,
};

/// Prints the completion script of a shell, which knows stacks and services: `source <(agentctl completion bash)`.
#[derive(Debug, Args)]
pub(super) struct Completion {
    /// Which shell [bash, zsh, fish, elvish, powershell].
    shell: String,
}

impl Completion {
    /// The script asks agentctl itself for every word, which asks the daemon for stacks and services.
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let shells = Shells::builtins();
        let Some(shell) = shells.completer(&self.shell) else {
            return Err(Failure::usage(format!("`{}` is no shell that can be completed for", self.shell))
                .hint("one of bash, zsh, fish, elvish, powershell"));
        };
        let mut script = Vec::new();
        shell.write_registration("COMPLETE", "agentctl", "agentctl", "agentctl", &mut script)?;
        print(&String::from_utf8_lossy(&script));
        Ok(Exit::Converged)
    }
}

/// Writes the manual pages of both programs into a folder.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Where to; it is made where it is missing.
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        std::fs::create_dir_all(&self.folder)?;
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
        let folder = folder.path().join("man/man1");
        Man { folder: folder.clone() }.run().expect("written");
        for page in ["agentctl.1", "agentctl-status.1", "agentctl-hold.1", "compose-agent.1"] {
            let text = std::fs::read_to_string(folder.join(page)).expect(page);
            assert!(text.contains(".SH SYNOPSIS"), "{page}");
        }
    }
}
