//! How is a project printed as Docker Compose prints it (`docker compose config --format json`)?
//!
//! Byte for byte: Go's field order and rules for leaving things out, two-space indentation, every `$` doubled.

mod json;
mod service;
mod tree;
mod yaml;

use std::collections::BTreeMap;

use crate::{
    Text,
    doc::Key,
    model::{FileObject, Model, Network, Project, Volume},
};

use tree::Form;

pub use tree::{Json, Secrets};

/// The canonical JSON, indented, without a newline at its end.
pub fn json(project: &Project, secrets: Secrets) -> String {
    let mut out = String::new();
    tree(project, Form::Json).write_indented(&mut out, 0, secrets);
    out
}

/// The canonical YAML, as `docker compose config` prints it.
pub fn yaml(project: &Project, secrets: Secrets) -> String {
    let mut out = String::new();
    tree(project, Form::Yaml).write_yaml(&mut out, 0, secrets);
    out
}

/// Every secret value of a project, as it is printed: for masking what others say of it.
pub fn secret_values(project: &Project) -> Vec<Text> {
    let tree = tree(project, Form::Yaml);
    let mut found = Vec::new();
    tree.secrets(&mut found);
    found
}

/// One service as Compose's hash sees it: compact, `$` as it is.
pub(crate) fn service_tree(service: &crate::model::Service) -> Json {
    service::service(service, &service.label_files)
}

fn tree(project: &Project, form: Form) -> Json {
    let mut record = Json::record()
        .always("name", Json::text(&project.name))
        .always("services", map(&project.services, |service| service::service(service, &[])))
        .field("networks", map(&project.networks, network))
        .field("volumes", map(&project.volumes, volume))
        .field("secrets", map(&project.secrets, file_object))
        .field("configs", map(&project.configs, file_object));
    if form == Form::Yaml {
        return record.field("models", map(&project.models, model)).extensions(&project.extensions).done();
    }
    for (key, node) in &project.extensions {
        record = record.named_by(key.clone(), Json::written(node));
    }
    record.done().sorted()
}

fn map<T>(objects: &BTreeMap<Key, T>, print: impl Fn(&T) -> Json) -> Json {
    Json::Map(objects.iter().map(|(name, object)| (name.clone(), print(object))).collect())
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
    let ipam = Json::record()
        .text("driver", &network.ipam.driver)
        .list("config", pools.collect())
        .extensions(&network.ipam.extensions)
        .done();
    Json::record()
        .text("name", &network.name)
        .text("driver", &network.driver)
        .texts_by_name("driver_opts", &network.driver_opts)
        .json_always("ipam", ipam)
        .flag("external", network.external)
        .flag("internal", network.internal)
        .flag("attachable", network.attachable)
        .texts_by_name("labels", &network.labels)
        .maybe_flag("enable_ipv4", network.enable_ipv4)
        .maybe_flag("enable_ipv6", network.enable_ipv6)
        .extensions(&network.extensions)
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
        .extensions(&volume.extensions)
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
        .extensions(&object.extensions)
        .done()
}

fn model(model: &Model) -> Json {
    Json::record()
        .text("name", &model.name)
        .text("model", &model.model)
        .int("context_size", model.context_size)
        .texts("runtime_flags", &model.runtime_flags)
        .extensions(&model.extensions)
        .done()
}
