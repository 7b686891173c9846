//! What does `agentctl` offer? One file per verb; this one has the words of the command line and leads to them.

mod check;
mod config;
mod history;
mod hold;
mod notify;
mod plan;
mod problems;
mod reconcile;
mod remote;
mod secrets;
mod status;
mod table;
mod wait;
mod why;
mod words;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{
    control::SOCKET,
    exit::{Exit, Failure},
};

/// Asks and steers compose-agent, and looks at compose files without it.
#[derive(Debug, Parser)]
#[command(
    name = "agentctl",
    version,
    after_help = "Exit status: 0 converged or done, 3 not converged, 4 a stack failed, 1 no answer or internal error, 2 wrong call."
)]
pub struct Cli {
    /// The daemon's control socket.
    #[arg(long, global = true, default_value = SOCKET, env = "AGENTCTL_SOCKET", value_name = "PATH")]
    socket: PathBuf,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::Status),
    Plan(plan::Plan),
    Why(why::Why),
    Reconcile(reconcile::Reconcile),
    Wait(wait::Wait),
    Config(config::Config),
    Check(check::Check),
    Secrets(secrets::Secrets),
    Hold(hold::Hold),
    Release(hold::Release),
    Restart(hold::Restart),
    Down(hold::Down),
    History(history::History),
    Events(history::Events),
    Notify(notify::Notify),
    Completion(words::Completion),
    #[command(hide = true)]
    Man(words::Man),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// What the verb could not do.
    pub fn run(self) -> Result<Exit, Failure> {
        // `config` and `secrets` decrypt, too.
        crate::private::keep_memory_private();
        match self.verb {
            Verb::Status(verb) => verb.run(&self.socket),
            Verb::Plan(verb) => verb.run(&self.socket),
            Verb::Why(verb) => verb.run(&self.socket),
            Verb::Reconcile(verb) => verb.run(&self.socket),
            Verb::Wait(verb) => verb.run(&self.socket),
            Verb::Config(verb) => verb.run(),
            Verb::Check(verb) => verb.run(),
            Verb::Secrets(verb) => verb.run(),
            Verb::Hold(verb) => verb.run(&self.socket),
            Verb::Release(verb) => verb.run(&self.socket),
            Verb::Restart(verb) => verb.run(&self.socket),
            Verb::Down(verb) => verb.run(&self.socket),
            Verb::History(verb) => verb.run(&self.socket),
            Verb::Events(history::Events {}) => history::Events::run(&self.socket),
            Verb::Notify(verb) => verb.run(&self.socket),
            Verb::Completion(verb) => Ok(verb.run()),
            Verb::Man(verb) => verb.run(),
        }
    }
}

/// Prints data on standard output; a reader that has gone is no error.
fn print(text: &str) {
    use std::io::Write;
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line of JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?));
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::CommandFactory;

    pub(crate) use super::status::tests::example;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
