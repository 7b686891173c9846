//! How is an image pulled, how far has it got, and what do a registry's refusals mean?

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use hyper::Method;
use plan::{desired::Login, reference::Reference};
use serde_json::{Value, json};

use super::lines;
use crate::{
    engine::Engine,
    wire::{Payload, WireError, query},
};

/// The Engine reports every few hundred milliseconds while bytes come, and says nothing while it unpacks a large layer.
const STALL: Duration = Duration::from_secs(180);

/// What is to be pulled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pull<'a> {
    pub(crate) reference: &'a str,
    pub(crate) platform: Option<&'a str>,
    pub(crate) login: &'a Result<Login, String>,
}

impl Engine {
    /// Pulls an image and gives its id; says how far it has got.
    pub(crate) async fn pull(
        &self,
        pull: Pull<'_>,
        deadline: Duration,
        say: &dyn Fn(String),
    ) -> Result<Option<String>, WireError> {
        let Pull { reference, platform, login } = pull;
        let named = Reference::parse(reference);
        let tagged = if named.tag.as_deref() == Some("latest") && !has_tag(reference) {
            format!("{reference}:latest")
        } else {
            reference.to_owned()
        };
        let platform = platform.map(|platform| format!("&platform={}", query(platform))).unwrap_or_default();
        let path = format!("/images/create?fromImage={}{platform}", query(&tagged));
        let header = login.as_ref().ok().map(|login| auth(login, &named.registry));
        let headers: Vec<(&str, &str)> =
            header.iter().map(|value| ("X-Registry-Auth", value.as_str())).collect();
        let mut layers = Layers::default();
        let work = async {
            let answer = self.wire.open(Method::POST, &path, Payload::Nothing, &headers).await?;
            lines::read(answer, STALL, |line| {
                layers.take(line);
                say(layers.to_string());
            })
            .await
        };
        let ended = tokio::time::timeout(deadline, work).await.unwrap_or(Err(WireError::TimedOut(deadline)));
        ended.map_err(|error| explained(error, &named, login))?;
        self.image_id(&tagged).await?.map(Some).ok_or_else(|| WireError::Refused {
            status: 500,
            message: format!("pulling {reference} did not bring it"),
        })
    }
}

fn has_tag(reference: &str) -> bool {
    reference.contains('@') || reference.rsplit('/').next().is_some_and(|name| name.contains(':'))
}

/// The header `X-Registry-Auth` (Engine API, "Authentication").
pub(super) fn auth(login: &Login, registry: &str) -> String {
    let server =
        if registry == plan::reference::DOCKER_HUB { "https://index.docker.io/v1/" } else { registry };
    let words = match &login.identity_token {
        Some(token) => json!({ "identitytoken": token.expose(), "serveraddress": server }),
        None => json!({
            "username": login.username.expose(),
            "password": login.password.expose(),
            "serveraddress": server,
        }),
    };
    URL_SAFE.encode(words.to_string())
}

/// What each layer has come to.
#[derive(Debug, Default)]
struct Layers {
    known: BTreeMap<String, Layer>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Layer {
    done: bool,
    bytes: u64,
    of: u64,
}

impl Layers {
    fn take(&mut self, line: &Value) {
        let (Some(id), Some(status)) = (line["id"].as_str(), line["status"].as_str()) else { return };
        let is_layer = matches!(
            status,
            "Pulling fs layer"
                | "Waiting"
                | "Downloading"
                | "Verifying Checksum"
                | "Download complete"
                | "Extracting"
                | "Pull complete"
                | "Already exists"
        );
        if !is_layer {
            return;
        }
        let layer = self.known.entry(id.to_owned()).or_default();
        match status {
            "Downloading" => {
                layer.bytes = line["progressDetail"]["current"].as_u64().unwrap_or(layer.bytes);
                layer.of = line["progressDetail"]["total"].as_u64().unwrap_or(layer.of);
            }
            "Download complete" | "Extracting" => layer.bytes = layer.of,
            "Pull complete" | "Already exists" => (layer.done, layer.bytes) = (true, layer.of),
            _ => {}
        }
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers = self.known.values();
        let done = layers.clone().filter(|layer| layer.done).count();
        let (bytes, of) = layers.fold((0, 0), |(bytes, of), layer| (bytes + layer.bytes, of + layer.of));
        // Tenths, without floating point.
        let mb = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000);
        if self.known.is_empty() {
            return f.write_str("asking the registry");
        }
        write!(f, "{done} of {} layers, {} of {} MB", self.known.len(), mb(bytes), mb(of))
    }
}

