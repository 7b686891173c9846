//! What would Docker Compose tell the Engine about a service's container?
//!
//! The mapping of Compose 2.40 from the loaded service to `POST /containers/create`, field by field.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use specs::{
    Text,
    doc::Key,
    model::{self, Project, Service},
};

use super::{
    ContainerSpec, CopiedFile, Device, DeviceRequest, Endpoint, Healthcheck, Logging, Mount, MountForm,
    MountKind, Namespace, PortBinding, RestartPolicy, VolumesFrom,
};
use crate::desired::{FileOwner, Inputs, content_path};

/// The container of a service, under the name that it will finally have.
pub fn container_spec(
    project: &Project,
    service: &Service,
    container_name: &str,
    inputs: &Inputs,
) -> ContainerSpec {
    let mut spec = ContainerSpec { image: image_of(project, service), ..ContainerSpec::default() };
    process(&mut spec, service);
    network(&mut spec, project, service, container_name);
    host(&mut spec, service);
    security(&mut spec, service, inputs);
    spec.resources = super::limits::resources(service);
    spec.mounts = mounts(project, service, inputs);
    spec.digests = digests(&spec.mounts, inputs);
    for (path, file) in copied_files(project, service, inputs) {
        let digest =
            inputs.contents.get(&path).map(|digest| (digest_key(file.target.expose()), digest.clone()));
        spec.digests.extend(digest);
        spec.copied_files.push(file);
    }
    spec
}

/// The image's reference: as written, or the name that a build gets.
pub fn image_of(project: &Project, service: &Service) -> Text {
    if service.image.is_empty() {
        Text::plain(format!("{}-{}", project.name, service.name))
    } else {
        service.image.clone()
    }
}

fn given(text: &Text) -> Option<Text> {
    (!text.is_empty()).then(|| text.clone())
}

fn process(spec: &mut ContainerSpec, s: &Service) {
    spec.command.clone_from(&s.command);
    spec.entrypoint.clone_from(&s.entrypoint);
    spec.environment.clone_from(&s.environment);
    spec.labels.clone_from(&s.labels);
    spec.hostname = given(&s.hostname);
    spec.domainname = given(&s.domainname);
    spec.user = given(&s.user);
    spec.working_dir = given(&s.working_dir);
    spec.stop_signal = given(&s.stop_signal);
    spec.stop_timeout = s.stop_grace_period.map(|time| time.0 / 1_000_000_000);
    spec.tty = s.tty;
    spec.open_stdin = s.stdin_open;
    spec.platform = given(&s.platform);
    spec.healthcheck = s.healthcheck.as_ref().map(|check| {
        let ns = |time: Option<model::Duration>| time.map_or(0, |time| time.0);
        if check.disable {
            return Healthcheck { test: vec![Text::plain("NONE")], ..Healthcheck::default() };
        }
        Healthcheck {
            test: check.test.clone(),
            interval: ns(check.interval),
            timeout: ns(check.timeout),
            start_period: ns(check.start_period),
            start_interval: ns(check.start_interval),
            retries: check.retries.and_then(|count| i64::try_from(count).ok()).unwrap_or(0),
        }
    });
}

fn network(spec: &mut ContainerSpec, project: &Project, s: &Service, container_name: &str) {
    let expose = s.expose.iter().map(|port| port.expose().to_owned());
    let targets = s.ports.iter().map(|port| format!("{}/{}", port.target, port.protocol.expose()));
    spec.exposed_ports = expose.chain(targets).collect();
    for port in &s.ports {
        let binding = PortBinding {
            host_ip: port.host_ip.expose().to_owned(),
            host_port: port.published.expose().to_owned(),
        };
        spec.port_bindings
            .entry(format!("{}/{}", port.target, port.protocol.expose()))
            .or_default()
            .push(binding);
    }
    spec.pid = given(&s.pid).map(|mode| namespace(&mode));
    spec.ipc = given(&s.ipc).map(|mode| namespace(&mode));
    if !s.network_mode.is_empty() {
        spec.network_mode = Some(namespace(&s.network_mode));
        return;
    }
    let engine_name = |key: &str| {
        project
            .networks
            .get(key)
            .map_or_else(|| format!("{}_{key}", project.name), |found| found.name.expose().to_owned())
    };
    for (key, declared) in &s.networks {
        spec.networks.insert(engine_name(key), endpoint(declared.as_ref(), s, container_name));
    }
    let priority =
        |declared: &Option<model::ServiceNetwork>| declared.as_ref().map_or(0, |network| network.priority);
    let highest = s.networks.iter().max_by(|a, b| priority(a.1).cmp(&priority(b.1)).then(b.0.cmp(a.0)));
    spec.primary_network = highest.map(|(key, _)| engine_name(key));
    spec.mac_address = given(&s.mac_address);
    if spec.networks.is_empty() {
        spec.network_mode = Some(Namespace::Mode(Text::plain("none")));
    }
}

