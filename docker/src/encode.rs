//! What does a container, a network, a volume look like in the Engine's JSON?
//!
//! Engine API v1.41 to v1.51; what an older one does not know is left out.

use std::collections::{BTreeMap, BTreeSet};

use plan::{
    container::{
        BlkioKind, ContainerSpec, Endpoint, Healthcheck, Mount, MountForm, MountKind, Namespace, Resources,
        RestartPolicy, VolumesFrom, fold::hardware_address,
    },
    resource::{NetworkSpec, VolumeSpec},
    step::NewContainer,
};
use serde_json::{Map, Value, json};
use specs::{Text, doc::Key};

/// The API version, as `(1, 41)`.
pub type Api = (u32, u32);

/// The body of `POST /containers/create`, and the endpoints that need a `connect` of their own afterwards (before 1.44).
pub fn container(new: &NewContainer, api: Api) -> (Value, Vec<(String, Endpoint)>) {
    let spec = &new.spec;
    let mut labels = texts_by_name(&spec.labels);
    labels.extend(new.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    let (networking, later) = networking(spec, api);
    let ports: Map<String, Value> = spec.exposed_ports.iter().map(|port| (port.clone(), json!({}))).collect();
    let mut body = json!({
        "Image": spec.image.expose(),
        "Env": environment(&spec.environment),
        "Labels": labels,
        "Tty": spec.tty,
        "OpenStdin": spec.open_stdin,
        "AttachStdout": true,
        "AttachStderr": true,
        "ExposedPorts": ports,
        "HostConfig": host_config(new, api),
    });
    if let Some(networking) = networking {
        body["NetworkingConfig"] = json!({ "EndpointsConfig": networking });
    }
    put(&mut body, "Cmd", spec.command.as_deref().map(|words| json!(texts(words))));
    put(&mut body, "Entrypoint", spec.entrypoint.as_deref().map(|words| json!(texts(words))));
    for (key, value) in [
        ("Hostname", &spec.hostname),
        ("Domainname", &spec.domainname),
        ("User", &spec.user),
        ("WorkingDir", &spec.working_dir),
        ("StopSignal", &spec.stop_signal),
    ] {
        put(&mut body, key, value.as_ref().map(|text| json!(text.expose())));
    }
    if api < (1, 44) {
        put(&mut body, "MacAddress", hardware_address(spec).map(|mac| json!(mac.expose())));
    }
    let disabled = matches!(&spec.network_mode, Some(Namespace::Mode(mode)) if *mode == "disabled");
    put(&mut body, "NetworkDisabled", disabled.then_some(Value::Bool(true)));
    put(&mut body, "StopTimeout", spec.stop_timeout.map(|seconds| json!(seconds)));
    put(&mut body, "Healthcheck", spec.healthcheck.as_ref().map(|check| healthcheck(check, api)));
    (body, later)
}

fn put(body: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        body[key] = value;
    }
}

fn texts<'t>(texts: impl IntoIterator<Item = &'t Text>) -> Vec<&'t str> {
    texts.into_iter().map(Text::expose).collect()
}

fn texts_by_name(map: &BTreeMap<Key, Text>) -> Map<String, Value> {
    map.iter().map(|(key, value)| (key.expose().to_owned(), json!(value.expose()))).collect()
}

fn environment(variables: &BTreeMap<Key, Option<Text>>) -> Vec<String> {
    let line = |(key, value): (&Key, &Option<Text>)| match value {
        Some(value) => format!("{}={}", key.expose(), value.expose()),
        None => key.expose().to_owned(),
    };
    variables.iter().map(line).collect()
}

fn healthcheck(check: &Healthcheck, api: Api) -> Value {
    let mut body = json!({
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "Retries": check.retries,
    });
    if !check.test.is_empty() {
        body["Test"] = json!(texts(&check.test));
    }
    if check.start_interval != 0 && api >= (1, 44) {
        body["StartInterval"] = json!(check.start_interval);
    }
    body
}

