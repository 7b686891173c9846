//! What is a container, in the one form in which desired and observed meet?
//!
//! Units are the Engine API's (bytes, nanoseconds, nano-CPUs). `None` in a desired spec means "not declared": the
//! image's or the Engine's own default is as good as any. Those are filled in before comparing.

pub mod fields;
pub mod fold;
pub mod from_service;
mod limits;
pub mod podman;
pub mod rootless;

use std::collections::{BTreeMap, BTreeSet};

use specs::{Text, doc::Key};

use crate::ids::ContainerId;

/// A container as the Engine would be told to make it (Engine API v1.51, `ContainerCreate`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContainerSpec {
    /// `Image`: the reference as written.
    pub image: Text,
    /// `Cmd`; `Some([])` clears the image's.
    pub command: Option<Vec<Text>>,
    /// `Entrypoint`; `Some([])` clears the image's.
    pub entrypoint: Option<Vec<Text>>,
    /// `Env`; a `None` value takes the image's variable away.
    pub environment: BTreeMap<Key, Option<Text>>,
    /// The user's `Labels`: Compose's and the agent's own are added when it is made.
    pub labels: BTreeMap<Key, Text>,
    /// `Hostname`.
    pub hostname: Option<Text>,
    /// `Domainname`.
    pub domainname: Option<Text>,
    /// `User`.
    pub user: Option<Text>,
    /// `WorkingDir`.
    pub working_dir: Option<Text>,
    /// `StopSignal`.
    pub stop_signal: Option<Text>,
    /// `StopTimeout`, in seconds.
    pub stop_timeout: Option<i64>,
    /// `Tty`.
    pub tty: bool,
    /// `OpenStdin`.
    pub open_stdin: bool,
    /// `ExposedPorts`, each `80/tcp` or as written.
    pub exposed_ports: BTreeSet<String>,
    /// `Healthcheck`.
    pub healthcheck: Option<Healthcheck>,
    /// `MacAddress` of the primary endpoint.
    pub mac_address: Option<Text>,
    /// The `platform` query parameter.
    pub platform: Option<Text>,

    /// `HostConfig.PortBindings`, by `80/tcp`.
    pub port_bindings: BTreeMap<String, Vec<PortBinding>>,
    /// `HostConfig.Binds`, `Mounts` and `Tmpfs`, by target.
    pub mounts: BTreeMap<String, Mount>,
    /// `HostConfig.VolumesFrom`.
    pub volumes_from: Vec<VolumesFrom>,
    /// `HostConfig.NetworkMode`, where it is not one of [`Self::networks`].
    pub network_mode: Option<Namespace>,
    /// `NetworkingConfig`: by the Engine's network name.
    pub networks: BTreeMap<String, Endpoint>,
    /// The network of [`Self::networks`] that becomes `NetworkMode`: the one with the highest priority.
    pub primary_network: Option<String>,
    /// `HostConfig.PidMode`.
    pub pid: Option<Namespace>,
    /// `HostConfig.IpcMode`.
    pub ipc: Option<Namespace>,
    /// `HostConfig.UTSMode`.
    pub uts: Option<Text>,
    /// `HostConfig.UsernsMode`.
    pub userns: Option<Text>,
    /// `HostConfig.CgroupnsMode`.
    pub cgroupns: Option<Text>,
    /// `HostConfig.RestartPolicy`.
    pub restart: Option<RestartPolicy>,
    /// `HostConfig.CapAdd`.
    pub cap_add: BTreeSet<Text>,
    /// `HostConfig.CapDrop`.
    pub cap_drop: BTreeSet<Text>,
    /// `HostConfig.GroupAdd`.
    pub group_add: Vec<Text>,
    /// `HostConfig.SecurityOpt`, seccomp profiles already read and inlined.
    pub security_opt: Vec<Text>,
    /// `HostConfig.MaskedPaths` and `ReadonlyPaths` emptied (`systempaths=unconfined`).
    pub unconfined_system_paths: bool,
    /// `HostConfig.Sysctls`.
    pub sysctls: BTreeMap<Key, Text>,
    /// `HostConfig.StorageOpt`.
    pub storage_opt: BTreeMap<Key, Text>,
    /// `HostConfig.Annotations`.
    pub annotations: BTreeMap<Key, Text>,
    /// `HostConfig.Runtime`.
    pub runtime: Option<Text>,
    /// `HostConfig.Isolation`.
    pub isolation: Option<Text>,
    /// `HostConfig.VolumeDriver`.
    pub volume_driver: Option<Text>,
    /// `HostConfig.Privileged`.
    pub privileged: bool,
    /// `HostConfig.ReadonlyRootfs`.
    pub read_only: bool,
    /// `HostConfig.Init`.
    pub init: Option<bool>,
    /// `HostConfig.Dns`.
    pub dns: Vec<Text>,
    /// `HostConfig.DnsSearch`.
    pub dns_search: Vec<Text>,
    /// `HostConfig.DnsOptions`.
    pub dns_opt: Vec<Text>,
    /// `HostConfig.ExtraHosts`, each `host:address`, sorted.
    pub extra_hosts: Vec<Text>,
    /// `HostConfig.Links`, each `container:alias`.
    pub links: Vec<Text>,
    /// `HostConfig.LogConfig`.
    pub logging: Option<Logging>,
    /// `HostConfig.Devices`.
    pub devices: Vec<Device>,
    /// `HostConfig.DeviceRequests`.
    pub device_requests: Vec<DeviceRequest>,
    /// `HostConfig.DeviceCgroupRules`.
    pub device_cgroup_rules: Vec<Text>,
    /// `HostConfig.Ulimits`, by name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Everything that `docker update` can change, and its creation-only kin.
    pub resources: Resources,
    /// Files put into the container's layer after create and before each start (`PUT …/archive`).
    pub copied_files: Vec<CopiedFile>,
    /// Keyed digests of content that Compose's hash leaves out, by label suffix: written as
    /// `agentctl.digest.<key>` labels, compared as fields.
    pub digests: BTreeMap<String, String>,
}

