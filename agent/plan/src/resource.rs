//! What are a network, a volume and an image, in the form in which desired and observed meet?

use std::collections::BTreeMap;

use specs::{Text, doc::Key};

use crate::{
    container::Healthcheck,
    ids::{ImageId, ProjectName},
};

/// A network as the Engine would be told to make it (`NetworkCreate`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NetworkSpec {
    /// The Engine's name.
    pub name: String,
    /// Empty is the Engine's default.
    pub driver: Option<Text>,
    /// The driver's options.
    pub driver_opts: BTreeMap<Key, Text>,
    /// The IPAM driver.
    pub ipam_driver: Option<Text>,
    /// The IPAM driver's options.
    pub ipam_options: BTreeMap<Key, Text>,
    /// The address pools.
    pub pools: Vec<Pool>,
    /// No way out.
    pub internal: bool,
    /// Containers outside the stack may join.
    pub attachable: bool,
    /// `None`: the Engine's default.
    pub enable_ipv4: Option<bool>,
    /// `None`: the Engine's default.
    pub enable_ipv6: Option<bool>,
    /// The user's labels.
    pub labels: BTreeMap<Key, Text>,
}

/// One IPAM pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Pool {
    /// `172.28.0.0/16`.
    pub subnet: String,
    /// The gateway; empty: the Engine chooses.
    pub gateway: String,
    /// The range for containers; empty: the whole subnet.
    pub ip_range: String,
    /// Reserved addresses.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A volume as the Engine would be told to make it (`VolumeCreate`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VolumeSpec {
    /// The Engine's name.
    pub name: String,
    /// Empty is `local`.
    pub driver: Option<Text>,
    /// The driver's options.
    pub driver_opts: BTreeMap<Key, Text>,
    /// The user's labels.
    pub labels: BTreeMap<Key, Text>,
}

/// A network that the Engine has.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedNetwork {
    /// The Engine's id.
    pub id: String,
    /// Its description; `name` is [`NetworkSpec::name`].
    pub spec: NetworkSpec,
    /// Its labels, parsed.
    pub owner: Owner,
    /// Compose's key of it.
    pub key: Option<String>,
}

/// A volume that the Engine has.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedVolume {
    /// Its description; `name` is [`VolumeSpec::name`].
    pub spec: VolumeSpec,
    /// Its labels, parsed.
    pub owner: Owner,
    /// Compose's key of it.
    pub key: Option<String>,
}

/// Whose an object is, as its labels say it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// `com.docker.compose.project` (or Podman's family of labels).
    pub project: Option<ProjectName>,
    /// `agentctl.owner`, `<host>/<stack>`: the agent made it.
    pub agent: Option<String>,
    /// `com.docker.compose.config-hash`.
    pub config_hash: Option<String>,
}

/// An image that the Engine has, and what it says of containers made from it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageFacts {
    /// The image's id.
    pub id: Option<ImageId>,
    /// `RepoDigests`.
    pub digests: Vec<String>,
    /// `Config.Cmd`.
    pub command: Vec<String>,
    /// `Config.Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Config.Env`.
    pub environment: BTreeMap<String, String>,
    /// `Config.Labels`.
    pub labels: BTreeMap<String, String>,
    /// `Config.ExposedPorts`.
    pub exposed_ports: Vec<String>,
    /// `Config.Volumes`: targets of anonymous volumes.
    pub volumes: Vec<String>,
    /// `Config.User`.
    pub user: String,
    /// `Config.WorkingDir`.
    pub working_dir: String,
    /// `Config.StopSignal`.
    pub stop_signal: String,
    /// `Config.Healthcheck`.
    pub healthcheck: Option<Healthcheck>,
    /// `linux/amd64`.
    pub platform: String,
    /// `Created`, or when it was last tagged where the Engine says so.
    pub tagged_at: Option<crate::ids::Time>,
}
