//! What happens when a second file says something about the same thing?
//!
//! Compose Specification, "Merge": mappings merge key by key, lists append, scalars replace; and the exceptions, each in
//! one place below. Afterwards [`unify`] drops entries of lists that mean the same place twice.

use crate::{
    Problem, Text,
    doc::{Directive, Entry, Map, Node, Part, Path, Value},
    values::scalar_text,
};

/// Puts `over` on top of `base`. What `over` marks with `!reset` or `!override` is taken out of `base` before.
pub fn merge(base: &mut Node, mut over: Node, problems: &mut Vec<Problem>) {
    apply_directives(base, &mut over);
    merge_at(base, over, &Path::default(), problems);
}

/// Takes every `!reset` out of `over`, and what it or `!override` names out of `base`.
fn apply_directives(base: &mut Node, over: &mut Node) {
    let Value::Map(changes) = &mut over.value else { return };
    let base = if let Value::Map(map) = &mut base.value { Some(map) } else { None };
    let mut base = base;
    changes.retain(|key, entry| {
        match entry.node.directive.take() {
            Some(directive) => {
                if let Some(map) = base.as_deref_mut() {
                    map.shift_remove(key);
                }
                return directive == Directive::Override;
            }
            None => {
                if let Some(below) = base.as_deref_mut().and_then(|map| map.get_mut(key)) {
                    apply_directives(&mut below.node, &mut entry.node);
                } else {
                    apply_directives(&mut Node::new(entry.key, Value::Null), &mut entry.node);
                }
            }
        }
        true
    });
}

/// A path's keys with indices and the names of objects left out of account: `services.*.ports`.
fn pattern(path: &Path) -> Vec<&str> {
    path.0
        .iter()
        .enumerate()
        .map(|(nth, part)| match part {
            Part::Key(_) if nth == 1 => "*",
            Part::Key(key) => key.as_str(),
            Part::Index(_) => "*",
        })
        .collect()
}

fn merge_at(base: &mut Node, over: Node, path: &Path, problems: &mut Vec<Problem>) {
    let pattern = pattern(path);
    match pattern.as_slice() {
        ["services", _, "command" | "entrypoint"]
        | ["services", _, "healthcheck", "test"]
        | ["services", _, "ulimits", _] => {
            *base = over;
            return;
        }
        _ if over.value == Value::Null => return,
        _ if base.value == Value::Null => {
            *base = over;
            return;
        }
        _ => {}
    }
    match pattern.as_slice() {
        [
            "services",
            _,
            "environment" | "labels" | "annotations" | "sysctls" | "dns" | "dns_opt" | "dns_search"
            | "env_file" | "label_file" | "tmpfs",
        ]
        | ["services", _, "build", "args" | "labels" | "additional_contexts"]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes", _, "labels"]
        | ["services", _, "volumes", _, "volume", "labels"] => append_as_lists(base, over),
        ["services", _, "extra_hosts"] | ["services", _, "build", "extra_hosts"] => {
            append_as_lists(base, over);
            drop_equal(base);
        }
        ["services", _, "depends_on"] => {
            names_to_map(base, Some("service_started"));
            let mut over = over;
            names_to_map(&mut over, Some("service_started"));
            merge_plain(base, over, path, problems);
        }
        ["services", _, "networks" | "models"] => {
            names_to_map(base, None);
            let mut over = over;
            names_to_map(&mut over, None);
            merge_plain(base, over, path, problems);
        }
        ["services", _, "build"] => {
            context_to_map(base);
            let mut over = over;
            context_to_map(&mut over);
            merge_plain(base, over, path, problems);
        }
        ["services", _, "logging"] => {
            let driver =
                |node: &Node| node.get("driver").and_then(Node::as_text).map(|text| text.expose().to_owned());
            match (driver(base), driver(&over)) {
                (Some(old), Some(new)) if old != new => *base = over,
                _ => merge_plain(base, over, path, problems),
            }
        }
        ["networks", _, "ipam", "config"] => merge_pools(base, over, path, problems),
        _ => merge_plain(base, over, path, problems),
    }
}

fn merge_plain(base: &mut Node, over: Node, path: &Path, problems: &mut Vec<Problem>) {
    match (&mut base.value, over.value) {
        (Value::Map(below), Value::Map(above)) => {
            for (key, entry) in above {
                match below.get_mut(&key) {
                    Some(existing) => {
                        existing.key = entry.key;
                        merge_at(&mut existing.node, entry.node, &path.key(&key), problems);
                    }
                    None => {
                        below.insert(key, entry);
                    }
                }
            }
            base.span = over.span;
        }
        (Value::Seq(below), Value::Seq(above)) => below.extend(above),
        (Value::Map(_) | Value::Seq(_), above) | (_, above @ (Value::Map(_) | Value::Seq(_))) => {
            let found = Node::new(over.span, above);
            let message = format!("cannot override {path}: {} below, {} here", base.kind(), found.kind());
            problems.push(
                Problem::error("override", over.span, path, message).related(base.span, "the value below"),
            );
        }
        (_, above) => {
            base.value = above;
            base.span = over.span;
        }
    }
}

/// Both sides as lists of `key=value`, one after the other.
fn append_as_lists(base: &mut Node, over: Node) {
    let mut items = as_list(std::mem::replace(&mut base.value, Value::Null), base.span);
    items.extend(as_list(over.value, over.span));
    base.value = Value::Seq(items);
    base.span = over.span;
}