/// Memory, CPU, process and block device limits (`HostConfig`, the `Resources` part). 0 or `None`: not limited.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub memory_reservation: i64,
    /// Bytes; -1 is unlimited.
    pub memory_swap: i64,
    /// 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// Billionths of a CPU.
    pub nano_cpus: i64,
    /// Relative weight.
    pub cpu_shares: i64,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds.
    pub cpu_quota: i64,
    /// Microseconds.
    pub cpu_rt_period: i64,
    /// Microseconds.
    pub cpu_rt_runtime: i64,
    /// `0-3,5`.
    pub cpuset: Option<Text>,
    /// Windows only.
    pub cpu_count: i64,
    /// Windows only, hundredths of a percent as the API has it.
    pub cpu_percent: i64,
    /// Processes; -1 is unlimited.
    pub pids_limit: Option<i64>,
    /// `BlkioWeight`.
    pub blkio_weight: u16,
    /// `BlkioWeightDevice` and the four throttles, by `(kind, path)`.
    pub blkio_devices: BTreeMap<(BlkioKind, String), i64>,
    /// -1000 to 1000.
    pub oom_score_adj: i64,
    /// `OomKillDisable`.
    pub oom_kill_disable: bool,
    /// Bytes; 0 is the Engine's default of 64 MiB.
    pub shm_size: i64,
    /// `CgroupParent`.
    pub cgroup_parent: Option<Text>,
}

/// Which block device limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlkioKind {
    /// `BlkioWeightDevice`.
    Weight,
    /// `BlkioDeviceReadBps`.
    ReadBps,
    /// `BlkioDeviceReadIOps`.
    ReadIops,
    /// `BlkioDeviceWriteBps`.
    WriteBps,
    /// `BlkioDeviceWriteIOps`.
    WriteIops,
}

/// `Healthcheck`: `test` as the API has it (`["NONE"]`, `["CMD", …]`, `["CMD-SHELL", …]`, or empty to inherit).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Healthcheck {
    /// The command.
    pub test: Vec<Text>,
    /// Nanoseconds; 0 inherits.
    pub interval: i64,
    /// Nanoseconds; 0 inherits.
    pub timeout: i64,
    /// Nanoseconds; 0 inherits.
    pub start_period: i64,
    /// Nanoseconds; 0 inherits (API 1.44).
    pub start_interval: i64,
    /// 0 inherits.
    pub retries: i64,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PortBinding {
    /// The host's address; empty is all.
    pub host_ip: String,
    /// The host's port, a range for the Engine to choose from, or empty for any.
    pub host_port: String,
}

