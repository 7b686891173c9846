//! Which labels do Docker Compose and the agent put on what they make?

use std::collections::BTreeMap;

use specs::model::{Project, Service};

use crate::{desired::Desired, ids::Replica};

/// The version of Docker Compose whose behaviour and hashes are reproduced.
pub const COMPOSE_VERSION: &str = "2.40.3";
/// `<host>/<stack>`: made by the agent of this host for this stack.
pub const OWNER: &str = "agentctl.owner";
/// Prefix of the digests of content that Compose's hash leaves out.
pub const DIGEST: &str = "agentctl.digest.";
/// On an image that was built here: the digest of what it was built from.
pub const BUILD: &str = "agentctl.build";
/// Compose's project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Compose's service.
pub const SERVICE: &str = "com.docker.compose.service";
/// The container's number.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// Compose's hash.
pub const HASH: &str = "com.docker.compose.config-hash";
/// `True` for containers of `docker compose run`.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// The image's id at creation.
pub const IMAGE: &str = "com.docker.compose.image";
/// What a container's service depends on, each `service:condition:restart`.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// The name that a recreated container takes over.
pub const REPLACE: &str = "com.docker.compose.replace";

/// Whether a label is Compose's or the agent's own. An image that one of them has built has such labels, too, and hands
/// them on: they are no declaration of its containers.
pub fn is_reserved(key: &str) -> bool {
    key.starts_with("com.docker.compose.") || key.starts_with("agentctl.")
}

/// The labels of a container that do not depend on ids.
pub fn container(desired: &Desired, service: &Service, replica: &Replica) -> BTreeMap<String, String> {
    let project: &Project = &desired.project;
    let files: Vec<String> = project.compose_files.iter().map(|file| file.display().to_string()).collect();
    let depends_on: Vec<String> = service
        .depends_on
        .iter()
        .map(|(name, edge)| format!("{}:{}:{}", name.expose(), edge.condition.as_str(), edge.restart))
        .collect();
    let mut labels = common(desired);
    for (key, value) in [
        (SERVICE, replica.service.to_string()),
        (NUMBER, replica.number.to_string()),
        (ONEOFF, "False".to_owned()),
        (DEPENDS_ON, depends_on.join(",")),
        ("com.docker.compose.project.working_dir", project.working_dir.display().to_string()),
        ("com.docker.compose.project.config_files", files.join(",")),
    ] {
        labels.insert(key.to_owned(), value);
    }
    labels
}

/// Compose's hash of a service; one that nobody can test a guess against where the service has a secret in it.
pub fn hash(desired: &Desired, service: &Service, shared: &BTreeMap<String, String>) -> String {
    match &desired.inputs.key {
        Some(key) => specs::hash::service_keyed(service, shared, key),
        None => specs::hash::service(service, shared),
    }
}

/// The labels of a network.
pub fn network(desired: &Desired, key: &str, hash: &str) -> BTreeMap<String, String> {
    with(common(desired), "com.docker.compose.network", key, hash)
}

/// The labels of a volume.
pub fn volume(desired: &Desired, key: &str, hash: &str) -> BTreeMap<String, String> {
    with(common(desired), "com.docker.compose.volume", key, hash)
}

fn with(mut labels: BTreeMap<String, String>, kind: &str, key: &str, hash: &str) -> BTreeMap<String, String> {
    labels.insert(kind.to_owned(), key.to_owned());
    labels.insert(HASH.to_owned(), hash.to_owned());
    labels
}

fn common(desired: &Desired) -> BTreeMap<String, String> {
    BTreeMap::from([
        (PROJECT.to_owned(), desired.project_name.to_string()),
        ("com.docker.compose.version".to_owned(), COMPOSE_VERSION.to_owned()),
        (OWNER.to_owned(), format!("{}/{}", desired.host, desired.stack)),
    ])
}