fn namespace(mode: &Text) -> Namespace {
    match mode.expose().split_once(':') {
        Some(("service", name)) => Namespace::Service(name.to_owned()),
        Some(("container", id)) => Namespace::Container(id.into()),
        _ => Namespace::Mode(mode.clone()),
    }
}

fn endpoint(declared: Option<&model::ServiceNetwork>, s: &Service, container_name: &str) -> Endpoint {
    let mut aliases: BTreeSet<Text> = [Text::plain(container_name), Text::plain(&*s.name)].into();
    let Some(network) = declared else { return Endpoint { aliases, ..Endpoint::default() } };
    aliases.extend(network.aliases.iter().cloned());
    let mut driver_opts = network.driver_opts.clone();
    if !network.interface_name.is_empty() {
        driver_opts.insert("com.docker.network.endpoint.ifname".into(), network.interface_name.clone());
    }
    Endpoint {
        aliases,
        links: Vec::new(),
        ipam: true,
        ipv4_address: given(&network.ipv4_address),
        ipv6_address: given(&network.ipv6_address),
        link_local_ips: network.link_local_ips.clone(),
        mac_address: given(&network.mac_address),
        driver_opts,
        priority: network.priority,
        gw_priority: network.gw_priority,
    }
}

fn host(spec: &mut ContainerSpec, s: &Service) {
    spec.uts = given(&s.uts);
    spec.userns = given(&s.userns_mode);
    spec.cgroupns = given(&s.cgroup);
    spec.restart = restart(s);
    spec.cap_add = s.cap_add.iter().cloned().collect();
    spec.cap_drop = s.cap_drop.iter().cloned().collect();
    spec.group_add.clone_from(&s.group_add);
    spec.sysctls.clone_from(&s.sysctls);
    spec.storage_opt.clone_from(&s.storage_opt);
    spec.annotations.clone_from(&s.annotations);
    spec.runtime = given(&s.runtime);
    spec.isolation = given(&s.isolation);
    spec.privileged = s.privileged;
    spec.read_only = s.read_only;
    spec.init = s.init;
    spec.dns.clone_from(&s.dns);
    spec.dns_search.clone_from(&s.dns_search);
    spec.dns_opt.clone_from(&s.dns_opt);
    let hosts = s.extra_hosts.iter();
    spec.extra_hosts = hosts
        .flat_map(|(host, ips)| ips.iter().map(move |ip| ip.map(|ip| format!("{}:{ip}", host.expose()))))
        .collect();
    spec.logging = s
        .logging
        .as_ref()
        .map(|logging| Logging { driver: logging.driver.clone(), options: logging.options.clone() });
    spec.device_cgroup_rules.clone_from(&s.device_cgroup_rules);
    let limit = |limit: &model::Ulimit| match limit.single {
        0 => super::Ulimit { soft: limit.soft, hard: limit.hard },
        both => super::Ulimit { soft: both, hard: both },
    };
    spec.ulimits =
        s.ulimits.iter().map(|(name, declared)| (name.expose().to_owned(), limit(declared))).collect();
    devices(spec, s);
    spec.volumes_from = s
        .volumes_from
        .iter()
        .map(|from| match from.expose().strip_prefix("container:") {
            Some(outside) => VolumesFrom::Container(Text::plain(outside)),
            None => VolumesFrom::Service(from.expose().split(':').next().unwrap_or_default().to_owned()),
        })
        .collect();
}

/// A seccomp profile is sent as its text, as the Engine cannot read it from the host.
fn security(spec: &mut ContainerSpec, s: &Service, inputs: &Inputs) {
    for option in &s.security_opt {
        if *option == "systempaths=unconfined" {
            spec.unconfined_system_paths = true;
            continue;
        }
        let profile = seccomp_file(option.expose()).and_then(|file| inputs.seccomp_profiles.get(file));
        spec.security_opt.push(match profile {
            Some(profile) => profile.map(|profile| format!("seccomp={profile}")),
            None => option.clone(),
        });
    }
}

/// The file that a security option names: `seccomp=profile.json`, but not `seccomp=unconfined`.
pub fn seccomp_file(option: &str) -> Option<&str> {
    let (key, file) = option.split_once('=').or_else(|| option.split_once(':'))?;
    (key == "seccomp" && !matches!(file, "unconfined" | "builtin")).then_some(file)
}

