//! What can be mounted into a container, and how?

use std::collections::BTreeMap;

use super::{Bytes, Extensions, FileMode};
use crate::{Text, doc::Key};

/// One entry of `services.*.volumes`, in its long form.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mount {
    /// `type`.
    pub kind: MountKind,
    /// Path, volume key, or image.
    pub source: Text,
    /// Where in the container.
    pub target: Text,
    /// Read-only.
    pub read_only: bool,
    /// The consistency hint.
    pub consistency: Text,
    /// Options of a bind.
    pub bind: Option<BindOptions>,
    /// Options of a volume.
    pub volume: Option<VolumeOptions>,
    /// Options of a tmpfs.
    pub tmpfs: Option<TmpfsOptions>,
    /// Options of an image mount.
    pub image: Option<ImageOptions>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `volumes[].type`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MountKind {
    /// A path of the host.
    #[default]
    Bind,
    /// A volume.
    Volume,
    /// Memory.
    Tmpfs,
    /// A Windows pipe.
    Npipe,
    /// A cluster volume.
    Cluster,
    /// An image's files.
    Image,
}

impl MountKind {
    /// Compose's word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Npipe => "npipe",
            Self::Cluster => "cluster",
            Self::Image => "image",
        }
    }
}

/// `volumes[].bind`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BindOptions {
    /// `z` or `Z`.
    pub selinux: Text,
    /// `rprivate` …
    pub propagation: Text,
    /// Make a missing source.
    pub create_host_path: bool,
    /// `enabled`, `disabled`, `writable`, `readonly`.
    pub recursive: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `volumes[].volume`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VolumeOptions {
    /// Labels of the volume that is made.
    pub labels: BTreeMap<Key, Text>,
    /// Do not copy the image's files into a new volume.
    pub nocopy: bool,
    /// A folder of the volume.
    pub subpath: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `volumes[].tmpfs`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TmpfsOptions {
    /// The size.
    pub size: Bytes,
    /// The mode; a plain number in the output.
    pub mode: u32,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `volumes[].image`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageOptions {
    /// A folder of the image.
    pub subpath: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// One entry of `services.*.secrets` or `services.*.configs`, in its long form.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FileReference {
    /// The top-level key.
    pub source: Text,
    /// Where in the container.
    pub target: Text,
    /// The owner.
    pub uid: Text,
    /// The group.
    pub gid: Text,
    /// The mode.
    pub mode: Option<FileMode>,
    /// `x-…`.
    pub extensions: Extensions,
}
