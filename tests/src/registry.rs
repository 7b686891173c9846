//! A registry of a test's own: what does the Engine ask of it, and what does it answer?
//!
//! As much of the distribution API (version 2) as a pull needs, over plain HTTP at a loopback address in the Engine's own
//! network, which every Engine allows.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{
    Engine,
    image::{Image, digest},
};

/// How the registry is disposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It does what it is asked.
    Fine,
    /// 429 to everything.
    TooMany,
    /// Layers come in pieces, with pauses.
    Slow,
}

/// A registry at `127.0.0.1:5000` of the Engine's network.
#[derive(Debug, Clone)]
pub struct Registry {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    login: Option<String>,
    manifests: BTreeMap<String, Vec<u8>>,
    blobs: BTreeMap<String, Vec<u8>>,
    requests: Vec<String>,
}

/// What the registry is called in image references.
pub const HOST: &str = "127.0.0.1:5000";

impl Registry {
    /// Listens until the test's process ends.
    ///
    /// # Panics
    /// It cannot listen.
    pub fn start(engine: &Engine) -> Self {
        let state = State {
            mood: Mood::Fine,
            login: None,
            manifests: BTreeMap::new(),
            blobs: BTreeMap::new(),
            requests: Vec::new(),
        };
        let registry = Self { state: Arc::new(Mutex::new(state)) };
        let listener = engine.in_its_network(|| TcpListener::bind(HOST).expect("a free port"));
        let serving = registry.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || {
                    // The Engine tries TLS first and goes away again.
                    let _ = serving.serve(&client);
                });
            }
        });
        registry
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only this user may look from now on.
    pub fn require(&self, user: &str, password: &str) {
        self.state().login = Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    }

    /// Changes how it is disposed.
    pub fn be(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// The requests so far that have `words` in them.
    pub fn asked(&self, words: &str) -> usize {
        self.state().requests.iter().filter(|request| request.contains(words)).count()
    }

    /// Publishes an image as `name:tag`; gives the digest.
    ///
    /// # Panics
    /// It cannot be packed.
    pub fn push(&self, name: &str, tag: &str, image: &Image) -> String {
        let layer = image.layer().with_extension("tar.gz");
        let packed = Command::new("gzip").args(["-kfn"]).arg(image.layer()).status();
        assert!(packed.expect("gzip").success());
        let layer_digest = format!("sha256:{}", digest(&layer));
        let config_digest = format!("sha256:{}", image.id());
        let bytes = fs::read(&layer).expect("packed");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": image.config.len(),
                "digest": config_digest,
            },
            "layers": [{
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "size": bytes.len(),
                "digest": layer_digest,
            }],
        });
        let manifest = manifest.to_string().into_bytes();
        let file = layer.with_file_name("manifest");
        fs::write(&file, &manifest).expect("written");
        let manifest_digest = format!("sha256:{}", digest(&file));
        let mut state = self.state();
        state.blobs.insert(config_digest, image.config.clone().into_bytes());
        state.blobs.insert(layer_digest, bytes);
        state.manifests.insert(format!("{name}/manifests/{tag}"), manifest.clone());
        state.manifests.insert(format!("{name}/manifests/{manifest_digest}"), manifest);
        manifest_digest
    }

    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client);
        loop {
            let mut line = String::new();
            let mut authorization = None;
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            loop {
                let mut header = String::new();
                if reader.read_line(&mut header)? <= 2 {
                    break;
                }
                if let Some((name, value)) = header.split_once(':')
                    && name.eq_ignore_ascii_case("authorization")
                {
                    authorization = Some(value.trim().to_owned());
                }
            }
            let mut words = line.split_whitespace();
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            self.state().requests.push(format!("{method} {path}"));
            self.answer(client, method, path, authorization.as_deref())?;
        }
    }

    fn answer(&self, client: &TcpStream, method: &str, path: &str, login: Option<&str>) -> io::Result<()> {
        let error = |code: &str| {
            json!({ "errors": [{ "code": code, "message": code.to_lowercase().replace('_', " ") }] })
                .to_string()
        };
        let (status, headers, body) = {
            let state = self.state();
            let rest = path.strip_prefix("/v2/").unwrap_or_default();
            let blob = rest.split_once("/blobs/").and_then(|(_, digest)| state.blobs.get(digest));
            if state.mood == Mood::TooMany {
                ("429 Too Many Requests", String::new(), error("TOOMANYREQUESTS").into_bytes())
            } else if state.login.as_deref().is_some_and(|wanted| login != Some(wanted)) {
                let header = "WWW-Authenticate: Basic realm=\"test\"\r\n".to_owned();
                ("401 Unauthorized", header, error("UNAUTHORIZED").into_bytes())
            } else if rest.is_empty() {
                ("200 OK", String::new(), b"{}".to_vec())
            } else if let Some(manifest) = state.manifests.get(rest) {
                let kind =
                    "Content-Type: application/vnd.docker.distribution.manifest.v2+json\r\n".to_owned();
                ("200 OK", kind, manifest.clone())
            } else if let Some(blob) = blob {
                ("200 OK", "Content-Type: application/octet-stream\r\n".to_owned(), blob.clone())
            } else {
                ("404 Not Found", String::new(), error("MANIFEST_UNKNOWN").into_bytes())
            }
        };
        let mut client = client;
        let head = "Docker-Distribution-API-Version: registry/2.0\r\n";
        write!(client, "HTTP/1.1 {status}\r\n{head}{headers}Content-Length: {}\r\n\r\n", body.len())?;
        if method == "HEAD" {
            return Ok(());
        }
        let slow = path.contains("/blobs/") && self.state().mood == Mood::Slow;
        for piece in body.chunks((body.len() / 8).max(1)) {
            client.write_all(piece)?;
            if slow && self.state().mood == Mood::Slow {
                thread::sleep(Duration::from_millis(300));
            }
        }
        Ok(())
    }
}
