//! How is an image built, how far has it got, and what did it say last where it fails?
//!
//! BuildKit through `POST /build?version=2`, the context as the body; a session beside it where it needs secrets or ssh.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::Method;
use plan::build::Build;
use serde_json::Value;
use specs::{Text, mask::Mask};

use super::{grpc::Fields, lines, session::Session};
use crate::{
    engine::Engine,
    wire::{Payload, WireError, query},
};

/// How many of the last lines an error shows.
const LAST_LINES: usize = 12;

impl Engine {
    /// Builds an image and gives its id; says how far it has got.
    pub(crate) async fn build(
        &self,
        build: &Arc<Build>,
        deadline: Duration,
        say: &dyn Fn(String),
    ) -> Result<Option<String>, WireError> {
        let mut trace = Trace::default();
        let work = async {
            let session = Session::of(build, &self.wire).await?;
            let path = path(build, session.as_ref().map(|session| session.id.as_str()));
            let payload = Payload::Context(Arc::clone(build));
            let answer = self.wire.open(Method::POST, &path, payload, &[]).await?;
            lines::read(answer, deadline, |line| {
                if let Some(step) = trace.take(line) {
                    say(masked(build, &step));
                }
            })
            .await
        };
        let ended = tokio::time::timeout(deadline, work).await.unwrap_or(Err(WireError::TimedOut(deadline)));
        ended.map_err(|error| match error {
            WireError::Refused { status, message } => {
                let said = trace.last_lines();
                let said = if said.is_empty() { String::new() } else { format!("; it said last: {said}") };
                WireError::Refused { status, message: masked(build, &format!("{message}{said}")) }
            }
            other => other,
        })?;
        self.image_id(&build.reference).await?.map(Some).ok_or_else(|| WireError::Refused {
            status: 500,
            message: format!("the build ended well, and {} is not there", build.reference),
        })
    }
}

/// The request (Engine API, "Build an image").
fn path(build: &Build, session: Option<&str>) -> String {
    let mut path = format!("/build?version=2&dockerfile={}", query(&build.dockerfile));
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            path.push_str(&format!("&{key}={}", query(value)));
        }
    };
    put("session", session.unwrap_or_default());
    put("t", &build.reference);
    build.tags.iter().for_each(|tag| put("t", tag.expose()));
    let exposed = |map: &BTreeMap<String, Text>| {
        let map: serde_json::Map<String, Value> =
            map.iter().map(|(key, value)| (key.clone(), value.expose().into())).collect();
        Value::from(map).to_string()
    };
    put("buildargs", &exposed(&build.args));
    put("labels", &exposed(&build.labels));
    put("target", build.target.expose());
    put("networkmode", build.network.expose());
    build.extra_hosts.iter().for_each(|host| put("extrahosts", host.expose()));
    if build.shm_size > 0 {
        put("shmsize", &build.shm_size.to_string());
    }
    put("nocache", if build.no_cache { "1" } else { "" });
    put("pull", if build.pull { "1" } else { "" });
    if !build.cache_from.is_empty() {
        let from: Vec<&str> = build.cache_from.iter().map(Text::expose).collect();
        put("cachefrom", &Value::from(from).to_string());
    }
    put("platform", build.platform.as_ref().map_or("", |platform| platform.expose()));
    path
}

/// What a build says, without its secrets.
fn masked(build: &Build, text: &str) -> String {
    let secrets = build.secrets.values().filter_map(|secret| std::str::from_utf8(secret.expose()).ok());
    let secrets: Vec<Text> = secrets.map(|secret| Text::secret(secret.trim_end())).collect();
    Mask::of(build.args.values().chain(&secrets)).mask(text).into_owned()
}

/// What BuildKit tells of its steps (`moby.buildkit.trace`: the message `StatusResponse` of its control interface).
#[derive(Debug, Default)]
struct Trace {
    last: VecDeque<String>,
}

impl Trace {
    /// Takes one line in; gives the step that has begun with it.
    fn take(&mut self, line: &Value) -> Option<String> {
        if line["id"] != "moby.buildkit.trace" {
            return None;
        }
        let bytes = STANDARD.decode(line["aux"].as_str()?).ok()?;
        let mut begun = None;
        for (field, content) in Fields(&bytes) {
            match field {
                // A vertex: 3 is its name, 5 says when it started, 6 when it ended.
                1 => {
                    let has = |wanted| Fields(content).any(|(field, _)| field == wanted);
                    if has(5) && !has(6) {
                        let name = Fields(content).find(|(field, _)| *field == 3);
                        begun = name.map(|(_, name)| String::from_utf8_lossy(name).into_owned()).or(begun);
                    }
                }
                // A log: 4 is what was said.
                3 => {
                    for (_, said) in Fields(content).filter(|(field, _)| *field == 4) {
                        let said = String::from_utf8_lossy(said).into_owned();
                        self.last.extend(
                            said.lines()
                                .map(str::trim_end)
                                .filter(|line| !line.is_empty())
                                .map(str::to_owned),
                        );
                        while self.last.len() > LAST_LINES {
                            self.last.pop_front();
                        }
                    }
                }
                _ => {}
            }
        }
        begun
    }

    fn last_lines(&self) -> String {
        self.last.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }
}

#[cfg(test)]
mod tests {
    use plan::build::SecretBytes;
    use serde_json::json;

    use super::{super::grpc::field, *};

    fn line(message: &[u8]) -> Value {
        json!({ "id": "moby.buildkit.trace", "aux": STANDARD.encode(message) })
    }

    #[test]
    fn a_trace_tells_the_step_that_runs_and_the_last_lines() {
        let mut trace = Trace::default();
        let begun = field(1, &[field(3, b"[2/3] RUN make"), field(5, b"")].concat());
        assert_eq!(trace.take(&line(&begun)).as_deref(), Some("[2/3] RUN make"));
        let ended = field(1, &[field(3, b"[2/3] RUN make"), field(5, b""), field(6, b"")].concat());
        assert_eq!(trace.take(&line(&ended)), None);
        for nth in 0..20 {
            trace.take(&line(&field(3, &field(4, format!("line {nth}\n").as_bytes()))));
        }
        assert!(trace.last_lines().starts_with("line 8 | ") && trace.last_lines().ends_with("line 19"));
        assert_eq!(trace.take(&json!({ "id": "moby.buildkit.trace", "aux": "/////w==" })), None);
    }

    #[test]
    fn a_secret_argument_is_sent_and_never_shown() {
        let build = Build {
            reference: "app:1".into(),
            dockerfile: "docker/Dockerfile".into(),
            args: [("TOKEN".to_owned(), Text::secret("s3cret"))].into(),
            secrets: [("key".to_owned(), SecretBytes::new(b"first line\nsecond line\n".to_vec()))].into(),
            cache_from: vec![Text::plain("app:0")],
            ..Build::default()
        };
        let path = path(&build, None);
        assert!(
            path.starts_with("/build?version=2&dockerfile=docker%2FDockerfile&t=app%3A1&buildargs="),
            "{path}"
        );
        assert!(path.contains("s3cret") && path.contains("&cachefrom=%5B%22app%3A0%22%5D"), "{path}");
        assert_eq!(masked(&build, "RUN use s3cret, second line"), "RUN use ***, ***");
        let shown = format!("{build:?}");
        assert!(!shown.contains("s3cret") && !shown.contains(&format!("{:?}", b"second")[1..20]), "{shown}");
    }
}
