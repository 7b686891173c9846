//! What does the Engine's JSON say about a container, a network, a volume, an image?
//!
//! Lenient: what is missing or of another shape is taken as not said, so that one odd object never hides the others.

use std::collections::{BTreeMap, BTreeSet};

use plan::{
    container::{
        BlkioKind, ContainerSpec, Device, DeviceRequest, Endpoint, Healthcheck, Logging, Mount, MountForm,
        MountKind, Namespace, PortBinding, Resources, RestartPolicy, Ulimit, VolumesFrom,
    },
    ids::{Replica, Time},
    labels,
    observed::{ComposeLabels, ContainerState, Health, ObservedContainer, RunState},
    resource::{ImageFacts, NetworkSpec, ObservedNetwork, ObservedVolume, Owner, Pool, VolumeSpec},
};
use serde_json::Value;
use specs::{Text, doc::Key};

fn text(value: &Value) -> Option<Text> {
    value.as_str().filter(|text| !text.is_empty()).map(Text::plain)
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn texts<C: FromIterator<Text>>(value: &Value) -> C {
    items(value).filter_map(Value::as_str).map(Text::plain).collect()
}

fn texts_by_name(value: &Value) -> BTreeMap<Key, Text> {
    entries(value).map(|(key, value)| (key.into(), Text::plain(string(value)))).collect()
}

fn strings_by_name(value: &Value) -> BTreeMap<String, String> {
    entries(value).map(|(key, value)| (key.clone(), string(value))).collect()
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

/// A moment as the Engine writes it (RFC 3339); `None` for its zero, the year 1.
pub fn time(value: &Value) -> Option<Time> {
    let text = value.as_str()?;
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970 {
        return None;
    }
    let digits: String = text
        .get(19..)?
        .strip_prefix('.')
        .unwrap_or("")
        .chars()
        .take_while(char::is_ascii_digit)
        .take(3)
        .collect();
    let millis: i64 = format!("{digits:0<3}").parse().ok()?;
    // Days since 1970-01-01 in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let zone = text
        .find(['+'])
        .and_then(|at| Some(number(at + 1..at + 3)? * 3600 + number(at + 4..at + 6)? * 60))
        .unwrap_or(0);
    Some(Time(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis - zone * 1000))
}

/// The labels that Compose and the agent understand. Podman's family of labels counts too.
pub fn compose_labels(value: &Value) -> ComposeLabels {
    let all = strings_by_name(value);
    let get = |key: &str| all.get(key).cloned().filter(|value| !value.is_empty());
    let number = get(labels::NUMBER).and_then(|number| number.parse().ok());
    let replica =
        get(labels::SERVICE).zip(number).map(|(service, number)| Replica { service: service.into(), number });
    let digests = all
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(labels::DIGEST)?.to_owned(), value.clone())));
    ComposeLabels {
        owner: owner(&all),
        replica,
        oneoff: get(labels::ONEOFF).as_deref() == Some("True"),
        image: get(labels::IMAGE),
        replaces: get(labels::REPLACE),
        digests: digests.collect(),
        all,
    }
}

fn owner(all: &BTreeMap<String, String>) -> Owner {
    let get = |key: &str| all.get(key).cloned().filter(|value| !value.is_empty());
    Owner {
        project: get(labels::PROJECT).or_else(|| get("io.podman.compose.project")).map(Into::into),
        agent: get(labels::OWNER),
        config_hash: get(labels::HASH),
    }
}

/// One container from its inspection.
pub fn container(inspect: &Value) -> Option<ObservedContainer> {
    let id = inspect["Id"].as_str()?;
    let attached = entries(&inspect["NetworkSettings"]["Networks"])
        .map(|(name, network)| (name.clone(), string(&network["NetworkID"])))
        .collect();
    Some(ObservedContainer {
        id: id.into(),
        name: string(&inspect["Name"]).trim_start_matches('/').to_owned(),
        labels: compose_labels(&inspect["Config"]["Labels"]),
        state: state(inspect),
        spec: spec(inspect),
        image_id: string(&inspect["Image"]).into(),
        attached,
        anonymous_volumes: volumes_of(inspect),
        created_at: time(&inspect["Created"]).unwrap_or_default(),
    })
}

