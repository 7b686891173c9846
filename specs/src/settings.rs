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
//! | `images` | image archives to load instead of pulling, relative to the stack | none |
//! | `prune_images` | superseded images that the agent brought: `{older_than: DURATION, keep_last: N}`, or `never` | `{168h, 2}` |
//! | `check_registry` | how often the registry is asked whether a tag means another image there; a newer one is reported: a duration, or `never` | `never` |
//! | `registries` | logins by registry: `{HOST: {username, password_file}}` or `{HOST: {identity_token_file}}`; files encrypted or not, relative to the stack | none |
//! | `ensure_dirs` | folders to make: `{path, owner, group, mode}` | none |
//! | `health_deadline` | how long a container may be `starting` before that is reported | `2m` |
//! | `unset_variables` | `warn` or `error` for `${VAR}` without a value | `warn` |
//! | `remove_orphans` | remove containers of services that are no longer declared | `true` |
//! | `allow_empty` | (`agent.yaml` only) a profile without stacks removes them all | `false` |
//! | `notify` | (`agent.yaml` only) whom `agentctl notify` tells of what | nobody |

mod images;

use std::collections::BTreeMap;

use crate::{
    Message, Problem, Text,
    doc::{Node, Path, Value},
    message,
    model::Duration,
    values::{parse_duration, scalar_text},
};

pub use images::{PruneImages, RegistryLogin};

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
    /// When images that the agent brought and that nothing uses any more are removed.
    pub prune_images: PruneImages,
    /// How often a registry is asked what it means by a tag; `None`: never.
    pub check_registry: Option<Duration>,
    /// Logins by registry.
    pub registries: BTreeMap<String, RegistryLogin>,
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
            prune_images: PruneImages::default(),
            check_registry: None,
            registries: BTreeMap::new(),
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

/// The kinds of drift that a policy can be about; `plan` says what each means.
pub const DRIFT_KINDS: [&str; 19] = [
    "missing",
    "stopped",
    "restarting",
    "unhealthy",
    "paused",
    "altered",
    "image",
    "side-file",
    "secret",
    "stale-namespace",
    "stale-mount",
    "stale-bind",
    "options",
    "orphan",
    "foreign-name",
    "unfinished",
    "not-acted-on",
    "hash-only",
    "updated",
];

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
    /// Start-first where no host port, name, address, device or shared data stands against it.
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

/// Reads `x-agent` of a document on top of `settings`, key by key. Mistakes are problems with their places.
pub fn decode(document: &Node, mut settings: AgentSettings, problems: &mut Vec<Problem>) -> AgentSettings {
    if let Some(node) = document.get("x-agent") {
        settings.read(node, &Path::of("x-agent"), problems);
    }
    settings
}

const KEYS: [&str; 15] = [
    "env_files",
    "requires_mounts",
    "drift",
    "update",
    "on_secret_change",
    "images",
    "prune_images",
    "check_registry",
    "registries",
    "ensure_dirs",
    "health_deadline",
    "unset_variables",
    "remove_orphans",
    "allow_empty",
    "notify",
];

impl AgentSettings {
    /// Puts what `node` says on top of these settings.
    pub fn read(&mut self, node: &Node, path: &Path, problems: &mut Vec<Problem>) {
        let Value::Map(fields) = &node.value else {
            problems.push(Problem::error(
                "settings",
                node.span,
                path,
                message!("expected a mapping, found {}", node.kind()),
            ));
            return;
        };
        for (key, entry) in fields {
            if let Err(expected) = self.read_key(key, &entry.node) {
                let at = if KEYS.contains(&&**key) { entry.node.span } else { entry.key };
                problems.push(Problem::error("settings", at, path.key(key), expected));
            }
        }
    }

