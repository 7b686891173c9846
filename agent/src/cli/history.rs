//! `agentctl history` and `agentctl events`: what has happened, and what happens now?

use std::path::Path;

use clap::Args;
use clap_complete::ArgValueCandidates;
use plan::status::{Transition, TransitionEvent};
use serde_json::{Map, json};

use super::{
    complete, print, print_json,
    remote::{Subject, call},
    table::{BAD, BUSY, Cell, FAINT, GOOD, Table, terminal_width},
};
use crate::{
    clock,
    control::client::Client,
    exit::{Exit, Failure},
};

/// Shows what has happened, newest last; it is kept across restarts.
#[derive(Debug, Args)]
pub(super) struct History {
    /// Only this stack.
    #[arg(add = ArgValueCandidates::new(complete::stacks))]
    stack: Option<String>,

    /// At most so many entries.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    limit: u32,

    /// For programs.
    #[arg(long)]
    json: bool,
}

impl History {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let subject = self.stack.as_ref().map(|stack| Subject { stack: stack.clone(), service: None });
        let mut arguments = Subject::arguments(subject.as_ref());
        arguments.insert("limit".to_owned(), json!(self.limit));
        let mut answer = call(socket, "History", arguments)?;
        let entries: Vec<Transition> = serde_json::from_value(answer.remove("entries").unwrap_or_default())?;
        if self.json {
            print_json(&entries)?;
        } else if entries.is_empty() {
            anstream::eprintln!("nothing has happened yet");
        } else {
            print(&table(&entries).render(terminal_width()));
        }
        Ok(Exit::Converged)
    }
}

/// Prints every transition from now on, as a line of JSON, until interrupted.
#[derive(Debug, Args)]
pub(super) struct Events {}

impl Events {
    pub(super) fn run(socket: &Path) -> Result<Exit, Failure> {
        let mut client = Client::connect(socket)?;
        client.stream("Events", Map::new(), None)?;
        while let Some(mut answer) = client.next()? {
            print(&format!("{}\n", answer.remove("transition").unwrap_or_default()));
        }
        Ok(Exit::Converged)
    }
}

/// Entries of the history as people read them.
pub(super) fn table(entries: &[Transition]) -> Table {
    let mut table = Table::new(&["WHEN", "STACK", "EVENT", "WHAT"]);
    for entry in entries {
        let look = match entry.event {
            TransitionEvent::Failed => BAD,
            TransitionEvent::Found | TransitionEvent::Waiting => BUSY,
            TransitionEvent::Corrected | TransitionEvent::Gone | TransitionEvent::Done => GOOD,
            TransitionEvent::Phase
            | TransitionEvent::Generation
            | TransitionEvent::Note
            | TransitionEvent::Explained => FAINT,
        };
        table.row([
            clock::stamp(entry.at).into(),
            entry.stack.as_str().into(),
            Cell::styled(entry.event.as_str(), look),
            entry.message.as_str().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use plan::ids::Time;

    use super::*;

    #[test]
    fn an_entry_is_one_line() {
        let entry = Transition {
            at: Time(0),
            stack: "web".into(),
            event: TransitionEvent::Found,
            drift: None,
            message: "web-1 is stopped".into(),
            generation: None,
        };
        let text = anstream::adapter::strip_str(&table(&[entry]).render(None)).to_string();
        assert_eq!(
            text,
            "WHEN                  STACK  EVENT  WHAT\n1970-01-01T00:00:00Z  web    found  web-1 is stopped\n"
        );
    }
}