fn volumes_of(inspect: &Value) -> BTreeMap<String, String> {
    let anonymous = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    items(&inspect["Mounts"])
        .filter(|mount| mount["Type"] == "volume" && mount["Name"].as_str().is_some_and(anonymous))
        .map(|mount| (string(&mount["Destination"]), string(&mount["Name"])))
        .collect()
}

fn state(inspect: &Value) -> ContainerState {
    let state = &inspect["State"];
    let status = match state["Status"].as_str().unwrap_or_default() {
        "created" => RunState::Created,
        "running" => RunState::Running,
        "paused" => RunState::Paused,
        "restarting" => RunState::Restarting,
        "exited" => RunState::Exited,
        "removing" => RunState::Removing,
        "dead" => RunState::Dead,
        _ => RunState::Unknown,
    };
    let health = match state["Health"]["Status"].as_str() {
        Some("starting") => Some(Health::Starting),
        Some("healthy") => Some(Health::Healthy),
        Some("unhealthy") => Some(Health::Unhealthy),
        _ => None,
    };
    let output =
        items(&state["Health"]["Log"]).last().map(|check| string(&check["Output"])).unwrap_or_default();
    ContainerState {
        status,
        health,
        health_output: output.chars().take(200).collect(),
        exit_code: int(&state["ExitCode"]),
        oom_killed: flag(&state["OOMKilled"]),
        error: string(&state["Error"]),
        pid: u32::try_from(int(&state["Pid"])).unwrap_or(0),
        restart_count: u32::try_from(int(&inspect["RestartCount"])).unwrap_or(0),
        started_at: time(&state["StartedAt"]),
        finished_at: time(&state["FinishedAt"]),
    }
}

fn spec(inspect: &Value) -> ContainerSpec {
    let (config, host) = (&inspect["Config"], &inspect["HostConfig"]);
    let mut spec = ContainerSpec {
        image: Text::plain(string(&config["Image"])),
        command: Some(texts(&config["Cmd"])),
        entrypoint: Some(texts(&config["Entrypoint"])),
        environment: environment(&config["Env"]),
        labels: user_labels(&config["Labels"]),
        // Where none is declared, the Engine gives the container its short id.
        hostname: text(&config["Hostname"]).filter(|name| !string(&inspect["Id"]).starts_with(name.expose())),
        domainname: text(&config["Domainname"]),
        user: text(&config["User"]),
        working_dir: text(&config["WorkingDir"]),
        stop_signal: text(&config["StopSignal"]),
        stop_timeout: config["StopTimeout"].as_i64(),
        tty: flag(&config["Tty"]),
        open_stdin: flag(&config["OpenStdin"]),
        exposed_ports: entries(&config["ExposedPorts"]).map(|(port, _)| port.clone()).collect(),
        healthcheck: config["Healthcheck"].as_object().map(|_| healthcheck(&config["Healthcheck"])),
        mac_address: text(&config["MacAddress"]),
        mounts: mounts(host),
        ..ContainerSpec::default()
    };
    network(&mut spec, inspect);
    rights(&mut spec, host);
    devices(&mut spec, host);
    spec.resources = resources(host);
    spec
}

fn environment(value: &Value) -> BTreeMap<Key, Option<Text>> {
    items(value)
        .filter_map(Value::as_str)
        .map(|line| match line.split_once('=') {
            Some((key, value)) => (key.into(), Some(Text::plain(value))),
            None => (line.into(), None),
        })
        .collect()
}

fn user_labels(value: &Value) -> BTreeMap<Key, Text> {
    let mut all = texts_by_name(value);
    all.retain(|key, _| !labels::is_reserved(key.expose()));
    all
}

