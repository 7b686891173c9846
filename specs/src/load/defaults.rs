//! Which values does Docker Compose write into a model that does not have them?

use crate::{
    Text,
    doc::{Entry, Map, Node, Span, Value},
};

/// Defaults that Compose writes into the model: a secret's target, a port's protocol and mode, a request's count.
pub(super) fn complete(model: &mut Node) {
    let Some(Value::Map(services)) = (if let Value::Map(top) = &mut model.value {
        top.get_mut("services").map(|entry| &mut entry.node.value)
    } else {
        None
    }) else {
        return;
    };
    for entry in services.values_mut() {
        let Value::Map(service) = &mut entry.node.value else { continue };
        each_item(service, "ports", |port| {
            absent(port, "mode", "ingress");
            absent(port, "protocol", "tcp");
        });
        each_item(service, "secrets", default_target);
        each_item(service, "gpus", all_devices);
        if let Some(Value::Map(build)) = service.get_mut("build").map(|entry| &mut entry.node.value) {
            absent(build, "context", ".");
        }
        if let Some(Value::Map(deploy)) = service.get_mut("deploy").map(|entry| &mut entry.node.value)
            && let Some(Value::Map(resources)) =
                deploy.get_mut("resources").map(|entry| &mut entry.node.value)
            && let Some(Value::Map(reservations)) =
                resources.get_mut("reservations").map(|entry| &mut entry.node.value)
        {
            each_item(reservations, "devices", all_devices);
        }
    }
}

fn default_target(secret: &mut Map) {
    let source = secret.get("source").and_then(|entry| entry.node.as_text()).cloned().unwrap_or_default();
    absent(secret, "target", source.map(|source| format!("/run/secrets/{source}")));
}

fn all_devices(request: &mut Map) {
    if !request.contains_key("count") && !request.contains_key("device_ids") {
        absent(request, "count", "all");
    }
}

fn each_item(fields: &mut Map, key: &str, mut change: impl FnMut(&mut Map)) {
    if let Some(Value::Seq(items)) = fields.get_mut(key).map(|entry| &mut entry.node.value) {
        for item in items {
            if let Value::Map(fields) = &mut item.value {
                change(fields);
            }
        }
    }
}

fn absent(fields: &mut Map, key: &str, value: impl Into<Text>) {
    if !fields.contains_key(key) {
        let node = Node::new(Span::default(), Value::Str(value.into()));
        fields.insert(key.into(), Entry { key: Span::default(), node });
    }
}
