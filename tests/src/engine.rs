//! A Docker Engine of a test's own: where does it come from, and what is on it?

use std::{
    fs,
    io::{Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{PATIENCE, image::Image};

/// How many Engines this process has started.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A Docker Engine of the test's own: its network, mounts and processes are in namespaces that die with it, and a process
/// of its own takes everything away when the test ends, or is killed.
#[derive(Debug)]
pub struct Engine {
    folder: PathBuf,
    guard: Child,
}

/// What the Engine's namespaces look like: folders that real stacks bind are empty and its own, and the devices that they
/// name are there (as copies of `/dev/null` where the machine has none).
const NAMESPACE: &str = "set -e
ip link set lo up
mount --make-rshared /
for d in /mnt /srv /opt /home /media; do mount -t tmpfs tmpfs $d; done
cp -a /dev/. dev/ 2>/dev/null || true
for d in pts shm mqueue; do [ ! -d /dev/$d ] || { mkdir -p dev/$d; mount --rbind /dev/$d dev/$d; }; done
mkdir -p dev/dri dev/net dev/bus/usb
[ -e dev/dri/renderD128 ] || mknod dev/dri/renderD128 c 1 3
[ -e dev/net/tun ] || mknod dev/net/tun c 10 200
mount --rbind dev /dev";

/// Docker's Engine, with networks for more stacks than its own pools have room for.
const DOCKER: &str = "dockerd --config-file $PWD/daemon.json --data-root $PWD/data --exec-root $PWD/exec \
    --pidfile $PWD/pid --host unix://$PWD/docker.sock --cgroup-parent $cgroup \
    --default-address-pool base=172.24.0.0/13,size=24 --log-level warn";

/// Podman's Docker-compatible service, with files of its own only.
const PODMAN: &str = "echo \"unqualified-search-registries = ['docker.io']\" >registries.conf
printf '[network]\\nnetwork_backend = \"netavark\"\\nnetwork_config_dir = \"%s\"\\n' $PWD/networks >podman.conf
CONTAINERS_CONF=$PWD/podman.conf CONTAINERS_REGISTRIES_CONF=$PWD/registries.conf podman \
    --root $PWD/data --runroot $PWD/exec --tmpdir $PWD/tmp --log-level warn \
    system service --time 0 unix://$PWD/docker.sock";

/// What images of others have, as the stand-in: checks and entrypoints.
const NAMES: [&str; 11] = [
    "standin",
    "curl",
    "wget",
    "pg_isready",
    "redis-cli",
    "stat",
    "mysqladmin",
    "python3",
    "java",
    "dotnet",
    "nginx",
];

/// Users of images of others.
const USERS: &str =
    "root:x:0:0::/:/\npostgres:x:70:70::/:/\nnginx:x:101:101::/:/\nnonroot:x:1000:1000::/:/\n";

impl Engine {
    /// Starts `dockerd` from PATH, and puts the stand-in image on it, as `standin:1` and under `images`.
    ///
    /// # Panics
    /// There is no `dockerd`, or it does not come up.
    pub fn start(images: &[&str]) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        Self::of(DOCKER, &format!("compose-agent-test-{}-{number}", std::process::id()), images)
    }

    /// The same with Podman's Docker-compatible service; `None`, and said so, where there is no `podman`.
    #[expect(clippy::print_stderr, reason = "what was not run")]
    pub fn podman(images: &[&str]) -> Option<Self> {
        if Command::new("podman").arg("--version").output().is_err() {
            eprintln!("NOT RUN: this needs podman (Debian: apt-get install podman netavark aardvark-dns)");
            return None;
        }
        // It knows no other control group for its containers.
        Some(Self::of(PODMAN, "libpod_parent", images))
    }

    #[expect(clippy::print_stderr, reason = "which Engine a result is for")]
    fn of(program: &str, cgroup: &str, images: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("compose-agent-").tempdir().expect("a folder").keep();
        let script = format!(
            "cd {}\ncgroup={cgroup}\n{NAMESPACE}\nwhile :; do {program} || true; sleep 0.1; done",
            folder.display()
        );
        fs::write(folder.join("daemon.json"), settings(&folder, false).to_string()).expect("written");
        fs::write(folder.join("start"), script).expect("written");
        let guard = Command::new("sh")
            .args(["-c", include_str!("guard.sh"), "guard"])
            .args([&folder, &memory_of(&folder), Path::new(cgroup)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for the test: the guard ends when that has.
            .process_group(0)
            .spawn();
        let mut engine = Self { folder, guard: guard.expect("a shell") };
        engine.tell("start");
        engine.wait();
        eprintln!("Engine {}", engine.docker_prints(&["version", "--format", "{{.Server.Version}}"]));
        engine.load(images);
        engine
    }

    /// The folder for profiles and state; goes with the Engine.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tells the guard, and waits until it has done it.
    fn tell(&mut self, word: &str) {
        let (Some(input), Some(output)) = (&mut self.guard.stdin, &mut self.guard.stdout) else { return };
        writeln!(input, "{word}").expect("the guard listens");
        let mut answer = vec![0; word.len() + 1];
        output.read_exact(&mut answer).expect("the guard answers");
    }

    fn wait(&self) {
        let began = Instant::now();
        while !self.docker(&["version"]).status.success() {
            let log = fs::read_to_string(self.folder.join("dockerd.log")).unwrap_or_default();
            assert!(
                began.elapsed() < PATIENCE,
                "no Engine: these tests need dockerd (Debian: apt-get install docker.io iproute2 iptables util-linux) and root.\n{log}"
            );
            sleep(Duration::from_millis(100));
        }
    }

    /// Does something, on a thread of its own, in the Engine's network, where `127.0.0.1` is its own.
    ///
    /// # Panics
    /// The Engine does not run, or `work` panics.
    pub fn in_its_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let number = fs::read_to_string(self.folder.join("namespaces")).expect("the Engine runs");
        let network = fs::File::open(format!("/proc/{}/ns/net", number.trim())).expect("its network");
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                let kind = rustix::thread::LinkNameSpaceType::Network;
                rustix::thread::move_into_link_name_space(network.as_fd(), Some(kind)).expect("root");
                work()
            });
            inside.join().expect("it works")
        })
    }

    /// Kills the Engine, and with it every container.
    pub fn kill(&mut self) {
        self.tell("kill");
    }

    /// Starts it again with what it had.
    pub fn revive(&mut self) {
        // The numbers of dead processes mean others in new namespaces.
        let _ = fs::remove_file(self.folder.join("pid"));
        let _ = fs::remove_dir_all(self.folder.join("exec"));
        self.tell("start");
        self.wait();
    }

    /// Restarts the Engine alone, as its service manager would: with live restore containers run on meanwhile, without it
    /// they are stopped, and started by the new one where their policy says so.
    ///
    /// # Panics
    /// It does not restart.
    pub fn restart(&self, live: bool) {
        fs::write(self.folder.join("daemon.json"), settings(&self.folder, live).to_string())
            .expect("written");
        let signal = |signal: &str| {
            let sent = Command::new("kill").args(["-s", signal, &self.process().to_string()]).status();
            assert!(sent.expect("the kill command").success());
        };
        signal("HUP");
        Self::until("its configuration is read", || {
            self.docker_prints(&["info", "--format", "{{.LiveRestoreEnabled}}"]) == live.to_string()
        });
        let before = self.process();
        signal("TERM");
        let is_new = || !Path::new(&format!("/proc/{before}")).exists();
        Self::until("it is another process", || is_new() && self.docker(&["version"]).status.success());
    }

    /// The network that a running container is in, as the kernel names it.
    pub fn network_of(&self, container: &str) -> Option<String> {
        let pid = self.docker(&["inspect", "--format", "{{.State.Pid}}", container]).stdout;
        let link = format!("/proc/{}/ns/net", String::from_utf8_lossy(&pid).trim());
        let engine = self.process().to_string();
        let output = Command::new("nsenter")
            .args(["--target", &engine, "--mount", "--pid", "readlink", &link])
            .output()
            .expect("nsenter (Debian: util-linux)");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The Engine's process, as this machine numbers it.
    fn process(&self) -> u32 {
        let data = self.folder.join("data").display().to_string();
        let is_ours = |pid: &u32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = words.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            words[0].ends_with("dockerd") && words.iter().any(|word| *word == data)
        };
        let entries = fs::read_dir("/proc").expect("a process file system").flatten();
        let mut pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
        pids.find(is_ours).expect("the Engine runs")
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "not so: {what}");
            sleep(Duration::from_millis(100));
        }
    }

    /// What the Engine sees as `/dev`.
    pub fn dev(&self) -> PathBuf {
        self.folder.join("dev")
    }

    /// Where it looks for specifications of CDI devices, where it knows of them.
    pub fn cdi(&self) -> PathBuf {
        cdi_of(&self.folder)
    }

    /// Gives it CDI devices of a kind, each a variable of its name in whoever uses it.
    ///
    /// # Panics
    /// The specification cannot be written.
    pub fn specify_cdi(&self, kind: &str, names: &[&str]) {
        let device =
            |name: &&str| json!({ "name": name, "containerEdits": { "env": [format!("CDI={name}")] } });
        let devices: Vec<Value> = names.iter().map(device).collect();
        let specification = json!({ "cdiVersion": "0.6.0", "kind": kind, "devices": devices });
        fs::create_dir_all(self.cdi()).expect("a folder");
        let file = format!("{}.json", kind.replace('/', "-"));
        fs::write(self.cdi().join(file), specification.to_string()).expect("written");
    }

    /// A folder on a memory file system that the Engine sees, too; goes with it.
    pub fn memory(&self) -> PathBuf {
        memory_of(&self.folder)
    }

    /// `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.join("docker.sock").display())
    }

    /// Runs the `docker` command on this Engine.
    ///
    /// # Panics
    /// There is no `docker` command.
    pub fn docker(&self, arguments: &[&str]) -> Output {
        let command = Command::new("docker").env("DOCKER_HOST", self.host()).args(arguments).output();
        command.expect("the docker command (Debian: apt-get install docker.io)")
    }

    /// Asks the Engine's API itself, `/v1.41/containers/json`: the status and what was answered; a stream is `Null`.
    ///
    /// # Panics
    /// It does not answer.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut socket = UnixStream::connect(self.folder.join("docker.sock")).expect("the Engine listens");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        // In this version an answer is whole once the connection is closed.
        let head = format!("{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json");
        write!(socket, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("it is taken");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it is given");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let said = answer.split_once("\r\n\r\n").map_or("", |(_, said)| said);
        (status, serde_json::from_str(said).unwrap_or_default())
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

    /// The Engine's own clock, to ask for what happened since.
    pub fn clock(&self) -> String {
        self.docker_prints(&["info", "--format", "{{.SystemTime}}"])
    }

    /// What happened to containers since a moment of [`Self::clock`]: `start p-web-1`, `health_status: healthy p-web-1` …
    pub fn happened(&self, since: &str) -> Vec<String> {
        let until = self.clock();
        let format = "{{.Action}} {{.Actor.Attributes.name}}";
        let events = ["events", "--since", since, "--until", &until, "--filter", "type=container"];
        let all = self.docker_prints(&[&events[..], &["--format", format]].concat());
        all.lines().map(str::to_owned).collect()
    }

    /// The id of the container with this name; empty where there is none.
    pub fn id_of(&self, name: &str) -> String {
        self.docker_prints(&["ps", "-aq", "--no-trunc", "--filter", &format!("name=^{name}$")])
    }

    /// Takes all containers, networks and volumes away.
    ///
    /// # Panics
    /// The Engine does not.
    pub fn clear(&self) {
        for (list, remove) in [
            (&["ps", "-aq"][..], &["rm", "-f"][..]),
            (&["network", "ls", "-q", "--filter", "type=custom"], &["network", "rm"]),
            (&["volume", "ls", "-q"], &["volume", "rm"]),
        ] {
            let all = self.docker_prints(list);
            if !all.is_empty() {
                self.docker_prints(&remove.iter().copied().chain(all.lines()).collect::<Vec<_>>());
            }
        }
    }

    /// Gives `image` a stand-in with a health check of its own.
    ///
    /// # Panics
    /// It cannot be tagged.
    pub fn tag_checked(&self, image: &str) {
        self.docker_prints(&["tag", "standin:checked", image]);
    }

    fn load(&self, images: &[&str]) {
        let root = self.folder.join("root");
        fs::create_dir_all(root.join("bin")).expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("standin/standin.c");
        let built = Command::new("cc")
            .args(["-static", "-O2", "-s", "-o"])
            .arg(root.join("bin/sh"))
            .arg(source)
            .status();
        assert!(built.expect("a C compiler").success(), "the stand-in does not build");
        fs::create_dir_all(root.join("tmp")).expect("a folder");
        fs::create_dir_all(root.join("etc")).expect("a folder");
        fs::write(root.join("etc/passwd"), USERS).expect("written");
        std::os::unix::fs::symlink("bin/sh", root.join("dozzle")).expect("linked");
        for name in NAMES {
            std::os::unix::fs::symlink("sh", root.join("bin").join(name)).expect("linked");
        }
        let archive = self.folder.join("root.tar");
        let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status();
        assert!(packed.expect("tar").success(), "the stand-in cannot be packed");
        let archive = archive.display().to_string();
        let settings = ["ENTRYPOINT [\"/bin/standin\"]", "ENV PATH=/bin"];
        let [entrypoint, path] = settings.map(|setting| format!("--change={setting}"));
        self.docker_prints(&["import", &entrypoint, &path, &archive, "standin:1"]);
        // Podman imports no health checks.
        let mut checked = Image::new(self, "checked");
        let check = r#"{"Healthcheck":{"Test":["CMD","/bin/standin"],"Interval":1000000000},"#;
        checked.config = checked.config.replacen("{\"Entrypoint\"", &format!("{check}\"Entrypoint\""), 1);
        let archive = self.folder.join("checked.tar");
        checked.archive("standin:checked", &archive);
        self.docker_prints(&["load", "--input", &archive.display().to_string()]);
        for image in images.iter().filter(|image| **image != "standin:1") {
            self.docker_prints(&["tag", "standin:1", image]);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn cdi_of(folder: &Path) -> PathBuf {
    folder.join("cdi")
}

/// The Engine's own settings. One that is older than CDI takes no setting for it.
fn settings(folder: &Path, live_restore: bool) -> Value {
    let version =
        Command::new("dockerd").arg("--version").output().expect("dockerd (Debian: docker.io)").stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    let major = version.split("version ").nth(1).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    let mut settings = json!({ "live-restore": live_restore });
    if major.is_some_and(|major| major >= 28) {
        settings["cdi-spec-dirs"] = json!([cdi_of(folder)]);
    }
    settings
}

fn memory_of(folder: &Path) -> PathBuf {
    Path::new("/dev/shm").join(folder.file_name().unwrap_or_default())
}