    fn read_key(&mut self, key: &str, node: &Node) -> Result<(), Message> {
        match key {
            "env_files" => self.env_files = texts(node)?,
            "images" => self.images = texts(node)?,
            "prune_images" => self.prune_images = images::prune_images(node)?,
            "check_registry" => self.check_registry = images::check_registry(node)?,
            "registries" => self.registries = images::registries(node)?,
            "requires_mounts" => self.requires_mounts = list(node, required_mount)?,
            "ensure_dirs" => self.ensure_dirs = list(node, ensured_folder)?,
            "drift" => self.drift = drift_policy(node)?,
            "update" => update_policy(&mut self.update, node)?,
            "on_secret_change" => self.on_secret_change = secret_changes(node)?,
            "health_deadline" => self.health_deadline = duration(node)?,
            "remove_orphans" => self.remove_orphans = flag(node)?,
            "allow_empty" => self.allow_empty = flag(node)?,
            // Whom `agentctl notify` tells: it reads that itself, and no stack fails over a mistake in it.
            "notify" => drop(list(node, |_| Ok(()))?),
            "unset_variables" => {
                self.unset_variables = match word(node)? {
                    "warn" => UnsetVariables::Warn,
                    "error" => UnsetVariables::Error,
                    _ => {
                        return Err(message!("expected warn or error, found '{}'", scalar_text(&node.value)));
                    }
                }
            }
            _ => return Err(message!("unknown setting, expected one of {}", Message::list(&KEYS, ", "))),
        }
        Ok(())
    }
}

fn word(node: &Node) -> Result<&str, Message> {
    node.as_text().map(Text::expose).ok_or_else(|| message!("expected a string, found {}", node.kind()))
}

fn flag(node: &Node) -> Result<bool, Message> {
    match node.value {
        Value::Bool(flag) => Ok(flag),
        _ => Err(message!("expected true or false, found {}", node.kind())),
    }
}

fn duration(node: &Node) -> Result<Duration, Message> {
    parse_duration(word(node)?).map(Duration).ok_or_else(|| "expected a duration such as 1m30s".into())
}

fn texts(node: &Node) -> Result<Vec<Text>, Message> {
    match &node.value {
        Value::Str(text) => Ok(vec![text.clone()]),
        _ => list(node, |item| word(item).map(|_| scalar_text(&item.value))),
    }
}

fn list<T>(node: &Node, read: impl Fn(&Node) -> Result<T, Message>) -> Result<Vec<T>, Message> {
    node.as_seq()
        .ok_or_else(|| message!("expected a list, found {}", node.kind()))?
        .iter()
        .map(read)
        .collect()
}

