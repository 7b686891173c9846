//! In which order and form does Compose print a service's fields?

use super::tree::{Json, Record};
use crate::{
    Text,
    doc::Key,
    model::{
        BlkioConfig, Build, Deploy, Develop, DeviceRequest, FileReference, Healthcheck, Hook, Mount, Port,
        ResourceLimits, Service, ServiceNetwork, SshKey, ThrottleDevice, Ulimit, UpdateConfig,
    },
};

/// `label_files`: what `docker compose up` still has in the model when it hashes it, and `config` does not print.
pub(super) fn service(s: &Service, label_files: &[Text]) -> Json {
    let record = last(network_part(middle(first(Json::record(), s), s, label_files), s), s);
    record.extensions(&s.extensions).done()
}

fn first(r: Record, s: &Service) -> Record {
    r.texts("profiles", &s.profiles)
        .texts_by_name("annotations", &s.annotations)
        .maybe_flag("attach", s.attach)
        .maybe("build", s.build.as_ref().map(build))
        .maybe("develop", s.develop.as_ref().map(develop))
        .maybe("blkio_config", s.blkio_config.as_ref().map(blkio))
        .texts("cap_add", &s.cap_add)
        .texts("cap_drop", &s.cap_drop)
        .text("cgroup_parent", &s.cgroup_parent)
        .text("cgroup", &s.cgroup)
        .int("cpu_count", s.cpu_count)
        .float("cpu_percent", s.cpu_percent)
        .int("cpu_period", s.cpu_period)
        .int("cpu_quota", s.cpu_quota)
        .int("cpu_rt_period", s.cpu_rt_period)
        .int("cpu_rt_runtime", s.cpu_rt_runtime)
        .float("cpus", s.cpus)
        .text("cpuset", &s.cpuset)
        .int("cpu_shares", s.cpu_shares)
        .field_or_json_null("command", s.command.as_deref())
        .list("configs", s.configs.iter().map(reference).collect())
        .text("container_name", &s.container_name)
        .maybe(
            "credential_spec",
            s.credential_spec.as_ref().map(|spec| {
                Json::record()
                    .text("config", &spec.config)
                    .text("file", &spec.file)
                    .text("registry", &spec.registry)
                    .extensions(&spec.extensions)
                    .done()
            }),
        )
        .field("depends_on", dependencies(s))
        .maybe("deploy", s.deploy.as_ref().map(deploy))
}

fn middle(r: Record, s: &Service, label_files: &[Text]) -> Record {
    let devices = s.devices.iter().map(|device| {
        Json::record()
            .text("source", &device.source)
            .text("target", &device.target)
            .text("permissions", &device.permissions)
            .extensions(&device.extensions)
            .done()
    });
    let env_files = s.env_files.iter().map(|file| {
        if file.required && file.format.is_empty() {
            Json::Text(file.path.clone())
        } else {
            let required = Json::Bool(file.required);
            Json::record()
                .text("path", &file.path)
                .always("required", required)
                .text("format", &file.format)
                .done()
        }
    });
    r.texts("device_cgroup_rules", &s.device_cgroup_rules)
        .list("devices", devices.collect())
        .texts("dns", &s.dns)
        .texts("dns_opt", &s.dns_opt)
        .texts("dns_search", &s.dns_search)
        .text("domainname", &s.domainname)
        .field_or_json_null("entrypoint", s.entrypoint.as_deref())
        .maybe(
            "provider",
            s.provider.as_ref().map(|provider| {
                let options = provider.options.iter().map(|(key, values)| (key.clone(), Json::array(values)));
                Json::record()
                    .text("type", &provider.kind)
                    .field("options", Json::map(options))
                    .extensions(&provider.extensions)
                    .done()
            }),
        )
        .maybe_texts_by_name("environment", &s.environment)
        .list("env_file", env_files.collect())
        .texts("expose", &s.expose)
        .texts("external_links", &s.external_links)
        .field("extra_hosts", hosts(&s.extra_hosts))
        .texts("group_add", &s.group_add)
        .list("gpus", s.gpus.iter().map(device_request).collect())
        .text("hostname", &s.hostname)
        .maybe("healthcheck", s.healthcheck.as_ref().map(healthcheck))
        .text("image", &s.image)
        .maybe_flag("init", s.init)
        .text("ipc", &s.ipc)
        .text("isolation", &s.isolation)
        .texts_by_name("labels", &s.labels)
        .texts("label_file", label_files)
        .texts("links", &s.links)
        .maybe(
            "logging",
            s.logging.as_ref().map(|logging| {
                Json::record()
                    .text("driver", &logging.driver)
                    .texts_by_name("options", &logging.options)
                    .extensions(&logging.extensions)
                    .done()
            }),
        )
        .bytes("mem_limit", s.mem_limit)
        .bytes("mem_reservation", s.mem_reservation)
        .bytes("memswap_limit", s.memswap_limit)
        .bytes("mem_swappiness", s.mem_swappiness)
}

