//! What does `agentctl` offer? One file per verb; this one has the words of the command line and leads to them.

mod check;
mod complete;
mod config;
mod diff;
mod fleet;
mod graph;
mod history;
mod hold;
mod logs;
mod notify;
mod plan;
mod preflight;
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

    /// Ask on this machine, over ssh; may be given several times.
    #[arg(long, global = true, value_name = "USER@MACHINE")]
    host: Vec<String>,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::Status),
    Plan(plan::Plan),
    Diff(diff::Diff),
    Why(why::Why),
    Logs(logs::Logs),
    Graph(graph::Graph),
    Reconcile(reconcile::Reconcile),
    Wait(wait::Wait),
    Config(config::Config),
    Check(check::Check),
    Preflight(preflight::Preflight),
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
        if !self.host.is_empty() {
            return match &self.verb {
                Verb::Status(status) if status.is_plain() => fleet::status(&self.host, status.is_json()),
                _ => fleet::run(&self.host, &local_arguments(std::env::args().skip(1))),
            };
        }
        // `config`, `secrets` and `preflight` decrypt, too.
        crate::secrets::private::keep_memory_private();
        match self.verb {
            Verb::Status(verb) => verb.run(&self.socket),
            Verb::Plan(verb) => verb.run(&self.socket),
            Verb::Diff(verb) => verb.run(&self.socket),
            Verb::Why(verb) => verb.run(&self.socket),
            Verb::Logs(verb) => verb.run(&self.socket),
            Verb::Graph(verb) => verb.run(&self.socket),
            Verb::Reconcile(verb) => verb.run(&self.socket),
            Verb::Wait(verb) => verb.run(&self.socket),
            Verb::Config(verb) => verb.run(),
            Verb::Check(verb) => verb.run(),
            Verb::Preflight(verb) => verb.run(),
            Verb::Secrets(verb) => verb.run(),
            Verb::Hold(verb) => verb.run(&self.socket),
            Verb::Release(verb) => verb.run(&self.socket),
            Verb::Restart(verb) => verb.run(&self.socket),
            Verb::Down(verb) => verb.run(&self.socket),
            Verb::History(verb) => verb.run(&self.socket),
            Verb::Events(history::Events {}) => history::Events::run(&self.socket),
            Verb::Notify(verb) => verb.run(&self.socket),
            Verb::Completion(verb) => verb.run(),
            Verb::Man(verb) => verb.run(),
        }
    }
}

/// The words of a call as they are for one machine: without `--host` and its value.
fn local_arguments(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words;
    while let Some(word) = words.next() {
        if word == "--host" {
            words.next();
        } else if !word.starts_with("--host=") {
            kept.push(word);
        }
    }
    kept
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

    #[test]
    fn a_machine_is_not_told_to_ask_itself() {
        let words = ["--host", "a", "hold", "--host=b", "web", "--host", "c", "--for", "1h"];
        let kept = super::local_arguments(words.into_iter().map(str::to_owned));
        assert_eq!(kept, ["hold", "web", "--for", "1h"]);
    }
}
