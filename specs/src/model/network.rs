//! What is a network, and a service's place in one?

use std::collections::BTreeMap;

use super::Extensions;
use crate::{Text, doc::Key};

/// A top-level network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Network {
    /// The Engine's name.
    pub name: Text,
    /// The driver.
    pub driver: Text,
    /// Its options.
    pub driver_opts: BTreeMap<Key, Text>,
    /// Address management; printed as `{}` where empty.
    pub ipam: Ipam,
    /// Made by somebody else.
    pub external: bool,
    /// No way out.
    pub internal: bool,
    /// Containers outside the project may join.
    pub attachable: bool,
    /// The labels.
    pub labels: BTreeMap<Key, Text>,
    /// IPv4 on or off.
    pub enable_ipv4: Option<bool>,
    /// IPv6 on or off.
    pub enable_ipv6: Option<bool>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `ipam`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ipam {
    /// The driver.
    pub driver: Text,
    /// The pools.
    pub config: Vec<IpamPool>,
    /// The driver's options: in the schema, and dropped by Compose 2.40's model.
    pub options: BTreeMap<Key, Text>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `ipam.config[]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IpamPool {
    /// The subnet.
    pub subnet: Text,
    /// The gateway.
    pub gateway: Text,
    /// The range for containers.
    pub ip_range: Text,
    /// Reserved addresses.
    pub aux_addresses: BTreeMap<Key, Text>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `services.*.networks.*`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceNetwork {
    /// Further names of the container in this network.
    pub aliases: Vec<Text>,
    /// Options for the driver.
    pub driver_opts: BTreeMap<Key, Text>,
    /// Which network gives the default route: highest wins.
    pub gw_priority: i64,
    /// The interface's name in the container.
    pub interface_name: Text,
    /// The static address.
    pub ipv4_address: Text,
    /// The static address.
    pub ipv6_address: Text,
    /// Link-local addresses.
    pub link_local_ips: Vec<Text>,
    /// The MAC address.
    pub mac_address: Text,
    /// The order of connecting: highest first.
    pub priority: i64,
    /// `x-…`.
    pub extensions: Extensions,
}
