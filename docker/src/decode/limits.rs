//! How much may a container use, and which devices does it have?

use std::collections::BTreeMap;

use plan::container::{BlkioKind, ContainerSpec, Device, DeviceRequest, Resources, Ulimit};
use serde_json::Value;
use specs::Text;

use super::json::{flag, int, items, string, text, texts, texts_by_name};

pub(super) fn devices(spec: &mut ContainerSpec, host: &Value) {
    spec.devices = items(&host["Devices"])
        .map(|device| Device {
            source: Text::plain(string(&device["PathOnHost"])),
            target: Text::plain(string(&device["PathInContainer"])),
            permissions: Text::plain(string(&device["CgroupPermissions"])),
        })
        .collect();
    spec.device_requests = items(&host["DeviceRequests"])
        .map(|request| DeviceRequest {
            driver: Text::plain(string(&request["Driver"])),
            count: int(&request["Count"]),
            device_ids: texts(&request["DeviceIDs"]),
            capabilities: items(&request["Capabilities"]).map(texts).collect(),
            options: texts_by_name(&request["Options"]),
        })
        .collect();
    spec.device_cgroup_rules = texts(&host["DeviceCgroupRules"]);
    spec.ulimits = items(&host["Ulimits"])
        .map(|limit| {
            (string(&limit["Name"]), Ulimit { soft: int(&limit["Soft"]), hard: int(&limit["Hard"]) })
        })
        .collect();
}

pub(super) fn resources(host: &Value) -> Resources {
    let mut blkio_devices = BTreeMap::new();
    for (kind, key, word) in [
        (BlkioKind::Weight, "BlkioWeightDevice", "Weight"),
        (BlkioKind::ReadBps, "BlkioDeviceReadBps", "Rate"),
        (BlkioKind::ReadIops, "BlkioDeviceReadIOps", "Rate"),
        (BlkioKind::WriteBps, "BlkioDeviceWriteBps", "Rate"),
        (BlkioKind::WriteIops, "BlkioDeviceWriteIOps", "Rate"),
    ] {
        for device in items(&host[key]) {
            blkio_devices.insert((kind, string(&device["Path"])), int(&device[word]));
        }
    }
    Resources {
        memory: int(&host["Memory"]),
        memory_reservation: int(&host["MemoryReservation"]),
        memory_swap: int(&host["MemorySwap"]),
        memory_swappiness: host["MemorySwappiness"].as_i64(),
        nano_cpus: int(&host["NanoCpus"]),
        cpu_shares: int(&host["CpuShares"]),
        cpu_period: int(&host["CpuPeriod"]),
        cpu_quota: int(&host["CpuQuota"]),
        cpu_rt_period: int(&host["CpuRealtimePeriod"]),
        cpu_rt_runtime: int(&host["CpuRealtimeRuntime"]),
        cpuset: text(&host["CpusetCpus"]),
        cpu_count: int(&host["CpuCount"]),
        cpu_percent: int(&host["CpuPercent"]),
        pids_limit: host["PidsLimit"].as_i64().filter(|limit| *limit != 0),
        blkio_weight: u16::try_from(int(&host["BlkioWeight"])).unwrap_or(0),
        blkio_devices,
        oom_score_adj: int(&host["OomScoreAdj"]),
        oom_kill_disable: flag(&host["OomKillDisable"]),
        shm_size: int(&host["ShmSize"]),
        cgroup_parent: text(&host["CgroupParent"]),
    }
}