fn as_list(value: Value, span: crate::doc::Span) -> Vec<Node> {
    match value {
        Value::Seq(items) => items,
        Value::Map(map) => {
            let mut entries: Vec<(String, Entry)> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.into_iter().flat_map(|(key, entry)| pairs(&key, &entry)).collect()
        }
        Value::Null => Vec::new(),
        scalar => vec![Node::new(span, scalar)],
    }
}

fn pairs(key: &str, entry: &Entry) -> Vec<Node> {
    let pair = |node: &Node| {
        let value = scalar_text(&node.value);
        let written =
            if node.value == Value::Null { key.to_owned() } else { format!("{key}={}", value.expose()) };
        Node::new(node.span, Value::Str(Text::with_secrecy(written, value.is_secret())))
    };
    match &entry.node.value {
        Value::Seq(items) => items.iter().map(pair).collect(),
        _ => vec![pair(&entry.node)],
    }
}

fn drop_equal(node: &mut Node) {
    let Value::Seq(items) = &mut node.value else { return };
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        if !kept.iter().any(|other| other.value == item.value) {
            kept.push(item);
        }
    }
    *items = kept;
}

fn names_to_map(node: &mut Node, condition: Option<&str>) {
    let Value::Seq(items) = &node.value else { return };
    let mut map = Map::new();
    for item in items {
        let value = condition.map_or(Value::Null, |condition| {
            let mut fields = Map::new();
            let put = |fields: &mut Map, key: &str, value| {
                fields.insert(key.to_owned(), Entry { key: item.span, node: Node::new(item.span, value) });
            };
            put(&mut fields, "condition", Value::Str(condition.into()));
            put(&mut fields, "required", Value::Bool(true));
            Value::Map(fields)
        });
        let key = scalar_text(&item.value).expose().to_owned();
        map.insert(key, Entry { key: item.span, node: Node::new(item.span, value) });
    }
    node.value = Value::Map(map);
}

fn context_to_map(node: &mut Node) {
    if let Value::Str(context) = &node.value {
        let entry = Entry { key: node.span, node: Node::new(node.span, Value::Str(context.clone())) };
        node.value = Value::Map(Map::from_iter([("context".to_owned(), entry)]));
    }
}

fn merge_pools(base: &mut Node, over: Node, path: &Path, problems: &mut Vec<Problem>) {
    let (Value::Seq(below), Value::Seq(above)) = (&mut base.value, over.value) else { return };
    for pool in above {
        let subnet = pool.get("subnet").and_then(Node::as_text).cloned();
        match below
            .iter_mut()
            .enumerate()
            .find(|(_, other)| other.get("subnet").and_then(Node::as_text) == subnet.as_ref())
        {
            Some((nth, existing)) => merge_plain(existing, pool, &path.index(nth), problems),
            None => below.push(pool),
        }
    }
}

/// Drops entries of lists that a later entry replaces: same variable, same mount target, same port.
pub fn unify(document: &mut Node) {
    let Value::Map(top) = &mut document.value else { return };
    if let Some(Value::Map(services)) = top.get_mut("services").map(|entry| &mut entry.node.value) {
        for entry in services.values_mut() {
            if let Value::Map(service) = &mut entry.node.value {
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
        "external_links",
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
    let mut kept: Vec<(Option<String>, Node)> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let key = key_of(&item);
        match kept.iter_mut().find(|(other, _)| key.is_some() && *other == key) {
            Some((_, existing)) => *existing = item,
            None => kept.push((key, item)),
        }
    }
    *items = kept.into_iter().map(|(_, item)| item).collect();
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
            Some(format!("{ip}:{}:{}/{protocol}", field("published", ""), field("target", "")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doc::FileId, yaml};

    fn merged(base: &str, over: &str) -> Node {
        let read = |text: &str| yaml::parse(text, FileId(0), false).unwrap().remove(0);
        let (mut base, mut problems) = (read(base), Vec::new());
        merge(&mut base, read(over), &mut problems);
        unify(&mut base);
        assert!(problems.is_empty(), "{problems:?}");
        base
    }

    fn web<'n>(document: &'n Node, key: &str) -> Option<&'n Node> {
        document.get("services")?.get("web")?.get(key)
    }

    fn texts(node: &Node) -> Vec<String> {
        node.as_seq().unwrap().iter().map(|item| scalar_text(&item.value).expose().to_owned()).collect()
    }

    #[test]
    fn environments_merge_by_name() {
        let document = merged(
            "services: {web: {environment: {B: 1, A: 1}}}",
            "services: {web: {environment: [B=2, C]}}",
        );
        assert_eq!(texts(web(&document, "environment").unwrap()), ["A=1", "B=2", "C"]);
    }

    #[test]
    fn commands_are_replaced_even_by_nothing() {
        let document = merged(
            "services: {web: {command: [a], image: x}}",
            "services: {web: {command: null, image: null}}",
        );
        assert_eq!(web(&document, "command").unwrap().value, Value::Null);
        assert_eq!(web(&document, "image").unwrap().value, Value::Str("x".into()));
    }

    #[test]
    fn reset_and_override() {
        let document = merged(
            "services: {web: {ports: [1], dns: [a], image: x}}",
            "services: {web: {ports: !reset [], dns: !override [b]}}",
        );
        assert!(web(&document, "ports").is_none());
        assert_eq!(texts(web(&document, "dns").unwrap()), ["b"]);
    }

    #[test]
    fn mounts_are_one_per_target() {
        let document = merged(
            "services: {web: {volumes: ['aa:/x', 'bb:/y']}}",
            "services: {web: {volumes: ['cc:/x:ro']}}",
        );
        assert_eq!(texts(web(&document, "volumes").unwrap()), ["cc:/x:ro", "bb:/y"]);
    }
}
