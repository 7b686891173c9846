//! What does a canonical document leave unsaid?
//!
//! Compose's defaults: the default network, names of objects, implied dependencies, build defaults, variables taken over
//! from the environment.

use crate::{
    Text,
    doc::{Entry, Key, Map, Node, Span, Value},
    interpolate::Lookup,
    values::scalar_text,
};

/// Where the value of a secret from a variable waits for the decoder; the schema takes it for an extension.
pub(crate) const SECRET_VALUE: &str = "x-#value";

/// Completes a canonical document of the project `name`.
pub fn normalize(document: &mut Node, name: &str, environment: &dyn Lookup) {
    let Value::Map(top) = &mut document.value else { return };
    let at = top.get("name").map_or_else(Span::default, |entry| entry.node.span);
    top.insert("name".into(), Entry { key: at, node: Node::new(at, Value::Str(name.into())) });
    let mut uses_default = false;
    for service in objects(top, "services") {
        defaults(service);
        uses_default |= default_network(service);
        inherit(service, environment);
        implied_dependencies(service);
    }
    if uses_default {
        let networks = section(top, "networks");
        networks.entry("default".into()).or_insert_with(|| Entry {
            key: Span::default(),
            node: Node::new(Span::default(), Value::Map(Map::default())),
        });
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        names(top, kind, name);
    }
}

fn names(top: &mut Map, kind: &str, project: &str) {
    let Some(Value::Map(entries)) = top.get_mut(kind).map(|entry| &mut entry.node.value) else { return };
    for (key, entry) in entries.iter_mut() {
        if entry.node.value == Value::Null {
            entry.node.value = Value::Map(Map::default());
        }
        let Value::Map(object) = &mut entry.node.value else { continue };
        if object.get("name").is_some_and(|name| name.node.value != Value::Null) {
            continue;
        }
        let external = object.get("external").is_some_and(|entry| truthy(&entry.node.value));
        let name = key.text();
        let name = if external { name } else { name.map(|key| format!("{project}_{key}")) };
        put(object, "name", Value::Str(name));
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Str(text) => {
            matches!(text.expose().to_ascii_lowercase().as_str(), "true" | "yes" | "y" | "on" | "1")
        }
        _ => false,
    }
}

fn defaults(service: &mut Map) {
    if let Some(entry) = service.get_mut("pull_policy")
        && entry.node.as_text().is_some_and(|policy| *policy == "if_not_present")
    {
        entry.node.value = Value::Str("missing".into());
    }
    if let Some(Value::Map(build)) = service.get_mut("build").map(|entry| &mut entry.node.value)
        && build.get("dockerfile").is_none()
        && build.get("dockerfile_inline").is_none()
    {
        put(build, "dockerfile", Value::Str("Dockerfile".into()));
    }
}

/// Joins the default network where the service says nothing; whether it is on the default network.
fn default_network(service: &mut Map) -> bool {
    if service.contains_key("provider") {
        return false;
    }
    if service.contains_key("network_mode") {
        return false;
    }
    let networks = section(service, "networks");
    if networks.is_empty() {
        put(networks, "default", Value::Null);
    }
    networks.contains_key("default")
}

/// Gives variables without a value the environment's; arguments of a build that stay without one are dropped.
fn inherit(service: &mut Map, environment: &dyn Lookup) {
    if let Some(entry) = service.get_mut("environment") {
        take_over(&mut entry.node, environment, false);
    }
    if let Some(Value::Map(build)) = service.get_mut("build").map(|entry| &mut entry.node.value)
        && let Some(entry) = build.get_mut("args")
    {
        take_over(&mut entry.node, environment, true);
    }
}

