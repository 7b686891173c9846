//! What does the short form of a key mean in its long form?
//!
//! One file per family of keys. Every function takes the value as written and gives the canonical one; both are
//! [`Node`]s, and everything that a short form makes keeps the place where it was written.

mod external;
mod files;
mod maps;
mod ports;
mod volumes;

use crate::{
    Problem, Text,
    doc::{Entry, Map, Node, Span, Trail, Value},
};

/// Rewrites all short forms of one document (compose-spec, the "short syntax" of each section).
pub fn canonicalize(document: &mut Node, problems: &mut Vec<Problem>) {
    let Value::Map(top) = &mut document.value else { return };
    for (section, rewrite) in [("services", service as Rewrite)].into_iter().chain(
        ["volumes", "networks", "secrets", "configs"]
            .map(|section| (section, external::canonical as Rewrite)),
    ) {
        let Some(entry) = top.get_mut(section) else { continue };
        let path = Trail::Known(&Trail::Root, section);
        if let Value::Map(entries) = &mut entry.node.value {
            for (name, entry) in
                entries.iter_mut().filter(|(name, _)| !name.starts_with("x-") || section != "services")
            {
                rewrite(&mut entry.node, &path.key(name), problems);
            }
        }
    }
}

/// A rewrite of one value in place.
type Rewrite = fn(&mut Node, &Trail<'_>, &mut Vec<Problem>);

/// The keys of a service that have a short form, and their rewrite.
const SERVICE: &[(&str, Rewrite)] = &[
    ("depends_on", maps::depends_on),
    ("env_file", files::env_file),
    ("label_file", files::string_or_list),
    ("dns", files::dns),
    ("extends", maps::extends),
    ("gpus", maps::gpus),
    ("networks", maps::list_to_map),
    ("models", maps::list_to_map),
    ("volumes", volumes::canonical),
    ("devices", maps::devices),
    ("secrets", files::references),
    ("configs", files::references),
    ("ports", ports::canonical),
    ("build", build),
];

const BUILD: &[(&str, Rewrite)] =
    &[("secrets", files::references), ("additional_contexts", maps::key_value), ("ssh", maps::ssh)];

fn service(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    each(node, path, problems, SERVICE);
}

fn build(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    if let Value::Str(context) = &node.value {
        node.value = map(node.span, [("context", Value::Str(context.clone()))]);
    }
    each(node, path, problems, BUILD);
}

fn each(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>, keys: &[(&'static str, Rewrite)]) {
    let Value::Map(fields) = &mut node.value else { return };
    for (key, rewrite) in keys {
        if let Some(entry) = fields.get_mut(*key) {
            rewrite(&mut entry.node, &path.known(key), problems);
        }
    }
}

/// A mapping, all of which stands at `span`.
fn map<const N: usize>(span: Span, entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), entry(span, value))).collect())
}

fn entry(span: Span, value: Value) -> Entry {
    Entry { key: span, node: Node::new(span, value) }
}

fn put(fields: &mut Map, span: Span, key: &str, value: Value) {
    fields.insert(key.into(), entry(span, value));
}

fn text(value: impl Into<Text>) -> Value {
    Value::Str(value.into())
}
