//! Which entries of a list mean the same thing, so that the later one replaces the earlier?
//!
//! Compose Specification, "Merge", "Unique resources": the same variable, the same mount target, the same port.

use std::collections::{HashMap, hash_map};

use crate::{
    Problem,
    doc::{Map, Node, Trail, Value},
    message,
    values::scalar_text,
};

/// Drops entries of lists that a later entry replaces: same variable, same mount target, same port.
pub fn unify(document: &mut Node, problems: &mut Vec<Problem>) {
    let Value::Map(top) = &mut document.value else { return };
    if let Some(Value::Map(services)) = top.get_mut("services").map(|entry| &mut entry.node.value) {
        let path = Trail::Known(&Trail::Root, "services");
        for (name, entry) in services.iter_mut() {
            if let Value::Map(service) = &mut entry.node.value {
                complete_enough(service, &path.key(name), problems);
                unify_service(service);
            }
        }
    }
    for section in ["networks", "volumes"] {
        if let Some(Value::Map(objects)) = top.get_mut(section).map(|entry| &mut entry.node.value) {
            for entry in objects.values_mut() {
                if let Value::Map(object) = &mut entry.node.value {
                    unify_list(object, "labels", &|item| Some(key_of_pair(item)));
                }
            }
        }
    }
}

type Key<'k> = &'k dyn Fn(&Node) -> Option<String>;

/// What has no target cannot be told from another: a mount, a device, a port.
fn complete_enough(service: &Map, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    for (key, needed) in
        [("volumes", "target"), ("devices", "target"), ("ports", "target"), ("env_file", "path")]
    {
        let Some(Value::Seq(items)) = service.get(key).map(|entry| &entry.node.value) else { continue };
        for (nth, item) in items.iter().enumerate() {
            if item.as_map().is_some_and(|fields| !fields.contains_key(needed)) {
                let message = message!("'{}' is missing", needed);
                problems.push(Problem::error("missing-key", item.span, &path.known(key).index(nth), message));
            }
        }
    }
    if let Some(Value::Seq(items)) = service.get("expose").map(|entry| &entry.node.value) {
        for (nth, item) in items.iter().enumerate().filter(|(_, item)| matches!(item.value, Value::Float(_)))
        {
            let path = path.known("expose");
            problems.push(Problem::error(
                "type",
                item.span,
                &path.index(nth),
                "expected a port, found a number with a fraction",
            ));
        }
    }
}

fn unify_service(service: &mut Map) {
    for key in [
        "environment",
        "labels",
        "annotations",
        "sysctls",
        "cap_add",
        "cap_drop",
        "dns",
        "dns_opt",
        "dns_search",
        "links",
        "profiles",
        "tmpfs",
        "expose",
    ] {
        unify_list(service, key, &|item| Some(key_of_pair(item)));
    }
    unify_list(service, "volumes", &|item| target_of(item, 1));
    unify_list(service, "devices", &|item| target_of(item, 1));
    unify_list(service, "ports", &port_key);
    unify_list(service, "env_file", &|item| {
        Some(
            item.get("path")
                .and_then(Node::as_text)
                .map_or_else(|| key_of_pair_whole(item), |p| p.expose().to_owned()),
        )
    });
    unify_list(service, "secrets", &|item| reference_key(item, "/run/secrets/"));
    unify_list(service, "configs", &|item| reference_key(item, "/"));
    for (part, keys) in
        [("build", &["args", "labels", "tags", "additional_contexts"][..]), ("deploy", &["labels"][..])]
    {
        if let Some(Value::Map(part)) = service.get_mut(part).map(|entry| &mut entry.node.value) {
            for key in keys {
                unify_list(part, key, &|item| Some(key_of_pair(item)));
            }
        }
    }
    if let Some(Value::Map(networks)) = service.get_mut("networks").map(|entry| &mut entry.node.value) {
        for entry in networks.values_mut() {
            if let Value::Map(network) = &mut entry.node.value {
                unify_list(network, "aliases", &|item| Some(key_of_pair(item)));
                unify_list(network, "link_local_ips", &|item| Some(key_of_pair(item)));
            }
        }
    }
}

fn unify_list(fields: &mut Map, key: &str, key_of: Key<'_>) {
    let Some(Value::Seq(items)) = fields.get_mut(key).map(|entry| &mut entry.node.value) else { return };
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    for item in items.drain(..) {
        match key_of(&item).map(|key| places.entry(key)) {
            Some(hash_map::Entry::Occupied(place)) => kept[*place.get()] = item,
            Some(hash_map::Entry::Vacant(place)) => {
                place.insert(kept.len());
                kept.push(item);
            }
            None => kept.push(item),
        }
    }
    *items = kept;
}

fn key_of_pair(item: &Node) -> String {
    let text = scalar_text(&item.value);
    text.expose().split('=').next().unwrap_or_default().to_owned()
}

fn key_of_pair_whole(item: &Node) -> String {
    scalar_text(&item.value).expose().to_owned()
}

fn target_of(item: &Node, section: usize) -> Option<String> {
    match &item.value {
        Value::Map(_) => item
            .get("target")
            .or_else(|| item.get("source"))
            .map(|target| scalar_text(&target.value).expose().to_owned()),
        Value::Str(text) => {
            let parts: Vec<&str> = text.expose().split(':').collect();
            parts.get(section).or(parts.first()).map(|part| (*part).to_owned())
        }
        _ => None,
    }
}

fn port_key(item: &Node) -> Option<String> {
    match &item.value {
        Value::Map(_) => {
            let field = |key: &str, default: &str| {
                item.get(key).map_or(default.to_owned(), |node| scalar_text(&node.value).expose().to_owned())
            };
            let (ip, protocol) = (field("host_ip", "0.0.0.0"), field("protocol", "tcp"));
            // A number and a text are different ports to Docker Compose.
            let kind = item.get("published").map_or("", Node::kind);
            Some(format!("{ip}:{kind} {}:{}/{protocol}", field("published", ""), field("target", "")))
        }
        scalar => Some(format!("short {}", scalar_text(scalar).expose())),
    }
}

fn reference_key(item: &Node, folder: &str) -> Option<String> {
    match &item.value {
        Value::Str(source) => Some(format!("{folder}{}", source.expose())),
        Value::Map(_) => {
            let text = |key: &str| item.get(key).map(|node| scalar_text(&node.value).expose().to_owned());
            text("target").or_else(|| text("source").map(|source| format!("{folder}{source}")))
        }
        _ => None,
    }
}
