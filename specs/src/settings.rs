//! What does an operator tell the agent about a stack, beside what Compose knows?
//!
//! The top-level extension `x-agent` of a compose file, which Docker Compose ignores; the same keys in the profile's
//! `agent.yaml` are the defaults of all stacks.
//!
//! | key | value | default |
//! |---|---|---|
//! | `env_files` | paths of dotenv files for `${…}`, encrypted or not, relative to the stack | none |
//! | `requires_mounts` | host paths that must lie on a mounted file system: a path, or `{path, type, optional}` | none |
//! | `drift` | `correct`, `report` or `ignore`; or `{default, kinds: {KIND: …}, services: {NAME: …}, ignore: [FIELD, …]}` | `correct` |
//! | `update` | `{keep_old: bool, order: auto\|start-first\|stop-first, monitor: DURATION, rollback: bool}` | `{true, auto, 10s, true}` |
//! | `on_secret_change` | `recreate`, `restart`, `signal:NAME` or `none`; or a map by service | `recreate` |
//! | `images` | image archives to load instead of pulling | none |
//! | `ensure_dirs` | folders to make: `{path, owner, group, mode}` | none |
//! | `health_deadline` | how long a container may be `starting` before that is reported | `2m` |
//! | `unset_variables` | `warn` or `error` for `${VAR}` without a value | `warn` |
//! | `remove_orphans` | remove containers of services that are no longer declared | `true` |
//! | `allow_empty` | (`agent.yaml` only) a profile without stacks removes them all | `false` |

use std::collections::BTreeMap;

use crate::{Text, model::Duration};

/// The settings of one stack, or of the host.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSettings {
    /// Dotenv files for interpolation.
    pub env_files: Vec<Text>,
    /// Mounts to wait for.
    pub requires_mounts: Vec<RequiredMount>,
    /// What to do about differences.
    pub drift: DriftPolicy,
    /// How a container is replaced.
    pub update: UpdatePolicy,
    /// What a changed secret does to its consumers; the empty key is the default.
    pub on_secret_change: BTreeMap<String, SecretChange>,
    /// Image archives.
    pub images: Vec<Text>,
    /// Folders to make.
    pub ensure_dirs: Vec<EnsuredFolder>,
    /// How long `starting` is fine.
    pub health_deadline: Duration,
    /// Whether an unset variable is an error.
    pub unset_variables: UnsetVariables,
    /// Whether containers of undeclared services go.
    pub remove_orphans: bool,
    /// Whether an empty profile removes every stack.
    pub allow_empty: bool,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            env_files: Vec::new(),
            requires_mounts: Vec::new(),
            drift: DriftPolicy::default(),
            update: UpdatePolicy::default(),
            on_secret_change: BTreeMap::new(),
            images: Vec::new(),
            ensure_dirs: Vec::new(),
            health_deadline: Duration(120_000_000_000),
            unset_variables: UnsetVariables::Warn,
            remove_orphans: true,
            allow_empty: false,
        }
    }
}

/// `requires_mounts[]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequiredMount {
    /// The path.
    pub path: String,
    /// The file system's type, `nfs4`; `None`: any.
    pub fs_type: Option<String>,
    /// Reported where missing, and not waited for.
    pub optional: bool,
}

/// `drift`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DriftPolicy {
    /// Where nothing else is said.
    pub default: DriftAction,
    /// By kind (`stopped`, `altered` …).
    pub kinds: BTreeMap<String, DriftAction>,
    /// By service.
    pub services: BTreeMap<String, DriftAction>,
    /// Fields that never count, `environment.TZ` or `web.labels`.
    pub ignore: Vec<String>,
}

/// What is done about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum DriftAction {
    /// Put it right.
    #[default]
    Correct,
    /// Say it, and leave it.
    Report,
    /// Leave it, silently.
    Ignore,
}

/// `update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePolicy {
    /// Keep the old container, stopped, until the new one has proven itself.
    pub keep_old: bool,
    /// Which of the two runs first.
    pub order: UpdateOrder,
    /// How long a container without a health check must stay up to count as proven.
    pub monitor: Duration,
    /// Start the old one again where the new one fails.
    pub rollback: bool,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        Self { keep_old: true, order: UpdateOrder::Auto, monitor: Duration(10_000_000_000), rollback: true }
    }
}

/// `update.order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum UpdateOrder {
    /// Start-first where no port, name or volume stands against it and the file asks for it.
    #[default]
    Auto,
    /// Start the new one, then stop the old.
    StartFirst,
    /// Stop the old one, then start the new.
    StopFirst,
}

/// `on_secret_change`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SecretChange {
    /// Make the container anew.
    #[default]
    Recreate,
    /// Restart it: enough for mounted files.
    Restart,
    /// Send it a signal.
    Signal(String),
    /// Nothing.
    Nothing,
}

/// `ensure_dirs[]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnsuredFolder {
    /// The absolute path.
    pub path: String,
    /// A user's name or number.
    pub owner: Option<String>,
    /// A group's name or number.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// `unset_variables`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum UnsetVariables {
    /// Say it.
    #[default]
    Warn,
    /// Refuse the stack.
    Error,
}
