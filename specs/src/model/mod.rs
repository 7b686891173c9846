//! What does a project consist of, field for field as the Compose Specification has it?
//!
//! The typed end of the load pipeline. Every enabled and disabled service, network, volume, config, secret and model is
//! here with every field of the current specification, whether the agent acts on it or not, so that
//! [`crate::canonical`] can print the project as Docker Compose prints it. `Option` keeps "not given" apart from a zero
//! where Compose does; a bare value is left out of the output when it is empty.

mod build;
mod deploy;
mod mount;
mod network;
mod scalars;
mod service;

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    Text,
    doc::{Key, Node},
    settings::AgentSettings,
};

pub use build::{Build, BuildSecret, SshKey};
pub use deploy::{
    Deploy, DeviceRequest, GenericResource, Placement, ResourceLimits, Resources, RestartPolicy, UpdateConfig,
};
pub use mount::{BindOptions, FileReference, ImageOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};
pub use network::{Ipam, IpamPool, Network, ServiceNetwork};
pub use scalars::{Bytes, Duration, FileMode};
pub use service::{
    BlkioConfig, CredentialSpec, Dependency, DependencyCondition, Develop, Device, EnvFile, Healthcheck,
    Hook, Logging, ModelUse, Port, Provider, Service, ThrottleDevice, Ulimit, Watch, WatchExec, WeightDevice,
};

/// The `x-…` keys of a mapping, untouched.
pub type Extensions = BTreeMap<Key, Node>;

/// A loaded project: <https://github.com/compose-spec/compose-spec/blob/main/spec.md>.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Project {
    /// The project name, normalised.
    pub name: String,
    /// The absolute project folder.
    pub working_dir: PathBuf,
    /// The absolute paths of the compose files, in the order of merging.
    pub compose_files: Vec<PathBuf>,
    /// The `--env-file`s, where any were given.
    pub environment_files: Vec<PathBuf>,
    /// The enabled services.
    pub services: BTreeMap<Key, Service>,
    /// The services whose profiles are not active: not made, and not orphans either.
    pub disabled_services: BTreeMap<Key, Service>,
    /// The networks.
    pub networks: BTreeMap<Key, Network>,
    /// The volumes.
    pub volumes: BTreeMap<Key, Volume>,
    /// The secrets.
    pub secrets: BTreeMap<Key, FileObject>,
    /// The configs.
    pub configs: BTreeMap<Key, FileObject>,
    /// The AI models.
    pub models: BTreeMap<Key, Model>,
    /// Top-level `x-…`.
    pub extensions: Extensions,
    /// The agent's own settings, from `x-agent`.
    pub settings: AgentSettings,
}

/// A top-level volume.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Volume {
    /// The Engine's name.
    pub name: Text,
    /// The driver.
    pub driver: Text,
    /// Its options.
    pub driver_opts: BTreeMap<Key, Text>,
    /// Made by somebody else.
    pub external: bool,
    /// The labels.
    pub labels: BTreeMap<Key, Text>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// A top-level secret or config.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FileObject {
    /// The name.
    pub name: Text,
    /// The file that holds it.
    pub file: Text,
    /// The variable that holds it.
    pub environment: Text,
    /// The content, given here (configs), or resolved from [`Self::environment`].
    pub content: Option<Text>,
    /// Made by somebody else.
    pub external: bool,
    /// The labels.
    pub labels: BTreeMap<Key, Text>,
    /// The driver (secrets).
    pub driver: Text,
    /// Its options.
    pub driver_opts: BTreeMap<Key, Text>,
    /// The template driver.
    pub template_driver: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// A top-level AI model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// The name.
    pub name: Text,
    /// The model's reference.
    pub model: Text,
    /// The context size.
    pub context_size: i64,
    /// Flags for the runtime.
    pub runtime_flags: Vec<Text>,
    /// `x-…`.
    pub extensions: Extensions,
}
