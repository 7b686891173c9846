//! How does `agentctl` ask the daemon?
//!
//! Blocking and without a runtime: a command makes one call and prints the answers.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value};

use super::{
    INTERFACE,
    wire::{Answer, MAX_ANSWER, Request, encode},
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or we may not connect.
    #[error("cannot reach compose-agent at {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke, or the answer did not come in time.
    #[error("no answer to {method}")]
    Broken {
        /// The method.
        method: String,
        /// Why.
        source: io::Error,
    },
    /// The daemon refused.
    #[error("{message}")]
    Refused {
        /// The error's name without its interface.
        name: String,
        /// In words.
        message: String,
    },
}

impl ClientError {
    /// Whether the call named something that does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == "NotFound")
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connect { source, .. } => Some(match source.kind() {
                io::ErrorKind::PermissionDenied => "run it as root, or as a member of the agent's control group".into(),
                _ => "is the daemon running (`systemctl status compose-agent`)? `--socket` names another socket".into(),
            }),
            Self::Broken { .. } => None,
            Self::Refused { name, .. } => (name == "MethodNotFound")
                .then(|| "the daemon is of another version than agentctl: restart it".to_owned()),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    method: String,
    continues: bool,
}

impl Client {
    /// Connects to the daemon's socket.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Connect { path: path.to_owned(), source };
        let stream = UnixStream::connect(path).map_err(failed)?;
        Ok(Self { stream: BufReader::new(stream), method: String::new(), continues: false })
    }

    /// Makes a call that has one answer.
    ///
    /// # Errors
    /// No answer within `limit`, or a refusal.
    pub fn call(
        &mut self,
        method: &str,
        parameters: Map<String, Value>,
        limit: Option<Duration>,
    ) -> Result<Map<String, Value>, ClientError> {
        self.send(method, parameters, false, limit)?;
        self.answer()
    }

    /// Makes a call that may have many answers; [`Self::next`] gives them.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn stream(
        &mut self,
        method: &str,
        parameters: Map<String, Value>,
        limit: Option<Duration>,
    ) -> Result<(), ClientError> {
        self.send(method, parameters, true, limit)
    }

    /// The next answer; `None` after the last one.
    ///
    /// # Errors
    /// As [`Self::call`].
    #[allow(clippy::should_implement_trait, reason = "an iterator would hide that an error ends the stream")]
    pub fn next(&mut self) -> Result<Option<Map<String, Value>>, ClientError> {
        if self.continues { self.answer().map(Some) } else { Ok(None) }
    }

    /// Changes how long the next answers may take.
    pub fn patience(&self, limit: Duration) {
        // Zero would mean "for ever"; a socket that cannot take a limit keeps the one it has.
        let _ = self.stream.get_ref().set_read_timeout(Some(limit.max(Duration::from_millis(1))));
    }

    fn send(
        &mut self,
        method: &str,
        parameters: Map<String, Value>,
        more: bool,
        limit: Option<Duration>,
    ) -> Result<(), ClientError> {
        method.clone_into(&mut self.method);
        let request = Request {
            method: format!("{INTERFACE}.{method}"),
            parameters: Some(parameters),
            more: more.then_some(true),
            ..Request::default()
        };
        let stream = self.stream.get_mut();
        let sent = stream.set_read_timeout(limit).and_then(|()| stream.write_all(&encode(&request)));
        sent.map_err(|source| self.broken(source))?;
        self.continues = true;
        Ok(())
    }

    fn answer(&mut self) -> Result<Map<String, Value>, ClientError> {
        self.continues = false;
        let mut bytes = Vec::new();
        let read = (&mut self.stream).take(MAX_ANSWER as u64).read_until(0, &mut bytes);
        read.map_err(|source| self.broken(source))?;
        if bytes.pop() != Some(0) {
            return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| self.broken(error.into()))?;
        let Some(error) = answer.error else {
            self.continues = answer.continues;
            return Ok(answer.parameters);
        };
        let name = error.rsplit('.').next().unwrap_or(&error).to_owned();
        let detail = answer.parameters.values().find_map(Value::as_str).unwrap_or(&name);
        let message = match name.as_str() {
            "MethodNotFound" | "MethodNotImplemented" => format!("the daemon has no method {detail}"),
            "InvalidParameter" => format!("the daemon does not take the argument {detail}"),
            _ => detail.to_owned(),
        };
        Err(ClientError::Refused { name, message })
    }

    fn broken(&self, source: io::Error) -> ClientError {
        // A read that ran into its time limit says "would block", which tells nobody anything.
        let source = match source.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(io::ErrorKind::UnexpectedEof, "the daemon hung up")
            }
            _ => source,
        };
        ClientError::Broken { method: self.method.clone(), source }
    }
}
