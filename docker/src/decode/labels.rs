//! What do an object's labels say: whose is it, and which part of a stack?

use std::collections::BTreeMap;

use plan::{ids::Replica, labels, observed::ComposeLabels, resource::Owner};
use serde_json::Value;
use specs::{Text, doc::Key};

use super::json::{strings_by_name, texts_by_name};

/// The labels that Compose and the agent understand. Podman's family of labels counts too.
pub(super) fn compose_labels(value: &Value) -> ComposeLabels {
    let all = strings_by_name(value);
    let get = |key: &str| all.get(key).cloned().filter(|value| !value.is_empty());
    let number = get(labels::NUMBER).and_then(|number| number.parse().ok());
    let replica =
        get(labels::SERVICE).zip(number).map(|(service, number)| Replica { service: service.into(), number });
    let digests = all
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(labels::DIGEST)?.to_owned(), value.clone())));
    ComposeLabels {
        owner: owner(&all),
        replica,
        oneoff: get(labels::ONEOFF).as_deref() == Some("True"),
        image: get(labels::IMAGE),
        replaces: get(labels::REPLACE),
        digests: digests.collect(),
        all,
    }
}

pub(super) fn owner(all: &BTreeMap<String, String>) -> Owner {
    let get = |key: &str| all.get(key).cloned().filter(|value| !value.is_empty());
    Owner {
        project: get(labels::PROJECT).or_else(|| get("io.podman.compose.project")).map(Into::into),
        agent: get(labels::OWNER),
        config_hash: get(labels::HASH),
    }
}

pub(super) fn user_labels(value: &Value) -> BTreeMap<Key, Text> {
    let mut all = texts_by_name(value);
    all.retain(|key, _| !labels::is_reserved(key.expose()));
    all
}