/// The endpoints that are made with the container, and those that are connected afterwards.
type Endpoints = (Option<Map<String, Value>>, Vec<(String, Endpoint)>);

fn networking(spec: &ContainerSpec, api: Api) -> Endpoints {
    if spec.networks.is_empty() {
        return (None, Vec::new());
    }
    let primary = spec.primary_network.as_deref();
    let mut now = Map::new();
    let mut later: Vec<(String, Endpoint)> = Vec::new();
    for (name, declared) in &spec.networks {
        let mut endpoint_spec = declared.clone();
        if Some(name.as_str()) == primary && endpoint_spec.mac_address.is_none() {
            endpoint_spec.mac_address.clone_from(&spec.mac_address);
        }
        if api >= (1, 44) || Some(name.as_str()) == primary {
            now.insert(name.clone(), endpoint(&endpoint_spec, api));
        } else {
            later.push((name.clone(), endpoint_spec));
        }
    }
    later.sort_by_key(|(_, endpoint)| std::cmp::Reverse(endpoint.priority));
    (Some(now), later)
}

/// `EndpointSettings`.
pub fn endpoint(endpoint: &Endpoint, api: Api) -> Value {
    let mut body = json!({ "Aliases": texts(&endpoint.aliases) });
    if !endpoint.links.is_empty() {
        body["Links"] = json!(texts(&endpoint.links));
    }
    if endpoint.ipam {
        let mut ipam = json!({});
        put(&mut ipam, "IPv4Address", endpoint.ipv4_address.as_ref().map(|ip| json!(ip.expose())));
        put(&mut ipam, "IPv6Address", endpoint.ipv6_address.as_ref().map(|ip| json!(ip.expose())));
        if !endpoint.link_local_ips.is_empty() {
            ipam["LinkLocalIPs"] = json!(texts(&endpoint.link_local_ips));
        }
        body["IPAMConfig"] = ipam;
    }
    if api >= (1, 44) {
        put(&mut body, "MacAddress", endpoint.mac_address.as_ref().map(|mac| json!(mac.expose())));
    }
    if !endpoint.driver_opts.is_empty() {
        body["DriverOpts"] = Value::Object(texts_by_name(&endpoint.driver_opts));
    }
    if endpoint.gw_priority != 0 && api >= (1, 48) {
        body["GwPriority"] = json!(endpoint.gw_priority);
    }
    body
}

fn namespace(mode: &Namespace) -> String {
    match mode {
        Namespace::Mode(mode) => mode.expose().to_owned(),
        Namespace::Container(id) => format!("container:{id}"),
        Namespace::Service(name) => format!("service:{name}"),
    }
}