/// Gives bare names in a list of variables the environment's values: those of an included file have an environment of
/// their own.
pub(crate) fn inherit_listed(document: &mut Node, environment: &dyn Lookup) {
    let Value::Map(top) = &mut document.value else { return };
    for service in objects(top, "services") {
        if let Some(entry) = service.get_mut("environment")
            && matches!(entry.node.value, Value::Seq(_))
        {
            take_over(&mut entry.node, environment, false);
        }
    }
    for (section, key) in [("configs", "content"), ("secrets", SECRET_VALUE)] {
        for object in objects(top, section) {
            let Some(name) = object.get("environment").map(|entry| scalar_text(&entry.node.value)) else {
                continue;
            };
            if let Some(value) = environment.get(name.expose()) {
                put(object, key, Value::Str(value));
            }
        }
    }
}

fn take_over(node: &mut Node, environment: &dyn Lookup, drop_unset: bool) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, entry) in map.iter_mut() {
                if entry.node.value == Value::Null
                    && let Some(value) = environment.get(key)
                {
                    entry.node.value = Value::Str(value);
                }
            }
            if drop_unset {
                map.retain(|_, entry| entry.node.value != Value::Null);
            }
        }
        Value::Seq(items) => {
            items.retain_mut(|item| {
                let Value::Str(written) = &item.value else { return true };
                if written.expose().contains('=') {
                    return true;
                }
                match environment.get(written.expose()) {
                    Some(value) => {
                        item.value = Value::Str(Text::after(&format!("{}=", written.expose()), &value));
                        true
                    }
                    None => !drop_unset,
                }
            });
        }
        _ => {}
    }
}

/// `links`, shared namespaces and `volumes_from` are dependencies too.
fn implied_dependencies(service: &mut Map) {
    let texts = |service: &Map, key: &str| -> Vec<Text> {
        let Some(entry) = service.get(key) else { return Vec::new() };
        match &entry.node.value {
            Value::Seq(items) => items.iter().map(|item| scalar_text(&item.value)).collect(),
            scalar => vec![scalar_text(scalar)],
        }
    };
    let key = |text: &Text, name: &str| Key::with_secrecy(name, text.is_secret());
    let mut implied: Vec<(Key, bool)> = Vec::new();
    for link in texts(service, "links") {
        implied.push((key(&link, link.expose().split(':').next().unwrap_or_default()), true));
    }
    for field in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        for mode in texts(service, field) {
            implied.extend(mode.expose().strip_prefix("service:").map(|name| (key(&mode, name), true)));
        }
    }
    for from in texts(service, "volumes_from") {
        if !from.expose().starts_with("container:") {
            implied.push((key(&from, from.expose().split(':').next().unwrap_or_default()), false));
        }
    }
    if implied.is_empty() {
        return;
    }
    let edges = section(service, "depends_on");
    for (name, restart) in implied {
        if edges.contains_key(&*name) {
            continue;
        }
        let mut edge = Map::default();
        put(&mut edge, "condition", Value::Str("service_started".into()));
        if restart {
            put(&mut edge, "restart", Value::Bool(true));
        }
        put(&mut edge, "required", Value::Bool(true));
        put(edges, name, Value::Map(edge));
    }
}

fn objects<'m>(top: &'m mut Map, section: &str) -> impl Iterator<Item = &'m mut Map> {
    let entries = match top.get_mut(section).map(|entry| &mut entry.node.value) {
        Some(Value::Map(map)) => Some(map),
        _ => None,
    };
    entries.into_iter().flat_map(|map| map.values_mut()).filter_map(|entry| match &mut entry.node.value {
        Value::Map(object) => Some(object),
        _ => None,
    })
}

fn section<'m>(fields: &'m mut Map, key: &str) -> &'m mut Map {
    let entry = fields
        .entry(key.into())
        .or_insert_with(|| Entry { key: Span::default(), node: Node::new(Span::default(), Value::Null) });
    if !matches!(entry.node.value, Value::Map(_)) {
        entry.node.value = Value::Map(Map::default());
    }
    match &mut entry.node.value {
        Value::Map(map) => map,
        _ => unreachable!("made a mapping above"),
    }
}

fn put(fields: &mut Map, key: impl Into<Key>, value: Value) {
    fields.insert(key.into(), Entry { key: Span::default(), node: Node::new(Span::default(), value) });
}