fn devices(spec: &mut ContainerSpec, s: &Service) {
    let is_cdi = |source: &str| !source.starts_with('/') && source.contains('=') && source.contains('/');
    let (cdi, plain): (Vec<_>, Vec<_>) = s.devices.iter().partition(|device| is_cdi(device.source.expose()));
    spec.devices = plain
        .into_iter()
        .map(|device| Device {
            source: device.source.clone(),
            target: device.target.clone(),
            permissions: device.permissions.clone(),
        })
        .collect();
    if !cdi.is_empty() {
        let ids = cdi.iter().map(|device| device.source.clone()).collect();
        spec.device_requests.push(DeviceRequest {
            driver: "cdi".into(),
            device_ids: ids,
            ..DeviceRequest::default()
        });
    }
    let request = |request: &model::DeviceRequest, extra: Option<&str>| DeviceRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: request.device_ids.clone(),
        capabilities: vec![request.capabilities.iter().cloned().chain(extra.map(Text::plain)).collect()],
        options: request.options.clone(),
    };
    spec.device_requests.extend(s.gpus.iter().map(|gpu| request(gpu, Some("gpu"))));
    let reserved = s.deploy.as_ref().and_then(|deploy| deploy.resources.reservations.as_ref());
    spec.device_requests
        .extend(reserved.iter().flat_map(|part| &part.devices).map(|device| request(device, None)));
}

/// `restart`, which `deploy.restart_policy` overrides.
fn restart(s: &Service) -> Option<RestartPolicy> {
    if let Some(policy) = s.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref()) {
        let name = match policy.condition.expose() {
            "none" => "no",
            "any" | "always" => "always",
            other => other,
        };
        let max_retries = policy.max_attempts.and_then(|count| i64::try_from(count).ok()).unwrap_or(0);
        return Some(RestartPolicy { name: name.to_owned(), max_retries });
    }
    let written = given(&s.restart)?;
    let (name, count) = written.expose().split_once(':').unwrap_or((written.expose(), "0"));
    let name = if name == "none" { "no" } else { name };
    Some(RestartPolicy { name: name.to_owned(), max_retries: count.parse().unwrap_or(0) })
}

fn mounts(project: &Project, s: &Service, inputs: &Inputs) -> BTreeMap<String, Mount> {
    let mut mounts = BTreeMap::new();
    for entry in &s.tmpfs {
        let (target, options) = entry.expose().split_once(':').unwrap_or((entry.expose(), ""));
        let options = if options.is_empty() { Vec::new() } else { vec![options.to_owned()] };
        mounts.insert(
            target.to_owned(),
            Mount { kind: MountKind::Tmpfs, form: MountForm::Tmpfs, options, ..Mount::default() },
        );
    }
    for reference in &s.configs {
        if let Some(file) = file_of(project, reference, ("configs", &project.configs), inputs) {
            let target = file_target(reference, "/");
            mounts.insert(target, file_mount(&file, reference, inputs));
        }
    }
    for reference in &s.secrets {
        if let Some(file) = file_of(project, reference, ("secrets", &project.secrets), inputs) {
            let target = file_target(reference, "/run/secrets/");
            mounts.insert(target, file_mount(&file, reference, inputs));
        }
    }
    for declared in &s.volumes {
        let mut mount = mount(project, declared);
        if mount.kind == MountKind::Bind {
            if mount.source.as_ref().is_some_and(|source| is_placed(source, inputs)) {
                // Plaintext is only read; and where it is not there (yet), the Engine must not make a folder of it.
                mount = Mount { form: MountForm::Mount, read_only: true, create_host_path: false, ..mount };
                mount.options.clear();
            }
            mount.source = mount.source.map(|source| on_the_host(&source, FileOwner::default(), inputs));
        }
        mounts.insert(declared.target.expose().to_owned(), mount);
    }
    mounts
}

fn file_target(reference: &model::FileReference, folder: &str) -> String {
    let target =
        if reference.target.is_empty() { reference.source.expose() } else { reference.target.expose() };
    if target.starts_with('/') { target.to_owned() } else { format!("{folder}{target}") }
}

fn is_placed(declared: &Text, inputs: &Inputs) -> bool {
    inputs.placed(Path::new(declared.expose()), FileOwner::default()).is_some()
}

/// What is mounted for a declared path: its plaintext where it is encrypted, else what it leads to in its generation.
fn on_the_host(declared: &Text, owner: FileOwner, inputs: &Inputs) -> Text {
    let path = Path::new(declared.expose());
    let placed = inputs.placed(path, owner).map(|placed| &placed.path);
    let found = placed.or_else(|| inputs.resolved.get(path));
    found.map_or_else(|| declared.clone(), |path| Text::plain(path.display().to_string()))
}

/// The file of an entry of `secrets` or `configs`: its own, or the place of a secret content that has none.
fn file_of(
    project: &Project,
    reference: &model::FileReference,
    (list, objects): (&str, &BTreeMap<Key, model::FileObject>),
    inputs: &Inputs,
) -> Option<Text> {
    let name = reference.source.expose();
    let object = objects.get(name)?;
    if !object.file.is_empty() {
        return Some(object.file.clone());
    }
    let path = content_path(project, list, name);
    inputs.placed(&path, FileOwner::of(reference)).map(|_| Text::plain(path.display().to_string()))
}