fn host_config(new: &NewContainer, api: Api) -> Value {
    let spec = &new.spec;
    let mode = spec.network_mode.as_ref().map(namespace).or_else(|| spec.primary_network.clone());
    let ports: Map<String, Value> = spec
        .port_bindings
        .iter()
        .map(|(port, bindings)| {
            let list: Vec<Value> =
                bindings.iter().map(|b| json!({ "HostIp": b.host_ip, "HostPort": b.host_port })).collect();
            (port.clone(), Value::Array(list))
        })
        .collect();
    let (binds, mounts, tmpfs) = mounts(new, api);
    let ulimits: Vec<Value> = spec
        .ulimits
        .iter()
        .map(|(name, l)| json!({ "Name": name, "Soft": l.soft, "Hard": l.hard }))
        .collect();
    let mut body = json!({
        "Binds": binds,
        "Mounts": mounts,
        "Tmpfs": tmpfs,
        "PortBindings": ports,
        "CapAdd": capabilities(&spec.cap_add),
        "CapDrop": capabilities(&spec.cap_drop),
        "GroupAdd": texts(&spec.group_add),
        "SecurityOpt": texts(&spec.security_opt),
        "Sysctls": texts_by_name(&spec.sysctls),
        "StorageOpt": texts_by_name(&spec.storage_opt),
        "Annotations": texts_by_name(&spec.annotations),
        "Privileged": spec.privileged,
        "ReadonlyRootfs": spec.read_only,
        "Dns": texts(&spec.dns),
        "DnsSearch": texts(&spec.dns_search),
        "DnsOptions": texts(&spec.dns_opt),
        "ExtraHosts": texts(&spec.extra_hosts),
        "Links": texts(&spec.links),
        "DeviceCgroupRules": texts(&spec.device_cgroup_rules),
        "Ulimits": ulimits,
        "VolumesFrom": volumes_from(spec),
    });
    for (key, value) in [
        ("UTSMode", &spec.uts),
        ("UsernsMode", &spec.userns),
        ("CgroupnsMode", &spec.cgroupns),
        ("Runtime", &spec.runtime),
        ("Isolation", &spec.isolation),
        ("VolumeDriver", &spec.volume_driver),
    ] {
        put(&mut body, key, value.as_ref().map(|text| json!(text.expose())));
    }
    put(&mut body, "NetworkMode", mode.map(Value::from));
    put(&mut body, "PidMode", spec.pid.as_ref().map(|mode| json!(namespace(mode))));
    put(&mut body, "IpcMode", spec.ipc.as_ref().map(|mode| json!(namespace(mode))));
    put(&mut body, "Init", spec.init.map(Value::from));
    put(&mut body, "RestartPolicy", spec.restart.as_ref().map(restart));
    if spec.unconfined_system_paths {
        body["MaskedPaths"] = json!([]);
        body["ReadonlyPaths"] = json!([]);
    }
    if let Some(logging) = &spec.logging {
        body["LogConfig"] =
            json!({ "Type": logging.driver.expose(), "Config": texts_by_name(&logging.options) });
    }
    devices(&mut body, spec);
    merge(&mut body, resources(&spec.resources));
    merge(&mut body, creation_only(&spec.resources));
    body
}

fn devices(body: &mut Value, spec: &ContainerSpec) {
    body["Devices"] = spec
        .devices
        .iter()
        .map(|d| json!({ "PathOnHost": d.source.expose(), "PathInContainer": d.target.expose(), "CgroupPermissions": d.permissions.expose() }))
        .collect();
    body["DeviceRequests"] = spec
        .device_requests
        .iter()
        .map(|request| {
            json!({
                "Driver": request.driver.expose(),
                "Count": request.count,
                "DeviceIDs": texts(&request.device_ids),
                "Capabilities": request.capabilities.iter().map(texts).collect::<Vec<_>>(),
                "Options": texts_by_name(&request.options),
            })
        })
        .collect();
}

fn merge(body: &mut Value, part: Value) {
    if let (Value::Object(body), Value::Object(part)) = (body, part) {
        body.extend(part);
    }
}

/// `RestartPolicy`.
pub fn restart(policy: &RestartPolicy) -> Value {
    json!({ "Name": policy.name, "MaximumRetryCount": policy.max_retries })
}

fn volumes_from(spec: &ContainerSpec) -> Vec<String> {
    let name = |from: &VolumesFrom| match from {
        VolumesFrom::Service(name) => name.clone(),
        VolumesFrom::Container(name) => name.expose().to_owned(),
    };
    spec.volumes_from.iter().map(name).collect()
}

/// The limits that `POST /containers/ID/update` takes as well.
pub fn resources(r: &Resources) -> Value {
    let mut body = json!({});
    for (key, value) in [
        ("Memory", r.memory),
        ("MemoryReservation", r.memory_reservation),
        ("MemorySwap", r.memory_swap),
        ("NanoCpus", r.nano_cpus),
        ("CpuShares", r.cpu_shares),
        ("CpuPeriod", r.cpu_period),
        ("CpuQuota", r.cpu_quota),
        ("CpuRealtimePeriod", r.cpu_rt_period),
        ("CpuRealtimeRuntime", r.cpu_rt_runtime),
    ] {
        put(&mut body, key, (value != 0).then(|| json!(value)));
    }
    put(&mut body, "CpusetCpus", r.cpuset.as_ref().map(|set| json!(set.expose())));
    put(&mut body, "PidsLimit", r.pids_limit.map(Value::from));
    put(&mut body, "BlkioWeight", (r.blkio_weight != 0).then(|| json!(r.blkio_weight)));
    body
}

