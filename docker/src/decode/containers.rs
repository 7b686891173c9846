//! What does an inspection say of a container: what it is, and what it does?

use std::collections::{BTreeMap, BTreeSet};

use plan::{
    container::{ContainerSpec, Endpoint, Logging, Namespace, PortBinding, RestartPolicy, VolumesFrom},
    observed::{ContainerState, Health, ObservedContainer, RunState},
};
use serde_json::Value;
use specs::Text;

use super::{
    json::{entries, flag, int, items, string, text, texts, texts_by_name, time},
    labels::{compose_labels, user_labels},
    limits::{devices, resources},
    mounts::mounts,
    process::{environment, healthcheck},
};

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_odd_container_is_still_seen() {
        let odd = json!({"Id": "abc", "Name": "/x", "State": {"Status": "hibernating"}, "HostConfig": 5});
        let container = container(&odd).expect("seen");
        assert_eq!((container.name.as_str(), container.state.status), ("x", RunState::Unknown));
    }
}
