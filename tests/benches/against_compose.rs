//! How does one pass of the agent compare with `docker compose up -d --remove-orphans`, on one Engine, in one run?
//!
//! `cargo bench -p tests`, as root; `docker-compose` is looked for in `$COMPOSE_AGENT_PEERS/bin`, then on PATH. Without it
//! the agent is held against the bare Engine API only, and the table says so.

#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a program for the terminal")]

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tests::{Engine, Profile, Programs};

const STACKS: usize = 20;
const SERVICES: usize = 5;

/// What one command used.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    wall: Duration,
    cpu: Duration,
    peak_kib: u64,
}

impl Cost {
    fn line(&self, what: &str, than: Option<&Cost>) {
        let ratio = than.map_or(String::new(), |than| {
            format!("  {:.1}× the wall time", than.wall.as_secs_f64() / self.wall.as_secs_f64())
        });
        let peak = self.peak_kib as f64 / 1024.0;
        println!("{what:44} {:>9.0?} wall {:>9.0?} CPU {peak:>7.1} MiB{ratio}", self.wall, self.cpu);
    }
}

/// CPU time of all children that were waited for; a tick is 10 ms.
fn children_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn memory(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// Runs a command to its end; it must succeed.
fn run(command: &mut Command) -> Cost {
    let (cpu, began) = (children_cpu(), Instant::now());
    let mut child: Child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(memory(child.id(), "VmHWM"));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(1));
    };
    assert!(status.success(), "{command:?}: {status}");
    Cost { wall: began.elapsed(), cpu: children_cpu() - cpu, peak_kib }
}

fn spec(number: usize) -> String {
    let service = |service: usize| {
        let depends = if service == 0 { String::new() } else { "    depends_on: [s0]\n".to_owned() };
        format!(
            "  s{service}:\n    image: standin:1\n    restart: unless-stopped\n    environment: {{A: 'one', B: 'two'}}\n    volumes: ['data:/data']\n{depends}"
        )
    };
    format!(
        "name: stack{number}\nservices:\n{}volumes: {{data: {{}}}}\n",
        (0..SERVICES).map(service).collect::<String>()
    )
}

fn clear(engine: &Engine) {
    let ids = engine.docker_prints(&["ps", "-aq"]);
    let mut arguments = vec!["rm", "-f"];
    arguments.extend(ids.lines());
    if arguments.len() > 2 {
        engine.docker_prints(&arguments);
    }
    engine.docker_prints(&["network", "prune", "-f"]);
    engine.docker_prints(&["volume", "prune", "-f"]);
}

