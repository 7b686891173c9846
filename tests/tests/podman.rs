//! Does Podman's Docker-compatible service bring up and keep what is declared?

#![expect(clippy::print_stderr, reason = "what was measured, and what was not run")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use tests::{
    Engine, Profile, Programs,
    corpus::{Stack, assert_all_up, checked_images, homelab, hosts, images, needed, running, services},
    proxy::{Proxy, changes},
};

#[test]
fn the_stacks_of_a_homelab() {
    let Some(corpus) = needed("homelab-2025-10") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let stacks = homelab(&corpus, &Programs::built("agentctl"), scratch.path());
    let images = images(&stacks, |_| true);
    let Some(engine) = Engine::podman(&images.iter().map(String::as_str).collect::<Vec<_>>()) else { return };
    for image in checked_images(&stacks) {
        engine.tag_checked(&image);
    }
    let proxy = Proxy::start(&engine.folder().join("proxy.sock"), &engine.folder().join("docker.sock"));
    let profile = Profile::new(engine.folder());
    let programs = Programs::new(&engine, &profile).over(proxy.path());
    let checks = Checks::start(&engine);
    let hosts = hosts(stacks);
    // The second generation changes whom three others share a network with; each later one takes the one before away.
    for (number, host) in hosts[..1].iter().chain(&hosts).enumerate() {
        let generation = format!("gen{number}");
        for stack in host {
            stack.declare(&profile, &generation);
            if number == 1 {
                profile.write(&generation, &stack.name, "compose.yaml", &changed(&stack.compose));
            }
        }
        profile.switch(&generation);
        converge(&programs, &engine, host);
        assert_all_up(&engine, host);
        if number == 1 {
            let memory =
                engine.docker_prints(&["inspect", "--format", "{{.HostConfig.Memory}}", "immich_redis"]);
            assert_eq!(memory, (100 << 20).to_string());
        }
        proxy.take();
        let (status, said) = programs.once(&[]);
        let asked = proxy.take();
        assert_eq!((status, said.as_str()), (Some(0), ""));
        assert_eq!(changes(&asked), Vec::<&String>::new(), "a second pass changes nothing");
        eprintln!("{generation}: {} stacks, {} containers", host.len(), running(&engine).len());
    }
    drop(checks);
}

/// Another network for three who share it, and a limit that Podman cannot change on a living container.
fn changed(compose: &str) -> String {
    let holder = "    container_name: immich_network_holder";
    let compose = compose.replacen(holder, &format!("{holder}\n    environment: {{CHANGED: 'yes'}}"), 1);
    let redis = "    container_name: immich_redis";
    compose.replacen(redis, &format!("{redis}\n    mem_limit: 100m"), 1)
}

/// Passes until one says that all is well and nobody else is there: Podman's checks may take longer than one run waits, and
/// its list may lack a container that it is busy with.
fn converge(programs: &Programs, engine: &Engine, host: &[Stack]) {
    let declared: usize = host.iter().map(|stack| services(&stack.project).count()).sum();
    let mut said = String::new();
    for _ in 0..4 {
        let (status, more) = programs.once(&[]);
        if status == Some(0) && running(engine).len() == declared {
            return;
        }
        said += &more;
    }
    panic!("{said}");
}

/// What systemd's timers do where Podman has them: every new container is checked.
struct Checks {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checks {
    fn start(engine: &Engine) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (socket, until) = (engine.folder().join("docker.sock"), Arc::clone(&done));
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let starting =
                    ask(&socket, "/v1.41/containers/json?filters=%7B%22health%22:%5B%22starting%22%5D%7D");
                let starting: Value =
                    serde_json::from_str(starting.split_once("\r\n\r\n").unwrap().1).unwrap();
                for container in starting.as_array().unwrap() {
                    ask(
                        &socket,
                        &format!(
                            "/v4.0.0/libpod/containers/{}/healthcheck",
                            container["Id"].as_str().unwrap()
                        ),
                    );
                }
                thread::sleep(Duration::from_millis(500));
            }
        });
        Self { done, thread: Some(thread) }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn ask(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: podman\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
