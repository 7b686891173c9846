//! How is the daemon told what to do? Its command line, and nothing else: what concerns stacks is in the profile.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

use crate::{clock::parse_span, control::SOCKET, metrics::listen::Address};

/// Drives the Docker Engine to what the active system profile declares, keeps it there, and says what it did.
///
/// A stack is a folder `etc/compose-agent/STACK/` of the profile with a compose file in it. Stopping the agent leaves
/// every container as it is.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "compose-agent",
    version,
    after_help = "Exit status of --once: 0 converged, 3 not converged, 4 a stack failed, 1 internal error, 2 wrong call.\n\
                  The Engine is that of DOCKER_HOST, or unix:///var/run/docker.sock."
)]
pub struct Options {
    /// The system profile: a link that is watched, or a folder.
    #[arg(long, default_value = "/run/current-system", value_name = "PATH")]
    pub profile: PathBuf,

    /// Work until nothing is left to do and nothing is in flight, then end with the status.
    #[arg(long)]
    pub once: bool,

    /// How long --once waits for health checks and other effects [90s, 5m, 1h …].
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = parse_span)]
    pub timeout: Duration,

    /// A file with age identities, or an ssh host key; may be given several times.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub age_key: Vec<PathBuf>,

    /// Where the control socket and decrypted files are; must be a memory file system.
    #[arg(long, default_value = "/run/compose-agent", value_name = "DIR", env = "RUNTIME_DIRECTORY")]
    pub runtime_dir: PathBuf,

    /// Where the memory, the history and the digest key are.
    #[arg(long, default_value = "/var/lib/compose-agent", value_name = "DIR", env = "STATE_DIRECTORY")]
    pub state_dir: PathBuf,

    /// The control socket [default: control.sock in the runtime folder].
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// The group that may act over the control socket.
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,

    /// The group that may only look.
    #[arg(long, value_name = "GROUP")]
    pub read_group: Option<String>,

    /// Look at every stack this often, whatever happens.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = parse_span)]
    pub resync: Duration,

    /// How many stacks are worked on at a time, and how many Engine calls one stack makes at a time.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub parallel: u8,

    /// This host's name in the owner label of containers [default: the host's name].
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Where the Engine listens, `unix:///path` or `tcp://address:port`.
    #[arg(long, value_name = "ADDRESS", env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock")]
    pub docker_host: String,

    /// Where the store paths that running containers mount are kept from the garbage collector.
    #[arg(long, default_value = systemd::gc_roots::FOLDER, value_name = "DIR")]
    pub gc_roots: PathBuf,

    /// Serve metrics at a Unix socket or at a port of this machine [unix:/path, 127.0.0.1:9323].
    #[arg(long, value_name = "ADDRESS", env = "COMPOSE_AGENT_METRICS")]
    pub metrics: Option<Address>,

    /// Write metrics to this file, for node_exporter's textfile collector.
    #[arg(long, value_name = "FILE.prom", env = "COMPOSE_AGENT_METRICS_FILE")]
    pub metrics_file: Option<PathBuf>,

    /// Where the host's /dev is seen, where this process has one of its own [default: /dev, if it is the kernel's].
    #[arg(long, value_name = "DIR", env = "COMPOSE_AGENT_DEV")]
    pub dev: Option<PathBuf>,

    /// The store.
    #[arg(long, default_value = systemd::gc_roots::STORE, value_name = "DIR", hide = true)]
    pub store: PathBuf,

    /// Where journald listens.
    #[arg(long, default_value = systemd::journal::SOCKET, value_name = "PATH", hide = true)]
    pub journal_socket: PathBuf,

    /// The journal, or lines on standard error.
    #[arg(long, default_value = "auto", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// Where and how messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// The journal where standard error is connected to it, else text.
    Auto,
    /// The journal's own protocol, with fields.
    Journal,
    /// Lines for people on standard error.
    Text,
    /// JSON lines on standard error.
    Json,
}

impl Options {
    /// Where the control socket is.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| {
            let folder = &self.runtime_dir;
            if folder.as_os_str() == "/run/compose-agent" {
                SOCKET.into()
            } else {
                folder.join("control.sock")
            }
        })
    }

    /// This host's name.
    pub fn host(&self) -> String {
        let own = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.host.clone().unwrap_or_else(own)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_its_defaults_are_those_of_a_host() {
        Options::command().debug_assert();
        let options = Options::try_parse_from(["compose-agent", "--profile", "/p"]).expect("valid");
        assert_eq!(options.resync, Duration::from_secs(300));
        let options = Options::try_parse_from([
            "compose-agent",
            "--runtime-dir",
            "/t",
            "--age-key",
            "a",
            "--age-key",
            "b",
        ])
        .expect("valid");
        assert_eq!(options.socket(), PathBuf::from("/t/control.sock"));
        assert_eq!(options.age_key.len(), 2);
    }
}
