//! Which ports of the host are taken, at which address and for which protocol?

use std::net::IpAddr;

use crate::model::Port;

/// Host ports of one address and protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPorts {
    address: Option<IpAddr>,
    protocol: String,
    first: u16,
    last: u16,
}

impl HostPorts {
    /// Those that a published port asks for; none where any would do.
    pub fn of(port: &Port) -> Option<Self> {
        Self::read(port.host_ip.expose(), port.published.expose(), port.protocol.expose())
    }

    /// Reads `8080` or `8080-8090` at an address, of which an empty one is every one.
    pub fn read(address: &str, ports: &str, protocol: &str) -> Option<Self> {
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        let address = address.parse().ok();
        (first > 0).then(|| Self { address, protocol: protocol.to_owned(), first, last })
    }

    /// Whether both need the same port. Of a range the Engine takes what is free: only a single one can be taken.
    pub fn clash(&self, other: &Self) -> bool {
        let is_single = |ports: &Self| ports.first == ports.last;
        is_single(self)
            && is_single(other)
            && self.first == other.first
            && self.protocol == other.protocol
            && meet(self.address, other.address)
    }
}

/// Whether two addresses are, or have among them, the same one. None is every address.
fn meet(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    match (a, b) {
        (None, _) | (_, None) => true,
        (Some(a), Some(b)) => {
            a == b || a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified())
        }
    }
}
