//! How does a message reach an address of this machine?

use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::spawn_local};

use super::{
    message::{Message, Shape},
    url::Url,
};

/// What became of a try.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// It may succeed later.
    #[error("{0}")]
    Retry(String),
    /// It will not.
    #[error("{0}")]
    Never(String),
}

/// Sends a message once.
pub(super) async fn send(
    url: &Url,
    shape: Shape,
    token: Option<&str>,
    message: &Message,
) -> Result<(), Failed> {
    let retry = |error: &dyn std::fmt::Display| Failed::Retry(error.to_string());
    let stream = TcpStream::connect(&url.authority).await.map_err(|error| retry(&error))?;
    let connection = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connection.map_err(|error| retry(&error))?;
    let driven = spawn_local(connection);
    let answer = sender.send_request(request(url, shape, token, message)?).await;
    driven.abort();
    let status = answer.map_err(|error| retry(&error))?.status();
    let words = format!("HTTP {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        408 | 429 | 500.. => Err(Failed::Retry(words)),
        _ => Err(Failed::Never(words)),
    }
}

fn request(
    url: &Url,
    shape: Shape,
    token: Option<&str>,
    message: &Message,
) -> Result<Request<Full<Bytes>>, Failed> {
    // Matrix tells a repeated message by the last part of its address.
    let (method, path) = match shape {
        Shape::Matrix => (Method::PUT, format!("{}/{}", url.path.trim_end_matches('/'), unique())),
        _ => (Method::POST, url.path.clone()),
    };
    let mut request = Request::builder().method(method).uri(path).header(HOST, &url.authority);
    for (name, value) in message.headers(shape) {
        request = request.header(name, value);
    }
    if let Some(token) = token {
        let (name, value) = Message::authorization(shape, token);
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(message.body(shape)));
    request
        .body(body)
        .map_err(|_| Failed::Never("the address or the token has letters that HTTP does not".into()))
}

fn unique() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
