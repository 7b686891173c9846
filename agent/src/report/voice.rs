//! Where does an entry of the log go: to the journal, or as a line to standard error?

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
};

use plan::ids::Time;
use serde_json::{Map, Value};
use systemd::journal::{self, Entry, Journal, JournalError};

use crate::{clock, options::LogFormat};

/// Where messages go.
#[derive(Debug)]
pub enum Voice {
    /// To the journal, with fields.
    Journal(Journal),
    /// To standard error, one line each.
    Lines(LogFormat),
}

impl Voice {
    /// The journal where it is asked for, or where standard error leads to it anyway; where it is not to be had, lines, and
    /// why.
    pub fn of(format: LogFormat, socket: &Path) -> (Self, Option<JournalError>) {
        let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        let wanted = match format {
            LogFormat::Journal => true,
            LogFormat::Auto => journal::is_stream(&stream, &std::io::stderr()),
            LogFormat::Text | LogFormat::Json => false,
        };
        match wanted.then(|| Journal::at(socket)) {
            Some(Ok(journal)) => (Self::Journal(journal), None),
            Some(Err(error)) => (Self::Lines(format), Some(error)),
            None => (Self::Lines(format), None),
        }
    }

    /// Says something that has happened at `at`. What cannot be said must not stop what it is about.
    pub fn say(&self, entry: &Entry, at: Time) {
        let line = match self {
            Self::Journal(journal) if journal.send(entry).is_ok() => return,
            // journald may be restarted at any time: what it cannot take now is not lost.
            Self::Journal(_) => line(entry, at, LogFormat::Auto),
            Self::Lines(format) => line(entry, at, *format),
        };
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

fn line(entry: &Entry, at: Time, format: LogFormat) -> String {
    match format {
        LogFormat::Json => format!("{}\n", Value::Object(named(entry, at))),
        // On a terminal a priority would only be noise.
        _ if std::io::stderr().is_terminal() => format!("{} {}\n", clock::stamp(at), entry.message),
        _ => format!("<{}>{}\n", entry.priority, entry.message),
    }
}

/// The fields of a JSON line, under the journal's names. Values are text, as the journal has it.
fn named(entry: &Entry, at: Time) -> Map<String, Value> {
    let own = [
        ("MESSAGE", entry.message.clone()),
        ("PRIORITY", entry.priority.to_string()),
        ("TIMESTAMP", clock::stamp(at)),
    ];
    let fields = own.into_iter().chain(entry.fields.iter().cloned()).filter(|(_, value)| !value.is_empty());
    fields.map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_in_each_form() {
        let entry = Entry {
            message: "web: gone".into(),
            priority: 4,
            message_id: Some("x"),
            fields: vec![("STACK", "web".into()), ("CAUSE", String::new()), ("PASS", "7".into())],
        };
        assert_eq!(line(&entry, Time(0), LogFormat::Auto), "<4>web: gone\n");
        let json = line(&entry, Time(0), LogFormat::Json);
        let fields: Map<String, Value> = serde_json::from_str(&json).expect("JSON");
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(
            (names, json.lines().count()),
            (vec!["MESSAGE", "PRIORITY", "TIMESTAMP", "STACK", "PASS"], 1)
        );
    }
}
