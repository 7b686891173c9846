//! Which words is the daemon started with? The rest is in `agent::start`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    agent::exit::end(agent::start::start(agent::options::Options::parse()))
}
