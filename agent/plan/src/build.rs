//! What is an image built from?

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::Arc,
};

use specs::Text;
use zeroize::Zeroizing;

/// One build, ready to be handed to the Engine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Build {
    /// The tag that the service uses.
    pub reference: String,
    /// Further tags.
    pub tags: Vec<Text>,
    /// Digest of all that goes into it.
    pub digest: String,
    /// What is sent.
    pub folders: Vec<Folder>,
    /// Files that are sent beside them: name and text.
    pub files: Vec<(String, Text)>,
    /// Which of what is sent is the Dockerfile.
    pub dockerfile: String,
    /// Images that it builds upon.
    pub bases: BTreeSet<String>,
    /// Arguments.
    pub args: BTreeMap<String, Text>,
    /// Labels of the image.
    pub labels: BTreeMap<String, Text>,
    /// The stage to build; empty: the last one.
    pub target: Text,
    /// The network of its `RUN` steps; empty: the Engine's default.
    pub network: Text,
    /// `host:address`.
    pub extra_hosts: Vec<Text>,
    /// Size of `/dev/shm`, in bytes; 0: the Engine's default.
    pub shm_size: i64,
    /// Without cached steps.
    pub no_cache: bool,
    /// Base images are pulled anew.
    pub pull: bool,
    /// Images whose steps may be taken over.
    pub cache_from: Vec<Text>,
    /// `linux/arm64`.
    pub platform: Option<Text>,
    /// What its `RUN` steps may read, by the id that they ask for. No part of the digest: as with Docker Compose, another
    /// value builds nothing anew.
    pub secrets: BTreeMap<String, SecretBytes>,
    /// The sockets of ssh agents that its `RUN` steps may ask, by id.
    pub agents: BTreeMap<String, PathBuf>,
}

/// A secret that need not be text: wiped when dropped, shown by nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Arc<Zeroizing<Vec<u8>>>);

impl SecretBytes {
    /// Of these bytes.
    pub fn new(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self(Arc::new(bytes.into()))
    }

    /// The bytes, for whoever must have them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(specs::MASK)
    }
}

/// A folder of the host that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// Where its content is put in the context; empty: at the top.
    pub below: String,
    /// The text of its ignore file.
    pub ignore: String,
}
