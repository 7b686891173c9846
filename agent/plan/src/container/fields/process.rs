//! Does the container run the declared program, as the declared user, with the declared surroundings?

use std::{collections::BTreeMap, collections::BTreeSet};

use specs::{Text, doc::Key};

use super::{Extra, Found, Repair, shown_list};
use crate::container::{ContainerSpec, Healthcheck, Logging, Namespace, VolumesFrom, fold};

pub(super) fn compare(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    program(found, want, have);
    environment(found, &want.environment, &have.environment);
    let extra = if found.may_be_the_images() { Extra::MayBeTheEngines } else { Extra::Differs };
    found.map("labels", &want.labels, &have.labels, extra);
    healthcheck(found, want.healthcheck.as_ref(), have.healthcheck.as_ref());
    namespaces(found, want, have);
    security(found, want, have);
    names(found, want, have);
    logging(found, want.logging.as_ref(), have.logging.as_ref());
    devices(found, want, have);
}

fn program(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    if reference(want.image.expose()) != reference(have.image.expose()) {
        found.push("image", want.image.clone(), have.image.clone(), Repair::Recreate);
    }
    let unknown = found.may_be_the_images() && found.tolerates_additions();
    for (field, ours, theirs) in
        [("command", &want.command, &have.command), ("entrypoint", &want.entrypoint, &have.entrypoint)]
    {
        let (ours, theirs) = (ours.as_deref().unwrap_or_default(), theirs.as_deref().unwrap_or_default());
        if !(unknown && ours.is_empty()) {
            found.list(field, ours, theirs);
        }
    }
    for (field, ours, theirs) in [
        ("user", &want.user, &have.user),
        ("working_dir", &want.working_dir, &have.working_dir),
        ("stop_signal", &want.stop_signal, &have.stop_signal),
    ] {
        let normal = |value: &Option<Text>| value.as_ref().map(|text| text.map(|text| normal(field, text)));
        let ours = normal(ours).unwrap_or_default();
        if !(unknown && (ours.is_empty() || ours == "SIGTERM")) {
            found.text(field, Some(&ours), Some(&normal(theirs).unwrap_or_default()));
        }
    }
    let seconds = |value: Option<i64>| format!("{}s", value.unwrap_or(10)).into();
    found.text("stop_grace_period", Some(&seconds(want.stop_timeout)), Some(&seconds(have.stop_timeout)));
    found.flag("tty", want.tty, have.tty);
    found.flag("stdin_open", want.open_stdin, have.open_stdin);
    exposed(found, want, have);
}

/// Every way to write one value that the Engine treats alike, made one.
fn normal(field: &str, text: &str) -> String {
    match field {
        "working_dir" if text.is_empty() => "/".to_owned(),
        "working_dir" if text.len() > 1 => text.trim_end_matches('/').to_owned(),
        "stop_signal" => signal(text),
        _ => text.to_owned(),
    }
}

fn signal(text: &str) -> String {
    let upper = text.to_uppercase();
    match upper.strip_prefix("SIG").unwrap_or(&upper) {
        "" | "15" => "SIGTERM".to_owned(),
        "1" => "SIGHUP".to_owned(),
        "2" => "SIGINT".to_owned(),
        "3" => "SIGQUIT".to_owned(),
        "9" => "SIGKILL".to_owned(),
        "10" => "SIGUSR1".to_owned(),
        "12" => "SIGUSR2".to_owned(),
        name => format!("SIG{name}"),
    }
}

/// An image reference without what it leaves to the default registry and tag.
fn reference(text: &str) -> String {
    let short = text.strip_prefix("docker.io/").unwrap_or(text);
    let short = short.strip_prefix("library/").unwrap_or(short);
    let tagged = short.contains('@') || short.rsplit('/').next().is_some_and(|last| last.contains(':'));
    if tagged { short.to_owned() } else { format!("{short}:latest") }
}

/// Published ports are exposed as well, whether declared so or not.
fn exposed(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    let mut ours = fold::ports(&want.exposed_ports);
    ours.extend(want.port_bindings.keys().map(|port| fold::port(port)));
    let mut theirs = fold::ports(&have.exposed_ports);
    theirs.extend(have.port_bindings.keys().map(|port| fold::port(port)));
    if found.may_be_the_images() && found.tolerates_additions() {
        theirs.retain(|port| ours.contains(port));
    }
    let published: BTreeSet<_> =
        want.port_bindings.keys().chain(have.port_bindings.keys()).map(|port| fold::port(port)).collect();
    let texts = |ports: BTreeSet<String>| {
        ports.difference(&published).map(|port| Text::plain(port.as_str())).collect::<BTreeSet<_>>()
    };
    found.set("expose", texts(ours), texts(theirs));
}