/// In the Engine's spelling: `net_admin` is `CAP_NET_ADMIN`.
fn capabilities(declared: &BTreeSet<Text>) -> Value {
    let name = |text: &Text| {
        let upper = text.expose().to_uppercase();
        if upper == "ALL" || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
    };
    json!(declared.iter().map(name).collect::<BTreeSet<_>>())
}

fn creation_only(r: &Resources) -> Value {
    let mut body = json!({ "OomKillDisable": r.oom_kill_disable });
    for (key, value) in [
        ("OomScoreAdj", r.oom_score_adj),
        ("ShmSize", r.shm_size),
        ("CpuCount", r.cpu_count),
        ("CpuPercent", r.cpu_percent),
    ] {
        put(&mut body, key, (value != 0).then(|| json!(value)));
    }
    put(&mut body, "MemorySwappiness", r.memory_swappiness.map(Value::from));
    put(&mut body, "CgroupParent", r.cgroup_parent.as_ref().map(|parent| json!(parent.expose())));
    for (kind, key) in [
        (BlkioKind::Weight, "BlkioWeightDevice"),
        (BlkioKind::ReadBps, "BlkioDeviceReadBps"),
        (BlkioKind::ReadIops, "BlkioDeviceReadIOps"),
        (BlkioKind::WriteBps, "BlkioDeviceWriteBps"),
        (BlkioKind::WriteIops, "BlkioDeviceWriteIOps"),
    ] {
        let word = if kind == BlkioKind::Weight { "Weight" } else { "Rate" };
        let devices = r.blkio_devices.iter().filter(|((of, _), _)| *of == kind);
        let list: Vec<Value> =
            devices.map(|((_, path), value)| json!({ "Path": path, word: value })).collect();
        put(&mut body, key, (!list.is_empty()).then(|| Value::Array(list)));
    }
    body
}

fn mounts(new: &NewContainer, api: Api) -> (Vec<String>, Vec<Value>, Map<String, Value>) {
    let (mut binds, mut mounts, mut tmpfs) = (Vec::new(), Vec::new(), Map::new());
    for (target, mount) in &new.spec.mounts {
        // Before API 1.42 only this form makes a missing source.
        let made = mount.kind == MountKind::Bind && mount.create_host_path && mount.recursive.is_none();
        let form = if made && api < (1, 42) { MountForm::Bind } else { mount.form };
        match form {
            MountForm::Tmpfs => {
                tmpfs.insert(target.clone(), json!(mount.options.join(",")));
            }
            MountForm::Bind => {
                let source = mount.source.as_ref().map(Text::expose).unwrap_or_default();
                let mut options = vec![if mount.read_only { "ro" } else { "rw" }];
                options.extend(mount.options.iter().map(String::as_str));
                options.extend(mount.propagation.as_ref().map(Text::expose));
                binds.push(format!("{source}:{target}:{}", options.join(",")));
            }
            MountForm::Mount if new.carried_volumes.contains_key(target) => {}
            MountForm::Mount => mounts.push(mount_entry(target, mount)),
        }
    }
    mounts.extend(new.carried_volumes.iter().map(|(target, (volume, read_only))| {
        json!({ "Type": "volume", "Source": volume, "Target": target, "ReadOnly": read_only })
    }));
    (binds, mounts, tmpfs)
}

