//! How is a service's image built?

use std::collections::BTreeMap;

use super::{Bytes, Extensions, FileReference, Ulimit};
use crate::{Text, doc::Key};

/// `services.*.build`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Build {
    /// The context: a folder or a URL.
    pub context: Text,
    /// The Dockerfile, relative to the context.
    pub dockerfile: Text,
    /// The Dockerfile itself.
    pub dockerfile_inline: Text,
    /// Entitlements.
    pub entitlements: Vec<Text>,
    /// Arguments; `None` is inherited from the environment.
    pub args: BTreeMap<Key, Option<Text>>,
    /// SSH agents and keys.
    pub ssh: Vec<SshKey>,
    /// Labels of the image.
    pub labels: BTreeMap<Key, Text>,
    /// Where to look for cached layers.
    pub cache_from: Vec<Text>,
    /// Where to put them.
    pub cache_to: Vec<Text>,
    /// Build without a cache.
    pub no_cache: bool,
    /// Named contexts.
    pub additional_contexts: BTreeMap<Key, Text>,
    /// Pull base images anew.
    pub pull: bool,
    /// `host:address` for the build.
    pub extra_hosts: BTreeMap<Key, Vec<Text>>,
    /// Windows' isolation.
    pub isolation: Text,
    /// The build's network.
    pub network: Text,
    /// The stage to build.
    pub target: Text,
    /// Secrets of the build.
    pub secrets: Vec<BuildSecret>,
    /// `/dev/shm` of the build.
    pub shm_size: Bytes,
    /// Further names.
    pub tags: Vec<Text>,
    /// Limits of the build.
    pub ulimits: BTreeMap<Key, Ulimit>,
    /// For which platforms.
    pub platforms: Vec<Text>,
    /// All capabilities.
    pub privileged: bool,
    /// Provenance attestation.
    pub provenance: Text,
    /// Software bill of materials.
    pub sbom: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// A secret of a build.
pub type BuildSecret = FileReference;

/// `build.ssh`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SshKey {
    /// The id.
    pub id: Text,
    /// The key's or the agent's path.
    pub path: Text,
}
