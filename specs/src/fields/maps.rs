//! How are lists of names, pairs and small records written: `depends_on`, `networks`, `ulimits`, `devices`, `gpus` …?

use super::{entry, map, put, text};
use crate::{
    Problem, Text,
    doc::{Key, Map, Node, Trail, Value},
    message,
    values::scalar_text,
};

/// `[a, b]` becomes `{a: null, b: null}`.
pub(super) fn list_to_map(node: &mut Node, _: &Trail<'_>, _: &mut Vec<Problem>) {
    let Value::Seq(items) = &node.value else { return };
    let named =
        items.iter().filter_map(|item| Some((Key::from(item.as_text()?), entry(item.span, Value::Null))));
    node.value = Value::Map(named.collect());
}

/// `[a]` becomes `{a: {condition: service_started, required: true}}`; in the long form `required` is completed.
pub(super) fn depends_on(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    if matches!(node.value, Value::Seq(_)) {
        list_to_map(node, path, problems);
    }
    let Value::Map(edges) = &mut node.value else { return };
    for (_, edge) in edges.iter_mut() {
        let span = edge.node.span;
        if edge.node.value == Value::Null {
            edge.node.value = map(span, [("condition", text("service_started"))]);
        }
        if let Value::Map(fields) = &mut edge.node.value
            && !fields.contains_key("required")
        {
            put(fields, span, "required", Value::Bool(true));
        }
    }
}

/// `svc` becomes `{service: svc}`.
pub(super) fn extends(node: &mut Node, _: &Trail<'_>, _: &mut Vec<Problem>) {
    if let Value::Str(service) = &node.value {
        node.value = map(node.span, [("service", Value::Str(service.clone()))]);
    }
}

/// `all` becomes one request for all.
pub(super) fn gpus(node: &mut Node, _: &Trail<'_>, _: &mut Vec<Problem>) {
    if let Value::Str(_) = &node.value {
        let all = Node::new(node.span, map(node.span, [("count", text("all"))]));
        node.value = Value::Seq(vec![all]);
    }
}

/// `[k=v]` becomes `{k: v}`.
pub(super) fn key_value(node: &mut Node, _: &Trail<'_>, _: &mut Vec<Problem>) {
    let Value::Seq(items) = &node.value else { return };
    let mut pairs = Map::default();
    for item in items {
        let written = scalar_text(&item.value);
        let (key, value) = Key::pair(&written);
        pairs.insert(key, entry(item.span, Value::Str(value.unwrap_or_default())));
    }
    node.value = Value::Map(pairs);
}

/// `[default, id=path]` becomes `{default: null, id: path}`.
pub(super) fn ssh(node: &mut Node, _: &Trail<'_>, _: &mut Vec<Problem>) {
    let Value::Seq(items) = &node.value else { return };
    let mut keys = Map::default();
    for item in items {
        let written = scalar_text(&item.value);
        let (id, path) = Key::pair(&written);
        keys.insert(id, entry(item.span, path.map_or(Value::Null, Value::Str)));
    }
    node.value = Value::Map(keys);
}

/// `src[:dst[:perms]]` becomes `{source, target, permissions}`; a CDI name stands for both paths.
pub(super) fn devices(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    let Value::Seq(items) = &mut node.value else { return };
    for (nth, item) in items.iter_mut().enumerate() {
        let span = item.span;
        let Value::Str(written) = &item.value else { continue };
        let parts: Vec<&str> = written.expose().split(':').collect();
        let (source, target, permissions) = match parts.as_slice() {
            [source] => (*source, *source, "rwm"),
            [source, target] => (*source, *target, "rwm"),
            [source, target, permissions] => (*source, *target, *permissions),
            _ => {
                let message = message!("'{}' is no device, expected SOURCE[:TARGET[:PERMISSIONS]]", written);
                problems.push(Problem::error("device", span, &path.index(nth), message));
                continue;
            }
        };
        let piece = |part: &str| Value::Str(Text::with_secrecy(part, written.is_secret()));
        item.value = map(
            span,
            [("source", piece(source)), ("target", piece(target)), ("permissions", piece(permissions))],
        );
    }
}