fn file_mount(file: &Text, reference: &model::FileReference, inputs: &Inputs) -> Mount {
    Mount {
        form: MountForm::Mount,
        source: Some(on_the_host(file, FileOwner::of(reference), inputs)),
        read_only: true,
        ..Mount::default()
    }
}

fn mount(project: &Project, declared: &model::Mount) -> Mount {
    let bind = declared.bind.as_ref();
    let volume = declared.volume.as_ref();
    let mut mount = Mount {
        kind: match declared.kind {
            model::MountKind::Bind => MountKind::Bind,
            model::MountKind::Volume => MountKind::Volume,
            model::MountKind::Tmpfs => MountKind::Tmpfs,
            model::MountKind::Npipe => MountKind::Npipe,
            model::MountKind::Cluster => MountKind::Cluster,
            model::MountKind::Image => MountKind::Image,
        },
        form: MountForm::Mount,
        source: given(&declared.source),
        read_only: declared.read_only,
        consistency: given(&declared.consistency),
        propagation: bind.and_then(|bind| given(&bind.propagation)),
        create_host_path: bind.is_none_or(|bind| bind.create_host_path),
        recursive: bind.and_then(|bind| given(&bind.recursive)),
        no_copy: volume.is_some_and(|volume| volume.nocopy),
        subpath: volume
            .and_then(|volume| given(&volume.subpath))
            .or_else(|| declared.image.as_ref().and_then(|image| given(&image.subpath))),
        labels: volume.map(|volume| volume.labels.clone()).unwrap_or_default(),
        tmpfs_size: declared.tmpfs.as_ref().map_or(0, |tmpfs| tmpfs.size.0),
        tmpfs_mode: declared.tmpfs.as_ref().map_or(0, |tmpfs| tmpfs.mode),
        ..Mount::default()
    };
    let as_bind = match declared.kind {
        model::MountKind::Bind => bind.is_none_or(|bind| {
            bind.create_host_path && bind.propagation.is_empty() && bind.recursive.is_empty()
        }),
        model::MountKind::Volume => {
            let known = project.volumes.get(declared.source.expose());
            if let Some(known) = known {
                mount.source = Some(known.name.clone());
            }
            known.is_some() && !mount.no_copy && mount.subpath.is_none() && mount.labels.is_empty()
        }
        _ => false,
    };
    if as_bind {
        mount.form = MountForm::Bind;
        mount
            .options
            .extend(bind.and_then(|bind| given(&bind.selinux)).map(|label| label.expose().to_owned()));
    }
    mount
}

/// Configs with content and secrets from a variable live in the container's own layer, as with Docker Compose; those that
/// came out of an encrypted file do not, for that layer is on a disk.
fn copied_files(project: &Project, s: &Service, inputs: &Inputs) -> Vec<(PathBuf, CopiedFile)> {
    let lists = [
        ("secrets", &s.secrets, &project.secrets, "/run/secrets/"),
        ("configs", &s.configs, &project.configs, "/"),
    ];
    let mut files = Vec::new();
    for (list, references, objects, folder) in lists {
        for reference in references {
            let name = reference.source.expose();
            let content = objects.get(name).and_then(|object| object.content.as_ref());
            let path = content_path(project, list, name);
            let Some(content) = content.filter(|content| !content.is_empty()) else { continue };
            if inputs.placed(&path, FileOwner::of(reference)).is_some() {
                continue;
            }
            let file = CopiedFile {
                target: Text::plain(file_target(reference, folder)),
                content: content.clone(),
                uid: given(&reference.uid),
                gid: given(&reference.gid),
                mode: reference.mode.and_then(|mode| u32::try_from(mode.0).ok()).unwrap_or(0o444),
            };
            files.push((path, file));
        }
    }
    files
}

/// Digests of what a container mounts from the profile, by a short name of its target.
fn digests(mounts: &BTreeMap<String, Mount>, inputs: &Inputs) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    let placed = inputs.all_placed().map(|file| (file.path.clone(), &*file.digest));
    let side = inputs
        .side_files
        .iter()
        .map(|(declared, fact)| (inputs.resolved.get(declared).unwrap_or(declared).clone(), &*fact.digest));
    let known: BTreeMap<PathBuf, &str> = side.chain(placed).collect();
    for (target, mount) in mounts {
        let Some(source) = mount.source.as_ref().map(Text::expose) else { continue };
        if let Some(digest) = known.get(Path::new(source)) {
            digests.insert(digest_key(target), (*digest).to_owned());
        }
    }
    digests
}

/// The digest label's key of what is mounted at `target`.
pub fn digest_key(target: &str) -> String {
    format!("file.{}", target.trim_start_matches('/').replace('/', "."))
}