/// A health check as the Engine has it.
fn healthcheck(value: &Value) -> Healthcheck {
    Healthcheck {
        test: texts(&value["Test"]),
        interval: int(&value["Interval"]),
        timeout: int(&value["Timeout"]),
        start_period: int(&value["StartPeriod"]),
        start_interval: int(&value["StartInterval"]),
        retries: int(&value["Retries"]),
    }
}

fn namespace(value: &Value) -> Option<Namespace> {
    let mode = value.as_str().filter(|mode| !mode.is_empty())?;
    Some(match mode.strip_prefix("container:") {
        Some(id) => Namespace::Container(id.into()),
        None => Namespace::Mode(Text::plain(mode)),
    })
}

fn network(spec: &mut ContainerSpec, inspect: &Value) {
    let host = &inspect["HostConfig"];
    spec.port_bindings = entries(&host["PortBindings"])
        .map(|(port, bindings)| {
            let list = items(bindings)
                .map(|b| PortBinding { host_ip: string(&b["HostIp"]), host_port: string(&b["HostPort"]) });
            (port.clone(), list.collect())
        })
        .collect();
    let mode = string(&host["NetworkMode"]);
    let user_defined = |name: &str| !matches!(name, "bridge" | "host" | "none" | "default" | "disabled");
    // The Engine's own network is declared as a mode; a container with another one was put into it by hand.
    let by_mode = |name: &str| !user_defined(name) && (!user_defined(&mode) || mode.is_empty());
    spec.networks = entries(&inspect["NetworkSettings"]["Networks"])
        .filter(|(name, _)| !by_mode(name))
        .map(|(name, network)| (name.clone(), endpoint(network)))
        .collect();
    if user_defined(&mode) && !mode.is_empty() && !mode.starts_with("container:") {
        spec.primary_network = Some(mode);
    } else {
        spec.network_mode = namespace(&host["NetworkMode"]);
    }
}

fn endpoint(network: &Value) -> Endpoint {
    let ipam = &network["IPAMConfig"];
    Endpoint {
        aliases: texts::<BTreeSet<Text>>(&network["Aliases"]),
        links: texts(&network["Links"]),
        ipam: ipam.is_object(),
        ipv4_address: text(&ipam["IPv4Address"]),
        ipv6_address: text(&ipam["IPv6Address"]),
        link_local_ips: texts(&ipam["LinkLocalIPs"]),
        mac_address: text(&network["MacAddress"]),
        driver_opts: texts_by_name(&network["DriverOpts"]),
        priority: 0,
        gw_priority: int(&network["GwPriority"]),
    }
}

fn rights(spec: &mut ContainerSpec, host: &Value) {
    spec.pid = namespace(&host["PidMode"]);
    spec.ipc = namespace(&host["IpcMode"]);
    spec.uts = text(&host["UTSMode"]);
    spec.userns = text(&host["UsernsMode"]);
    spec.cgroupns = text(&host["CgroupnsMode"]);
    spec.restart = Some(RestartPolicy {
        name: string(&host["RestartPolicy"]["Name"]),
        max_retries: int(&host["RestartPolicy"]["MaximumRetryCount"]),
    });
    spec.cap_add = texts(&host["CapAdd"]);
    spec.cap_drop = texts(&host["CapDrop"]);
    spec.group_add = texts(&host["GroupAdd"]);
    spec.security_opt = texts(&host["SecurityOpt"]);
    let emptied = |key: &str| host[key].as_array().is_some_and(Vec::is_empty);
    spec.unconfined_system_paths = emptied("MaskedPaths") && emptied("ReadonlyPaths");
    spec.sysctls = texts_by_name(&host["Sysctls"]);
    spec.storage_opt = texts_by_name(&host["StorageOpt"]);
    spec.annotations = texts_by_name(&host["Annotations"]);
    spec.runtime = text(&host["Runtime"]);
    spec.isolation = text(&host["Isolation"]);
    spec.volume_driver = text(&host["VolumeDriver"]);
    spec.privileged = flag(&host["Privileged"]);
    spec.read_only = flag(&host["ReadonlyRootfs"]);
    spec.init = host["Init"].as_bool();
    spec.dns = texts(&host["Dns"]);
    spec.dns_search = texts(&host["DnsSearch"]);
    spec.dns_opt = texts(&host["DnsOptions"]);
    spec.extra_hosts = texts(&host["ExtraHosts"]);
    spec.links = texts(&host["Links"]);
    spec.logging = Some(Logging {
        driver: Text::plain(string(&host["LogConfig"]["Type"])),
        options: texts_by_name(&host["LogConfig"]["Config"]),
    });
    spec.volumes_from = items(&host["VolumesFrom"])
        .filter_map(Value::as_str)
        .map(|from| VolumesFrom::Container(Text::plain(from)))
        .collect();
}

