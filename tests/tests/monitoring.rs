//! What do those hear who watch over a host: are metrics there, true, and called as rules and dashboards call them, and is
//! each event told once?

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Child,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;
use tests::{Engine, Profile, Programs};

const WEB: &str = "services: {app: {image: 'standin:1', restart: unless-stopped}, side: {image: 'standin:1', restart: always}}\n";

/// What a scraper gets.
fn scrape(mut stream: impl Read + Write, path: &str, accept: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The names of the agent's metrics in a text; a histogram's three series go by its own.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter(|word| word.starts_with("compose_agent_"))
        .map(|word| {
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            histogram.unwrap_or(word).to_owned()
        })
        .collect()
}

fn series(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn what_rules_and_dashboards_name_is_what_a_scrape_gives() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    profile.write("gen1", "web", "compose.yaml", WEB);
    profile.switch("gen1");
    let at = |name: &str| engine.folder().join(name).display().to_string();
    // A port that nobody has, in all likelihood also a moment later.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (unix, file) = (at("metrics.sock"), at("agent.prom"));
    let programs = Programs::new(&engine, &profile).with(&["--metrics-file", &file]);
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(series(&written, "compose_agent_stack_phase{stack=\"web\",phase=\"converged\"}"), Some(1.0));
    assert!(written.contains("# TYPE compose_agent_passes_total counter\n"), "{written}");

    // The unit has no network; who wants the agent itself to listen opens it.
    let network = "RestrictAddressFamilies=AF_INET";
    let by_port = programs.clone().with(&["--metrics", &port]).with_drop_in(network);
    let daemon = by_port.daemon(&engine.folder().join("port.log"));
    by_port.wait_for("converged", || TcpStream::connect(&port).is_ok());
    kill_is_counted(
        &engine,
        &by_port,
        || scrape(TcpStream::connect(&port).unwrap(), "/metrics", "*/*"),
        &file,
    );
    let text = scrape(TcpStream::connect(&port).unwrap(), "/metrics", "application/openmetrics-text");
    assert!(
        text.contains("content-type: application/openmetrics-text") && text.ends_with("# EOF\n"),
        "{text}"
    );
    assert!(scrape(TcpStream::connect(&port).unwrap(), "/", "*/*").starts_with("HTTP/1.1 404"));
    every_name_exists(&text);
    drop(daemon);

    let by_path = programs.with(&["--metrics", &format!("unix:{unix}")]);
    let _daemon = by_path.daemon(&engine.folder().join("unix.log"));
    by_path.wait_for("converged", || UnixStream::connect(&unix).is_ok());
    let text = scrape(UnixStream::connect(&unix).unwrap(), "/metrics", "*/*");
    assert_eq!(series(&text, "compose_agent_engine_up"), Some(1.0), "{text}");
}

/// A container is killed, found, put right, and all of that shows in numbers.
fn kill_is_counted(engine: &Engine, programs: &Programs, scrape: impl Fn() -> String, file: &str) {
    let corrected = "compose_agent_drift_corrected_total{stack=\"web\",kind=\"stopped\"}";
    assert_eq!(series(&scrape(), corrected), None);
    engine.docker_prints(&["kill", "web-side-1"]);
    programs.wait_until("counted", || series(&scrape(), corrected) == Some(1.0));
    let text = scrape();
    for (name, value) in [
        ("compose_agent_drift_found_total{stack=\"web\",kind=\"stopped\"}", 1.0),
        ("compose_agent_steps_total{stack=\"web\",act=\"start-container\",result=\"done\"}", 1.0),
        ("compose_agent_service_replicas_running{stack=\"web\",service=\"side\"}", 1.0),
        ("compose_agent_service_health{stack=\"web\",service=\"side\",health=\"running\"}", 1.0),
        ("compose_agent_drift_open{stack=\"web\",kind=\"none\"}", 0.0),
    ] {
        assert_eq!(series(&text, name), Some(value), "{name} in\n{text}");
    }
    programs.wait_until("in the file", || {
        series(&fs::read_to_string(file).unwrap_or_default(), corrected) == Some(1.0)
    });
}

