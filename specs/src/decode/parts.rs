//! How are the records inside a service read: mounts, ports, health checks, deploy, build, hooks …?

use super::fields::Fields;
use crate::{
    Problem, Text,
    doc::{Node, Trail, Value},
    message,
    model::{
        BindOptions, BlkioConfig, Build, CredentialSpec, Deploy, Develop, Device, DeviceRequest, Duration,
        EnvFile, FileReference, GenericResource, Healthcheck, Hook, ImageOptions, Logging, ModelUse, Mount,
        MountKind, Placement, Port, Provider, ResourceLimits, Resources, RestartPolicy, ServiceNetwork,
        SshKey, ThrottleDevice, TmpfsOptions, Ulimit, UpdateConfig, VolumeOptions, Watch, WeightDevice,
    },
    values::scalar_text,
};

type Problems<'a> = &'a mut Vec<Problem>;

pub(super) fn env_file(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<EnvFile> {
    let mut f = Fields::of(node, path, problems)?;
    Some(EnvFile {
        path: f.text("path"),
        required: f.maybe_flag("required").unwrap_or(true),
        format: f.text("format"),
    })
}

pub(super) fn mount(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Mount> {
    let mut f = Fields::of(node, path, problems)?;
    let kind = match f.text("type").expose() {
        "volume" => MountKind::Volume,
        "tmpfs" => MountKind::Tmpfs,
        "npipe" => MountKind::Npipe,
        "cluster" => MountKind::Cluster,
        "image" => MountKind::Image,
        _ => MountKind::Bind,
    };
    Some(Mount {
        kind,
        source: f.text("source"),
        target: f.text("target"),
        read_only: f.flag("read_only"),
        consistency: f.text("consistency"),
        bind: f.object("bind", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            Some(BindOptions {
                selinux: f.text("selinux"),
                propagation: f.text("propagation"),
                create_host_path: f.flag("create_host_path"),
                recursive: f.text("recursive"),
                extensions: f.extensions(),
            })
        }),
        volume: f.object("volume", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            Some(VolumeOptions {
                labels: f.texts_by_name("labels"),
                nocopy: f.flag("nocopy"),
                subpath: f.text("subpath"),
                extensions: f.extensions(),
            })
        }),
        tmpfs: f.object("tmpfs", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            Some(TmpfsOptions { size: f.bytes("size"), mode: f.number("mode"), extensions: f.extensions() })
        }),
        image: f.object("image", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            Some(ImageOptions { subpath: f.text("subpath"), extensions: f.extensions() })
        }),
        extensions: f.extensions(),
    })
}

pub(super) fn file_reference(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<FileReference> {
    let mut f = Fields::of(node, path, problems)?;
    Some(FileReference {
        source: f.text("source"),
        target: f.text("target"),
        uid: f.text("uid"),
        gid: f.text("gid"),
        mode: f.mode("mode"),
        extensions: f.extensions(),
    })
}

pub(super) fn port(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Port> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Port {
        name: f.text("name"),
        mode: f.text("mode"),
        host_ip: f.text("host_ip"),
        target: u32::try_from(f.int("target")).unwrap_or(0),
        published: f.text("published"),
        protocol: f.text("protocol"),
        app_protocol: f.text("app_protocol"),
        extensions: f.extensions(),
    })
}

pub(super) fn service_network(
    node: &Node,
    path: &Trail<'_>,
    problems: Problems<'_>,
) -> Option<ServiceNetwork> {
    let mut f = Fields::of(node, path, problems)?;
    Some(ServiceNetwork {
        aliases: f.texts("aliases"),
        driver_opts: f.texts_by_name("driver_opts"),
        gw_priority: f.int("gw_priority"),
        interface_name: f.text("interface_name"),
        ipv4_address: f.text("ipv4_address"),
        ipv6_address: f.text("ipv6_address"),
        link_local_ips: f.texts("link_local_ips"),
        mac_address: f.text("mac_address"),
        priority: f.int("priority"),
        extensions: f.extensions(),
    })
}

