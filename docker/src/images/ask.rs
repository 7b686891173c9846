//! Does a registry have an image, without bringing it?
//!
//! The Engine is asked to ask (`/distribution/NAME/json`), so that its mirrors, proxies and certificates count, as they do
//! when it pulls.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::Method;
use plan::{desired::Login, preflight::Unfound, reference::Reference};
use serde_json::Value;

use super::pull::{auth, explained};
use crate::{
    engine::Engine,
    wire::{Payload, WireError},
};

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

impl Engine {
    /// Asks the registry for the digest of an image's manifest, within `deadline`.
    ///
    /// # Errors
    /// It has no such image or cannot be reached, or nobody knows.
    pub async fn ask_registry(
        &self,
        reference: &str,
        login: &Result<Login, String>,
        deadline: Duration,
    ) -> Result<String, Unfound> {
        let named = Reference::parse(reference);
        let path = format!("/distribution/{reference}/json");
        let header = login.as_ref().ok().map(|login| auth(login, &named.registry));
        let headers: Vec<(&str, &str)> =
            header.iter().map(|value| ("X-Registry-Auth", value.as_str())).collect();
        let asking = async {
            let answer = self.wire.open(Method::GET, &path, Payload::Nothing, &headers).await?;
            let body = Limited::new(answer, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| WireError::Broken(error.to_string()))?.to_bytes();
            let value: Value = serde_json::from_slice(&body).unwrap_or_default();
            Ok(value["Descriptor"]["digest"].as_str().unwrap_or_default().to_owned())
        };
        let answer =
            tokio::time::timeout(deadline, asking).await.unwrap_or(Err(WireError::TimedOut(deadline)));
        answer.map_err(|error| unfound(explained(error, &named, login), &named))
    }
}

fn unfound(error: WireError, named: &Reference) -> Unfound {
    let WireError::Refused { status, message } = error else {
        return match error {
            WireError::TimedOut(after) => {
                Unfound::Absent(format!("{} has not answered within {} s", named.registry, after.as_secs()))
            }
            other => Unfound::Unknown(other.to_string()),
        };
    };
    let low = message.to_lowercase();
    let limited = low.contains("toomanyrequests") || low.contains("too many requests");
    // An Engine that cannot ask: Podman's service has no such call.
    let cannot = matches!(status, 405 | 501) || low.contains("page not found");
    if limited || cannot { Unfound::Unknown(message) } else { Unfound::Absent(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_absent_and_what_nobody_knows_is_not() {
        let named = Reference::parse("ghcr.io/a:1");
        let said =
            |status, message: &str| unfound(WireError::Refused { status, message: message.into() }, &named);
        assert!(matches!(said(404, "manifest unknown"), Unfound::Absent(_)));
        assert!(matches!(said(500, "no such host"), Unfound::Absent(_)));
        assert!(matches!(said(500, "toomanyrequests: slow down"), Unfound::Unknown(_)));
        assert!(matches!(said(404, "page not found"), Unfound::Unknown(_)));
        let late = unfound(WireError::TimedOut(Duration::from_secs(3)), &named);
        assert_eq!(late, Unfound::Absent("ghcr.io has not answered within 3 s".into()));
        assert!(matches!(unfound(WireError::Broken("eof".into()), &named), Unfound::Unknown(_)));
    }
}