/// What the container has and the declaration does not name may have been a secret once: its value is not shown.
fn environment(found: &mut Found, want: &BTreeMap<Key, Option<Text>>, have: &BTreeMap<Key, Option<Text>>) {
    for (key, value) in want {
        let theirs = have.get(key).cloned().flatten();
        if theirs != *value {
            let theirs = theirs.map_or_else(Text::default, |text| guarded(key, &text));
            let field = format!("environment.{key}");
            found.push(field, value.clone().unwrap_or_default(), theirs, Repair::Recreate);
        }
    }
    if found.may_be_the_images() && found.tolerates_additions() {
        return;
    }
    for (key, value) in have.iter().filter(|(key, _)| !want.contains_key(*key)) {
        let Some(value) = value else { continue };
        let field = format!("environment.{key}");
        found.push(field, Text::default(), Text::secret(value.expose()), Repair::Recreate);
    }
}

/// A value that the Engine has under a name that smells of a secret is taken for one.
fn guarded(key: &str, value: &Text) -> Text {
    const SMELLS: [&str; 7] = ["PASS", "SECRET", "TOKEN", "KEY", "CRED", "PRIVATE", "AUTH"];
    let upper = key.to_uppercase();
    let secret = value.is_secret() || SMELLS.iter().any(|word| upper.contains(word));
    Text::with_secrecy(value.expose(), secret)
}

fn healthcheck(found: &mut Found, want: Option<&Healthcheck>, have: Option<&Healthcheck>) {
    if want.is_none() && found.may_be_the_images() && found.tolerates_additions() {
        return;
    }
    let none = Healthcheck::default();
    let (want, have) = (want.unwrap_or(&none), have.unwrap_or(&none));
    let off = |check: &Healthcheck| check.test.first().is_some_and(|word| *word == "NONE");
    if off(want) && off(have) {
        return;
    }
    found.list("healthcheck.test", &want.test, &have.test);
    for (field, ours, theirs) in [
        ("interval", want.interval, have.interval),
        ("timeout", want.timeout, have.timeout),
        ("start_period", want.start_period, have.start_period),
        ("start_interval", want.start_interval, have.start_interval),
    ] {
        let (ours, theirs) = (nanoseconds(ours), nanoseconds(theirs));
        found.text(&format!("healthcheck.{field}"), Some(&ours), Some(&theirs));
    }
    let number = |n: i64| if n == 0 { Text::default() } else { n.to_string().into() };
    found.text("healthcheck.retries", Some(&number(want.retries)), Some(&number(have.retries)));
}

/// A duration as people write it.
fn nanoseconds(ns: i64) -> Text {
    match ns {
        0 => Text::default(),
        ns if ns % 1_000_000_000 == 0 => format!("{}s", ns / 1_000_000_000).into(),
        ns if ns % 1_000_000 == 0 => format!("{}ms", ns / 1_000_000).into(),
        ns => format!("{}us", ns / 1000).into(),
    }
}

fn namespaces(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    let network = mode(want.network_mode.as_ref());
    if want.networks.is_empty() && network.as_ref().is_some_and(|mode| *mode != "default") {
        found.text("network_mode", network.as_ref(), mode(have.network_mode.as_ref()).as_ref());
    }
    for (field, ours, theirs, defaults) in [
        ("pid", &want.pid, &have.pid, &[""] as &[&str]),
        ("ipc", &want.ipc, &have.ipc, &["", "private", "shareable"]),
    ] {
        if matches!(ours, Some(Namespace::Service(_))) {
            continue;
        }
        match mode(ours.as_ref()) {
            Some(ours) => found.text(field, Some(&ours), mode(theirs.as_ref()).as_ref()),
            None => {
                let theirs = mode(theirs.as_ref()).unwrap_or_default();
                if !defaults.contains(&theirs.expose()) {
                    found.push(field, Text::default(), theirs, Repair::Recreate);
                }
            }
        }
    }
    found.text("uts", want.uts.as_ref(), have.uts.as_ref());
    found.text("userns_mode", want.userns.as_ref(), have.userns.as_ref());
    found.chosen("cgroup", want.cgroupns.as_ref(), have.cgroupns.as_ref(), &["", "private", "host"]);
    let from = |list: &[VolumesFrom]| -> Option<BTreeSet<Text>> {
        list.iter()
            .map(|from| match from {
                VolumesFrom::Container(id) => Some(id.clone()),
                VolumesFrom::Service(_) => None,
            })
            .collect()
    };
    if let (Some(ours), Some(theirs)) = (from(&want.volumes_from), from(&have.volumes_from)) {
        found.set("volumes_from", ours, theirs);
    }
}

fn mode(namespace: Option<&Namespace>) -> Option<Text> {
    match namespace? {
        Namespace::Mode(mode) => Some(mode.clone()),
        Namespace::Container(id) => Some(format!("container:{id}").into()),
        Namespace::Service(service) => Some(format!("service:{service}").into()),
    }
}

