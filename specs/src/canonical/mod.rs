//! How is a project printed as Docker Compose prints it (`docker compose config --format json`)?
//!
//! Byte for byte: Go's field order and rules for leaving things out, two-space indentation, every `$` doubled.

mod service;
mod tree;

use std::collections::BTreeMap;

use crate::{
    Text,
    doc::{Node, Value},
    model::{FileObject, Network, Project, Volume},
    values::go_float,
};

pub use tree::{Json, Secrets};

/// The canonical JSON, indented, without a newline at its end.
pub fn json(project: &Project, secrets: Secrets) -> String {
    let mut out = String::new();
    tree(project).write_indented(&mut out, 0, secrets);
    out
}

/// The canonical YAML, as `docker compose config` prints it.
pub fn yaml(project: &Project, secrets: Secrets) -> String {
    let mut out = String::new();
    tree(project).sorted().write_yaml(&mut out, 0, secrets);
    out
}

/// One service as Compose's hash sees it: compact, `$` as it is.
pub(crate) fn service_tree(service: &crate::model::Service) -> Json {
    service::service(service)
}

fn tree(project: &Project) -> Json {
    let mut top: BTreeMap<String, Json> = BTreeMap::new();
    top.insert("name".into(), Json::text(&project.name));
    top.insert("services".into(), map(&project.services, service::service));
    let mut section = |key: &str, value: Json| {
        if !value.is_empty() {
            top.insert(key.to_owned(), value);
        }
    };
    section("networks", map(&project.networks, network));
    section("volumes", map(&project.volumes, volume));
    section("secrets", map(&project.secrets, file_object));
    section("configs", map(&project.configs, file_object));
    for (key, node) in &project.extensions {
        top.insert(key.clone(), node_tree(node));
    }
    Json::Object(top.into_iter().collect())
}

fn map<T>(objects: &BTreeMap<String, T>, print: impl Fn(&T) -> Json) -> Json {
    Json::Object(objects.iter().map(|(name, object)| (name.clone(), print(object))).collect())
}

/// A network as Compose prints and hashes it.
pub(crate) fn network(network: &Network) -> Json {
    let pools = network.ipam.config.iter().map(|pool| {
        Json::record()
            .text("subnet", &pool.subnet)
            .text("gateway", &pool.gateway)
            .text("ip_range", &pool.ip_range)
            .texts_by_name("aux_addresses", &pool.aux_addresses)
            .done()
    });
    let ipam = Json::record().text("driver", &network.ipam.driver).list("config", pools.collect()).done();
    Json::record()
        .text("name", &network.name)
        .text("driver", &network.driver)
        .texts_by_name("driver_opts", &network.driver_opts)
        .always("ipam", ipam)
        .flag("external", network.external)
        .flag("internal", network.internal)
        .flag("attachable", network.attachable)
        .texts_by_name("labels", &network.labels)
        .maybe_flag("enable_ipv4", network.enable_ipv4)
        .maybe_flag("enable_ipv6", network.enable_ipv6)
        .done()
}

/// A volume as Compose prints and hashes it.
pub(crate) fn volume(volume: &Volume) -> Json {
    Json::record()
        .text("name", &volume.name)
        .text("driver", &volume.driver)
        .texts_by_name("driver_opts", &volume.driver_opts)
        .flag("external", volume.external)
        .texts_by_name("labels", &volume.labels)
        .done()
}

fn file_object(object: &FileObject) -> Json {
    Json::record()
        .text("name", &object.name)
        .text("file", &object.file)
        .text("environment", &object.environment)
        .text(
            "content",
            object.content.as_ref().filter(|_| object.environment.is_empty()).unwrap_or(&Text::default()),
        )
        .flag("external", object.external)
        .texts_by_name("labels", &object.labels)
        .text("driver", &object.driver)
        .texts_by_name("driver_opts", &object.driver_opts)
        .text("template_driver", &object.template_driver)
        .done()
}

/// An extension, printed as it was written.
fn node_tree(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::Number(number.to_string()),
        Value::BigInt(number) => Json::Number(number.to_string()),
        Value::Float(number) => {
            Json::Number(tree::go_json_float(*number).unwrap_or_else(|| go_float(*number)))
        }
        Value::Str(text) => Json::Text(text.clone()),
        Value::Seq(items) => Json::Array(items.iter().map(node_tree).collect()),
        Value::Map(map) => {
            let sorted: BTreeMap<&String, &Node> =
                map.iter().map(|(key, entry)| (key, &entry.node)).collect();
            Json::Object(sorted.into_iter().map(|(key, node)| (key.clone(), node_tree(node))).collect())
        }
    }
}
