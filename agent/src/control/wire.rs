//! What is a message on the control socket?
//!
//! Varlink: JSON texts, each ended by a NUL byte. A request names a method; an answer carries `parameters`, or an
//! `error` with its parameters. Everything that comes from outside is bounded in size here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The largest request, in bytes.
pub const MAX_REQUEST: usize = 64 << 10;
/// The largest answer that a client reads, in bytes.
pub const MAX_ANSWER: usize = 64 << 20;

/// One call.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Request {
    /// `interface.Method`.
    pub method: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
    /// The caller takes several answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
    /// The caller wants no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oneway: Option<bool>,
    /// The caller wants another protocol afterwards; there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<bool>,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
pub struct Answer {
    /// The result, or what belongs to the error.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// More answers follow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// The error's full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a call is not answered with a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The error's full name.
    pub error: String,
    /// What belongs to it.
    pub parameters: Map<String, Value>,
}

impl Fault {
    fn standard(name: &str, parameter: &str, value: &str) -> Self {
        let mut parameters = Map::new();
        parameters.insert(parameter.to_owned(), json!(value));
        Self { error: format!("org.varlink.service.{name}"), parameters }
    }

    /// There is no such interface.
    pub fn interface_not_found(interface: &str) -> Self {
        Self::standard("InterfaceNotFound", "interface", interface)
    }

    /// The interface has no such method.
    pub fn method_not_found(method: &str) -> Self {
        Self::standard("MethodNotFound", "method", method)
    }

    /// The method is declared, and not offered in this way (streams need `more`).
    pub fn method_not_implemented(method: &str) -> Self {
        Self::standard("MethodNotImplemented", "method", method)
    }

    /// An argument is missing, has another type, or is not known.
    pub fn invalid_parameter(parameter: &str) -> Self {
        Self::standard("InvalidParameter", "parameter", parameter)
    }

    /// An error of the agent's own interface.
    pub fn own(name: &str, message: impl Into<String>) -> Self {
        let mut parameters = Map::new();
        parameters.insert("message".to_owned(), Value::String(message.into()));
        Self { error: format!("{}.{name}", super::INTERFACE), parameters }
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self { parameters: fault.parameters, continues: false, error: Some(fault.error) }
    }
}

/// The bytes of a message, its end included.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    // Our own messages have string keys and finite numbers only: serialising them cannot fail.
    let mut bytes = serde_json::to_vec(message).unwrap_or_else(|_| b"{}".to_vec());
    bytes.push(0);
    bytes
}

/// Reads one message without its end; `None` where the other side has hung up between two messages.
///
/// # Errors
/// A message that is too large or cut off, or the socket's own error.
pub async fn read(from: &mut (impl AsyncBufRead + Unpin), limit: usize) -> std::io::Result<Option<Vec<u8>>> {
    use std::io::{Error, ErrorKind};
    let mut message = Vec::new();
    loop {
        let chunk = from.fill_buf().await?;
        if chunk.is_empty() {
            return if message.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
        let end = chunk.iter().position(|byte| *byte == 0);
        message.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
        let used = end.map_or(chunk.len(), |end| end + 1);
        from.consume(used);
        if message.len() > limit {
            return Err(Error::new(ErrorKind::InvalidData, format!("a message of more than {limit} bytes")));
        }
        if end.is_some() {
            return Ok(Some(message));
        }
    }
}
