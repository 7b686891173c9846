//! Does the container have the declared limits, and can they be changed while it runs?
//!
//! `docker update` sets a limit and cannot take one away: 0 means "leave it". Only the process limit and swap know a
//! value for "unlimited".

use specs::Text;

use super::{Found, Repair};
use crate::container::{BlkioKind, ContainerSpec, Resources, RestartPolicy};

pub(super) fn compare(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    restart(found, want.restart.as_ref(), have.restart.as_ref());
    let (ours, theirs) = (&want.resources, &have.resources);
    memory(found, ours, theirs);
    cpu(found, ours, theirs);
    other(found, ours, theirs);
    for (name, limit) in &want.ulimits {
        let theirs = have.ulimits.get(name);
        if theirs != Some(limit) {
            let theirs = theirs.map_or_else(String::new, |limit| format!("{}:{}", limit.soft, limit.hard));
            let ours = format!("{}:{}", limit.soft, limit.hard);
            found.push(format!("ulimits.{name}"), ours.into(), theirs.into(), Repair::Recreate);
        }
    }
    if !found.tolerates_additions() {
        for (name, limit) in have.ulimits.iter().filter(|(name, _)| !want.ulimits.contains_key(*name)) {
            let theirs = format!("{}:{}", limit.soft, limit.hard);
            found.push(format!("ulimits.{name}"), Text::default(), theirs.into(), Repair::Recreate);
        }
    }
}

fn restart(found: &mut Found, want: Option<&RestartPolicy>, have: Option<&RestartPolicy>) {
    let line = |policy: Option<&RestartPolicy>| {
        let name = policy.map_or("", |policy| policy.name.as_str());
        match policy {
            Some(policy) if name == "on-failure" && policy.max_retries > 0 => {
                Text::from(format!("{name}:{}", policy.max_retries))
            }
            _ if name.is_empty() => "no".into(),
            _ => name.into(),
        }
    };
    let (want, have) = (line(want), line(have));
    if want != have {
        found.push("restart", want, have, Repair::Update);
    }
}

/// One number; it can be set on the living container where it is not being taken away.
fn number(found: &mut Found, field: &str, want: i64, have: i64, settable: bool) {
    if want != have {
        let repair = if settable && want != 0 { Repair::Update } else { Repair::Recreate };
        let line = |n: i64| if n == 0 { Text::default() } else { n.to_string().into() };
        found.push(field, line(want), line(have), repair);
    }
}

fn memory(found: &mut Found, want: &Resources, have: &Resources) {
    number(found, "mem_limit", want.memory, have.memory, true);
    number(found, "mem_reservation", want.memory_reservation, have.memory_reservation, true);
    // Undeclared: the Engine allows as much swap as memory, or none to speak of where the kernel cannot count it.
    let by_the_engine = [0, -1, have.memory.saturating_mul(2), want.memory.saturating_mul(2)];
    if !(want.memory_swap == 0 && by_the_engine.contains(&have.memory_swap)) {
        number(found, "memswap_limit", want.memory_swap, have.memory_swap, true);
    }
    let swappiness = |value: Option<i64>| value.filter(|n| *n >= 0).unwrap_or(0);
    let (ours, theirs) = (swappiness(want.memory_swappiness), swappiness(have.memory_swappiness));
    number(found, "mem_swappiness", ours, theirs, false);
    number(found, "shm_size", want.shm_size, have.shm_size, false);
    found.flag("oom_kill_disable", want.oom_kill_disable, have.oom_kill_disable);
    number(found, "oom_score_adj", want.oom_score_adj, have.oom_score_adj, false);
}

fn cpu(found: &mut Found, want: &Resources, have: &Resources) {
    // The Engine refuses to set one of the two ways to say it while the other is set.
    let free = (want.nano_cpus == 0 || (have.cpu_quota == 0 && have.cpu_period == 0))
        && (want.cpu_quota == 0 && want.cpu_period == 0 || have.nano_cpus == 0);
    if want.nano_cpus != have.nano_cpus {
        let line = |nano: i64| match nano {
            0 => Text::default(),
            nano => format!("{}", nano as f64 / 1e9).into(),
        };
        let repair = if free && want.nano_cpus != 0 { Repair::Update } else { Repair::Recreate };
        found.push("cpus", line(want.nano_cpus), line(have.nano_cpus), repair);
    }
    number(found, "cpu_shares", want.cpu_shares, have.cpu_shares, true);
    number(found, "cpu_period", want.cpu_period, have.cpu_period, free);
    number(found, "cpu_quota", want.cpu_quota, have.cpu_quota, free);
    number(found, "cpu_rt_period", want.cpu_rt_period, have.cpu_rt_period, true);
    number(found, "cpu_rt_runtime", want.cpu_rt_runtime, have.cpu_rt_runtime, true);
    number(found, "cpu_count", want.cpu_count, have.cpu_count, false);
    number(found, "cpu_percent", want.cpu_percent, have.cpu_percent, false);
    let set = |value: &Option<Text>| value.clone().unwrap_or_default();
    let (ours, theirs) = (set(&want.cpuset), set(&have.cpuset));
    if ours != theirs {
        let repair = if ours.is_empty() { Repair::Recreate } else { Repair::Update };
        found.push("cpuset", ours, theirs, repair);
    }
}

fn other(found: &mut Found, want: &Resources, have: &Resources) {
    let unlimited = |value: Option<i64>| value.filter(|n| *n > 0).unwrap_or(-1);
    let (ours, theirs) = (unlimited(want.pids_limit), unlimited(have.pids_limit));
    number(found, "pids_limit", ours, theirs, true);
    let (ours, theirs) = (i64::from(want.blkio_weight), i64::from(have.blkio_weight));
    // A kernel without weights: the Engine leaves it out, and does not say beforehand that it will.
    if theirs != 0 || !found.tolerates_additions() {
        number(found, "blkio_config.weight", ours, theirs, true);
    }
    for (key @ (kind, path), value) in &want.blkio_devices {
        let theirs = have.blkio_devices.get(key).copied().unwrap_or(0);
        number(found, &format!("blkio_config.{}.{path}", word(*kind)), *value, theirs, false);
    }
    for ((kind, path), value) in
        have.blkio_devices.iter().filter(|(k, _)| !want.blkio_devices.contains_key(*k))
    {
        number(found, &format!("blkio_config.{}.{path}", word(*kind)), 0, *value, false);
    }
    found.chosen("cgroup_parent", want.cgroup_parent.as_ref(), have.cgroup_parent.as_ref(), &["", "/docker"]);
}

fn word(kind: BlkioKind) -> &'static str {
    match kind {
        BlkioKind::Weight => "weight_device",
        BlkioKind::ReadBps => "device_read_bps",
        BlkioKind::ReadIops => "device_read_iops",
        BlkioKind::WriteBps => "device_write_bps",
        BlkioKind::WriteIops => "device_write_iops",
    }
}
