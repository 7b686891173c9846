//! Which words does the operator say? The command line of `agentctl`; all else is in `agent::cli`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    agent::exit::end(agent::cli::Cli::parse().run())
}
