//! What can be done with the Engine at all?
//!
//! One [`Act`] is one call, with everything that the call needs. There is no act that removes a volume: what must never
//! happen has no name.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use specs::Text;

use super::StepId;
use crate::{
    build::Build,
    container::{ContainerSpec, CopiedFile, Endpoint, Resources, RestartPolicy},
    desired::Login,
    ids::{ContainerId, Replica},
    resource::{NetworkSpec, VolumeSpec},
};

/// A container that an act works on: one that was there, or one that an earlier step makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// It was observed.
    Existing {
        /// Its id.
        id: ContainerId,
        /// Its name then, for messages.
        name: String,
    },
    /// A [`Act::CreateContainer`] of this plan makes it.
    Made {
        /// Which step.
        step: StepId,
        /// The name that it will have in the end, for messages.
        name: String,
    },
}

/// One call of the Engine.
#[derive(Debug, Clone)]
pub enum Act {
    /// `POST /images/create`.
    PullImage {
        /// The reference.
        reference: String,
        /// `linux/arm64`.
        platform: Option<String>,
        /// Who asks, or why nobody does.
        login: Result<Login, String>,
    },
    /// `POST /build`.
    BuildImage {
        /// From what.
        build: Arc<Build>,
    },
    /// `POST /images/load`.
    LoadImage {
        /// The archive on the host.
        archive: PathBuf,
        /// The tag that it is loaded for.
        reference: String,
    },
    /// `POST /networks/create`.
    CreateNetwork {
        /// Compose's key.
        key: String,
        /// What to make.
        spec: NetworkSpec,
        /// The labels of Compose and of the agent.
        labels: BTreeMap<String, String>,
    },
    /// `DELETE /networks/ID`.
    RemoveNetwork {
        /// The id.
        id: String,
        /// The name, for messages.
        name: String,
    },
    /// `POST /networks/NAME/connect`.
    ConnectNetwork {
        /// The network, by name: an earlier step may have made it anew.
        network: String,
        /// Who joins.
        container: Target,
        /// With which aliases and addresses.
        endpoint: Endpoint,
    },
    /// `POST /networks/NAME/disconnect`.
    DisconnectNetwork {
        /// The network, by name or id.
        network: String,
        /// Who leaves.
        container: Target,
    },
    /// `POST /volumes/create`.
    CreateVolume {
        /// Compose's key.
        key: String,
        /// What to make.
        spec: VolumeSpec,
        /// The labels of Compose and of the agent.
        labels: BTreeMap<String, String>,
    },
    /// `POST /containers/create`.
    CreateContainer(Box<NewContainer>),
    /// `PUT /containers/ID/archive`.
    CopyFiles {
        /// Into which container.
        container: Target,
        /// What.
        files: Vec<CopiedFile>,
    },
    /// `POST /containers/ID/start`.
    StartContainer {
        /// Which.
        container: Target,
    },
    /// `POST /containers/ID/stop`.
    StopContainer {
        /// Which.
        container: Target,
        /// Seconds until it is killed; `None`: the container's own.
        timeout: Option<i64>,
    },
    /// `POST /containers/ID/restart`.
    RestartContainer {
        /// Which.
        container: Target,
        /// Seconds until it is killed; `None`: the container's own.
        timeout: Option<i64>,
    },
    /// `POST /containers/ID/kill` with a signal that does not end it.
    SignalContainer {
        /// Which.
        container: Target,
        /// `SIGHUP`.
        signal: String,
    },
    /// `DELETE /containers/ID`, never with its volumes.
    RemoveContainer {
        /// Which.
        container: Target,
    },
    /// `POST /containers/ID/rename`.
    RenameContainer {
        /// Which.
        container: Target,
        /// The new name.
        name: String,
    },
    /// `POST /containers/ID/update`.
    UpdateContainer {
        /// Which.
        container: Target,
        /// The limits to set.
        resources: Option<Box<Resources>>,
        /// The restart policy to set.
        restart: Option<RestartPolicy>,
    },
    /// `POST /containers/ID/unpause`.
    UnpauseContainer {
        /// Which.
        container: Target,
    },
    /// `POST /containers/ID/exec` and `POST /exec/ID/start`: one lifecycle hook.
    RunHook {
        /// In which container.
        container: Target,
        /// The command and how to run it.
        hook: Hook,
    },
    /// `DELETE /images/NAME`, never by force: an image that the agent brought and that nothing uses any more.
    RemoveImage {
        /// The id.
        id: String,
        /// The reference that it was brought for, for messages.
        reference: String,
        /// What the Engine is asked to remove: the reference, or the id where no name is left. Other names survive.
        name: String,
    },
}

