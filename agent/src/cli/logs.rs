//! `agentctl logs`: what do the containers of a stack say?

use std::{path::Path, time::Duration};

use anstyle::{AnsiColor, Style};
use clap::Args;
use clap_complete::ArgValueCandidates;
use serde_json::{Map, Value, json};

use super::{
    complete, print,
    remote::{PATIENCE, Subject},
};
use crate::{
    clock::{self, parse_span},
    control::client::Client,
    exit::{Exit, Failure},
    logs::Said,
};

/// Shows the output of a stack's containers, each line with its service; follows over a recreate.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// The stack, or one service of it.
    #[arg(value_name = "STACK[/SERVICE]", add = ArgValueCandidates::new(complete::subjects))]
    subject: Subject,

    /// Go on with what is still to come, until interrupted.
    #[arg(short, long)]
    follow: bool,

    /// Only what was said within this span [90s, 5m, 2h …].
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    since: Option<Duration>,

    /// At most so many lines of what there is, of each container.
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    tail: u32,

    /// Show when each line was said.
    #[arg(short, long)]
    timestamps: bool,

    /// A line of JSON each.
    #[arg(long)]
    json: bool,
}

const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
];

impl Logs {
    pub(super) fn run(&self, socket: &Path) -> Result<Exit, Failure> {
        let mut client = Client::connect(socket)?;
        let arguments = self.arguments();
        if !self.follow {
            let mut answer = client.call("Logs", arguments, Some(PATIENCE))?;
            let mut width = 0;
            self.show(lines(&mut answer)?, &mut width)?;
            return Ok(Exit::Converged);
        }
        client.stream("Logs", arguments, None)?;
        let mut width = 0;
        while let Some(mut answer) = client.next()? {
            self.show(lines(&mut answer)?, &mut width)?;
        }
        Ok(Exit::Converged)
    }

    fn arguments(&self) -> Map<String, Value> {
        let mut arguments = Subject::arguments(Some(&self.subject));
        arguments.insert("follow".to_owned(), json!(self.follow));
        arguments.insert("tail".to_owned(), json!(self.tail));
        if let Some(since) = self.since {
            let back = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            arguments.insert("since".to_owned(), json!(clock::now().0.saturating_sub(back)));
        }
        arguments
    }

    fn show(&self, said: Vec<Said>, width: &mut usize) -> Result<(), Failure> {
        let mut text = String::new();
        *width = said.iter().map(|said| said.container.chars().count()).max().unwrap_or(0).max(*width);
        for said in said {
            if self.json {
                text.push_str(&serde_json::to_string(&said)?);
                text.push('\n');
            } else {
                text.push_str(&line(&said, *width, self.timestamps));
            }
        }
        print(&text);
        Ok(())
    }
}

fn lines(answer: &mut Map<String, Value>) -> Result<Vec<Said>, Failure> {
    Ok(serde_json::from_value(answer.remove("lines").unwrap_or_else(|| json!([])))?)
}

/// `web-app-1 | the line`, the name in its service's colour; the line as the container wrote it.
fn line(said: &Said, width: usize, stamped: bool) -> String {
    let look = colour(&said.service);
    let stamp = said.at.filter(|_| stamped).map_or_else(String::new, |at| format!("{} ", clock::stamp(at)));
    format!("{look}{:width$} |{look:#} {stamp}{}\n", said.container, said.line)
}

/// The same for the same service, whoever else speaks.
fn colour(service: &str) -> Style {
    let sum = service.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    COLOURS[sum % COLOURS.len()].on_default()
}

#[cfg(test)]
mod tests {
    use plan::ids::Time;

    use super::*;

    #[test]
    fn a_line_has_its_container_and_its_moment_where_asked() {
        let said = Said {
            service: "app".into(),
            container: "web-app-1".into(),
            stream: "stdout".into(),
            at: Some(Time(0)),
            line: "hello".into(),
        };
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain(line(&said, 11, false)), "web-app-1   | hello\n");
        assert_eq!(plain(line(&said, 9, true)), "web-app-1 | 1970-01-01T00:00:00Z hello\n");
        assert_eq!(colour("app"), colour("app"));
    }
}
