//! Which limits does a service ask for: `deploy.resources` where it says something, the old spellings otherwise?

use specs::{Text, model::Service};

use super::{BlkioKind, Resources};

/// All limits of a service, in the Engine's units.
pub(super) fn resources(s: &Service) -> Resources {
    let deploy = s.deploy.as_ref().map(|deploy| &deploy.resources);
    let limits = deploy.and_then(|resources| resources.limits.as_ref());
    let reserved = deploy.and_then(|resources| resources.reservations.as_ref());
    let or = |deploy: i64, own: i64| if deploy == 0 { own } else { deploy };
    let cpus = limits.map(|limits| limits.cpus).filter(|cpus| *cpus != 0.0).unwrap_or(s.cpus);
    let pids = or(limits.map_or(0, |limits| limits.pids), s.pids_limit);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Compose truncates the 32-bit product in the same way"
    )]
    let nano_cpus = (cpus * 1e9_f32) as i64;
    #[expect(clippy::cast_possible_truncation, reason = "hundredths of a percent")]
    let cpu_percent = (s.cpu_percent * 100.0) as i64;
    let given = |text: &Text| (!text.is_empty()).then(|| text.clone());
    Resources {
        memory: or(limits.map_or(0, |limits| limits.memory.0), s.mem_limit.0),
        memory_reservation: or(reserved.map_or(0, |reserved| reserved.memory.0), s.mem_reservation.0),
        memory_swap: s.memswap_limit.0,
        memory_swappiness: Some(s.mem_swappiness.0).filter(|value| *value != 0),
        nano_cpus,
        cpu_shares: s.cpu_shares,
        cpu_period: s.cpu_period,
        cpu_quota: s.cpu_quota,
        cpu_rt_period: s.cpu_rt_period,
        cpu_rt_runtime: s.cpu_rt_runtime,
        cpuset: given(&s.cpuset),
        cpu_count: s.cpu_count,
        cpu_percent,
        pids_limit: Some(pids).filter(|pids| *pids != 0),
        blkio_weight: s.blkio_config.as_ref().map_or(0, |blkio| blkio.weight),
        blkio_devices: block_devices(s),
        oom_score_adj: s.oom_score_adj,
        oom_kill_disable: s.oom_kill_disable,
        shm_size: s.shm_size.0,
        cgroup_parent: given(&s.cgroup_parent),
    }
}

fn block_devices(s: &Service) -> std::collections::BTreeMap<(BlkioKind, String), i64> {
    let Some(blkio) = &s.blkio_config else { return std::collections::BTreeMap::new() };
    let throttles = [
        (BlkioKind::ReadBps, &blkio.device_read_bps),
        (BlkioKind::ReadIops, &blkio.device_read_iops),
        (BlkioKind::WriteBps, &blkio.device_write_bps),
        (BlkioKind::WriteIops, &blkio.device_write_iops),
    ];
    let throttled = throttles.into_iter().flat_map(|(kind, devices)| {
        devices.iter().map(move |device| ((kind, device.path.expose().to_owned()), device.rate.0))
    });
    let weighted = blkio
        .weight_device
        .iter()
        .map(|device| ((BlkioKind::Weight, device.path.expose().to_owned()), i64::from(device.weight)));
    throttled.chain(weighted).collect()
}