fn security(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    let capabilities = |set: &BTreeSet<Text>| -> BTreeSet<Text> {
        let bare = |text: &str| {
            let upper = text.to_uppercase();
            upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
        };
        set.iter().map(|cap| cap.map(bare)).collect()
    };
    found.set("cap_add", capabilities(&want.cap_add), capabilities(&have.cap_add));
    found.set("cap_drop", capabilities(&want.cap_drop), capabilities(&have.cap_drop));
    found.set(
        "group_add",
        want.group_add.iter().cloned().collect(),
        have.group_add.iter().cloned().collect(),
    );
    let options = |list: &[Text]| list.iter().map(|text| text.map(security_option)).collect::<BTreeSet<_>>();
    let (ours, mut theirs) = (options(&want.security_opt), options(&have.security_opt));
    if ours.is_empty() {
        // The Engine writes `label=disable` itself where a namespace of the host is shared.
        theirs.retain(|option| !option.expose().starts_with("label="));
    }
    found.set("security_opt", ours, theirs);
    if !want.privileged {
        let (ours, theirs) = (want.unconfined_system_paths, have.unconfined_system_paths);
        found.flag("security_opt.systempaths=unconfined", ours, theirs);
    }
    found.flag("privileged", want.privileged, have.privileged);
    found.flag("read_only", want.read_only, have.read_only);
    let init = |value: Option<bool>| value.map(|on| Text::from(on.to_string()));
    found.chosen("init", init(want.init).as_ref(), init(have.init).as_ref(), &["false"]);
    found.map("sysctls", &want.sysctls, &have.sysctls, Extra::Differs);
    found.map("storage_opt", &want.storage_opt, &have.storage_opt, Extra::MayBeTheEngines);
    found.map("annotations", &want.annotations, &have.annotations, Extra::MayBeTheEngines);
    found.text("runtime", want.runtime.as_ref(), have.runtime.as_ref());
    found.chosen("isolation", want.isolation.as_ref(), have.isolation.as_ref(), &["", "default"]);
    found.text("volume_driver", want.volume_driver.as_ref(), have.volume_driver.as_ref());
}

/// `label:disable` and `label=disable` are one; so are `no-new-privileges` and `no-new-privileges:true`.
fn security_option(text: &str) -> String {
    match text.split_once(['=', ':']) {
        Some(("no-new-privileges", "true")) => "no-new-privileges".to_owned(),
        Some((key, value)) => format!("{key}={value}"),
        None => text.to_owned(),
    }
}

fn names(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    let of_another = matches!(&have.network_mode, Some(Namespace::Container(_)))
        || matches!(&have.network_mode, Some(Namespace::Mode(mode)) if *mode == "host");
    if want.hostname.is_some() || !of_another {
        // An updater hands the old container's short id on, which the Engine had chosen.
        let chosen =
            have.hostname.as_ref().filter(|name| want.hostname.is_some() || !is_short_id(name.expose()));
        found.chosen("hostname", want.hostname.as_ref(), chosen, &[""]);
    }
    if want.domainname.as_ref().is_some_and(|name| !name.is_empty()) || !of_another {
        found.text("domainname", want.domainname.as_ref(), have.domainname.as_ref());
    }
    found.list("dns", &want.dns, &have.dns);
    found.list("dns_search", &want.dns_search, &have.dns_search);
    found.list("dns_opt", &want.dns_opt, &have.dns_opt);
    let set = |list: &[Text]| list.iter().cloned().collect::<BTreeSet<_>>();
    found.set("extra_hosts", set(&want.extra_hosts), set(&have.extra_hosts));
    found.set("links", set(&want.links), set(&have.links));
}

fn is_short_id(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn logging(found: &mut Found, want: Option<&Logging>, have: Option<&Logging>) {
    let none = Logging::default();
    let (want, have) = (want.unwrap_or(&none), have.unwrap_or(&none));
    if !want.driver.is_empty() {
        found.text("logging.driver", Some(&want.driver), Some(&have.driver));
    }
    // The Engine adds the options of its own configuration for its default driver.
    found.map("logging.options", &want.options, &have.options, Extra::MayBeTheEngines);
}

fn devices(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    let devices = |spec: &ContainerSpec| -> BTreeSet<Text> {
        let line = |d: &crate::container::Device| {
            let permissions = if d.permissions.is_empty() { "rwm" } else { d.permissions.expose() };
            Text::from(format!("{}:{}:{permissions}", d.source.expose(), d.target.expose()))
        };
        spec.devices.iter().map(line).collect()
    };
    found.set("devices", devices(want), devices(have));
    if want.device_requests != have.device_requests {
        let line = |spec: &ContainerSpec| {
            let request = |r: &crate::container::DeviceRequest| {
                let ids = shown_list(&r.device_ids);
                let capabilities = r.capabilities.iter().map(|all| shown_list(all).expose().to_owned());
                let capabilities = capabilities.collect::<Vec<_>>().join("|");
                format!("driver={} count={} ids=[{ids}] capabilities=[{capabilities}]", r.driver, r.count)
            };
            Text::from(spec.device_requests.iter().map(request).collect::<Vec<_>>().join(", "))
        };
        found.push("gpus", line(want), line(have), Repair::Recreate);
    }
    let set = |list: &[Text]| list.iter().cloned().collect::<BTreeSet<_>>();
    found.set("device_cgroup_rules", set(&want.device_cgroup_rules), set(&have.device_cgroup_rules));
}
