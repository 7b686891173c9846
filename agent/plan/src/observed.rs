//! What did the Engine say, all at one time?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    container::ContainerSpec,
    ids::{ContainerId, ImageId, Replica, StackName, Time},
    resource::{ImageFacts, ObservedNetwork, ObservedVolume, Owner},
};

/// One snapshot of everything on the Engine that may matter: ours and foreign; several claimants of a name all kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// Which Engine.
    pub engine: EngineFacts,
    /// All containers; each is kept as long as it stays as it is.
    pub containers: Vec<Arc<ObservedContainer>>,
    /// All networks.
    pub networks: Vec<ObservedNetwork>,
    /// All volumes.
    pub volumes: Vec<ObservedVolume>,
    /// Images by every reference that was asked for, and by id for those that containers run; absent: not on the Engine.
    pub images: BTreeMap<String, ImageFacts>,
    /// When.
    pub taken_at: Time,
}

impl Observed {
    /// All containers.
    pub fn containers(&self) -> impl Iterator<Item = &ObservedContainer> {
        self.containers.iter().map(|container| &**container)
    }
}

/// What kind of Engine it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineFacts {
    /// `28.5.2`.
    pub version: String,
    /// The API version in use, as `(1, 51)`.
    pub api: (u32, u32),
    /// Podman's Docker-compatible service.
    pub podman: bool,
    /// A user's own, without root's rights.
    pub rootless: bool,
    /// 1 or 2.
    pub cgroup_version: u8,
    /// `runc`.
    pub default_runtime: String,
    /// `json-file`.
    pub default_log_driver: String,
    /// Containers survive the daemon's restart.
    pub live_restore: bool,
    /// Distinguishes one life of the Engine from the next, where it can be told.
    pub started: Option<String>,
    /// Where it looks for specifications of CDI devices; none where it knows nothing of them.
    pub cdi_spec_dirs: Vec<PathBuf>,
    /// Limits that this kernel cannot enforce: the Engine drops them when it makes a container.
    pub unsupported: BTreeSet<Limit>,
}

/// A limit that not every kernel can enforce (the `*Limit` flags of the Engine's `info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// `MemoryLimit`.
    Memory,
    /// `SwapLimit`.
    Swap,
    /// Swappiness: cgroup 1 only.
    Swappiness,
    /// `CpuCfsQuota` and `CpuCfsPeriod`.
    CpuQuota,
    /// `CPUShares`.
    CpuShares,
    /// `CPUSet`.
    Cpuset,
    /// `PidsLimit`.
    Pids,
    /// `OomKillDisable`.
    OomKillDisable,
    /// Block device weights and throttles.
    BlkioWeight,
}

/// One container.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// The id.
    pub id: ContainerId,
    /// The name without its slash.
    pub name: String,
    /// What its labels say.
    pub labels: ComposeLabels,
    /// What it does.
    pub state: ContainerState,
    /// What it is.
    pub spec: ContainerSpec,
    /// The image that it was made from.
    pub image_id: ImageId,
    /// Network ids by the Engine's network name, as attached now.
    pub attached: BTreeMap<String, String>,
    /// Volumes without a declared source: target → the Engine's volume name.
    pub anonymous_volumes: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: Time,
}

/// The labels of a container that Docker Compose and the agent understand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComposeLabels {
    /// Project, agent's owner label, hash.
    pub owner: Owner,
    /// Service and number.
    pub replica: Option<Replica>,
    /// `oneoff`: made by `docker compose run`.
    pub oneoff: bool,
    /// `com.docker.compose.image`.
    pub image: Option<String>,
    /// `com.docker.compose.replace`: made to take another's place.
    pub replaces: Option<String>,
    /// `agentctl.digest.*`.
    pub digests: BTreeMap<String, String>,
    /// All of them, for what is rarely asked.
    pub all: BTreeMap<String, String>,
}

impl ComposeLabels {
    /// The stack of this agent's that the container belongs to, where the owner label is `<host>/<stack>`.
    pub fn stack_of(&self, host: &str) -> Option<StackName> {
        self.owner.agent.as_deref()?.strip_prefix(host)?.strip_prefix('/').map(StackName::from)
    }
}

/// What a container does (`State` of the Engine's inspect).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerState {
    /// Its state.
    pub status: RunState,
    /// Its health, where it has a check.
    pub health: Option<Health>,
    /// The end of the last check's output, for people.
    pub health_output: String,
    /// The last exit status.
    pub exit_code: i64,
    /// Killed for memory.
    pub oom_killed: bool,
    /// `State.Error`.
    pub error: String,
    /// Its main process, 0 where none.
    pub pid: u32,
    /// How often the Engine restarted it.
    pub restart_count: u32,
    /// When it last started.
    pub started_at: Option<Time>,
    /// When it last ended.
    pub finished_at: Option<Time>,
}

/// `State.Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum RunState {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// Ended.
    Exited,
    /// On its way out.
    Removing,
    /// Could not be removed.
    Dead,
    /// A word that this agent does not know: nothing is decided on it.
    #[default]
    Unknown,
}

impl RunState {
    /// The Engine's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

/// `State.Health.Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Not known yet.
    Starting,
    /// The last check passed.
    Healthy,
    /// Too many checks failed.
    Unhealthy,
}

impl Health {
    /// The Engine's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}
