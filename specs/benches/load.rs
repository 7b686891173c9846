//! How long does it take to load and print a project, beside `docker compose config` on the same file?
//!
//! `cargo bench -p specs --bench load`; `COMPOSE=/path/to/docker-compose` adds the real program. The target is 5 ms for
//! 100 services and 0.5 ms for 5.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use specs::{LoadRequest, Text, canonical, disk::Disk, load};

fn project(services: usize) -> String {
    let one = |n: usize| {
        let before = if n == 0 { String::new() } else { format!("    depends_on: [s{}]\n", n - 1) };
        format!(
            "  s{n}:\n    image: registry.example.com/app:${{TAG:-1.{n}}}\n    restart: unless-stopped\n{before}    environment:\n      NAME: s{n}\n      URL: http://s{n}:80/\n      LEVEL: ${{LEVEL:-info}}\n    ports: ['{}:80']\n    volumes: ['./data{n}:/data', 'shared:/shared:ro']\n    labels: {{a.b: '1', c.d: x}}\n    healthcheck: {{test: [CMD, 'true'], interval: 30s}}\n    deploy: {{resources: {{limits: {{memory: 512m}}}}}}\n    networks: [front]\n",
            10_000 + n
        )
    };
    let services: String = (0..services).map(one).collect();
    format!("services:\n{services}networks: {{front: }}\nvolumes: {{shared: }}\n")
}

/// The median of several runs.
fn median(runs: usize, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[runs / 2]
}

fn main() {
    let root = env::temp_dir().join(format!("specs-bench-{}", std::process::id()));
    for services in [5, 100] {
        let folder = root.join(format!("p{services}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("compose.yaml"), project(services)).unwrap();
        let request = LoadRequest {
            working_directory: folder.clone(),
            environment: env::vars().map(|(key, value)| (key, Text::plain(value))).collect(),
            ..LoadRequest::default()
        };
        let ours = median(201, || {
            let loaded = load(&request, &Disk).unwrap();
            assert!(canonical::json(&loaded.project, canonical::Secrets::Mask).len() > 1_000);
        });
        print!("{services:4} services: load and canonical JSON {:.3} ms", ours.as_secs_f64() * 1e3);
        if let Ok(compose) = env::var("COMPOSE") {
            let theirs = median(11, || real(&compose, &folder));
            print!(", docker compose config {:.1} ms (a whole process)", theirs.as_secs_f64() * 1e3);
        }
        println!();
    }
    fs::remove_dir_all(&root).unwrap();
}

fn real(compose: &str, folder: &Path) {
    let mut command = Command::new(compose);
    command.args(["config", "--format", "json"]).current_dir(folder).stdout(Stdio::null());
    assert!(command.status().unwrap().success());
}
