//! Where are metrics collected from: at a Unix socket, or at a port of this machine?

use std::{
    io,
    net::{self, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

use crate::{control::socket, exit::Failure};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A port of a loopback address.
    Port(SocketAddr),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            return if path.is_absolute() {
                Ok(Self::Unix(path))
            } else {
                Err(format!("`{}` is no absolute path", path.display()))
            };
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        let port: SocketAddr = text.parse().map_err(|_| {
            format!("`{text}` is neither a path nor an address with a port, such as 127.0.0.1:9323")
        })?;
        if port.ip().is_loopback() {
            return Ok(Self::Port(port));
        }
        Err(format!(
            "{text} is reachable from elsewhere, and nobody is asked who they are there: \
             listen at 127.0.0.1 or [::1], and let a proxy that knows its callers stand before it"
        ))
    }
}

/// Listening.
#[derive(Debug)]
pub enum Listener {
    /// With a path.
    Unix(UnixListener),
    /// With a port.
    Port(TcpListener),
}

/// What both sorts of connection can.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl Listener {
    /// Listens at an address.
    ///
    /// # Errors
    /// Somebody else does, or the system refuses.
    pub fn at(address: &Address) -> Result<Self, Failure> {
        match address {
            // For everybody: it tells names, health and counts, and takes nothing.
            Address::Unix(path) => Ok(Self::Unix(UnixListener::from_std(socket::listen(path, None, true)?)?)),
            Address::Port(port) => {
                let listener = net::TcpListener::bind(port)
                    .with_context(|| format!("cannot serve metrics at {port}"))?;
                listener.set_nonblocking(true)?;
                Ok(Self::Port(TcpListener::from_std(listener)?))
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
            Self::Port(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_or_a_port_of_this_machine_and_nothing_else() {
        assert_eq!("/run/m.sock".parse(), Ok(Address::Unix("/run/m.sock".into())));
        assert_eq!("unix:///run/m.sock".parse(), Ok(Address::Unix("/run/m.sock".into())));
        assert!(matches!("127.0.0.1:9323".parse(), Ok(Address::Port(_))));
        assert!(matches!("[::1]:9323".parse(), Ok(Address::Port(_))));
        for (text, why) in [("0.0.0.0:1", "reachable"), ("9323", "neither"), ("unix:m", "no absolute path")] {
            let refused = text.parse::<Address>().expect_err(text);
            assert!(refused.contains(why), "{refused}");
        }
    }
}
