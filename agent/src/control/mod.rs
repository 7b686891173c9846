//! How do other programs talk to the daemon?
//!
//! Over a Unix socket with the Varlink wire protocol, which systemd's own tools speak: `varlinkctl introspect` and
//! `varlinkctl call` work on it. [`wire`] has the messages, [`server`] the connections, [`access`] who may do what,
//! [`client`] the other end, [`socket`] where it lies. What the methods do is the daemon's business.

pub mod access;
pub mod client;
pub mod server;
pub mod socket;
pub mod wire;

/// The agent's interface.
pub const INTERFACE: &str = "io.compose-agent.Control";
/// Its description, as `varlinkctl introspect` prints it.
pub const DESCRIPTION: &str = include_str!("../../interface/io.compose-agent.Control.varlink");
/// Where the daemon listens by default.
pub const SOCKET: &str = "/run/compose-agent/control.sock";
