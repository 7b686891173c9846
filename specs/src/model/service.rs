//! What is a service, with every field of the specification?

use std::collections::BTreeMap;

use super::{
    Build, Bytes, Deploy, DeviceRequest, Duration, Extensions, FileReference, Mount, ServiceNetwork,
};
use crate::{Text, doc::Key};

/// `services.*`. The fields stand in the order in which Compose prints and hashes them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Service {
    /// The key.
    pub name: String,
    /// Active in which profiles.
    pub profiles: Vec<Text>,
    /// Annotations.
    pub annotations: BTreeMap<Key, Text>,
    /// Whether `up` in the foreground shows its output.
    pub attach: Option<bool>,
    /// How to build the image.
    pub build: Option<Build>,
    /// `develop`.
    pub develop: Option<Develop>,
    /// Block device limits.
    pub blkio_config: Option<BlkioConfig>,
    /// Capabilities more.
    pub cap_add: Vec<Text>,
    /// Capabilities less.
    pub cap_drop: Vec<Text>,
    /// The parent control group.
    pub cgroup_parent: Text,
    /// `host` or `private`.
    pub cgroup: Text,
    /// Windows.
    pub cpu_count: i64,
    /// Windows.
    pub cpu_percent: f32,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds.
    pub cpu_quota: i64,
    /// Microseconds.
    pub cpu_rt_period: i64,
    /// Microseconds.
    pub cpu_rt_runtime: i64,
    /// CPUs.
    pub cpus: f32,
    /// Which CPUs.
    pub cpuset: Text,
    /// The weight.
    pub cpu_shares: i64,
    /// `None`: the image's; `[]`: none.
    pub command: Option<Vec<Text>>,
    /// Configs.
    pub configs: Vec<FileReference>,
    /// The container's name.
    pub container_name: Text,
    /// Windows.
    pub credential_spec: Option<CredentialSpec>,
    /// What comes before.
    pub depends_on: BTreeMap<Key, Dependency>,
    /// `deploy`.
    pub deploy: Option<Deploy>,
    /// Device control group rules.
    pub device_cgroup_rules: Vec<Text>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Name servers.
    pub dns: Vec<Text>,
    /// Resolver options.
    pub dns_opt: Vec<Text>,
    /// Search domains.
    pub dns_search: Vec<Text>,
    /// The domain name.
    pub domainname: Text,
    /// `None`: the image's; `[]`: none.
    pub entrypoint: Option<Vec<Text>>,
    /// Provided by a plugin.
    pub provider: Option<Provider>,
    /// The environment; `None`: not resolved, takes the image's variable away.
    pub environment: BTreeMap<Key, Option<Text>>,
    /// Files with more of it; empty once they are resolved into [`Self::environment`].
    pub env_files: Vec<EnvFile>,
    /// Exposed ports.
    pub expose: Vec<Text>,
    /// Links to containers elsewhere.
    pub external_links: Vec<Text>,
    /// Hosts and their addresses.
    pub extra_hosts: BTreeMap<Key, Vec<Text>>,
    /// Further groups.
    pub group_add: Vec<Text>,
    /// Graphics processors.
    pub gpus: Vec<DeviceRequest>,
    /// The host name.
    pub hostname: Text,
    /// The health check.
    pub healthcheck: Option<Healthcheck>,
    /// The image.
    pub image: Text,
    /// An init process.
    pub init: Option<bool>,
    /// The IPC namespace.
    pub ipc: Text,
    /// Windows.
    pub isolation: Text,
    /// The labels.
    pub labels: BTreeMap<Key, Text>,
    /// Files with more of them, which are in [`Self::labels`] once it is resolved; Compose hashes their paths, too.
    pub label_files: Vec<Text>,
    /// Links.
    pub links: Vec<Text>,
    /// Logging.
    pub logging: Option<Logging>,
    /// Memory.
    pub mem_limit: Bytes,
    /// Memory reserved.
    pub mem_reservation: Bytes,
    /// Memory and swap.
    pub memswap_limit: Bytes,
    /// Swappiness.
    pub mem_swappiness: Bytes,
    /// The MAC address.
    pub mac_address: Text,
    /// AI models.
    pub models: BTreeMap<Key, Option<ModelUse>>,
    /// The network mode.
    pub network_mode: Text,
    /// The networks; `None` as a value: nothing said about it.
    pub networks: BTreeMap<Key, Option<ServiceNetwork>>,
    /// Do not kill for memory.
    pub oom_kill_disable: bool,
    /// -1000 to 1000.
    pub oom_score_adj: i64,
    /// The PID namespace.
    pub pid: Text,
    /// Processes.
    pub pids_limit: i64,
    /// The platform.
    pub platform: Text,
    /// Published ports.
    pub ports: Vec<Port>,
    /// All capabilities.
    pub privileged: bool,
    /// When to pull.
    pub pull_policy: Text,
    /// A read-only root.
    pub read_only: bool,
    /// The restart policy.
    pub restart: Text,
    /// The runtime.
    pub runtime: Text,
    /// How many containers.
    pub scale: Option<i64>,
    /// Secrets.
    pub secrets: Vec<FileReference>,
    /// Security options.
    pub security_opt: Vec<Text>,
    /// `/dev/shm`.
    pub shm_size: Bytes,
    /// Standard input stays open.
    pub stdin_open: bool,
    /// How long to wait before killing.
    pub stop_grace_period: Option<Duration>,
    /// The signal that asks it to end.
    pub stop_signal: Text,
    /// Storage options.
    pub storage_opt: BTreeMap<Key, Text>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<Key, Text>,
    /// Memory file systems.
    pub tmpfs: Vec<Text>,
    /// A terminal.
    pub tty: bool,
    /// Limits.
    pub ulimits: BTreeMap<Key, Ulimit>,
    /// Give it the Engine's socket.
    pub use_api_socket: bool,
    /// The user.
    pub user: Text,
    /// The user namespace.
    pub userns_mode: Text,
    /// The UTS namespace.
    pub uts: Text,
    /// Mounts.
    pub volumes: Vec<Mount>,
    /// Volumes of others.
    pub volumes_from: Vec<Text>,
    /// The working folder.
    pub working_dir: Text,
    /// Hooks after a start.
    pub post_start: Vec<Hook>,
    /// Hooks before a stop.
    pub pre_stop: Vec<Hook>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// One edge of `depends_on`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dependency {
    /// What is waited for.
    pub condition: DependencyCondition,
    /// Restart with it.
    pub restart: bool,
    /// Must it be there?
    pub required: bool,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `depends_on.*.condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DependencyCondition {
    /// `service_started`.
    #[default]
    Started,
    /// `service_healthy`.
    Healthy,
    /// `service_completed_successfully`.
    CompletedSuccessfully,
}

impl DependencyCondition {
    /// Compose's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::CompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// `healthcheck`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Healthcheck {
    /// The command, `CMD`, `CMD-SHELL` or `NONE` first; empty inherits the image's.
    pub test: Vec<Text>,
    /// How long one may take.
    pub timeout: Option<Duration>,
    /// How often.
    pub interval: Option<Duration>,
    /// How many failures make it unhealthy.
    pub retries: Option<u64>,
    /// Failures do not count at first.
    pub start_period: Option<Duration>,
    /// How often at first.
    pub start_interval: Option<Duration>,
    /// No check, not even the image's.
    pub disable: bool,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `logging`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Logging {
    /// The driver.
    pub driver: Text,
    /// Its options.
    pub options: BTreeMap<Key, Text>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `ports[]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Port {
    /// Its name.
    pub name: Text,
    /// `ingress` or `host`.
    pub mode: Text,
    /// The host's address.
    pub host_ip: Text,
    /// The container's port.
    pub target: u32,
    /// The host's port, or a range of them; empty: any.
    pub published: Text,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: Text,
    /// A hint.
    pub app_protocol: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `ulimits.*`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ulimit {
    /// Both.
    pub single: i64,
    /// The soft limit.
    pub soft: i64,
    /// The hard limit.
    pub hard: i64,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `env_file[]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EnvFile {
    /// The file.
    pub path: Text,
    /// Must it be there?
    pub required: bool,
    /// Empty, or `raw`.
    pub format: Text,
}

/// `devices[]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Device {
    /// On the host.
    pub source: Text,
    /// In the container.
    pub target: Text,
    /// `rwm`.
    pub permissions: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `post_start[]`, `pre_stop[]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hook {
    /// The command.
    pub command: Option<Vec<Text>>,
    /// As whom.
    pub user: Text,
    /// With all capabilities.
    pub privileged: bool,
    /// Where.
    pub working_dir: Text,
    /// With which further variables.
    pub environment: BTreeMap<Key, Option<Text>>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `blkio_config`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BlkioConfig {
    /// 10 to 1000.
    pub weight: u16,
    /// By device.
    pub weight_device: Vec<WeightDevice>,
    /// Bytes a second.
    pub device_read_bps: Vec<ThrottleDevice>,
    /// Operations a second.
    pub device_read_iops: Vec<ThrottleDevice>,
    /// Bytes a second.
    pub device_write_bps: Vec<ThrottleDevice>,
    /// Operations a second.
    pub device_write_iops: Vec<ThrottleDevice>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `blkio_config.weight_device[]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WeightDevice {
    /// The device.
    pub path: Text,
    /// Its weight.
    pub weight: u16,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `blkio_config.device_*[]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ThrottleDevice {
    /// The device.
    pub path: Text,
    /// Its rate.
    pub rate: Bytes,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `credential_spec`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CredentialSpec {
    /// From a config.
    pub config: Text,
    /// From a file.
    pub file: Text,
    /// From the registry.
    pub registry: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `provider`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Provider {
    /// Which plugin.
    pub kind: Text,
    /// Its options, each a list.
    pub options: BTreeMap<Key, Vec<Text>>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `services.*.models.*`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelUse {
    /// The variable for its address.
    pub endpoint_var: Text,
    /// The variable for its name.
    pub model_var: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `develop`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Develop {
    /// The rules.
    pub watch: Vec<Watch>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `develop.watch[]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Watch {
    /// What to watch.
    pub path: Text,
    /// `sync`, `rebuild`, `restart`, `sync+restart`, `sync+exec`.
    pub action: Text,
    /// Where it goes.
    pub target: Text,
    /// What to run then.
    pub exec: WatchExec,
    /// Only these.
    pub include: Vec<Text>,
    /// Not these.
    pub ignore: Vec<Text>,
    /// Sync at the start.
    pub initial_sync: bool,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `develop.watch[].exec`: a hook, printed with its `command` even where it has none.
pub type WatchExec = Hook;
