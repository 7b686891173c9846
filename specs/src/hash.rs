//! What is Docker Compose's own hash of a service, a network, a volume?
//!
//! SHA-256 of the compact JSON of the loaded object, as Compose 2.40 writes it into `com.docker.compose.config-hash`. A
//! service's hash leaves out what does not change its containers, and names the containers that it shares something with
//! by their ids.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest, Sha256};

use crate::{
    Text, canonical,
    model::{Network, Service, Volume},
};

/// The hash of a service. `containers` gives the id of the container that each `service:X` means now.
pub fn service(service: &Service, containers: &BTreeMap<String, String>) -> String {
    digest(&service_json(service, containers))
}

/// What is hashed for a service.
fn service_json(service: &Service, containers: &BTreeMap<String, String>) -> String {
    let mut hashed = service.clone();
    hashed.build = None;
    hashed.pull_policy = Text::default();
    hashed.scale = None;
    if let Some(deploy) = &mut hashed.deploy {
        deploy.replicas = None;
    }
    hashed.depends_on.clear();
    hashed.profiles.clear();
    for mode in [&mut hashed.network_mode, &mut hashed.ipc, &mut hashed.pid] {
        if let Some(id) = mode.expose().strip_prefix("service:").and_then(|name| containers.get(name)) {
            *mode = Text::plain(format!("container:{id}"));
        }
    }
    for from in &mut hashed.volumes_from {
        let name = match from.expose().strip_prefix("container:") {
            Some(outside) => outside.split(':').next().map(str::to_owned),
            None => from.expose().split(':').next().and_then(|name| containers.get(name).cloned()),
        };
        if let Some(name) = name {
            *from = Text::plain(name);
        }
    }
    let mut json = String::new();
    canonical::service_tree(&hashed).write_compact(&mut json);
    json
}

/// The hash of a network.
pub fn network(network: &Network) -> String {
    let mut json = String::new();
    canonical::network(network).write_compact(&mut json);
    digest(&json)
}

/// The hash of a volume: its driver is `local` where none is given, for the hash only.
pub fn volume(volume: &Volume) -> String {
    let mut hashed = volume.clone();
    if hashed.driver.is_empty() {
        hashed.driver = Text::plain("local");
    }
    let mut json = String::new();
    canonical::volume(&hashed).write_compact(&mut json);
    digest(&json)
}

fn digest(json: &str) -> String {
    Sha256::digest(json.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Docker Compose 2.40.3: a service with an image and nothing else.
    #[test]
    fn the_plain_service() {
        let service = Service {
            image: "ref-busybox:1".into(),
            networks: BTreeMap::from([("default".into(), None)]),
            ..Service::default()
        };
        let none = BTreeMap::new();
        assert_eq!(
            service_json(&service, &none),
            r#"{"command":null,"entrypoint":null,"image":"ref-busybox:1","networks":{"default":null}}"#
        );
        assert!(super::service(&service, &none).starts_with("2fd48fb22cca7e77"));
    }

    /// Recorded from Docker Compose 2.40.3: the default network of the project `ref-h1`, and one of its volumes.
    #[test]
    fn networks_and_volumes() {
        let network = Network { name: "ref-h1_default".into(), ..Network::default() };
        assert!(super::network(&network).starts_with("8799275a0f5d70de"));
        let labels = BTreeMap::from([("l".into(), Text::plain("1"))]);
        let volume = Volume { name: "ref-h1_named".into(), labels, ..Volume::default() };
        assert!(super::volume(&volume).starts_with("3ddf2e3d8e0d25a5"));
    }
}
