//! What does the daemon tell, also while nobody listened for a moment?
//!
//! The stream of events is opened anew where it ends or is silent for long, and then the history is asked for what may have
//! been missed; nothing is told twice. What happened before this process began is nobody's news.

use std::{collections::VecDeque, path::Path, thread, time::Duration};

use plan::{ids::Time, status::Transition};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::Sender;

use crate::control::client::{Client, ClientError};

/// A stream that is silent for this long is opened anew.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two tries to reach the daemon.
const AGAIN: Duration = Duration::from_secs(2);
/// How many transitions are known not to be news.
const KNOWN: usize = 512;

/// What is heard.
#[derive(Debug)]
pub enum Heard {
    /// Something has happened.
    Transition(Box<Transition>),
    /// The daemon is there: time to look after other things.
    There,
    /// The daemon cannot be reached, for this reason.
    Away(String),
}

/// Hears until nobody listens any more. Blocks: it has a thread of its own.
pub fn hear(socket: &Path, since: Time, to: &Sender<Heard>) {
    let mut ear = Ear { since, known: VecDeque::new() };
    let mut away = false;
    while !to.is_closed() {
        match ear.listen(socket, to) {
            Ok(()) => away = false,
            Err(error) => {
                // Said once, not at every try; where nobody listens any more, the loop ends.
                if !away {
                    let _ = to.blocking_send(Heard::Away(crate::exit::Failure::from(error).to_string()));
                }
                away = true;
                thread::sleep(AGAIN);
            }
        }
    }
}

struct Ear {
    since: Time,
    known: VecDeque<Transition>,
}

impl Ear {
    /// One stream, until it is silent.
    fn listen(&mut self, socket: &Path, to: &Sender<Heard>) -> Result<(), ClientError> {
        let mut stream = Client::connect(socket)?;
        stream.stream("Events", Map::new(), Some(SILENCE))?;
        let missed = missed(socket)?;
        let _ = to.blocking_send(Heard::There);
        for transition in missed {
            self.take(transition, to);
        }
        loop {
            match stream.next() {
                Ok(Some(mut answer)) => {
                    if let Some(transition) = read(answer.remove("transition")) {
                        self.take(transition, to);
                    }
                }
                Ok(None) => return Ok(()),
                Err(ClientError::Broken { source, .. }) if source.kind() == std::io::ErrorKind::TimedOut => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, transition: Transition, to: &Sender<Heard>) {
        if transition.at < self.since || self.known.contains(&transition) {
            return;
        }
        if self.known.len() == KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(transition.clone());
        // Nobody listens: the next look at the channel ends this.
        let _ = to.blocking_send(Heard::Transition(Box::new(transition)));
    }
}

fn missed(socket: &Path) -> Result<Vec<Transition>, ClientError> {
    let mut arguments = Map::new();
    arguments.insert("limit".to_owned(), json!(KNOWN / 2));
    let mut answer = Client::connect(socket)?.call("History", arguments, Some(SILENCE))?;
    let Some(Value::Array(entries)) = answer.remove("entries") else { return Ok(Vec::new()) };
    Ok(entries.into_iter().filter_map(|entry| read(Some(entry))).collect())
}

/// One of a later version may have words that this one does not know.
fn read(transition: Option<Value>) -> Option<Transition> {
    serde_json::from_value(transition?).ok()
}
