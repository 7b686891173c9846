//! The built programs: how are they run against a test's Engine?

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Once,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Engine, PATIENCE, Profile};

/// The built programs, with folders of their own.
#[derive(Debug, Clone)]
pub struct Programs {
    bin: PathBuf,
    arguments: Vec<String>,
    socket: String,
    host: String,
    drop_in: &'static str,
}

/// The units, as they are installed.
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/units");

impl Programs {
    /// Builds the programs where that is due.
    ///
    /// # Panics
    /// They do not build.
    pub fn new(engine: &Engine, profile: &Profile) -> Self {
        let bin = Self::built("agentctl").with_file_name("");
        let at = |name: &str| engine.folder().join(name).display().to_string();
        let socket = at("control.sock");
        let arguments = [
            ["--profile".to_owned(), profile.link().display().to_string()],
            ["--runtime-dir".to_owned(), at("run")],
            ["--state-dir".to_owned(), at("state")],
            ["--host".to_owned(), "test".to_owned()],
            ["--dev".to_owned(), engine.dev().display().to_string()],
        ];
        Self { bin, arguments: arguments.concat(), socket, host: engine.host(), drop_in: "" }
    }

    /// Where a program is, built where that is due.
    ///
    /// # Panics
    /// It does not build.
    pub fn built(program: &str) -> PathBuf {
        static BUILD: Once = Once::new();
        BUILD.call_once(|| {
            let mut command = Command::new(env!("CARGO"));
            command.args(["build", "--quiet", "--package", "agent", "--bins"]);
            if !cfg!(debug_assertions) {
                command.arg("--release");
            }
            assert!(command.status().expect("cargo").success(), "the programs do not build");
        });
        let test = std::env::current_exe().expect("a path");
        test.ancestors().nth(2).expect("target/debug or target/release").join(program)
    }

    /// The same with plaintext on a memory file system, which the Engine sees, too.
    #[must_use]
    pub fn with_memory(mut self, engine: &Engine) -> Self {
        if let Some(at) = self.arguments.iter().position(|argument| argument == "--runtime-dir") {
            self.arguments[at + 1] = engine.memory().display().to_string();
        }
        self
    }

    /// The same with more arguments for the agent.
    #[must_use]
    pub fn with(mut self, more: &[&str]) -> Self {
        self.arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// The same with more settings in the agent's unit.
    #[must_use]
    pub fn with_drop_in(mut self, settings: &'static str) -> Self {
        self.drop_in = settings;
        self
    }

    /// The same, talking to another socket than the Engine's own.
    #[must_use]
    pub fn over(mut self, socket: &Path) -> Self {
        self.host = format!("unix://{}", socket.display());
        self
    }

    /// Runs `agentctl` with the daemon's socket.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn agentctl(&self, arguments: &[&str]) -> Output {
        self.agentctl_command().args(arguments).output().expect("it runs")
    }

    /// The command for `agentctl` with the daemon's socket.
    #[must_use]
    pub fn agentctl_command(&self) -> Command {
        let mut command = Command::new(self.bin.join("agentctl"));
        command.args(["--socket", &self.socket]);
        command
    }

    /// The command for a program under what a unit forbids, with more settings in that unit.
    pub fn sandboxed(program: &Path, unit: &str, drop_in: &str) -> Command {
        let mut command = Command::new(Self::built("sandboxed"));
        command.arg(Path::new(UNITS).join(unit)).arg(drop_in).arg(program);
        command
    }

    fn agent(&self) -> Command {
        let mut command =
            Self::sandboxed(&self.bin.join("compose-agent"), "compose-agent.service", self.drop_in);
        command.env("DOCKER_HOST", &self.host).args(&self.arguments);
        command
    }

    /// One pass, until nothing is in flight: the exit status and what was said.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn once(&self, more: &[&str]) -> (Option<i32>, String) {
        let output = self.once_command().args(more).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Passes until this time is up, where something never succeeds: what was said.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn once_within(&self, timeout: &str) -> String {
        let output = self.agent().args(["--once", "--timeout", timeout]).output().expect("it runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The command for one pass.
    #[must_use]
    pub fn once_command(&self) -> Command {
        let mut command = self.agent();
        command.args(["--once", "--timeout", "120s"]);
        command
    }

    /// The daemon with variables set, as a service manager sets them.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn daemon_with(&self, log: &Path, variables: &[(&str, &str)]) -> Daemon {
        let log = fs::File::create(log).expect("a log");
        let mut command = self.agent();
        command.args(["--socket", &self.socket]).envs(variables.iter().copied());
        Daemon(command.stdout(Stdio::null()).stderr(log).spawn().expect("it runs"))
    }

    /// The daemon; it ends when dropped.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn daemon(&self, log: &Path) -> Daemon {
        let log = fs::File::create(log).expect("a log");
        let child = self.agent().args(["--socket", &self.socket]).stdout(Stdio::null()).stderr(log).spawn();
        Daemon(child.expect("it runs"))
    }

    /// `agentctl status --json`.
    pub fn status(&self) -> Value {
        let output = Command::new(self.bin.join("agentctl"))
            .args(["--socket", &self.socket, "status", "--json"])
            .output();
        output.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok()).unwrap_or(Value::Null)
    }

    /// Waits until the host's phase is `phase` and `also` holds.
    ///
    /// # Panics
    /// It does not within [`PATIENCE`].
    pub fn wait_for(&self, phase: &str, also: impl Fn() -> bool) {
        self.wait_until(phase, || self.status()["phase"] == phase && also());
    }

    /// Waits until `holds`.
    ///
    /// # Panics
    /// It does not within [`PATIENCE`].
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "not {what}: {:#}", self.status());
            sleep(Duration::from_millis(100));
        }
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon(Child);

impl Daemon {
    /// Sends it a signal by name.
    ///
    /// # Panics
    /// There is no `kill` command.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status();
        assert!(sent.expect("the kill command").success());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end within [`PATIENCE`].
    pub fn ended(&mut self) -> bool {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return status.success();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            sleep(Duration::from_millis(20));
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
