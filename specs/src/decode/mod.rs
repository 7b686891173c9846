//! How does a canonical document become the typed project?
//!
//! The document has passed the schema, so most shapes are right; what is left is conversion (text to number, list to map)
//! and the few errors that only show there. Every error points.

mod fields;
mod parts;
mod service;

use std::collections::BTreeMap;

use crate::{
    Problem,
    doc::{Key, Map, Node, Trail, Value},
    message,
    model::{FileObject, Ipam, IpamPool, Model, Network, Project, Volume},
};

use crate::normalize::SECRET_VALUE;
use fields::Fields;

/// Reads a canonical document. `None` where anything could not be read; the problems say what.
pub fn project(document: &Node, problems: &mut Vec<Problem>) -> Option<Project> {
    let before = problems.len();
    let root = Trail::Root;
    let mut fields = Fields::of(document, &root, problems)?;
    let mut project = Project {
        services: fields.objects("services", service::service),
        networks: fields.objects("networks", |node, path, _, problems| network(node, path, problems)),
        volumes: fields.objects("volumes", |node, path, _, problems| volume(node, path, problems)),
        secrets: fields.objects("secrets", |node, path, _, problems| file_object(node, path, problems)),
        configs: fields.objects("configs", |node, path, _, problems| file_object(node, path, problems)),
        models: fields.objects("models", |node, path, _, problems| model(node, path, problems)),
        extensions: fields.extensions(),
        ..Project::default()
    };
    if let Some(name) = document.get("name").and_then(Node::as_text) {
        name.expose().clone_into(&mut project.name);
    }
    let failed = problems[before..].iter().any(|problem| problem.severity == crate::Severity::Error);
    (!failed).then_some(project)
}

fn network(node: &Node, path: &Trail<'_>, problems: &mut Vec<Problem>) -> Option<Network> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Network {
        name: f.text("name"),
        driver: f.text("driver"),
        driver_opts: f.texts_by_name("driver_opts"),
        ipam: f.object("ipam", ipam).unwrap_or_default(),
        external: f.flag("external"),
        internal: f.flag("internal"),
        attachable: f.flag("attachable"),
        labels: f.texts_by_name("labels"),
        enable_ipv4: f.maybe_flag("enable_ipv4"),
        enable_ipv6: f.maybe_flag("enable_ipv6"),
        extensions: f.extensions(),
    })
}

fn ipam(node: &Node, path: &Trail<'_>, problems: &mut Vec<Problem>) -> Option<Ipam> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Ipam {
        driver: f.text("driver"),
        config: f.list("config", |node, path, problems| {
            let mut f = Fields::of(node, path, problems)?;
            Some(IpamPool {
                subnet: f.text("subnet"),
                gateway: f.text("gateway"),
                ip_range: f.text("ip_range"),
                aux_addresses: f.texts_by_name("aux_addresses"),
                extensions: f.extensions(),
            })
        }),
        options: f.texts_by_name("options"),
        extensions: f.extensions(),
    })
}

fn volume(node: &Node, path: &Trail<'_>, problems: &mut Vec<Problem>) -> Option<Volume> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Volume {
        name: f.text("name"),
        driver: f.text("driver"),
        driver_opts: f.texts_by_name("driver_opts"),
        external: f.flag("external"),
        labels: f.texts_by_name("labels"),
        extensions: f.extensions(),
    })
}

fn file_object(node: &Node, path: &Trail<'_>, problems: &mut Vec<Problem>) -> Option<FileObject> {
    let from_variable = node.get(SECRET_VALUE).and_then(Node::as_text).cloned();
    let mut f = Fields::of(node, path, problems)?;
    Some(FileObject {
        name: f.text("name"),
        file: f.text("file"),
        environment: f.text("environment"),
        content: from_variable.or_else(|| f.maybe_text("content")),
        external: f.flag("external"),
        labels: f.texts_by_name("labels"),
        driver: f.text("driver"),
        driver_opts: f.texts_by_name("driver_opts"),
        template_driver: f.text("template_driver"),
        extensions: f.extensions(),
    })
}

fn model(node: &Node, path: &Trail<'_>, problems: &mut Vec<Problem>) -> Option<Model> {
    let mut f = Fields::of(node, path, problems)?;
    Some(Model {
        name: f.text("name"),
        model: f.text("model"),
        context_size: f.int("context_size"),
        runtime_flags: f.texts("runtime_flags"),
        extensions: f.extensions(),
    })
}

/// The `x-…` entries of a mapping.
fn extensions_of(map: &Map) -> BTreeMap<Key, Node> {
    map.iter()
        .filter(|(key, _)| key.starts_with("x-") && *key != SECRET_VALUE)
        .map(|(key, entry)| (key.clone(), entry.node.clone()))
        .collect()
}

/// The mapping, where `node` is one; an error otherwise. Null counts as an empty mapping.
fn map_of<'a>(node: &'a Node, path: &Trail<'_>, problems: &mut Vec<Problem>) -> Option<Option<&'a Map>> {
    match &node.value {
        Value::Map(map) => Some(Some(map)),
        Value::Null => Some(None),
        _ => {
            let message = message!("expected a mapping, found {}", node.kind());
            problems.push(Problem::error("type", node.span, path, message));
            None
        }
    }
}
