//! How does a message reach an address of this machine?
//!
//! Plain HTTP, and hence to this machine only: a token that left it unencrypted would be everybody's. What is elsewhere is
//! a `command`'s business, which has curl and its certificates.

use std::{net::IpAddr, time::SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::spawn_local};

use super::{config::Shape, message::Message};

/// `http://HOST[:PORT]/PATH`, of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    authority: String,
    path: String,
}

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

impl Url {
    /// Reads an address.
    ///
    /// # Errors
    /// It is of another sort, or of another machine; in words that do not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let elsewhere = "expected an http:// address of this machine (127.0.0.1, [::1], localhost): \
                         for others let `command` run curl, which does encrypt";
        let rest = text.trim().strip_prefix("http://").ok_or(elsewhere)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let with_port = |port: &str| port.parse::<u16>().is_ok();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if with_port(port) => host,
            _ => authority,
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_own = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !is_own {
            return Err(elsewhere.to_owned());
        }
        let authority = if host == authority { format!("{authority}:80") } else { authority.to_owned() };
        Ok(Self { authority, path: if path.is_empty() { "/".to_owned() } else { path.to_owned() } })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_this_machine() {
        let url = Url::parse("http://127.0.0.1:8080/message").expect("of this machine");
        assert_eq!((url.authority.as_str(), url.path.as_str()), ("127.0.0.1:8080", "/message"));
        let url = Url::parse("http://[::1]").expect("of this machine");
        assert_eq!((url.authority.as_str(), url.path.as_str()), ("[::1]:80", "/"));
        assert!(Url::parse("http://localhost:80/x").is_ok());
        for elsewhere in
            ["https://127.0.0.1/", "http://ntfy.sh/x", "http://127.0.0.1.evil.example/", "ftp://x"]
        {
            let refused = Url::parse(elsewhere).expect_err(elsewhere);
            assert!(refused.contains("curl") && !refused.contains(elsewhere), "{refused}");
        }
    }
}
