//! What is to be done, why, and in which order?
//!
//! A [`Plan`] is so specific that performing it has no choices left: one [`Act`] is one call of the Engine. There is no
//! act that removes a volume: what must never happen has no name.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use specs::Text;

use crate::{
    build::Build,
    container::{ContainerSpec, CopiedFile, Endpoint, Resources, RestartPolicy},
    desired::Login,
    drift::{Drift, Subject},
    ids::{ContainerId, Replica, ServiceName},
    resource::{NetworkSpec, VolumeSpec},
};

/// A step's number within its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u32);

/// What to do for one stack, and what was found about everything that differs.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In an order that respects [`Step::after`].
    pub steps: Vec<Step>,
    /// Every difference exactly once, acted on or explained.
    pub findings: Vec<Finding>,
    /// What is to be remembered once it is done.
    pub memos: Vec<Memo>,
}

impl Plan {
    /// The service whose difference a step puts right; `None` where it is nobody's in particular.
    pub fn service_of(&self, step: StepId) -> Option<&ServiceName> {
        let puts_right =
            |finding: &&Finding| matches!(&finding.verdict, Verdict::Act(steps) if steps.contains(&step));
        self.findings.iter().filter(puts_right).find_map(|finding| match &finding.drift.subject {
            Subject::Service { service, .. } => Some(service),
            _ => None,
        })
    }
}

/// Something to remember for the passes after this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memo {
    /// The step that must have succeeded; `None`: it holds whatever becomes of the plan.
    pub step: Option<StepId>,
    /// What it is.
    pub what: Remember,
}

/// What is worth remembering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remember {
    /// A declaration whose container did not prove itself: it is not tried again by itself.
    Rejected {
        /// The replica (`web-1`).
        replica: String,
        /// What was declared, and why it was given up.
        rejection: crate::memory::Rejection,
    },
    /// The replica is as declared: nothing is held against its declaration.
    Settled {
        /// The replica.
        replica: String,
    },
    /// A living container was told of a file's new bytes.
    Delivered {
        /// Its id.
        container: ContainerId,
        /// The digest label's key.
        key: String,
        /// The digest of what it was told of.
        digest: String,
    },
    /// An image came to the Engine; its id is what the step has made.
    Brought {
        /// How, and for what.
        brought: crate::memory::Brought,
    },
    /// An image that the agent brought is used again, or is not used any more.
    Unused {
        /// Its id.
        image: String,
        /// Since when.
        since: Option<crate::ids::Time>,
    },
    /// An image that the agent brought is not on the Engine any more.
    Forgotten {
        /// Its id.
        image: String,
    },
    /// An image that somebody else has built is taken as it is.
    AdoptedBuild {
        /// The reference.
        reference: String,
        /// The digest of what it would be built from then.
        digest: String,
    },
    /// An image was fetched because its `pull_policy` said so.
    Pulled {
        /// The reference.
        reference: String,
        /// For which generation, and when.
        pull: crate::memory::Pull,
    },
}

/// One call of the Engine with its cause.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// The call.
    pub act: Act,
    /// Why, in one line that names a field and a place.
    pub cause: String,
    /// The steps that must be done before; if one fails, this one is skipped.
    pub after: Vec<StepId>,
    /// How long it may take, in milliseconds.
    pub deadline_ms: u64,
    /// Whether a running container is interrupted by it.
    pub interrupts: bool,
}

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

/// One difference and what is made of it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The difference.
    pub drift: Drift,
    /// What is made of it.
    pub verdict: Verdict,
}

/// What is made of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// These steps put it right.
    Act(Vec<StepId>),
    /// It will be put right once something has happened.
    Wait(Wait),
    /// It is left as it is, for a reason.
    Leave(String),
    /// It is no difference that anybody has to mind: shown, and nothing else.
    Note(String),
    /// It cannot be put right without a person.
    Refuse(String),
}

/// What is being waited for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait {
    /// What sort of thing.
    pub on: WaitKind,
    /// In words: `mount /mnt/data (nothing is mounted there)`.
    pub what: String,
    /// When to look again at the latest; `None`: only an event will change it.
    pub retry_at: Option<crate::ids::Time>,
}

/// What sort of thing is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitKind {
    /// The end of what the Engine has begun.
    Engine,
    /// A mount.
    Mount,
    /// A path of the host.
    Path,
    /// A device of the host.
    Device,
    /// An image.
    Image,
    /// A secret.
    Secret,
    /// A network or a volume that somebody else makes.
    External,
    /// Another service's condition.
    Dependency,
    /// A container's health, or its proof that it stays up.
    Health,
    /// The next try after a failure.
    Backoff,
    /// An operator's hold.
    Hold,
    /// Another stack's name or port.
    Conflict,
}

impl WaitKind {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Mount => "mount",
            Self::Path => "path",
            Self::Device => "device",
            Self::Image => "image",
            Self::Secret => "secret",
            Self::External => "external",
            Self::Dependency => "dependency",
            Self::Health => "health",
            Self::Backoff => "backoff",
            Self::Hold => "hold",
            Self::Conflict => "conflict",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done; the id of what was made, where something was.
    Done {
        /// The container's, network's or image's id.
        made: Option<String>,
    },
    /// The Engine refused, or could not be asked.
    Failed {
        /// In words, without a secret.
        error: String,
        /// Whether the same call may succeed later.
        retry: Retry,
    },
    /// A step that it needed did not succeed.
    Skipped {
        /// Which.
        because: StepId,
    },
    /// Its deadline passed; the Engine may still do it.
    TimedOut,
}

/// Whether and when a failed call is worth repeating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    /// At the next pass, at once: the world moved under us.
    Now,
    /// After a while.
    Later,
    /// Not before the declaration changes.
    Never,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Existing { name, .. } => f.write_str(name),
            Self::Made { name, .. } => write!(f, "the new {name}"),
        }
    }
}

impl Act {
    /// The container that it works on, where it is about one that is there or was made before.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::ConnectNetwork { container, .. }
            | Self::DisconnectNetwork { container, .. }
            | Self::CopyFiles { container, .. }
            | Self::StartContainer { container }
            | Self::StopContainer { container, .. }
            | Self::RestartContainer { container, .. }
            | Self::SignalContainer { container, .. }
            | Self::RemoveContainer { container }
            | Self::RenameContainer { container, .. }
            | Self::UpdateContainer { container, .. }
            | Self::UnpauseContainer { container }
            | Self::RunHook { container, .. } => Some(container),
            _ => None,
        }
    }

    /// Whether it brings an image to the Engine.
    pub fn brings_image(&self) -> bool {
        matches!(self, Self::PullImage { .. } | Self::BuildImage { .. } | Self::LoadImage { .. })
    }

    /// The same, to be changed.
    pub(crate) fn target_mut(&mut self) -> Option<&mut Target> {
        match self {
            Self::ConnectNetwork { container, .. }
            | Self::DisconnectNetwork { container, .. }
            | Self::CopyFiles { container, .. }
            | Self::StartContainer { container }
            | Self::StopContainer { container, .. }
            | Self::RestartContainer { container, .. }
            | Self::SignalContainer { container, .. }
            | Self::RemoveContainer { container }
            | Self::RenameContainer { container, .. }
            | Self::UpdateContainer { container, .. }
            | Self::UnpauseContainer { container }
            | Self::RunHook { container, .. } => Some(container),
            _ => None,
        }
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
