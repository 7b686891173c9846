//! How does a stack stand: what is said about it to people and programs?
//!
//! These types are the JSON of `agentctl status --json`, version [`VERSION`]: fields are added, never changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    drift::Drift,
    ids::{ContainerId, Generation, ProjectName, ServiceName, StackName, Time},
};

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// The whole host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostStatus {
    /// [`VERSION`].
    pub version: u32,
    /// This host's name in owner labels.
    pub host: String,
    /// The profile as configured.
    pub profile: String,
    /// What it resolves to, where it does.
    pub generation: Option<Generation>,
    /// When the agent first saw that generation.
    pub generation_since: Option<Time>,
    /// Why the profile cannot be read, where it cannot.
    pub profile_error: Option<String>,
    /// Whether the Engine answers, and if not, why.
    pub engine: EngineStatus,
    /// The worst of its stacks.
    pub phase: Phase,
    /// Every stack that is declared or still owned, by name.
    pub stacks: Vec<StackStatus>,
    /// What concerns the host as a whole (collisions between stacks, a guard that holds removals back).
    pub notes: Vec<String>,
}

/// The Engine as last seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EngineStatus {
    /// It answered.
    pub reachable: bool,
    /// `28.5.2`.
    pub version: String,
    /// `1.51`.
    pub api: String,
    /// Why it does not answer.
    pub error: Option<String>,
}

/// One stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StackStatus {
    /// The stack.
    pub name: StackName,
    /// Its project.
    pub project: ProjectName,
    /// The generation that it was last reconciled to.
    pub generation: Option<Generation>,
    /// How it stands.
    pub phase: Phase,
    /// Since when.
    pub since: Time,
    /// What failed it, where that asks for another remedy than the spec does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_by: Option<FailedBy>,
    /// One line that says why it is in this phase.
    pub reason: String,
    /// Whether the last pass did all that it wanted to; apart from health.
    pub applied: bool,
    /// The worst health of its containers.
    pub health: HealthSummary,
    /// Its services.
    pub services: Vec<ServiceStatus>,
    /// What differs now.
    pub drift: Vec<OpenDrift>,
    /// What is waited for.
    pub waiting: Vec<WaitStatus>,
    /// What takes a while and is being done now.
    #[serde(default)]
    pub progress: Vec<Progress>,
    /// Warnings of the load, settings that are not acted on.
    pub notes: Vec<String>,
    /// When the stack is looked at again at the latest.
    pub next_wake: Option<Time>,
    /// When the last pass ended.
    pub last_pass: Option<Time>,
}

/// How a stack stands. Ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Everything declared runs as declared; a pass has nothing to do.
    Converged,
    /// An operator's hold keeps the agent's hands off; differences are reported.
    Held,
    /// Steps were done and their effect (a health check, a dependency) is not in yet.
    Working,
    /// Something outside must happen first: `waiting` says what.
    Waiting,
    /// It differs, and policy says to report, not to correct.
    Drifted,
    /// The Engine or the profile cannot be asked: nothing is known, nothing is done.
    Unknown,
    /// Corrections keep coming back: somebody else manages it too.
    Contested,
    /// The spec does not load, a secret cannot be read, or a step failed.
    Failed,
}

impl Phase {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Held => "held",
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Drifted => "drifted",
            Self::Unknown => "unknown",
            Self::Contested => "contested",
            Self::Failed => "failed",
        }
    }
}

/// What fails a stack beside its spec and the Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailedBy {
    /// An encrypted file that cannot be opened, or does not have what is asked of it.
    Secrets,
}

impl StackStatus {
    /// The phase for people: `failed(secrets)`.
    pub fn phase_in_words(&self) -> &'static str {
        match (self.phase, self.failed_by) {
            (Phase::Failed, Some(FailedBy::Secrets)) => "failed(secrets)",
            (phase, _) => phase.as_str(),
        }
    }
}

/// The health of a stack or service, from its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthSummary {
    /// Every check passes.
    Healthy,
    /// Nothing has a check; everything that should run runs.
    Running,
    /// A one-shot that ended well.
    Completed,
    /// A check has not answered yet.
    Starting,
    /// A check fails.
    Unhealthy,
    /// Something does not run.
    Down,
    /// Not known.
    Unknown,
}

impl HealthSummary {
    /// All of them, the best first.
    pub const ALL: [Self; 7] = [
        Self::Healthy,
        Self::Running,
        Self::Completed,
        Self::Starting,
        Self::Unhealthy,
        Self::Down,
        Self::Unknown,
    ];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its key.
    pub name: ServiceName,
    /// How many containers are declared.
    pub replicas: u32,
    /// Its health.
    pub health: HealthSummary,
    /// Its containers.
    pub containers: Vec<ContainerStatus>,
    /// What it needs: `started`, `healthy` or `completed`.
    #[serde(default)]
    pub depends_on: BTreeMap<ServiceName, String>,
    /// The networks that it joins, by the Engine's names.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: ContainerId,
    /// `running`, `exited` …
    pub state: String,
    /// `healthy` …, where it has a check.
    pub health: Option<String>,
    /// The image reference.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// The registry's digest of it, `nginx@sha256:…`, where it came from one.
    #[serde(default)]
    pub image_digest: Option<String>,
    /// When it last started.
    pub started_at: Option<Time>,
    /// The last exit status, where it has ended.
    pub exit_code: Option<i64>,
}

/// A difference that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDrift {
    /// The difference.
    #[serde(flatten)]
    pub drift: Drift,
    /// Since when.
    pub since: Time,
    /// `correcting`, `waiting: …`, `left: …`, `refused: …`.
    pub verdict: String,
}

/// How far something that takes a while has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// `pull image nginx:1.27`
    pub what: String,
    /// `3 of 5 layers, 12.5 of 80.1 MB`
    pub how_far: String,
    /// Since when.
    pub since: Time,
}

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitStatus {
    /// `mount`, `image`, `dependency` …
    pub on: String,
    /// In words.
    pub what: String,
    /// Since when.
    pub since: Time,
    /// When it is tried again.
    pub retry_at: Option<Time>,
}

/// What the journal says once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: Time,
    /// The stack.
    pub stack: StackName,
    /// What happened.
    pub event: TransitionEvent,
    /// The difference that it is about, where it is about one.
    pub drift: Option<Drift>,
    /// One line for people.
    pub message: String,
    /// The generation then.
    pub generation: Option<Generation>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransitionEvent {
    /// A difference was found.
    Found,
    /// It was put right by the agent.
    Corrected,
    /// It went away by itself.
    Gone,
    /// Putting it right failed.
    Failed,
    /// A step was done.
    Done,
    /// The stack's phase changed.
    Phase,
    /// Waiting began.
    Waiting,
    /// A stack is as a generation declares it, and runs these images: said for each generation, and each newer image.
    Generation,
    /// Something to know that changes nothing.
    Note,
    /// The cause of a difference that was found without one is known now.
    Explained,
}

impl TransitionEvent {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Corrected => "corrected",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::Phase => "phase",
            Self::Waiting => "waiting",
            Self::Generation => "generation",
            Self::Note => "note",
            Self::Explained => "explained",
        }
    }
}