fn network_part(r: Record, s: &Service) -> Record {
    let models = s.models.iter().map(|(name, model)| {
        let printed = model.as_ref().map_or(Json::Null, |model| {
            Json::record()
                .text("endpoint_var", &model.endpoint_var)
                .text("model_var", &model.model_var)
                .extensions(&model.extensions)
                .done()
        });
        (name.clone(), printed)
    });
    let networks = s
        .networks
        .iter()
        .map(|(name, network)| (name.clone(), network.as_ref().map_or(Json::Null, endpoint)));
    r.text("mac_address", &s.mac_address)
        .field("models", Json::map(models))
        .text("network_mode", &s.network_mode)
        .field("networks", Json::map(networks))
        .flag("oom_kill_disable", s.oom_kill_disable)
        .int("oom_score_adj", s.oom_score_adj)
        .text("pid", &s.pid)
        .int("pids_limit", s.pids_limit)
        .text("platform", &s.platform)
        .list("ports", s.ports.iter().map(port).collect())
        .flag("privileged", s.privileged)
        .text("pull_policy", &s.pull_policy)
        .flag("read_only", s.read_only)
        .text("restart", &s.restart)
        .text("runtime", &s.runtime)
        .maybe_int("scale", s.scale)
        .list("secrets", s.secrets.iter().map(reference).collect())
        .texts("security_opt", &s.security_opt)
        .bytes("shm_size", s.shm_size)
        .flag("stdin_open", s.stdin_open)
        .duration("stop_grace_period", s.stop_grace_period)
        .text("stop_signal", &s.stop_signal)
        .texts_by_name("storage_opt", &s.storage_opt)
}

fn last(r: Record, s: &Service) -> Record {
    let ulimits = s.ulimits.iter().map(|(name, limit)| (name.clone(), ulimit(limit)));
    r.texts_by_name("sysctls", &s.sysctls)
        .texts("tmpfs", &s.tmpfs)
        .flag("tty", s.tty)
        .field("ulimits", Json::map(ulimits))
        .flag("use_api_socket", s.use_api_socket)
        .text("user", &s.user)
        .text("userns_mode", &s.userns_mode)
        .text("uts", &s.uts)
        .list("volumes", s.volumes.iter().map(mount).collect())
        .texts("volumes_from", &s.volumes_from)
        .text("working_dir", &s.working_dir)
        .list("post_start", s.post_start.iter().map(hook).collect())
        .list("pre_stop", s.pre_stop.iter().map(hook).collect())
}

fn reference(reference: &FileReference) -> Json {
    Json::record()
        .text("source", &reference.source)
        .text("target", &reference.target)
        .text("uid", &reference.uid)
        .text("gid", &reference.gid)
        .mode("mode", reference.mode)
        .extensions(&reference.extensions)
        .done()
}

fn dependencies(s: &Service) -> Json {
    let edges = s.depends_on.iter().map(|(name, edge)| {
        let printed = Json::record()
            .text("condition", &edge.condition.as_str().into())
            .flag("restart", edge.restart)
            .always("required", Json::Bool(edge.required))
            .extensions(&edge.extensions);
        (name.clone(), printed.done())
    });
    Json::map(edges)
}

fn hosts(hosts: &std::collections::BTreeMap<Key, Vec<Text>>) -> Json {
    let mut lines: Vec<Text> = hosts
        .iter()
        .flat_map(|(host, addresses)| {
            addresses.iter().map(move |address| address.map(|ip| format!("{host}={ip}")))
        })
        .collect();
    lines.sort();
    Json::array(&lines)
}

fn device_request(request: &DeviceRequest) -> Json {
    Json::record()
        .texts("capabilities", &request.capabilities)
        .text("driver", &request.driver)
        .int("count", request.count)
        .texts("device_ids", &request.device_ids)
        .texts_by_name("options", &request.options)
        .done()
}

fn healthcheck(check: &Healthcheck) -> Json {
    Json::record()
        .texts("test", &check.test)
        .duration("timeout", check.timeout)
        .duration("interval", check.interval)
        .maybe_unsigned("retries", check.retries)
        .duration("start_period", check.start_period)
        .duration("start_interval", check.start_interval)
        .flag("disable", check.disable)
        .extensions(&check.extensions)
        .done()
}