fn devices(spec: &mut ContainerSpec, host: &Value) {
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

fn resources(host: &Value) -> Resources {
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

fn mounts(host: &Value) -> BTreeMap<String, Mount> {
    let mut mounts = BTreeMap::new();
    for bind in items(&host["Binds"]).filter_map(Value::as_str) {
        let mut parts = bind.splitn(3, ':');
        let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let kind = if source.starts_with('/') { MountKind::Bind } else { MountKind::Volume };
        let mut mount =
            Mount { kind, source: Some(Text::plain(source)), create_host_path: true, ..Mount::default() };
        for option in parts.next().unwrap_or_default().split(',') {
            match option {
                "ro" => mount.read_only = true,
                "rw" | "" => {}
                "nocopy" => mount.no_copy = true,
                "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                    mount.propagation = Some(Text::plain(option));
                }
                other => mount.options.push(other.to_owned()),
            }
        }
        mounts.insert(target.to_owned(), mount);
    }
    for (target, options) in entries(&host["Tmpfs"]) {
        let options = string(options);
        let options = if options.is_empty() { Vec::new() } else { vec![options] };
        mounts.insert(
            target.clone(),
            Mount { kind: MountKind::Tmpfs, form: MountForm::Tmpfs, options, ..Mount::default() },
        );
    }
    for entry in items(&host["Mounts"]) {
        mounts.insert(string(&entry["Target"]), mount(entry));
    }
    mounts
}

fn mount(entry: &Value) -> Mount {
    let (bind, volume, tmpfs) = (&entry["BindOptions"], &entry["VolumeOptions"], &entry["TmpfsOptions"]);
    let recursive = [
        ("NonRecursive", "disabled"),
        ("ReadOnlyNonRecursive", "writable"),
        ("ReadOnlyForceRecursive", "readonly"),
    ];
    Mount {
        kind: match entry["Type"].as_str().unwrap_or_default() {
            "volume" => MountKind::Volume,
            "tmpfs" => MountKind::Tmpfs,
            "image" => MountKind::Image,
            "npipe" => MountKind::Npipe,
            "cluster" => MountKind::Cluster,
            _ => MountKind::Bind,
        },
        form: MountForm::Mount,
        source: text(&entry["Source"]),
        read_only: flag(&entry["ReadOnly"]),
        consistency: text(&entry["Consistency"]),
        propagation: text(&bind["Propagation"]),
        create_host_path: flag(&bind["CreateMountpoint"]),
        recursive: recursive
            .into_iter()
            .find(|(key, _)| flag(&bind[*key]))
            .map(|(_, word)| Text::plain(word)),
        no_copy: flag(&volume["NoCopy"]),
        subpath: text(&volume["Subpath"]).or_else(|| text(&entry["ImageOptions"]["Subpath"])),
        labels: texts_by_name(&volume["Labels"]),
        tmpfs_size: int(&tmpfs["SizeBytes"]),
        tmpfs_mode: u32::try_from(int(&tmpfs["Mode"])).unwrap_or(0),
        options: Vec::new(),
    }
}

/// One network from the list.
pub fn network_summary(value: &Value) -> ObservedNetwork {
    let all = strings_by_name(&value["Labels"]);
    let pools = items(&value["IPAM"]["Config"]).map(|pool| Pool {
        subnet: string(&pool["Subnet"]),
        gateway: string(&pool["Gateway"]),
        ip_range: string(&pool["IPRange"]),
        aux_addresses: strings_by_name(&pool["AuxiliaryAddresses"]),
    });
    ObservedNetwork {
        id: string(&value["Id"]),
        owner: owner(&all),
        key: all.get("com.docker.compose.network").cloned(),
        spec: NetworkSpec {
            name: string(&value["Name"]),
            driver: text(&value["Driver"]),
            driver_opts: texts_by_name(&value["Options"]),
            ipam_driver: text(&value["IPAM"]["Driver"]),
            ipam_options: texts_by_name(&value["IPAM"]["Options"]),
            pools: pools.collect(),
            internal: flag(&value["Internal"]),
            attachable: flag(&value["Attachable"]),
            enable_ipv4: value["EnableIPv4"].as_bool(),
            enable_ipv6: value["EnableIPv6"].as_bool(),
            labels: user_labels(&value["Labels"]),
        },
    }
}

/// One volume from the list.
pub fn volume_summary(value: &Value) -> ObservedVolume {
    let all = strings_by_name(&value["Labels"]);
    ObservedVolume {
        owner: owner(&all),
        key: all.get("com.docker.compose.volume").cloned(),
        spec: VolumeSpec {
            name: string(&value["Name"]),
            driver: text(&value["Driver"]),
            driver_opts: texts_by_name(&value["Options"]),
            labels: user_labels(&value["Labels"]),
        },
    }
}

/// One image from its inspection.
pub fn image(value: &Value) -> ImageFacts {
    let config = &value["Config"];
    let list = |value: &Value| items(value).filter_map(Value::as_str).map(str::to_owned).collect();
    let keys = |value: &Value| entries(value).map(|(key, _)| key.clone()).collect();
    ImageFacts {
        id: value["Id"].as_str().map(Into::into),
        digests: list(&value["RepoDigests"]),
        command: list(&config["Cmd"]),
        entrypoint: list(&config["Entrypoint"]),
        environment: environment(&config["Env"])
            .into_iter()
            .map(|(key, value)| (key.expose().to_owned(), value.unwrap_or_default().expose().to_owned()))
            .collect(),
        labels: strings_by_name(&config["Labels"]),
        exposed_ports: keys(&config["ExposedPorts"]),
        volumes: keys(&config["Volumes"]),
        user: string(&config["User"]),
        working_dir: string(&config["WorkingDir"]),
        stop_signal: string(&config["StopSignal"]),
        healthcheck: config["Healthcheck"].as_object().map(|_| healthcheck(&config["Healthcheck"])),
        platform: format!("{}/{}", string(&value["Os"]), string(&value["Architecture"])),
        tagged_at: time(&value["Metadata"]["LastTagTime"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments() {
        assert_eq!(time(&json!("1970-01-01T00:00:01.5Z")), Some(Time(1500)));
        assert_eq!(time(&json!("2024-02-29T12:00:00Z")), Some(Time(1_709_208_000_000)));
        assert_eq!(time(&json!("2024-02-29T12:00:00.123456789+01:00")), Some(Time(1_709_204_400_123)));
        assert_eq!(time(&json!("0001-01-01T00:00:00Z")), None);
    }

    #[test]
    fn an_odd_container_is_still_seen() {
        let odd = json!({"Id": "abc", "Name": "/x", "State": {"Status": "hibernating"}, "HostConfig": 5});
        let container = container(&odd).expect("seen");
        assert_eq!((container.name.as_str(), container.state.status), ("x", RunState::Unknown));
    }
}
