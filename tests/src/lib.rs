//! The whole product on a real Engine.
//!
//! **Where it sits:** above everything; its tests run the built programs.
//!
//! **Start reading at:** [`Engine`], which brings a Docker Engine of its own, in namespaces of its own.
//!
//! **Promises:** the host's containers are never touched; nothing stays behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A Docker Engine of the test's own: its network, mounts and processes are in namespaces that die with it.
#[derive(Debug)]
pub struct Engine {
    folder: TempDir,
    daemon: Child,
    cgroup: String,
}

impl Engine {
    /// Starts `dockerd` from PATH, and puts the stand-in image on it under `images`.
    ///
    /// # Panics
    /// There is no `dockerd`, or it does not come up.
    pub fn start(images: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("compose-agent-").tempdir().expect("a folder");
        let cgroup = format!("compose-agent-test-{}", std::process::id());
        let at = |name: &str| folder.path().join(name).display().to_string();
        let script = format!(
            "ip link set lo up; for d in /mnt /srv /opt; do mount -t tmpfs tmpfs $d; done; exec dockerd --config-file {} --data-root {} --exec-root {} \
             --pidfile {} --host unix://{} --cgroup-parent {cgroup} --log-level warn",
            at("daemon.json"),
            at("data"),
            at("exec"),
            at("pid"),
            at("docker.sock")
        );
        fs::write(folder.path().join("daemon.json"), "{}").expect("written");
        let log = fs::File::create(folder.path().join("dockerd.log")).expect("a log");
        let daemon = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "sh",
                "-c",
                &script,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("unshare (Debian: apt-get install util-linux docker.io iproute2 iptables), as root");
        let engine = Self { folder, daemon, cgroup };
        let began = Instant::now();
        while !engine.docker(&["version"]).status.success() {
            let log = fs::read_to_string(engine.folder.path().join("dockerd.log")).unwrap_or_default();
            assert!(
                began.elapsed() < PATIENCE,
                "no Engine: these tests need dockerd (Debian: apt-get install docker.io iproute2 iptables) and root.\n{log}"
            );
            sleep(Duration::from_millis(100));
        }
        engine.load(images);
        engine
    }

    /// The folder for profiles and state; goes with the Engine.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// Runs the `docker` command on this Engine.
    ///
    /// # Panics
    /// There is no `docker` command.
    pub fn docker(&self, arguments: &[&str]) -> Output {
        let command = Command::new("docker").env("DOCKER_HOST", self.host()).args(arguments).output();
        command.expect("the docker command (Debian: apt-get install docker.io)")
    }

    /// What the `docker` command prints.
    ///
    /// # Panics
    /// It failed.
    pub fn docker_prints(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The id of the container with this name; empty where there is none.
    pub fn id_of(&self, name: &str) -> String {
        self.docker_prints(&["ps", "-aq", "--no-trunc", "--filter", &format!("name=^{name}$")])
    }

    fn load(&self, images: &[&str]) {
        let root = self.folder.path().join("root");
        fs::create_dir_all(root.join("bin")).expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("standin/standin.c");
        let built = Command::new("cc")
            .args(["-static", "-O2", "-s", "-o"])
            .arg(root.join("bin/sh"))
            .arg(source)
            .status();
        assert!(built.expect("a C compiler").success(), "the stand-in does not build");
        for name in ["standin", "curl", "wget", "pg_isready", "redis-cli"] {
            std::os::unix::fs::symlink("sh", root.join("bin").join(name)).expect("linked");
        }
        let archive = self.folder.path().join("root.tar");
        let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status();
        assert!(packed.expect("tar").success(), "the stand-in cannot be packed");
        let archive = archive.display().to_string();
        for image in images {
            self.docker_prints(&[
                "import",
                "-c",
                "CMD [\"/bin/standin\"]",
                "-c",
                "ENV PATH=/bin",
                &archive,
                image,
            ]);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Killing `unshare` kills the first process of the namespace, and with it everything in there.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            remove_groups(&hierarchy.path().join(&self.cgroup));
        }
        remove_groups(&Path::new("/sys/fs/cgroup").join(&self.cgroup));
    }
}

/// Removes an emptied control group and those in it.
fn remove_groups(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.path().is_dir() {
            remove_groups(&below.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// A system profile: generations beside each other, and a link to one of them.
#[derive(Debug)]
pub struct Profile {
    folder: PathBuf,
}

impl Profile {
    /// An empty one below `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.join("profile") }
    }

    /// The link.
    pub fn link(&self) -> PathBuf {
        self.folder.join("current-system")
    }

    /// Writes a file of a stack in a generation.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, generation: &str, stack: &str, file: &str, text: &str) {
        let folder = self.folder.join(generation).join("etc/compose-agent").join(stack);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(file), text).expect("written");
    }

    /// Switches to a generation, atomically.
    ///
    /// # Panics
    /// It cannot be linked.
    pub fn switch(&self, generation: &str) {
        let next = self.folder.join("next");
        let _ = fs::remove_file(&next);
        std::os::unix::fs::symlink(self.folder.join(generation), &next).expect("linked");
        fs::rename(next, self.link()).expect("switched");
    }
}

/// The built programs, with folders of their own.
#[derive(Debug)]
pub struct Programs {
    bin: PathBuf,
    arguments: Vec<String>,
    socket: String,
    host: String,
}

impl Programs {
    /// Builds the programs where that is due.
    ///
    /// # Panics
    /// They do not build.
    pub fn new(engine: &Engine, profile: &Profile) -> Self {
        let built =
            Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "agent", "--bins"]).status();
        assert!(built.expect("cargo").success(), "the programs do not build");
        let test = std::env::current_exe().expect("a path");
        let bin = test.ancestors().nth(2).expect("target/debug").to_owned();
        let at = |name: &str| engine.folder().join(name).display().to_string();
        let socket = at("control.sock");
        let arguments = [
            ["--profile".to_owned(), profile.link().display().to_string()],
            ["--runtime-dir".to_owned(), at("run")],
            ["--state-dir".to_owned(), at("state")],
            ["--host".to_owned(), "test".to_owned()],
        ];
        Self { bin, arguments: arguments.concat(), socket, host: engine.host() }
    }

    fn agent(&self) -> Command {
        let mut command = Command::new(self.bin.join("compose-agent"));
        command.env("DOCKER_HOST", &self.host).args(&self.arguments);
        command
    }

    /// One pass, until nothing is in flight: the exit status and what was said.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn once(&self, more: &[&str]) -> (Option<i32>, String) {
        let output = self.agent().args(["--once", "--timeout", "40s"]).args(more).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
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
        let began = Instant::now();
        while self.status()["phase"] != phase || !also() {
            assert!(began.elapsed() < PATIENCE, "not {phase}: {:#}", self.status());
            sleep(Duration::from_millis(100));
        }
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