fn endpoint(network: &ServiceNetwork) -> Json {
    Json::record()
        .texts("aliases", &network.aliases)
        .texts_by_name("driver_opts", &network.driver_opts)
        .int("gw_priority", network.gw_priority)
        .text("interface_name", &network.interface_name)
        .text("ipv4_address", &network.ipv4_address)
        .text("ipv6_address", &network.ipv6_address)
        .texts("link_local_ips", &network.link_local_ips)
        .text("mac_address", &network.mac_address)
        .int("priority", network.priority)
        .extensions(&network.extensions)
        .done()
}

fn port(port: &Port) -> Json {
    Json::record()
        .text("name", &port.name)
        .text("mode", &port.mode)
        .text("host_ip", &port.host_ip)
        .int("target", i64::from(port.target))
        .text("published", &port.published)
        .text("protocol", &port.protocol)
        .text("app_protocol", &port.app_protocol)
        .extensions(&port.extensions)
        .done()
}

fn mount(mount: &Mount) -> Json {
    Json::record()
        .text("type", &mount.kind.as_str().into())
        .text("source", &mount.source)
        .text("target", &mount.target)
        .flag("read_only", mount.read_only)
        .text("consistency", &mount.consistency)
        .maybe(
            "bind",
            mount.bind.as_ref().map(|bind| {
                Json::record()
                    .text("selinux", &bind.selinux)
                    .text("propagation", &bind.propagation)
                    .flag("create_host_path", bind.create_host_path)
                    .text("recursive", &bind.recursive)
                    .extensions(&bind.extensions)
                    .done()
            }),
        )
        .maybe(
            "volume",
            mount.volume.as_ref().map(|volume| {
                Json::record()
                    .texts_by_name("labels", &volume.labels)
                    .flag("nocopy", volume.nocopy)
                    .text("subpath", &volume.subpath)
                    .extensions(&volume.extensions)
                    .done()
            }),
        )
        .maybe(
            "tmpfs",
            mount.tmpfs.as_ref().map(|tmpfs| {
                Json::record()
                    .bytes("size", tmpfs.size)
                    .int("mode", i64::from(tmpfs.mode))
                    .extensions(&tmpfs.extensions)
                    .done()
            }),
        )
        .maybe(
            "image",
            mount.image.as_ref().map(|image| {
                Json::record().text("subpath", &image.subpath).extensions(&image.extensions).done()
            }),
        )
        .extensions(&mount.extensions)
        .done()
}

fn ulimit(limit: &Ulimit) -> Json {
    if limit.single != 0 {
        return Json::Number(limit.single.to_string());
    }
    Json::record()
        .yaml_always("soft", limit.soft)
        .yaml_always("hard", limit.hard)
        .extensions(&limit.extensions)
        .done()
}

fn hook(hook: &Hook) -> Json {
    Json::record()
        .field_or_json_null("command", hook.command.as_deref())
        .text("user", &hook.user)
        .flag("privileged", hook.privileged)
        .text("working_dir", &hook.working_dir)
        .maybe_texts_by_name("environment", &hook.environment)
        .extensions(&hook.extensions)
        .done()
}

fn blkio(blkio: &BlkioConfig) -> Json {
    let throttles = |devices: &[ThrottleDevice]| {
        let printed = devices.iter().map(|device| {
            Json::record()
                .named_in_go("Path", "path", Json::Text(device.path.clone()))
                .named_in_go("Rate", "rate", Json::text(&device.rate.to_string()))
                .extensions(&device.extensions)
                .done()
        });
        printed.collect::<Vec<_>>()
    };
    let weights = blkio.weight_device.iter().map(|device| {
        Json::record()
            .named_in_go("Path", "path", Json::Text(device.path.clone()))
            .named_in_go("Weight", "weight", Json::Number(device.weight.to_string()))
            .extensions(&device.extensions)
            .done()
    });
    Json::record()
        .int("weight", i64::from(blkio.weight))
        .list("weight_device", weights.collect())
        .list("device_read_bps", throttles(&blkio.device_read_bps))
        .list("device_read_iops", throttles(&blkio.device_read_iops))
        .list("device_write_bps", throttles(&blkio.device_write_bps))
        .list("device_write_iops", throttles(&blkio.device_write_iops))
        .extensions(&blkio.extensions)
        .done()
}

fn develop(develop: &Develop) -> Json {
    let rules = develop.watch.iter().map(|rule| {
        Json::record()
            .json_always("path", Json::Text(rule.path.clone()))
            .json_always("action", Json::Text(rule.action.clone()))
            .text("target", &rule.target)
            .json_always("exec", hook(&rule.exec))
            .texts("include", &rule.include)
            .texts("ignore", &rule.ignore)
            .flag("initial_sync", rule.initial_sync)
            .extensions(&rule.extensions)
            .done()
    });
    Json::record().list("watch", rules.collect()).extensions(&develop.extensions).done()
}