/// Adds to the Engine's words what they mean and what can be done.
pub(super) fn explained(error: WireError, named: &Reference, login: &Result<Login, String>) -> WireError {
    let WireError::Refused { status, message } = error else { return error };
    let registry = &named.registry;
    let low = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| low.contains(word));
    let advice = if has(&["toomanyrequests", "too many requests", "429"]) {
        match login {
            Ok(_) => format!("{registry} limits how often this account may pull: it is tried again later"),
            Err(_) => format!(
                "{registry} limits pulls without a login: log in (x-agent.registries), or wait; it is tried again later"
            ),
        }
    } else if has(&["unauthorized", "authentication required", "no basic auth", "access denied", "denied:"]) {
        match login {
            Ok(login) => format!(
                "{registry} does not let the login of {} read {}: check it, and that it may read that repository",
                login.source, named.repository
            ),
            Err(why) => format!("it is private, or does not exist; {why}"),
        }
    } else if has(&["manifest unknown", "not found", "name unknown", "repository does not exist"]) {
        format!("{registry} has no such repository or version: check the spelling")
    } else if has(&["no matching manifest"]) {
        "the image is not made for this platform: choose another version, or set `platform`".to_owned()
    } else if has(&[
        "no such host",
        "connection refused",
        "i/o timeout",
        "no route to host",
        "unreachable",
        "deadline exceeded",
    ]) {
        format!(
            "{registry} cannot be reached from this host: check its name, the network and name resolution"
        )
    } else if has(&["x509", "certificate"]) {
        format!(
            "{registry} has a certificate that the Engine does not trust: put its CA into /etc/docker/certs.d/{registry}/ca.crt"
        )
    } else {
        return WireError::Refused { status, message };
    };
    WireError::Refused { status, message: format!("{message}; {advice}") }
}

#[cfg(test)]
mod tests {
    use specs::Text;

    use super::*;

    fn login() -> Login {
        Login {
            username: Text::plain("me"),
            password: Text::secret("s3cret"),
            identity_token: None,
            source: "x-agent.registries".into(),
        }
    }

    #[test]
    fn progress_counts_layers_and_bytes() {
        let mut layers = Layers::default();
        assert_eq!(layers.to_string(), "asking the registry");
        for line in [
            json!({"status": "Pulling from library/nginx", "id": "1.27"}),
            json!({"status": "Pulling fs layer", "id": "a"}),
            json!({"status": "Already exists", "id": "b"}),
            json!({"status": "Downloading", "id": "a", "progressDetail": {"current": 1_250_000, "total": 80_100_000}}),
        ] {
            layers.take(&line);
        }
        assert_eq!(layers.to_string(), "1 of 2 layers, 1.2 of 80.1 MB");
        layers.take(&json!({"status": "Pull complete", "id": "a"}));
        assert_eq!(layers.to_string(), "2 of 2 layers, 80.1 of 80.1 MB");
    }

    #[test]
    fn a_refusal_says_what_can_be_done_and_never_with_which_password() {
        let none = Err("x-agent.registries has no login for ghcr.io".to_owned());
        let cases = [
            ("toomanyrequests: You have reached your pull rate limit", Ok(login()), "limits how often"),
            ("toomanyrequests: You have reached your pull rate limit", none.clone(), "log in"),
            ("Head \"https://ghcr.io/v2/\": unauthorized", Ok(login()), "does not let the login of x-agent"),
            (
                "pull access denied for a, repository does not exist or may require 'docker login'",
                none.clone(),
                "it is private",
            ),
            ("manifest for ghcr.io/a:9 not found: manifest unknown", Ok(login()), "check the spelling"),
            ("dial tcp: lookup ghcr.io: no such host", none.clone(), "cannot be reached"),
            ("x509: certificate signed by unknown authority", none.clone(), "certs.d/ghcr.io"),
        ];
        for (message, login, advice) in cases {
            let error = WireError::Refused { status: 500, message: message.into() };
            let words = explained(error, &Reference::parse("ghcr.io/a:9"), &login).to_string();
            assert!(words.starts_with(message) && words.contains(advice), "{words}");
            assert!(!words.contains("s3cret"));
        }
    }

    #[test]
    fn docker_hub_is_logged_in_to_under_its_old_name() {
        let words = |registry| String::from_utf8(URL_SAFE.decode(auth(&login(), registry)).expect("base64"));
        assert!(words("docker.io").expect("text").contains("https://index.docker.io/v1/"));
        assert_eq!(
            words("ghcr.io").expect("text"),
            r#"{"username":"me","password":"s3cret","serveraddress":"ghcr.io"}"#
        );
        assert!(!format!("{:?}", login()).contains("s3cret"));
    }
}
