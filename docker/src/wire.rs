//! How is one request put to the Engine, with its version on the path and a deadline?
//!
//! bollard sends no API version and fails a whole answer on one enum value that it does not know, so that one odd container
//! would blind the agent. What is read and decided on therefore goes through these few lines and is decoded leniently;
//! the stream of events is bollard's.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    client::conn::http1::SendRequest,
    header,
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use plan::build::Build;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::io::ReaderStream;

use crate::images::{context, unpack::unpacked};

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;
/// How long a question may take.
const READ_DEADLINE: Duration = Duration::from_secs(20);

/// Where the Engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `unix:///run/docker.sock`
    Unix(PathBuf),
    /// `tcp://host:port`, without encryption.
    Tcp(String),
}

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Nothing answers at the address.
    #[error("the Engine does not answer at {address}")]
    Unreachable {
        /// The address.
        address: String,
        /// The system's words.
        source: io::Error,
    },
    /// The deadline passed.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It began to answer and went silent.
    #[error("the Engine has said nothing for {} s", .0.as_secs())]
    Stalled(Duration),
    /// A file that is to be sent cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the Engine broke: {0}")]
    Broken(String),
    /// The Engine refused.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The Engine's words.
        message: String,
    },
}

impl WireError {
    /// The HTTP status, where the Engine answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl Address {
    /// Reads `DOCKER_HOST`.
    ///
    /// # Errors
    /// A scheme that is not spoken.
    pub fn parse(host: &str) -> Result<Self, String> {
        match host.split_once("://") {
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            Some(("tcp" | "http", address)) => Ok(Self::Tcp(address.trim_end_matches('/').to_owned())),
            None if host.starts_with('/') => Ok(Self::Unix(host.into())),
            _ => Err(format!("DOCKER_HOST is '{host}', expected unix:///path or tcp://address:port")),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// Something to send: JSON, or a tar archive from memory or from a file.
#[derive(Debug, Clone)]
pub enum Payload {
    /// No body.
    Nothing,
    /// JSON.
    Json(Value),
    /// A tar archive.
    Tar(Bytes),
    /// A tar archive in a file: it is sent while it is read.
    File(PathBuf),
    /// A compressed tar archive in a file: it is unpacked while it is sent.
    Unpacked(PathBuf),
    /// What an image is built from, as a tar archive: it is sent while it is read.
    Context(Arc<Build>),
}

/// What is sent.
type Body = UnsyncBoxBody<Bytes, io::Error>;

impl Payload {
    /// The type of the content, and the content.
    async fn body(&self) -> Result<(&'static str, Body), WireError> {
        let whole = |bytes: Bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        Ok(match self {
            Self::Nothing => ("application/json", whole(Bytes::new())),
            Self::Json(value) => ("application/json", whole(Bytes::from(value.to_string()))),
            Self::Tar(bytes) => ("application/x-tar", whole(bytes.clone())),
            Self::File(path) => {
                let opened = tokio::fs::File::open(path).await;
                let file = opened.map_err(|source| WireError::File { path: path.clone(), source })?;
                let stream = ReaderStream::with_capacity(file, 1 << 16).map_ok(Frame::data);
                ("application/x-tar", StreamBody::new(stream).boxed_unsync())
            }
            Self::Unpacked(path) => {
                let path = path.clone();
                let stream = context::pieces(move |to| {
                    let mut archive = unpacked(&path).map_err(io::Error::other)?;
                    io::copy(&mut archive, to).map(drop)
                });
                ("application/x-tar", StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync())
            }
            Self::Context(build) => (
                "application/x-tar",
                StreamBody::new(context::stream(Arc::clone(build)).map_ok(Frame::data)).boxed_unsync(),
            ),
        })
    }
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A connection that is ready for another request.
type Idle = SendRequest<Body>;

/// The most connections that are kept for the next questions.
const MOST_IDLE: usize = 8;

/// One client. Questions share connections, as long as a snapshot is being taken; whatever changes something has one of
/// its own, so that it is never sent on a connection that the Engine is about to close.
#[derive(Debug, Clone)]
pub struct Wire {
    address: Address,
    version: String,
    idle: Arc<Mutex<Vec<Idle>>>,
}

impl Wire {
    /// A client that speaks `version` (`v1.41`); empty: whatever the Engine speaks.
    pub fn new(address: Address, version: impl Into<String>) -> Self {
        Self { address, version: version.into(), idle: Arc::default() }
    }

    /// The address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Nothing is about to be asked: connections are closed.
    pub fn rest(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks, with the deadline of a question.
    ///
    /// # Errors
    /// See [`WireError`].
    pub async fn get(&self, path: &str) -> Result<Value, WireError> {
        self.call(Method::GET, path, Payload::Nothing, READ_DEADLINE).await
    }

    /// What the Engine says of itself beside an answer without a body: its API version, and what it is.
    ///
    /// # Errors
    /// See [`WireError`].
    pub async fn ping(&self) -> Result<HeaderMap, WireError> {
        let answer = self.timely(Method::GET, "/_ping", Payload::Nothing, READ_DEADLINE).await?;
        answer.read().map(|(headers, _)| headers)
    }

    /// Sends one request; an empty answer is null.
    ///
    /// # Errors
    /// See [`WireError`].
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
        deadline: Duration,
    ) -> Result<Value, WireError> {
        let answer = self.timely(method, path, payload, deadline).await?;
        answer.read().map(|(_, value)| value)
    }

    async fn timely(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
        deadline: Duration,
    ) -> Result<Answer, WireError> {
        tokio::time::timeout(deadline, self.exchange(method, path, payload))
            .await
            .unwrap_or(Err(WireError::TimedOut(deadline)))
    }

    async fn exchange(&self, method: Method, path: &str, payload: Payload) -> Result<Answer, WireError> {
        let question = method == Method::GET;
        let kept = question.then(|| self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()).flatten();
        let answer = match kept {
            Some(mut kept) => {
                self.send(&mut kept, &method, path, &payload).await.ok().map(|answer| (kept, answer))
            }
            None => None,
        };
        let (sender, answer) = match answer {
            Some(answer) => answer,
            // The Engine may have closed it meanwhile: a question is asked again.
            None => {
                let mut sender = self.connect().await?;
                let answer = self.send(&mut sender, &method, path, &payload).await?;
                (sender, answer)
            }
        };
        if question {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < MOST_IDLE {
                idle.push(sender);
            }
        }
        Ok(answer)
    }

    /// Sends one request on a connection of its own, with further headers, and gives the answer to be read as it comes.
    /// The caller sets the deadline.
    ///
    /// # Errors
    /// See [`WireError`].
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
        headers: &[(&str, &str)],
    ) -> Result<Incoming, WireError> {
        let mut sender = self.connect().await?;
        let answer = self.ask(&mut sender, &method, path, &payload, headers).await?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        let answer = Answer::whole(answer).await?;
        Err(answer.refusal(&serde_json::from_slice(&answer.body).unwrap_or(Value::Null)))
    }

    /// Turns a connection into one for another protocol, where the Engine agrees.
    ///
    /// # Errors
    /// See [`WireError`].
    pub async fn upgrade(&self, path: &str, headers: &[(&str, &str)]) -> Result<Upgraded, WireError> {
        let upgrading = async {
            let mut sender = self.connect().await?;
            let answer = self.ask(&mut sender, &Method::POST, path, &Payload::Nothing, headers).await?;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                return hyper::upgrade::on(answer).await.map_err(|e| broken(&e));
            }
            let answer = Answer::whole(answer).await?;
            Err(answer.refusal(&serde_json::from_slice(&answer.body).unwrap_or(Value::Null)))
        };
        let ended = tokio::time::timeout(READ_DEADLINE, upgrading).await;
        ended.unwrap_or(Err(WireError::TimedOut(READ_DEADLINE)))
    }

    fn unreachable(&self, source: io::Error) -> WireError {
        WireError::Unreachable { address: self.address.to_string(), source }
    }

    async fn connect(&self) -> Result<Idle, WireError> {
        match &self.address {
            Address::Unix(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(|source| self.unreachable(source))?;
                shake_hands(TokioIo::new(stream)).await
            }
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(|source| self.unreachable(source))?;
                shake_hands(TokioIo::new(stream)).await
            }
        }
    }

    async fn send(
        &self,
        sender: &mut Idle,
        method: &Method,
        path: &str,
        payload: &Payload,
    ) -> Result<Answer, WireError> {
        Answer::whole(self.ask(sender, method, path, payload, &[]).await?).await
    }

    async fn ask(
        &self,
        sender: &mut Idle,
        method: &Method,
        path: &str,
        payload: &Payload,
        headers: &[(&str, &str)],
    ) -> Result<Response<Incoming>, WireError> {
        let (kind, body) = payload.body().await?;
        let prefix = if self.version.is_empty() { String::new() } else { format!("/{}", self.version) };
        let plain = Request::builder()
            .method(method)
            .uri(format!("{prefix}{path}"))
            .header(header::HOST, "docker")
            .header(header::USER_AGENT, concat!("compose-agent/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, kind);
        let request = headers.iter().fold(plain, |request, (name, value)| request.header(*name, *value));
        let request = request.body(body).map_err(|e| broken(&e))?;
        sender.ready().await.map_err(|e| broken(&e))?;
        sender.send_request(request).await.map_err(|e| broken(&e))
    }
}

impl Answer {
    /// Reads it to its end.
    async fn whole(response: Response<Incoming>) -> Result<Self, WireError> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|e| broken(&*e))?;
        Ok(Self { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    /// A good answer's headers and JSON, or the Engine's words.
    fn read(self) -> Result<(HeaderMap, Value), WireError> {
        let value = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        if self.status.is_success() || self.status == StatusCode::NOT_MODIFIED {
            return Ok((self.headers, value));
        }
        Err(self.refusal(&value))
    }

    fn refusal(&self, value: &Value) -> WireError {
        let words = value["message"]
            .as_str()
            .map_or_else(|| String::from_utf8_lossy(&self.body).into_owned(), str::to_owned);
        WireError::Refused { status: self.status.as_u16(), message: words.trim().to_owned() }
    }
}

fn broken(error: &dyn std::fmt::Display) -> WireError {
    WireError::Broken(error.to_string())
}

/// The connection lives as long as its sender.
async fn shake_hands<S>(io: S) -> Result<Idle, WireError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|e| broken(&e))?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

/// Percent-encodes a query value.
pub fn query(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