pub(super) fn healthcheck(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Healthcheck> {
    let shell = node.get("test").and_then(Node::as_text).cloned();
    let mut f = Fields::of(node, path, problems)?;
    let test = match shell {
        Some(line) => vec![Text::plain("CMD-SHELL"), line],
        None => f.texts("test"),
    };
    Some(Healthcheck {
        test,
        timeout: f.duration("timeout"),
        interval: f.duration("interval"),
        retries: f.maybe_unsigned("retries"),
        start_period: f.duration("start_period"),
        start_interval: f.duration("start_interval"),
        disable: f.flag("disable"),
        extensions: f.extensions(),
    })
}

pub(super) fn logging(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Logging> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Logging {
        driver: f.text("driver"),
        options: f.texts_by_name("options"),
        extensions: f.extensions(),
    })
}

/// A number for both limits, or `{soft, hard}`.
pub(super) fn ulimit(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Ulimit> {
    if !matches!(node.value, Value::Map(_) | Value::Null) {
        let single = super::fields::whole(&node.value);
        if single.is_none() {
            let message = message!("expected a number or {{soft, hard}}, found {}", node.kind());
            problems.push(Problem::error("type", node.span, path, message));
        }
        return Some(Ulimit { single: single?, ..Ulimit::default() });
    }
    let mut f = Fields::of(node, path, problems)?;
    Some(Ulimit { single: 0, soft: f.int("soft"), hard: f.int("hard"), extensions: f.extensions() })
}

pub(super) fn device(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Device> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Device {
        source: f.text("source"),
        target: f.text("target"),
        permissions: f.text("permissions"),
        extensions: f.extensions(),
    })
}

pub(super) fn device_request(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<DeviceRequest> {
    let all = node.get("count").and_then(Node::as_text).is_some_and(|count| count.expose() == "all");
    let mut f = Fields::of(node, path, problems)?;
    Some(DeviceRequest {
        capabilities: f.texts("capabilities"),
        driver: f.text("driver"),
        count: if all { -1 } else { f.int("count") },
        device_ids: f.texts("device_ids"),
        options: f.texts_by_name("options"),
    })
}

pub(super) fn hook(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Hook> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Hook {
        command: f.command("command"),
        user: f.text("user"),
        privileged: f.flag("privileged"),
        working_dir: f.text("working_dir"),
        environment: f.maybe_texts_by_name("environment"),
        extensions: f.extensions(),
    })
}

pub(super) fn blkio(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<BlkioConfig> {
    fn throttle(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<ThrottleDevice> {
        let mut f = Fields::of(node, path, problems)?;
        Some(ThrottleDevice { path: f.text("path"), rate: f.bytes("rate"), extensions: f.extensions() })
    }
    let mut f = Fields::of(node, path, problems)?;
    Some(BlkioConfig {
        weight: f.number("weight"),
        weight_device: f.list("weight_device", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            let weight = f.number("weight");
            Some(WeightDevice { path: f.text("path"), weight, extensions: f.extensions() })
        }),
        device_read_bps: f.list("device_read_bps", throttle),
        device_read_iops: f.list("device_read_iops", throttle),
        device_write_bps: f.list("device_write_bps", throttle),
        device_write_iops: f.list("device_write_iops", throttle),
        extensions: f.extensions(),
    })
}

pub(super) fn credential_spec(
    node: &Node,
    path: &Trail<'_>,
    problems: Problems<'_>,
) -> Option<CredentialSpec> {
    let mut f = Fields::of(node, path, problems)?;
    Some(CredentialSpec {
        config: f.text("config"),
        file: f.text("file"),
        registry: f.text("registry"),
        extensions: f.extensions(),
    })
}

pub(super) fn provider(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Provider> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Provider {
        kind: f.text("type"),
        options: f.objects("options", |node, _, _, _| {
            Some(match &node.value {
                Value::Seq(items) => items.iter().map(|item| scalar_text(&item.value)).collect(),
                scalar => vec![scalar_text(scalar)],
            })
        }),
        extensions: f.extensions(),
    })
}

pub(super) fn model_use(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<ModelUse> {
    let mut f = Fields::of(node, path, problems)?;
    Some(ModelUse {
        endpoint_var: f.text("endpoint_var"),
        model_var: f.text("model_var"),
        extensions: f.extensions(),
    })
}

pub(super) fn develop(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Develop> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Develop {
        watch: f.list("watch", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            Some(Watch {
                path: f.text("path"),
                action: f.text("action"),
                target: f.text("target"),
                exec: f.object("exec", hook).unwrap_or_default(),
                include: f.texts("include"),
                ignore: f.texts("ignore"),
                initial_sync: f.flag("initial_sync"),
                extensions: f.extensions(),
            })
        }),
        extensions: f.extensions(),
    })
}