/// The fields of a mapping, all of which must be among `known`.
fn fields<'n>(node: &'n Node, known: &[&'static str]) -> Result<&'n crate::doc::Map, Message> {
    let map = node.as_map().ok_or_else(|| message!("expected a mapping, found {}", node.kind()))?;
    match map.keys().find(|key| !known.contains(&&***key)) {
        Some(odd) => Err(message!("'{}' is unknown, expected {}", *odd, Message::list(known, ", "))),
        None => Ok(map),
    }
}

fn required_mount(node: &Node) -> Result<RequiredMount, Message> {
    if let Value::Str(path) = &node.value {
        return Ok(RequiredMount { path: path.expose().to_owned(), ..RequiredMount::default() });
    }
    fields(node, &["path", "type", "optional"])?;
    let text = |key: &str| node.get(key).map(|node| word(node).map(str::to_owned)).transpose();
    Ok(RequiredMount {
        path: text("path")?.ok_or("path is missing")?,
        fs_type: text("type")?,
        optional: node.get("optional").map(flag).transpose()?.unwrap_or(false),
    })
}

fn ensured_folder(node: &Node) -> Result<EnsuredFolder, Message> {
    if let Value::Str(path) = &node.value {
        let path = rooted(path.expose().to_owned())?;
        return Ok(EnsuredFolder { path, ..EnsuredFolder::default() });
    }
    fields(node, &["path", "owner", "group", "mode"])?;
    let text = |key: &str| node.get(key).map(|node| scalar_text(&node.value).expose().to_owned());
    let mode = match node.get("mode").map(|mode| &mode.value) {
        None => None,
        Some(Value::Int(mode)) => u32::try_from(*mode).ok(),
        Some(value) => Some(
            u32::from_str_radix(scalar_text(value).expose(), 8)
                .map_err(|_| "expected a mode such as \"0750\"")?,
        ),
    };
    if mode.is_some_and(|mode| mode > 0o7777) {
        return Err("a mode has at most the bits 07777; write it in quotes, such as \"0750\"".into());
    }
    Ok(EnsuredFolder {
        path: rooted(text("path").ok_or("path is missing")?)?,
        owner: text("owner"),
        group: text("group"),
        mode,
    })
}

fn rooted(path: String) -> Result<String, Message> {
    if path.starts_with('/') && path.split('/').all(|part| part != "..") {
        return Ok(path);
    }
    Err("expected a path that begins with / and has no .. in it".into())
}

fn drift_action(node: &Node) -> Result<DriftAction, Message> {
    match word(node)? {
        "correct" => Ok(DriftAction::Correct),
        "report" => Ok(DriftAction::Report),
        "ignore" => Ok(DriftAction::Ignore),
        _ => Err(message!("expected correct, report or ignore, found '{}'", scalar_text(&node.value))),
    }
}

fn drift_policy(node: &Node) -> Result<DriftPolicy, Message> {
    if matches!(node.value, Value::Str(_)) {
        return Ok(DriftPolicy { default: drift_action(node)?, ..DriftPolicy::default() });
    }
    fields(node, &["default", "kinds", "services", "ignore"])?;
    let actions = |key: &str| -> Result<BTreeMap<String, DriftAction>, Message> {
        let map = node.get(key).and_then(Node::as_map);
        map.into_iter()
            .flatten()
            .map(|(name, entry)| Ok((name.expose().to_owned(), drift_action(&entry.node)?)))
            .collect()
    };
    let mut kinds = node.get("kinds").and_then(Node::as_map).into_iter().flatten().map(|(kind, _)| kind);
    if let Some(unknown) = kinds.find(|kind| !DRIFT_KINDS.contains(&kind.expose())) {
        return Err(message!("there is no kind of drift '{}': docs/drift.md has them all", unknown));
    }
    let ignore = node.get("ignore").map(texts).transpose()?.unwrap_or_default();
    Ok(DriftPolicy {
        default: node.get("default").map(drift_action).transpose()?.unwrap_or_default(),
        kinds: actions("kinds")?,
        services: actions("services")?,
        ignore: ignore.iter().map(|field| field.expose().to_owned()).collect(),
    })
}

fn update_policy(policy: &mut UpdatePolicy, node: &Node) -> Result<(), Message> {
    for (key, entry) in fields(node, &["keep_old", "order", "monitor", "rollback"])? {
        let node = &entry.node;
        match &**key {
            "keep_old" => policy.keep_old = flag(node)?,
            "rollback" => policy.rollback = flag(node)?,
            "monitor" => policy.monitor = duration(node)?,
            _ => {
                policy.order = match word(node)? {
                    "auto" => UpdateOrder::Auto,
                    "start-first" => UpdateOrder::StartFirst,
                    "stop-first" => UpdateOrder::StopFirst,
                    _ => {
                        return Err(message!(
                            "expected auto, start-first or stop-first, found '{}'",
                            scalar_text(&node.value)
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}

fn secret_changes(node: &Node) -> Result<BTreeMap<String, SecretChange>, Message> {
    let one = |node: &Node| match word(node)? {
        "recreate" => Ok(SecretChange::Recreate),
        "restart" => Ok(SecretChange::Restart),
        "none" => Ok(SecretChange::Nothing),
        other => match other.strip_prefix("signal:") {
            Some(signal) if !signal.is_empty() => Ok(SecretChange::Signal(signal.to_owned())),
            _ => Err(message!(
                "expected recreate, restart, signal:NAME or none, found '{}'",
                scalar_text(&node.value)
            )),
        },
    };
    match node.as_map() {
        Some(map) => {
            map.iter().map(|(name, entry)| Ok((name.expose().to_owned(), one(&entry.node)?))).collect()
        }
        None => Ok(BTreeMap::from([(String::new(), one(node)?)])),
    }
}