/// Whatever rules, dashboard and document name is given out, and whatever is given out is in the document.
fn every_name_exists(text: &str) {
    let given: BTreeSet<String> =
        text.lines().filter(|line| !line.starts_with('#')).flat_map(names).collect();
    let top: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for path in
        ["systemd/monitoring/alerts.yaml", "systemd/monitoring/grafana-dashboard.json", "docs/metrics.md"]
    {
        let named = names(&fs::read_to_string(top.join(path)).unwrap());
        let missing: Vec<_> = named.difference(&given).collect();
        assert!(
            !named.is_empty() && missing.is_empty(),
            "{path} names {missing:?}, which no scrape has:\n{text}"
        );
        if path.ends_with(".md") {
            let unknown: Vec<_> = given.difference(&named).collect();
            assert!(unknown.is_empty(), "{path} does not say what {unknown:?} are");
        }
    }
}

/// Takes requests at a port of its own: the first one is told to come again.
struct Webhook {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Webhook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let text = request(&mut stream);
                let mut all = all.lock().unwrap();
                let status = if all.is_empty() { "503 Later" } else { "200 OK" };
                all.push(text);
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .unwrap();
            }
        });
        Self { address, requests }
    }

    fn all(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// One request with its body.
fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let size = stream.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..size]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
        if size == 0 || body.is_some_and(|body| body >= length.unwrap_or(0)) {
            return text;
        }
    }
}

/// A child that ends with the test.
struct Notifier(Child);

impl Drop for Notifier {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_kill_is_one_notification() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let at = |name: &str| engine.folder().join(name).display().to_string();
    let webhook = Webhook::start();
    fs::write(at("token"), "open-sesame\n").unwrap();
    let notify = format!(
        "notify:\n  - {{webhook: 'http://{}/message', shape: gotify, token_file: {}, every: 0s}}\n  \
         - {{command: [sh, -c, 'cat >> {}'], events: [corrected], stacks: [web], every: 0s}}\n",
        webhook.address,
        at("token"),
        at("told")
    );
    profile.write("gen1", "web", "compose.yaml", WEB);
    profile.write("gen1", "", "agent.yaml", &notify);
    profile.switch("gen1");
    let programs = Programs::new(&engine, &profile);
    let daemon = programs.daemon(&engine.folder().join("daemon.log"));
    programs.wait_for("converged", || true);
    let child = Programs::sandboxed(&Programs::built("agentctl"), "compose-agent-notify.service", "")
        .args(["--socket", &at("control.sock"), "notify", "--profile"])
        .arg(profile.link())
        .stderr(fs::File::create(at("notify.log")).unwrap())
        .spawn();
    let _notifier = Notifier(child.unwrap());
    let log = || fs::read_to_string(at("notify.log")).unwrap_or_default();
    programs.wait_until("it listens", || log().contains("tells 2"));

    // One kill: one message, tried again because nobody took it at first.
    engine.docker_prints(&["kill", "web-side-1"]);
    programs.wait_until("the webhook has taken it", || webhook.all().len() >= 2);
    // Another one after it, so that nothing more can come of the first.
    programs.wait_for("converged", || true);
    engine.docker_prints(&["kill", "web-app-1"]);
    programs.wait_until("the webhook has heard of both", || webhook.all().len() >= 3);
    let all = webhook.all();
    for (request, service) in all.iter().zip(["side", "side", "app"]) {
        assert!(request.starts_with("POST /message HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("x-gotify-key: open-sesame\r\n"), "{request}");
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(body["title"].as_str().unwrap().ends_with(": 1 found"), "{body}");
        let text = body["message"].as_str().unwrap();
        assert!(
            text.starts_with(&format!("web: {service}-1 stopped")) && text.lines().count() == 1,
            "{text}"
        );
        assert_eq!(body["priority"], 5);
    }
    assert_eq!(all.len(), 3, "{all:#?}");
    let told = || fs::read_to_string(at("told")).unwrap_or_default();
    programs.wait_until("the command was told", || told().matches("\"corrected\"").count() == 2);

    // The agent's restart is bridged, and the profile's next word counts.
    drop(daemon);
    profile.write("gen2", "web", "compose.yaml", WEB);
    profile.write("gen2", "", "agent.yaml", "notify: [{webhook: 'https://ntfy.sh/x'}]\n");
    profile.switch("gen2");
    let _daemon = programs.daemon(&engine.folder().join("again.log"));
    programs.wait_until("the mistake is named", || log().contains("notify[0]: expected an http:// address"));
    assert!(!log().contains("open-sesame"));
}
