//! How are references to files and file objects written: `env_file`, `label_file`, `secrets`, `configs`?

use super::{map, put};
use crate::{
    Problem,
    doc::{Node, Trail, Value},
};

/// `a` and `[a, b]` alike become a list.
pub(super) fn string_or_list(node: &mut Node, _: &Trail<'_>, _: &mut Vec<Problem>) {
    if let Value::Str(_) = &node.value {
        let item = Node::new(node.span, node.value.clone());
        node.value = Value::Seq(vec![item]);
    }
}

/// As [`string_or_list`]; what is empty is no server.
pub(super) fn dns(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    string_or_list(node, path, problems);
    let Value::Seq(items) = &mut node.value else { return };
    items.retain(|item| item.value != Value::Null && item.as_text().is_none_or(|text| !text.is_empty()));
}

/// A path, or a list of paths and `{path, required, format}`.
pub(super) fn env_file(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    string_or_list(node, path, problems);
    let Value::Seq(items) = &mut node.value else { return };
    for item in items {
        let span = item.span;
        match &mut item.value {
            Value::Str(file) => {
                item.value = map(span, [("path", Value::Str(file.clone())), ("required", Value::Bool(true))]);
            }
            Value::Map(fields) if !fields.contains_key("required") => {
                put(fields, span, "required", Value::Bool(true));
            }
            _ => {}
        }
    }
}

/// A name, or `{source, target, uid, gid, mode}`.
pub(super) fn references(node: &mut Node, _: &Trail<'_>, _: &mut Vec<Problem>) {
    let Value::Seq(items) = &mut node.value else { return };
    for item in items {
        if let Value::Str(source) = &item.value {
            item.value = map(item.span, [("source", Value::Str(source.clone()))]);
        }
    }
}
