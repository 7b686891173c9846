//! How is a service deployed: replicas, limits, updates?

use std::collections::BTreeMap;

use super::{Bytes, Duration, Extensions};
use crate::{Text, doc::Key};

/// `services.*.deploy`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Deploy {
    /// `replicated`, `global` …
    pub mode: Text,
    /// How many containers.
    pub replicas: Option<i64>,
    /// Labels of the (Swarm) service, never of containers.
    pub labels: BTreeMap<Key, Text>,
    /// How an update goes.
    pub update_config: Option<UpdateConfig>,
    /// How going back goes.
    pub rollback_config: Option<UpdateConfig>,
    /// Limits and reservations; printed as `{}` where empty.
    pub resources: Resources,
    /// When to restart.
    pub restart_policy: Option<RestartPolicy>,
    /// Where; printed as `{}` where empty.
    pub placement: Placement,
    /// Swarm's.
    pub endpoint_mode: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `deploy.update_config`, `deploy.rollback_config`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UpdateConfig {
    /// How many at a time.
    pub parallelism: Option<u64>,
    /// Between two.
    pub delay: Duration,
    /// `pause`, `continue`, `rollback`.
    pub failure_action: Text,
    /// How long to watch.
    pub monitor: Duration,
    /// How many may fail.
    pub max_failure_ratio: f32,
    /// `start-first`, `stop-first`.
    pub order: Text,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `deploy.resources`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// At most.
    pub limits: Option<ResourceLimits>,
    /// At least.
    pub reservations: Option<ResourceLimits>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `deploy.resources.limits`, `…reservations`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResourceLimits {
    /// CPUs.
    pub cpus: f32,
    /// Memory.
    pub memory: Bytes,
    /// Processes.
    pub pids: i64,
    /// Devices by capability.
    pub devices: Vec<DeviceRequest>,
    /// Swarm's.
    pub generic_resources: Vec<GenericResource>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `deploy.resources.reservations.devices[]`, `gpus[]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeviceRequest {
    /// What it must be able to do.
    pub capabilities: Vec<Text>,
    /// Whose.
    pub driver: Text,
    /// How many; -1 is all.
    pub count: i64,
    /// Or which.
    pub device_ids: Vec<Text>,
    /// Options of the driver.
    pub options: BTreeMap<Key, Text>,
}

/// `generic_resources[].discrete_resource_spec`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenericResource {
    /// The kind.
    pub kind: Text,
    /// How many.
    pub value: i64,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `deploy.restart_policy`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RestartPolicy {
    /// `none`, `on-failure`, `any`.
    pub condition: Text,
    /// Between two tries.
    pub delay: Option<Duration>,
    /// How many.
    pub max_attempts: Option<u64>,
    /// When a start counts as good.
    pub window: Option<Duration>,
    /// `x-…`.
    pub extensions: Extensions,
}

/// `deploy.placement`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Placement {
    /// Constraints.
    pub constraints: Vec<Text>,
    /// What to spread over.
    pub preferences: Vec<Text>,
    /// Per node.
    pub max_replicas_per_node: u64,
    /// `x-…`.
    pub extensions: Extensions,
}