pub(super) fn build(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Build> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Build {
        context: f.text("context"),
        dockerfile: f.text("dockerfile"),
        dockerfile_inline: f.text("dockerfile_inline"),
        entitlements: f.texts("entitlements"),
        args: f.maybe_texts_by_name("args"),
        ssh: f
            .maybe_texts_by_name("ssh")
            .into_iter()
            .map(|(id, path)| SshKey { id: id.text(), path: path.unwrap_or_default() })
            .collect(),
        labels: f.texts_by_name("labels"),
        cache_from: f.texts("cache_from"),
        cache_to: f.texts("cache_to"),
        no_cache: f.flag("no_cache"),
        additional_contexts: f.texts_by_name("additional_contexts"),
        pull: f.flag("pull"),
        extra_hosts: f.hosts("extra_hosts"),
        isolation: f.text("isolation"),
        network: f.text("network"),
        target: f.text("target"),
        secrets: f.list("secrets", file_reference),
        shm_size: f.bytes("shm_size"),
        tags: f.texts("tags"),
        ulimits: f.objects("ulimits", |node, path, _, problems| ulimit(node, path, problems)),
        platforms: f.texts("platforms"),
        privileged: f.flag("privileged"),
        provenance: f.text("provenance"),
        sbom: f.text("sbom"),
        extensions: f.extensions(),
    })
}

pub(super) fn deploy(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Deploy> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Deploy {
        mode: f.text("mode"),
        replicas: f.maybe_int("replicas"),
        labels: f.texts_by_name("labels"),
        update_config: f.object("update_config", update_config),
        rollback_config: f.object("rollback_config", update_config),
        resources: f.object("resources", resources).unwrap_or_default(),
        restart_policy: f.object("restart_policy", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            Some(RestartPolicy {
                condition: f.text("condition"),
                delay: f.duration("delay"),
                max_attempts: f.maybe_unsigned("max_attempts"),
                window: f.duration("window"),
                extensions: f.extensions(),
            })
        }),
        placement: f.object("placement", placement).unwrap_or_default(),
        endpoint_mode: f.text("endpoint_mode"),
        extensions: f.extensions(),
    })
}

fn update_config(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<UpdateConfig> {
    let mut f = Fields::of(node, path, problems)?;
    Some(UpdateConfig {
        parallelism: f.maybe_unsigned("parallelism"),
        delay: f.duration("delay").unwrap_or(Duration(0)),
        failure_action: f.text("failure_action"),
        monitor: f.duration("monitor").unwrap_or(Duration(0)),
        max_failure_ratio: f.float("max_failure_ratio"),
        order: f.text("order"),
        extensions: f.extensions(),
    })
}

fn resources(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Resources> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Resources {
        limits: f.object("limits", limits),
        reservations: f.object("reservations", limits),
        extensions: f.extensions(),
    })
}

fn limits(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<ResourceLimits> {
    let mut f = Fields::of(node, path, problems)?;
    Some(ResourceLimits {
        cpus: f.float("cpus"),
        memory: f.bytes("memory"),
        pids: f.int("pids"),
        devices: f.list("devices", device_request),
        generic_resources: f.list("generic_resources", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            let extensions = f.extensions();
            f.object("discrete_resource_spec", |node, path, problems| {
                let mut f = Fields::of(node, path, problems)?;
                Some(GenericResource {
                    kind: f.text("kind"),
                    value: f.int("value"),
                    extensions: extensions.clone(),
                })
            })
        }),
        extensions: f.extensions(),
    })
}

fn placement(node: &Node, path: &Trail<'_>, problems: Problems<'_>) -> Option<Placement> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Placement {
        constraints: f.texts("constraints"),
        preferences: f.list("preferences", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            Some(f.text("spread"))
        }),
        max_replicas_per_node: f.maybe_unsigned("max_replicas_per_node").unwrap_or(0),
        extensions: f.extensions(),
    })
}
