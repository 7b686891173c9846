//! Whom does the profile's `agent.yaml` name to be told, and of what?
//!
//! | key of `notify[]` | value | default |
//! |---|---|---|
//! | `command` | a program and its arguments; the message is its standard input | – |
//! | `webhook` | an `http://` address of this machine | – |
//! | `webhook_file` | a file with such an address, where the address itself is a secret | – |
//! | `shape` | `json`, `gotify`, `ntfy`, `slack`, `matrix` | `json` |
//! | `token_file` | a file with the token; a plain name is a credential of the unit | none |
//! | `events` | which transitions | `[failed, found]` |
//! | `stacks` | only these | all |
//! | `every` | at most one message in this time | `10s` |

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use plan::status::{Transition, TransitionEvent};
use serde::Deserialize;

use super::{message::Shape, url::Url};
use crate::{clock::parse_span, gather::declared::FOLDER};

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no such configuration.
    #[error("{}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        what: String,
    },
}

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A program gets it.
    Command(Vec<String>),
    /// An address gets it.
    Webhook(Url),
    /// An address gets it that stands in a file.
    WebhookFile(PathBuf),
}

/// One who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How it is called in messages about itself: never an address or an argument, which may hold a secret.
    pub name: String,
    /// What is done.
    pub way: Way,
    /// In which form.
    pub shape: Shape,
    /// Where the token is.
    pub token_file: Option<PathBuf>,
    /// Of what.
    pub events: Vec<TransitionEvent>,
    /// Of whom; empty: of all.
    pub stacks: Vec<String>,
    /// At most one message in this time.
    pub every: Duration,
}

impl Target {
    /// Whether this one is told of that.
    pub fn wants(&self, transition: &Transition) -> bool {
        let stack = transition.stack.as_str();
        self.events.contains(&transition.event)
            && (self.stacks.is_empty() || self.stacks.iter().any(|wanted| wanted == stack))
    }
}

/// Where the configuration of a profile is.
pub fn path(profile: &Path) -> PathBuf {
    profile.join(FOLDER).join("agent.yaml")
}

/// What stands there; nothing where there is no such file.
///
/// # Errors
/// It cannot be read.
pub fn read(profile: &Path) -> Result<String, ConfigError> {
    let path = path(profile);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}

/// The part of the file that is about this; the rest is the daemon's.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    notify: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    command: Option<Vec<String>>,
    webhook: Option<String>,
    webhook_file: Option<PathBuf>,
    #[serde(default)]
    shape: Shape,
    token_file: Option<PathBuf>,
    events: Option<Vec<TransitionEvent>>,
    #[serde(default)]
    stacks: Vec<String>,
    every: Option<String>,
}

/// Who is told.
///
/// # Errors
/// The first mistake.
pub fn parse(text: &str, path: &Path) -> Result<Vec<Target>, ConfigError> {
    let wrong = |what: String| ConfigError::Wrong { path: path.to_owned(), what };
    let file: Option<File> = serde_yaml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let written = file.map(|file| file.notify).unwrap_or_default();
    let numbered = written.into_iter().enumerate();
    numbered
        .map(|(index, written)| {
            target(index, written).map_err(|what| wrong(format!("notify[{index}]: {what}")))
        })
        .collect()
}

fn target(index: usize, written: Written) -> Result<Target, String> {
    let (kind, way) = match (written.command, written.webhook, written.webhook_file) {
        (Some(command), None, None) if !command.is_empty() => ("command", Way::Command(command)),
        (None, Some(url), None) => ("webhook", Way::Webhook(Url::parse(&url)?)),
        (None, None, Some(file)) => ("webhook", Way::WebhookFile(credential(file))),
        _ => return Err("expected one of `command` (a list), `webhook` and `webhook_file`".to_owned()),
    };
    Ok(Target {
        name: format!("{kind} {index}"),
        way,
        shape: written.shape,
        token_file: written.token_file.map(credential),
        events: written.events.unwrap_or_else(|| vec![TransitionEvent::Failed, TransitionEvent::Found]),
        stacks: written.stacks,
        every: written.every.as_deref().map_or(Ok(Duration::from_secs(10)), parse_span)?,
    })
}

/// A plain name is a file that the service manager has put where only this unit reads it.
fn credential(file: PathBuf) -> PathBuf {
    let is_name = file.components().count() == 1;
    match std::env::var_os("CREDENTIALS_DIRECTORY").filter(|_| is_name) {
        Some(folder) => PathBuf::from(folder).join(file),
        None => file,
    }
}

#[cfg(test)]
mod tests {
    use plan::ids::Time;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<Target>, String> {
        parse(text, Path::new("agent.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn targets_are_read_beside_what_is_the_daemons() {
        let text = "allow_empty: true
notify:
  - {webhook: 'http://127.0.0.1:8080/message', shape: gotify, token_file: /run/secrets/gotify, every: 1m}
  - {command: [mail, root], stacks: [web], events: [corrected]}
";
        let targets = parsed(text).expect("it is sound");
        assert_eq!(targets[0].shape, Shape::Gotify);
        assert_eq!(targets[0].every, Duration::from_secs(60));
        let transition = |stack: &str, event| Transition {
            at: Time(0),
            stack: stack.into(),
            event,
            drift: None,
            message: String::new(),
            generation: None,
        };
        assert!(targets[0].wants(&transition("db", TransitionEvent::Failed)));
        assert!(!targets[0].wants(&transition("db", TransitionEvent::Corrected)));
        assert!(targets[1].wants(&transition("web", TransitionEvent::Corrected)));
        assert!(!targets[1].wants(&transition("db", TransitionEvent::Corrected)));
        assert_eq!(parsed(""), Ok(Vec::new()));
        assert_eq!(parsed("allow_empty: true"), Ok(Vec::new()));
    }

    #[test]
    fn a_mistake_is_named_and_an_address_elsewhere_is_refused() {
        for (text, why) in [
            ("notify: [{webhook: 'https://ntfy.sh/x'}]", "curl"),
            ("notify: [{webhook: 'http://10.0.0.9/x'}]", "curl"),
            ("notify: [{}]", "expected one of"),
            ("notify: [{command: []}]", "expected one of"),
            ("notify: [{command: [a], webhook: 'http://127.0.0.1/'}]", "expected one of"),
            ("notify: [{command: [a], every: often}]", "no span of time"),
            ("notify: [{command: [a], events: [exploded]}]", "exploded"),
            ("notify: [{command: [a], tokenfile: x}]", "tokenfile"),
        ] {
            let error = parsed(text).expect_err(text);
            assert!(error.starts_with("agent.yaml: ") && error.contains(why), "{error}");
        }
    }
}
