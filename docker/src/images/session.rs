//! What does BuildKit ask for while it builds: secrets, and somebody's ssh agent?
//!
//! A session is a connection on which the Engine turns round and asks: gRPC over HTTP/2, with the agent as the server
//! (`moby.buildkit.secrets.v1.Secrets`, `moby.sshforward.v1.SSH`, `grpc.health.v1.Health`). It lives as long as its build and
//! answers for that build alone.

use std::{
    convert::Infallible,
    hash::{BuildHasher as _, RandomState},
    io,
    path::Path,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::TokioExecutor;
use plan::build::Build;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

use super::grpc::{Code, Fields, answer, field, framed, unframed};
use crate::wire::{Wire, WireError};

const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CHECK_AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
const FORWARD_AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// The header that says which agent a connection is for.
const AGENT_ID: &str = "buildkit.ssh.id";
/// The largest question, in bytes.
const MAX_QUESTION: usize = 64 << 10;
/// How much of what an agent says is passed on at a time, in bytes.
const PIECE: usize = 16 << 10;

type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// A session that the Engine knows, until it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    /// What a build names it by.
    pub(super) id: String,
    serving: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Session {
    /// Opens the session that a build needs; `None` where it needs none.
    ///
    /// # Errors
    /// The Engine has no such thing, or does not answer.
    pub(super) async fn of(build: &Arc<Build>, wire: &Wire) -> Result<Option<Self>, WireError> {
        if build.secrets.is_empty() && build.agents.is_empty() {
            return Ok(None);
        }
        let id = format!("{:016x}{:016x}", random(), random());
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "h2c"),
            ("X-Docker-Expose-Session-Uuid", id.as_str()),
            ("X-Docker-Expose-Session-Name", "compose-agent"),
            ("X-Docker-Expose-Session-Grpc-Method", SECRET),
            ("X-Docker-Expose-Session-Grpc-Method", CHECK_AGENT),
            ("X-Docker-Expose-Session-Grpc-Method", FORWARD_AGENT),
        ];
        let upgraded = wire.upgrade("/session", &headers).await.map_err(|error| match error {
            WireError::Refused { status: 404 | 405 | 501, message } => WireError::Refused {
                status: 501,
                message: format!(
                    "this Engine has no BuildKit session, which build.secrets and build.ssh need: {message}"
                ),
            },
            other => other,
        })?;
        let build = Arc::clone(build);
        let serving = tokio::spawn(async move {
            let service = service_fn(move |request| serve(Arc::clone(&build), request));
            let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(upgraded, service);
            // The Engine closes it when it has what it wanted.
            if let Err(error) = connection.await {
                tracing::debug!("a build's session ended: {error}");
            }
        });
        Ok(Some(Self { id, serving }))
    }
}

/// Random enough to be nobody else's.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

async fn serve(build: Arc<Build>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        // `SERVING`
        HEALTH => whole(&[0x08, 0x01]),
        SECRET => match question(request).await.and_then(|id| build.secrets.get(&id).cloned()) {
            Some(secret) => whole(&field(1, secret.expose())),
            None => refused(Code::NotFound),
        },
        CHECK_AGENT => {
            let id = question(request).await.unwrap_or_default();
            if build.agents.contains_key(named(&id)) { whole(&[]) } else { refused(Code::NotFound) }
        }
        FORWARD_AGENT => {
            let id = request.headers().get(AGENT_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
            match build.agents.get(named(id)) {
                Some(socket) => forward(socket, request).await,
                None => refused(Code::NotFound),
            }
        }
        _ => refused(Code::Unimplemented),
    })
}

/// What is meant where a `RUN` names no agent.
fn named(id: &str) -> &str {
    if id.is_empty() { "default" } else { id }
}

/// The id that a message asks for: its first field.
async fn question(request: Request<Incoming>) -> Option<String> {
    let body = Limited::new(request.into_body(), MAX_QUESTION).collect().await.ok()?.to_bytes();
    let message = unframed(&mut BytesMut::from(body)).ok()??;
    let id = Fields(&message).find(|(number, _)| *number == 1).map(|(_, id)| id.to_vec());
    String::from_utf8(id.unwrap_or_default()).ok()
}

fn whole(message: &[u8]) -> Response<Answer> {
    let frames = [Ok(Frame::data(framed(message))), Ok(Code::Ok.trailers())];
    answer(StreamBody::new(stream::iter(frames)).boxed_unsync())
}

fn refused(code: Code) -> Response<Answer> {
    answer(StreamBody::new(stream::iter([Ok(code.trailers())])).boxed_unsync())
}

/// Passes on what a `RUN` and an ssh agent say to each other: messages with one field of bytes, both ways.
async fn forward(socket: &Path, request: Request<Incoming>) -> Response<Answer> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(
                "a build asks for the ssh agent {}, which does not answer: {error}",
                socket.display()
            );
            return refused(Code::Unavailable);
        }
    };
    let (said, asked) = stream.into_split();
    tokio::spawn(pass_on(request.into_body(), asked));
    let frames = pieces(said).map(|piece| Ok(Frame::data(framed(&field(1, &piece)))));
    answer(StreamBody::new(frames.chain(stream::iter([Ok(Code::Ok.trailers())]))).boxed_unsync())
}

async fn pass_on(mut body: Incoming, mut agent: OwnedWriteHalf) {
    let mut come = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        come.extend(frame.into_data().ok());
        while let Ok(Some(message)) = unframed(&mut come) {
            for (_, bytes) in Fields(&message) {
                if agent.write_all(bytes).await.is_err() {
                    return;
                }
            }
        }
    }
    // Dropping it says that nobody asks any more.
}

fn pieces(agent: OwnedReadHalf) -> impl stream::Stream<Item = Vec<u8>> {
    stream::unfold(agent, |mut agent| async move {
        let mut piece = vec![0; PIECE];
        let length = agent.read(&mut piece).await.ok().filter(|length| *length > 0)?;
        piece.truncate(length);
        Some((piece, agent))
    })
}
