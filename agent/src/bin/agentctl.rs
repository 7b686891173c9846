//! Which words does the operator say? The command line of `agentctl`; all else is in `agent::cli`.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

fn main() -> ExitCode {
    // A shell that completes a word calls with COMPLETE set, and gets no further than this.
    clap_complete::CompleteEnv::with_factory(agent::cli::Cli::command).complete();
    agent::exit::end(agent::cli::Cli::parse().run())
}
