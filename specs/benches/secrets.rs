//! How long does decrypting the 22 variables of one stack take here, and how long and with how much memory in the sops
//! program? Both in one run:
//!
//! ```sh
//! COMPOSE_AGENT_PEERS=/folder/with/bin cargo bench -p specs --bench secrets
//! ```
//!
//! Fails where an optimised build needs 2 ms or more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use specs::secrets::{Identities, decrypt};

const OURS: usize = 2000;
const THEIRS: usize = 40;
const MOST: Duration = Duration::from_millis(2);

fn main() -> ExitCode {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/secrets");
    let key = data.join("keys/age.txt");
    let file = data.join("cases/keys22-dotenv.sops");
    let want = fs::read(data.join("cases/keys22-dotenv.plain")).unwrap();
    let ours = ours(&key, &file, &want);
    println!("compose-agent: {}, {} kB resident at most", shown(&ours), peak("self").unwrap_or(0));
    match sops() {
        Some(sops) => {
            let (times, peak) = theirs(&sops, &key, &file, &want);
            println!("sops -d:       {}, {peak} kB resident at most", shown(&times));
        }
        None => println!("sops -d:       not measured: neither in $COMPOSE_AGENT_PEERS/bin nor on PATH"),
    }
    let slow = !cfg!(debug_assertions) && middle(&ours) >= MOST;
    if slow { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// As the daemon does it: the identities are read each time, too.
fn ours(key: &Path, file: &Path, want: &[u8]) -> Vec<Duration> {
    let one = || {
        let begun = Instant::now();
        let mut identities = Identities::new();
        identities.add("age.txt", &fs::read(key).unwrap()).unwrap();
        let plain = decrypt(&fs::read(file).unwrap(), &identities).unwrap();
        assert_eq!(plain.expose(), want);
        begun.elapsed()
    };
    sorted((0..OURS).map(|_| one()).collect())
}

fn theirs(sops: &Path, key: &Path, file: &Path, want: &[u8]) -> (Vec<Duration>, u64) {
    let mut peak_of_all = 0;
    let times = (0..THEIRS).map(|_| {
        let begun = Instant::now();
        let mut command = Command::new(sops);
        command.args(["--disable-version-check", "-d", "--input-type", "dotenv", "--output-type", "dotenv"]);
        command.arg(file).env("SOPS_AGE_KEY_FILE", key).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let id = child.id().to_string();
        while child.try_wait().unwrap().is_none() {
            peak_of_all = peak_of_all.max(peak(&id).unwrap_or(0));
            std::thread::sleep(Duration::from_micros(200));
        }
        let took = begun.elapsed();
        assert_eq!(child.wait_with_output().unwrap().stdout, want);
        took
    });
    (sorted(times.collect()), peak_of_all)
}

/// The kernel's `VmHWM`, in kB.
fn peak(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn sops() -> Option<PathBuf> {
    let peers = std::env::var_os("COMPOSE_AGENT_PEERS").map(|folder| PathBuf::from(folder).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = peers.into_iter().chain(std::env::split_paths(&path).collect::<Vec<_>>());
    folders.find_map(|folder| Some(folder.join("sops")).filter(|path| path.is_file()))
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort();
    times
}

fn middle(times: &[Duration]) -> Duration {
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn shown(times: &[Duration]) -> String {
    let late = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    format!("median {:.3} ms, 99 of 100 below {:.3} ms", ms(middle(times)), ms(late))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
