//! What is Docker Compose's own hash of a service, a network, a volume?
//!
//! SHA-256 of the compact JSON of the loaded object, as Compose 2.40 writes it into `com.docker.compose.config-hash`. A
//! service's hash leaves out what does not change its containers, and names the containers that it shares something with
//! by their ids.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    Text, canonical,
    model::{Network, Service, Volume},
    secrets::DigestKey,
};

/// The hash of a service. `containers` gives the id of the container that each `service:X` means now.
pub fn service(service: &Service, containers: &BTreeMap<String, String>) -> String {
    digest(&service_json(service, containers))
}

/// The same, except that a service with a secret in it has a hash that only a holder of `key` can compute: Docker
/// Compose's own would let everybody who reads the label test a guess of the secret.
pub fn service_keyed(service: &Service, containers: &BTreeMap<String, String>, key: &DigestKey) -> String {
    let tree = canonical::service_tree(service);
    let mut secrets = Vec::new();
    tree.secrets(&mut secrets);
    let json = Zeroizing::new(service_json(service, containers));
    if secrets.is_empty() { digest(&json) } else { key.whole(json.as_bytes()) }
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

    #[test]
    fn a_service_with_a_secret_has_a_hash_that_lets_nobody_test_a_guess() {
        let none = BTreeMap::new();
        let (key, other) = (DigestKey::new([1; 32]), DigestKey::new([2; 32]));
        let with = |value: Text| Service {
            environment: [("PW".into(), Some(value))].into_iter().collect(),
            ..Service::default()
        };
        let (open, secret) = (with(Text::plain("a")), with(Text::secret("a")));
        assert_eq!(service_keyed(&open, &none, &key), service(&open, &none));
        let hash = service_keyed(&secret, &none, &key);
        assert_eq!((hash.len(), &hash), (64, &service_keyed(&secret, &none, &key)));
        assert_ne!(hash, service(&secret, &none));
        assert_ne!(hash, service_keyed(&secret, &none, &other));
        assert_ne!(hash, service_keyed(&with(Text::secret("b")), &none, &key));
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
