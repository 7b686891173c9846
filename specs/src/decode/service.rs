//! How does one service of a canonical document become a typed service?

use std::collections::BTreeMap;

use super::{fields::Fields, parts};
use crate::{
    Problem,
    doc::{Key, Node, Trail, Value},
    model::{Dependency, DependencyCondition, Service},
};

/// Reads one service.
pub(super) fn service(
    node: &Node,
    path: &Trail<'_>,
    name: &Key,
    problems: &mut Vec<Problem>,
) -> Option<Service> {
    let mut f = Fields::of(node, path, problems)?;
    let mut service = Service { name: name.expose().to_owned(), ..Service::default() };
    process(&mut f, &mut service);
    limits(&mut f, &mut service);
    network(&mut f, &mut service);
    storage(&mut f, &mut service);
    lifecycle(&mut f, &mut service);
    service.extensions = f.extensions();
    Some(service)
}

fn process(f: &mut Fields<'_, '_>, s: &mut Service) {
    s.image = f.text("image");
    s.command = f.command("command");
    s.entrypoint = f.command("entrypoint");
    s.environment = f.maybe_texts_by_name("environment");
    s.env_files = f.list("env_file", parts::env_file);
    s.labels = f.texts_by_name("labels");
    s.label_files = f.texts("label_file");
    s.annotations = f.texts_by_name("annotations");
    s.attach = f.maybe_flag("attach");
    s.build = f.object("build", parts::build);
    s.container_name = f.text("container_name");
    s.credential_spec = f.object("credential_spec", parts::credential_spec);
    s.domainname = f.text("domainname");
    s.hostname = f.text("hostname");
    s.init = f.maybe_flag("init");
    s.platform = f.text("platform");
    s.privileged = f.flag("privileged");
    s.provider = f.object("provider", parts::provider);
    s.pull_policy = f.text("pull_policy");
    s.read_only = f.flag("read_only");
    s.runtime = f.text("runtime");
    s.security_opt = f.texts("security_opt");
    s.stdin_open = f.flag("stdin_open");
    s.tty = f.flag("tty");
    s.user = f.text("user");
    s.userns_mode = f.text("userns_mode");
    s.uts = f.text("uts");
    s.working_dir = f.text("working_dir");
    s.use_api_socket = f.flag("use_api_socket");
    s.group_add = f.texts("group_add");
    s.cap_add = f.texts("cap_add");
    s.cap_drop = f.texts("cap_drop");
    s.isolation = f.text("isolation");
}

fn limits(f: &mut Fields<'_, '_>, s: &mut Service) {
    s.blkio_config = f.object("blkio_config", parts::blkio);
    s.cgroup_parent = f.text("cgroup_parent");
    s.cgroup = f.text("cgroup");
    s.cpu_count = f.int("cpu_count");
    s.cpu_percent = f.float("cpu_percent");
    s.cpu_period = f.int("cpu_period");
    s.cpu_quota = f.int("cpu_quota");
    s.cpu_rt_period = f.int("cpu_rt_period");
    s.cpu_rt_runtime = f.int("cpu_rt_runtime");
    s.cpus = f.float("cpus");
    s.cpuset = f.text("cpuset");
    s.cpu_shares = f.int("cpu_shares");
    s.device_cgroup_rules = f.texts("device_cgroup_rules");
    s.devices = f.list("devices", parts::device);
    s.gpus = f.list("gpus", parts::device_request);
    s.mem_limit = f.bytes("mem_limit");
    s.mem_reservation = f.bytes("mem_reservation");
    s.memswap_limit = f.bytes("memswap_limit");
    s.mem_swappiness = f.bytes("mem_swappiness");
    s.oom_kill_disable = f.flag("oom_kill_disable");
    s.oom_score_adj = f.int("oom_score_adj");
    s.pids_limit = f.int("pids_limit");
    s.shm_size = f.bytes("shm_size");
    s.sysctls = f.texts_by_name("sysctls");
    s.ulimits = f.objects("ulimits", |node, path, _, problems| parts::ulimit(node, path, problems));
}

fn network(f: &mut Fields<'_, '_>, s: &mut Service) {
    s.dns = f.texts("dns");
    s.dns_opt = f.texts("dns_opt");
    s.dns_search = f.texts("dns_search");
    s.expose = f.texts("expose");
    s.external_links = f.texts("external_links");
    s.extra_hosts = f.hosts("extra_hosts");
    s.ipc = f.text("ipc");
    s.links = f.texts("links");
    s.mac_address = f.text("mac_address");
    s.network_mode = f.text("network_mode");
    s.networks = f.objects("networks", |node, path, _, problems| {
        Some(if node.value == Value::Null {
            None
        } else {
            Some(parts::service_network(node, path, problems)?)
        })
    });
    s.pid = f.text("pid");
    s.ports = f.list("ports", parts::port);
}

fn storage(f: &mut Fields<'_, '_>, s: &mut Service) {
    s.configs = f.list("configs", parts::file_reference);
    s.secrets = f.list("secrets", parts::file_reference);
    s.storage_opt = f.texts_by_name("storage_opt");
    s.tmpfs = f.texts("tmpfs");
    s.volumes = f.list("volumes", parts::mount);
    s.volumes_from = f.texts("volumes_from");
    s.logging = f.object("logging", parts::logging);
}

fn lifecycle(f: &mut Fields<'_, '_>, s: &mut Service) {
    s.profiles = f.texts("profiles");
    s.depends_on = f.objects("depends_on", |node, path, _, problems| dependency(node, path, problems));
    s.deploy = f.object("deploy", parts::deploy);
    s.develop = f.object("develop", parts::develop);
    s.healthcheck = f.object("healthcheck", parts::healthcheck);
    s.models = f.objects("models", |node, path, _, problems| {
        Some(if node.value == Value::Null { None } else { Some(parts::model_use(node, path, problems)?) })
    });
    s.restart = f.text("restart");
    s.scale = f.maybe_int("scale");
    s.stop_grace_period = f.duration("stop_grace_period");
    s.stop_signal = f.text("stop_signal");
    s.post_start = f.list("post_start", parts::hook);
    s.pre_stop = f.list("pre_stop", parts::hook);
}

fn dependency(node: &Node, path: &Trail<'_>, problems: &mut Vec<Problem>) -> Option<Dependency> {
    let mut f = Fields::of(node, path, problems)?;
    let words: BTreeMap<&str, DependencyCondition> = [
        DependencyCondition::Started,
        DependencyCondition::Healthy,
        DependencyCondition::CompletedSuccessfully,
    ]
    .into_iter()
    .map(|condition| (condition.as_str(), condition))
    .collect();
    let condition = f.text("condition");
    Some(Dependency {
        condition: words.get(condition.expose()).copied().unwrap_or_default(),
        restart: f.flag("restart"),
        required: f.maybe_flag("required").unwrap_or(true),
        extensions: f.extensions(),
    })
}