/// One command to run in a container.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hook {
    /// The command.
    pub command: Vec<Text>,
    /// As whom.
    pub user: Option<Text>,
    /// With all capabilities.
    pub privileged: bool,
    /// Where.
    pub working_dir: Option<Text>,
    /// With which further variables, `K=V`.
    pub environment: Vec<Text>,
}

/// All that is needed to make one container.
#[derive(Debug, Clone)]
pub struct NewContainer {
    /// Which place it fills.
    pub replica: Replica,
    /// The name to create it under.
    pub name: String,
    /// What it is; references to services are ids already.
    pub spec: ContainerSpec,
    /// The labels of Compose and of the agent, Compose's hash among them.
    pub labels: BTreeMap<String, String>,
    /// Anonymous volumes to carry over from the container that it replaces: target → (volume name, read-only).
    pub carried_volumes: BTreeMap<String, (String, bool)>,
    /// The name that it replaces (`com.docker.compose.replace`).
    pub replaces: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Existing { name, .. } => f.write_str(name),
            Self::Made { name, .. } => write!(f, "the new {name}"),
        }
    }
}

/// The container that an act works on: shared or to be changed, as the act is.
macro_rules! container {
    ($act:expr) => {
        match $act {
            Act::ConnectNetwork { container, .. }
            | Act::DisconnectNetwork { container, .. }
            | Act::CopyFiles { container, .. }
            | Act::StartContainer { container }
            | Act::StopContainer { container, .. }
            | Act::RestartContainer { container, .. }
            | Act::SignalContainer { container, .. }
            | Act::RemoveContainer { container }
            | Act::RenameContainer { container, .. }
            | Act::UpdateContainer { container, .. }
            | Act::UnpauseContainer { container }
            | Act::RunHook { container, .. } => Some(container),
            _ => None,
        }
    };
}

impl Act {
    /// The container that it works on, where it is about one that is there or was made before.
    pub fn target(&self) -> Option<&Target> {
        container!(self)
    }

    /// Whether it brings an image to the Engine.
    pub fn brings_image(&self) -> bool {
        matches!(self, Self::PullImage { .. } | Self::BuildImage { .. } | Self::LoadImage { .. })
    }

    /// The same, to be changed.
    pub(crate) fn target_mut(&mut self) -> Option<&mut Target> {
        container!(self)
    }
}

impl fmt::Display for Act {
    /// One line for people: verb and object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PullImage { reference, .. } => write!(f, "pull image {reference}"),
            Self::BuildImage { build } => write!(f, "build image {}", build.reference),
            Self::LoadImage { archive, reference } => {
                write!(f, "load image {reference} from {}", archive.display())
            }
            Self::CreateNetwork { spec, .. } => write!(f, "create network {}", spec.name),
            Self::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Self::ConnectNetwork { network, container, .. } => {
                write!(f, "connect {container} to network {network}")
            }
            Self::DisconnectNetwork { network, container } => {
                write!(f, "disconnect {container} from network {network}")
            }
            Self::CreateVolume { spec, .. } => write!(f, "create volume {}", spec.name),
            Self::CreateContainer(new) => write!(f, "create container {}", new.name),
            Self::CopyFiles { container, files } => write!(f, "copy {} files into {container}", files.len()),
            Self::StartContainer { container } => write!(f, "start {container}"),
            Self::StopContainer { container, .. } => write!(f, "stop {container}"),
            Self::RestartContainer { container, .. } => write!(f, "restart {container}"),
            Self::SignalContainer { container, signal } => write!(f, "send {signal} to {container}"),
            Self::RemoveContainer { container } => write!(f, "remove {container}"),
            Self::RenameContainer { container, name } => write!(f, "rename {container} to {name}"),
            Self::UpdateContainer { container, .. } => write!(f, "update {container}"),
            Self::UnpauseContainer { container } => write!(f, "unpause {container}"),
            Self::RunHook { container, .. } => write!(f, "run a hook in {container}"),
            Self::RemoveImage { id, reference, .. } => write!(f, "remove image {reference}, {id}"),
        }
    }
}