fn build(build: &Build) -> Json {
    let ssh = |sign: &str| {
        let key = |key: &SshKey| {
            if key.path.is_empty() {
                Json::Text(key.id.clone())
            } else {
                Json::Text(key.path.map(|path| format!("{}{sign}{path}", key.id.expose())))
            }
        };
        Json::Array(build.ssh.iter().map(key).collect())
    };
    let ulimits = build.ulimits.iter().map(|(name, limit)| (name.clone(), ulimit(limit)));
    Json::record()
        .text("context", &build.context)
        .text("dockerfile", &build.dockerfile)
        .text("dockerfile_inline", &build.dockerfile_inline)
        .texts("entitlements", &build.entitlements)
        .maybe_texts_by_name("args", &build.args)
        .text("provenance", &build.provenance)
        .text("sbom", &build.sbom)
        .named("ssh", ssh("="), ssh(": "))
        .texts_by_name("labels", &build.labels)
        .texts("cache_from", &build.cache_from)
        .texts("cache_to", &build.cache_to)
        .flag("no_cache", build.no_cache)
        .texts_by_name("additional_contexts", &build.additional_contexts)
        .flag("pull", build.pull)
        .field("extra_hosts", hosts(&build.extra_hosts))
        .text("isolation", &build.isolation)
        .text("network", &build.network)
        .text("target", &build.target)
        .list("secrets", build.secrets.iter().map(reference).collect())
        .bytes("shm_size", build.shm_size)
        .texts("tags", &build.tags)
        .field("ulimits", Json::map(ulimits))
        .texts("platforms", &build.platforms)
        .flag("privileged", build.privileged)
        .extensions(&build.extensions)
        .done()
}

fn deploy(deploy: &Deploy) -> Json {
    let preferences =
        deploy.placement.preferences.iter().map(|spread| Json::record().text("spread", spread).done());
    let placement = Json::record()
        .texts("constraints", &deploy.placement.constraints)
        .list("preferences", preferences.collect())
        .maybe_unsigned(
            "max_replicas_per_node",
            Some(deploy.placement.max_replicas_per_node).filter(|count| *count > 0),
        )
        .extensions(&deploy.placement.extensions);
    let resources = Json::record()
        .maybe("limits", deploy.resources.limits.as_ref().map(limits))
        .maybe("reservations", deploy.resources.reservations.as_ref().map(limits))
        .extensions(&deploy.resources.extensions);
    let restart = deploy.restart_policy.as_ref().map(|policy| {
        Json::record()
            .text("condition", &policy.condition)
            .duration("delay", policy.delay)
            .maybe_unsigned("max_attempts", policy.max_attempts)
            .duration("window", policy.window)
            .extensions(&policy.extensions)
            .done()
    });
    Json::record()
        .text("mode", &deploy.mode)
        .maybe_int("replicas", deploy.replicas)
        .texts_by_name("labels", &deploy.labels)
        .maybe("update_config", deploy.update_config.as_ref().map(update_config))
        .maybe("rollback_config", deploy.rollback_config.as_ref().map(update_config))
        .json_always("resources", resources.done())
        .maybe("restart_policy", restart)
        .json_always("placement", placement.done())
        .text("endpoint_mode", &deploy.endpoint_mode)
        .extensions(&deploy.extensions)
        .done()
}

fn update_config(config: &UpdateConfig) -> Json {
    Json::record()
        .maybe_unsigned("parallelism", config.parallelism)
        .duration("delay", Some(config.delay).filter(|delay| delay.0 != 0))
        .text("failure_action", &config.failure_action)
        .duration("monitor", Some(config.monitor).filter(|monitor| monitor.0 != 0))
        .float("max_failure_ratio", config.max_failure_ratio)
        .text("order", &config.order)
        .extensions(&config.extensions)
        .done()
}

fn limits(limits: &ResourceLimits) -> Json {
    let generic = limits.generic_resources.iter().map(|resource| {
        let spec = Json::record()
            .always("kind", Json::Text(resource.kind.clone()))
            .always("value", Json::Number(resource.value.to_string()));
        Json::record().always("discrete_resource_spec", spec.done()).done()
    });
    Json::record()
        .float("cpus", limits.cpus)
        .bytes("memory", limits.memory)
        .int("pids", limits.pids)
        .list("devices", limits.devices.iter().map(device_request).collect())
        .list("generic_resources", generic.collect())
        .extensions(&limits.extensions)
        .done()
}