/// The same networks, volumes and containers by nothing but HTTP, four at a time: the floor below any cold start.
fn bare(socket: &Path) -> Cost {
    let began = Instant::now();
    let each = STACKS * SERVICES / 4;
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let socket = socket.to_owned();
            thread::spawn(move || {
                for number in 0..each {
                    let name = format!("bare{thread}{}", number / SERVICES);
                    if number % SERVICES == 0 {
                        post(&socket, "/networks/create", &format!(r#"{{"Name":"{name}"}}"#));
                        post(&socket, "/volumes/create", &format!(r#"{{"Name":"{name}"}}"#));
                    }
                    let body = format!(
                        r#"{{"Image":"standin:1","Env":["A=one","B=two"],"HostConfig":{{"NetworkMode":"{name}","Binds":["{name}:/data"],"RestartPolicy":{{"Name":"unless-stopped"}}}}}}"#
                    );
                    let answer = post(&socket, &format!("/containers/create?name=bare-{thread}-{number}"), &body);
                    let id = answer.split("\"Id\":\"").nth(1).unwrap()[..64].to_owned();
                    post(&socket, &format!("/containers/{id}/start"), "");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    Cost { wall: began.elapsed(), ..Cost::default() }
}

fn post(socket: &Path, path: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn compose() -> Option<PathBuf> {
    let peers = std::env::var_os("COMPOSE_AGENT_PEERS").map(|peers| PathBuf::from(peers).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = peers.into_iter().chain(std::env::split_paths(&path));
    folders.find_map(|folder| Some(folder.join("docker-compose")).filter(|found| found.is_file()))
}

/// `up -d --remove-orphans` in every stack's folder, one after the other, as the hand-copied units do.
fn compose_up(compose: &Path, engine: &Engine, folder: &Path) -> Cost {
    let mut sum = Cost::default();
    for number in 0..STACKS {
        let mut command = Command::new(compose);
        command.env("DOCKER_HOST", engine.host()).current_dir(folder.join(format!("stack{number}")));
        let cost = run(command.args(["-f", "compose.yaml", "up", "-d", "--remove-orphans"]));
        sum.wall += cost.wall;
        sum.cpu += cost.cpu;
        sum.peak_kib = sum.peak_kib.max(cost.peak_kib);
    }
    sum
}

fn best(mut measure: impl FnMut() -> Cost) -> Cost {
    (0..5).map(|_| measure()).min_by_key(|cost| cost.wall).unwrap()
}

/// How long after `docker kill` has returned the log says so: the median of nine stacks.
fn noticed(engine: &Engine, log: &Path) -> Duration {
    let lines = |stack: &str| {
        let log = fs::read_to_string(log).unwrap_or_default();
        log.lines().filter(|line| line.contains(&format!("{stack}: "))).count()
    };
    let mut times: Vec<Duration> = (0..9)
        .map(|number| {
            let stack = format!("stack{number}");
            let before = lines(&stack);
            engine.docker_prints(&["kill", &format!("{stack}-s1-1")]);
            let began = Instant::now();
            while lines(&stack) == before {
                assert!(began.elapsed() < Duration::from_secs(60), "{stack}: nobody noticed");
                thread::sleep(Duration::from_millis(1));
            }
            began.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    for number in 0..STACKS {
        profile.write("gen", &format!("stack{number}"), "compose.yaml", &spec(number));
    }
    profile.switch("gen");
    let programs = Programs::new(&engine, &profile);
    let stacks = profile.link().join("etc/compose-agent");
    let once = || programs.once_command();
    println!("{STACKS} stacks of {SERVICES} services");

    let agent_cold = run(&mut once());
    let agent_noop = best(|| run(&mut once()));
    let log = engine.folder().join("daemon.log");
    let daemon = programs.daemon(&log);
    programs.wait_for("converged", || true);
    thread::sleep(Duration::from_secs(5));
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        fields[10] + fields[11]
    };
    let (before, resident) = (ticks(), memory(daemon.pid(), "VmRSS"));
    thread::sleep(Duration::from_secs(30));
    println!(
        "idle daemon: {:.1} MiB resident, {} ms of CPU in 30 s",
        resident as f64 / 1024.0,
        (ticks() - before) * 10
    );
    println!("a killed container is in the log after {:.0?} (the median of 9)", noticed(&engine, &log));
    drop(daemon);
    clear(&engine);
    let floor = bare(&engine.folder().join("docker.sock"));
    clear(&engine);

    floor.line("cold start, bare API, 4 at a time", None);
    agent_cold.line("cold start, compose-agent --once", None);
    println!("{:44} {:.2}", "  over the bare API", agent_cold.wall.as_secs_f64() / floor.wall.as_secs_f64());
    let Some(compose) = compose() else {
        agent_noop.line("nothing to do, compose-agent --once", None);
        println!("docker-compose is not here: nothing to hold it against");
        return;
    };
    let compose_cold = compose_up(&compose, &engine, &stacks);
    let compose_noop = best(|| compose_up(&compose, &engine, &stacks));
    compose_cold.line("cold start, docker compose, 20 in a row", None);
    agent_noop.line("nothing to do, compose-agent --once", Some(&compose_noop));
    compose_noop.line("nothing to do, docker compose, 20 in a row", None);
}