fn mount_entry(target: &str, mount: &Mount) -> Value {
    let kind = match mount.kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
        MountKind::Image => "image",
        MountKind::Npipe => "npipe",
        MountKind::Cluster => "cluster",
    };
    let mut body = json!({ "Type": kind, "Target": target, "ReadOnly": mount.read_only });
    put(&mut body, "Source", mount.source.as_ref().map(|source| json!(source.expose())));
    put(&mut body, "Consistency", mount.consistency.as_ref().map(|hint| json!(hint.expose())));
    match mount.kind {
        MountKind::Bind => {
            let mut options = json!({});
            put(&mut options, "Propagation", mount.propagation.as_ref().map(|p| json!(p.expose())));
            put(&mut options, "CreateMountpoint", mount.create_host_path.then(|| json!(true)));
            let flag = mount.recursive.as_ref().and_then(|recursive| match recursive.expose() {
                "disabled" => Some("NonRecursive"),
                "writable" => Some("ReadOnlyNonRecursive"),
                "readonly" => Some("ReadOnlyForceRecursive"),
                _ => None,
            });
            if let Some(flag) = flag {
                options[flag] = json!(true);
            }
            body["BindOptions"] = options;
        }
        MountKind::Volume => {
            let mut options = json!({});
            put(&mut options, "NoCopy", mount.no_copy.then_some(Value::Bool(true)));
            // An empty map is one to the Engine, too: it adds a label of its own to it.
            let labels = (!mount.labels.is_empty()).then(|| Value::Object(texts_by_name(&mount.labels)));
            put(&mut options, "Labels", labels);
            put(&mut options, "Subpath", mount.subpath.as_ref().map(|path| json!(path.expose())));
            body["VolumeOptions"] = options;
        }
        MountKind::Tmpfs => {
            body["TmpfsOptions"] = json!({ "SizeBytes": mount.tmpfs_size, "Mode": mount.tmpfs_mode });
        }
        MountKind::Image => {
            put(
                &mut body,
                "ImageOptions",
                mount.subpath.as_ref().map(|path| json!({ "Subpath": path.expose() })),
            );
        }
        MountKind::Npipe | MountKind::Cluster => {}
    }
    body
}

/// The body of `POST /networks/create`.
pub fn network(spec: &NetworkSpec, labels: &BTreeMap<String, String>) -> Value {
    let mut all = texts_by_name(&spec.labels);
    all.extend(labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    let mut body = json!({
        "Name": spec.name,
        "CheckDuplicate": true,
        "Driver": spec.driver.as_ref().map_or("bridge", Text::expose),
        "Options": texts_by_name(&spec.driver_opts),
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "Labels": all,
    });
    put(&mut body, "EnableIPv4", spec.enable_ipv4.map(Value::from));
    put(&mut body, "EnableIPv6", spec.enable_ipv6.map(Value::from));
    if spec.ipam_driver.is_some() || !spec.pools.is_empty() {
        let pools: Vec<Value> = spec
            .pools
            .iter()
            .map(|pool| {
                let mut entry = json!({});
                for (key, value) in
                    [("Subnet", &pool.subnet), ("Gateway", &pool.gateway), ("IPRange", &pool.ip_range)]
                {
                    put(&mut entry, key, (!value.is_empty()).then(|| json!(value)));
                }
                put(
                    &mut entry,
                    "AuxiliaryAddresses",
                    (!pool.aux_addresses.is_empty()).then(|| json!(pool.aux_addresses)),
                );
                entry
            })
            .collect();
        body["IPAM"] =
            json!({ "Driver": spec.ipam_driver.as_ref().map_or("default", Text::expose), "Config": pools });
    }
    body
}

/// The body of `POST /volumes/create`.
pub fn volume(spec: &VolumeSpec, labels: &BTreeMap<String, String>) -> Value {
    let mut all = texts_by_name(&spec.labels);
    all.extend(labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    json!({
        "Name": spec.name,
        "Driver": spec.driver.as_ref().map_or("local", Text::expose),
        "DriverOpts": texts_by_name(&spec.driver_opts),
        "Labels": all,
    })
}
