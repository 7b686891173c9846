//! What do those hear who watch over a host: are metrics there, true, and called as rules and dashboards call them?

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use tests::{Engine, Profile, Programs};

const WEB: &str =
    "services: {app: {image: 'standin:1', restart: 'no'}, side: {image: 'standin:1', restart: always}}\n";

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

    let by_port = programs.clone().with(&["--metrics", &port]);
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