/// One mount, and by which part of the API it is declared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Whether the declaration goes to `Binds` (`src:dst:opts`), to `Mounts`, or to `Tmpfs`.
    pub form: MountForm,
    /// Host path, Engine volume name or image; `None` for anonymous volumes and tmpfs.
    pub source: Option<Text>,
    /// Mounted read-only.
    pub read_only: bool,
    /// `ro,z,rslave,nocopy` … beyond [`Self::read_only`], for [`MountForm::Bind`] in the order sent; the raw options of a
    /// `Tmpfs` entry.
    pub options: Vec<String>,
    /// `Consistency`.
    pub consistency: Option<Text>,
    /// Bind propagation (`rprivate` …).
    pub propagation: Option<Text>,
    /// `CreateMountpoint`.
    pub create_host_path: bool,
    /// `disabled`, `writable` or `readonly` recursion.
    pub recursive: Option<Text>,
    /// `NoCopy`.
    pub no_copy: bool,
    /// `Subpath` of a volume or an image.
    pub subpath: Option<Text>,
    /// Labels of an anonymous volume.
    pub labels: BTreeMap<Key, Text>,
    /// `TmpfsOptions.SizeBytes`.
    pub tmpfs_size: i64,
    /// `TmpfsOptions.Mode`.
    pub tmpfs_mode: u32,
}

/// What a mount brings in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountKind {
    /// A path of the host.
    #[default]
    Bind,
    /// An Engine volume, named or anonymous.
    Volume,
    /// Memory.
    Tmpfs,
    /// An image's files.
    Image,
    /// A Windows named pipe.
    Npipe,
    /// A cluster volume.
    Cluster,
}

/// By which part of `HostConfig` a mount is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountForm {
    /// `Binds`.
    #[default]
    Bind,
    /// `Mounts`.
    Mount,
    /// `Tmpfs`.
    Tmpfs,
}

/// A namespace mode that may point at another container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespace {
    /// `host`, `none`, `bridge`, `private`, `shareable` …, verbatim.
    Mode(Text),
    /// `service:X`: the container that is X now; resolved when the step is performed.
    Service(String),
    /// `container:…` with the Engine's id or, where it was declared so, a name.
    Container(ContainerId),
}

/// One entry of `VolumesFrom`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumesFrom {
    /// The containers of a service; resolved when the step is performed. Compose drops the mode (2.40).
    Service(String),
    /// A container outside the project.
    Container(Text),
}

/// `HostConfig.RestartPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped`, `on-failure`, or empty.
    pub name: String,
    /// `MaximumRetryCount`.
    pub max_retries: i64,
}

/// `HostConfig.LogConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logging {
    /// The driver; empty is the Engine's default.
    pub driver: Text,
    /// Its options.
    pub options: BTreeMap<Key, Text>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// `PathOnHost`.
    pub source: Text,
    /// `PathInContainer`.
    pub target: Text,
    /// `CgroupPermissions`.
    pub permissions: Text,
}

/// One request for devices by capability.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceRequest {
    /// The driver, `nvidia`, `cdi` …
    pub driver: Text,
    /// How many; -1 is all.
    pub count: i64,
    /// Or which.
    pub device_ids: Vec<Text>,
    /// A list of alternatives, each a list of capabilities that go together.
    pub capabilities: Vec<Vec<Text>>,
    /// The driver's options.
    pub options: BTreeMap<Key, Text>,
}

/// One ulimit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ulimit {
    /// The soft limit.
    pub soft: i64,
    /// The hard limit.
    pub hard: i64,
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Endpoint {
    /// The declared aliases, the service's and the container's name among them; the Engine adds the short id.
    pub aliases: BTreeSet<Text>,
    /// `Links` of the endpoint.
    pub links: Vec<Text>,
    /// Whether an `IPAMConfig` object is sent (Compose sends one where the service's entry is not null).
    pub ipam: bool,
    /// The static address.
    pub ipv4_address: Option<Text>,
    /// The static address.
    pub ipv6_address: Option<Text>,
    /// `LinkLocalIPs`.
    pub link_local_ips: Vec<Text>,
    /// `MacAddress`.
    pub mac_address: Option<Text>,
    /// `DriverOpts`, `interface_name` among them.
    pub driver_opts: BTreeMap<Key, Text>,
    /// Highest becomes the primary network.
    pub priority: i64,
    /// `GwPriority` (API 1.48).
    pub gw_priority: i64,
}

/// A file that lives in the container's layer: `configs` with content, `secrets` from the environment.
#[derive(Debug, Clone, PartialEq)]
pub struct CopiedFile {
    /// The absolute path in the container.
    pub target: Text,
    /// The content.
    pub content: Text,
    /// The owner; `None` with `gid` too: root, and `copyUIDGID` is not asked for.
    pub uid: Option<Text>,
    /// The group.
    pub gid: Option<Text>,
    /// Permission bits.
    pub mode: u32,
}
