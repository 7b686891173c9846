//! What can be put right under living containers, what cannot be, and is any moment a bad one for the agent to be killed?

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Engine, PATIENCE, Profile, Programs};

const STACK: &str = "
name: p
x-agent: {update: {monitor: 1s}}
services:
  web:
    image: standin:1
    networks: {front: {aliases: [www], ipv4_address: 10.72.0.10}}
    develop: {watch: [{action: rebuild, path: ./src}]}
    deploy: {placement: {constraints: [node.role == manager]}}
  db: {image: standin:1, networks: [front], volumes: ['data:/data']}
  painted: {image: standin:1, networks: [front], stop_grace_period: 1s, environment: {COLOUR: green}}
networks:
  front: {labels: {zone: one}, ipam: {config: [{subnet: 10.72.0.0/24}]}}
volumes:
  data: {labels: {kept: one}}
";

struct Bench {
    engine: Engine,
    profile: Profile,
    programs: Programs,
}

impl Bench {
    fn start() -> Self {
        let engine = Engine::start(&[]);
        let profile = Profile::new(engine.folder());
        let programs = Programs::new(&engine, &profile);
        Self { engine, profile, programs }
    }

    /// Switches to a generation that declares this.
    fn declare(&self, generation: &str, compose: &str) {
        self.profile.write(generation, "p", "compose.yaml", compose);
        self.profile.switch(generation);
    }

    fn inspect(&self, kind: &str, name: &str) -> Value {
        let mut all: Value =
            serde_json::from_str(&self.engine.docker_prints(&[kind, "inspect", name])).unwrap();
        all[0].take()
    }

    /// The process of each container: the same one says that nothing restarted.
    fn processes(&self) -> BTreeMap<String, Value> {
        let names = self.engine.docker_prints(&["ps", "--format", "{{.Names}}"]);
        names
            .lines()
            .map(|name| (name.to_owned(), self.inspect("container", name)["State"]["Pid"].clone()))
            .collect()
    }
}

#[test]
fn what_the_engine_can_change_is_changed_under_living_containers() {
    let bench = Bench::start();
    bench.declare("first", STACK);
    let (status, said) = bench.programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    // What is declared and not acted on is said, once.
    for field in ["develop", "deploy.placement"] {
        assert_eq!(said.matches(&format!("web not-acted-on {field}")).count(), 1, "{field}: {said}");
    }
    let (_, said) = bench.programs.once(&[]);
    assert!(!said.contains("not-acted-on"), "{said}");
    let before = bench.processes();

    // Another label: the network is made anew, and the containers in it run on, under their names and addresses.
    bench.declare("second", &STACK.replace("zone: one", "zone: two"));
    let (status, said) = bench.programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("network p_front options labels.zone"), "{said}");
    assert_eq!(bench.inspect("network", "p_front")["Labels"]["zone"], "two");
    assert_eq!(bench.processes(), before, "{said}");
    let web = bench.inspect("container", "p-web-1")["NetworkSettings"]["Networks"]["p_front"].take();
    assert_eq!(web["IPAMConfig"]["IPv4Address"], "10.72.0.10", "{web}");
    assert!(web["Aliases"].as_array().unwrap().contains(&"www".into()), "{web}");

    // A container of somebody else's in it: it is left as it is, and who is in the way is said.
    bench.engine.docker_prints(&["run", "-d", "--name", "guest", "--network", "p_front", "standin:1"]);
    bench.declare("first", STACK);
    let (status, said) = bench.programs.once(&[]);
    assert_ne!(status, Some(0), "{said}");
    assert!(said.contains("guest"), "{said}");
    bench.engine.docker_prints(&["rm", "-f", "guest"]);

    // A volume stays, whatever is declared of it.
    let volume = bench.inspect("volume", "p_data");
    bench.declare("third", &STACK.replace("kept: one", "kept: two"));
    let (status, said) = bench.programs.once(&[]);
    assert_ne!(status, Some(0), "{said}");
    assert!(said.contains("volume p_data options labels.kept") && said.contains("never replaced"), "{said}");
    assert_eq!(bench.inspect("volume", "p_data"), volume);
    bench.declare("first", STACK);

    // A network that somebody put it into by hand, the Engine's own one too, is left again.
    bench.engine.docker_prints(&["network", "connect", "bridge", "p-web-1"]);
    let (status, said) = bench.programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    let networks = bench.inspect("container", "p-web-1")["NetworkSettings"]["Networks"].take();
    assert_eq!(networks.as_object().unwrap().keys().collect::<Vec<_>>(), ["p_front"], "{said}");
    assert_eq!(bench.processes().len(), before.len());
}

const SHARED: &str = "
name: p
x-agent: {update: {monitor: 1s}}
services:
  app: {image: 'standin:1', restart: always, volumes: [/anonymous], environment: {COLOUR: green}}
  owner: {image: 'standin:1', ipc: shareable}
  ipc: {image: 'standin:1', ipc: 'service:owner'}
  pid: {image: 'standin:1', pid: 'service:owner', environment: {STANDIN_STAYS: 'yes'}}
";

#[test]
fn what_others_did_to_a_living_container_is_undone_under_it() {
    let bench = Bench::start();
    bench.declare("first", SHARED);
    let (status, said) = bench.programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    let before = bench.processes();
    for act in [
        &["update", "--restart=no", "p-app-1"][..],
        &["rename", "p-owner-1", "taken"],
        &["pause", "p-ipc-1"],
        &["network", "disconnect", "p_default", "p-pid-1"],
    ] {
        bench.engine.docker_prints(act);
    }
    let (status, said) = bench.programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(bench.processes(), before, "the same names, the same processes: {said}");
    let app = bench.inspect("container", "p-app-1");
    assert_eq!(app["HostConfig"]["RestartPolicy"]["Name"], "always", "{said}");
    let networks = bench.inspect("container", "p-pid-1")["NetworkSettings"]["Networks"].take();
    let aliases = networks["p_default"]["Aliases"].as_array().expect("it is back in it");
    assert!(aliases.contains(&"pid".into()), "{networks}");

    // Whoever shares a namespace of a container that has ended gets that of the one that runs.
    bench.engine.docker_prints(&["kill", "p-owner-1"]);
    let (status, said) = bench.programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    let started = |name: &str| bench.inspect("container", name)["State"]["StartedAt"].to_string();
    assert!(started("p-ipc-1") > started("p-owner-1") && started("p-pid-1") > started("p-owner-1"), "{said}");
    assert_eq!(bench.processes()["p-app-1"], before["p-app-1"]);

    // A volume without a name goes over to the successor, and nobody is asked to name it.
    let volume = |app: &Value| app["Mounts"][0]["Name"].as_str().expect("a volume").to_owned();
    bench.declare("second", &SHARED.replace("green", "blue"));
    let (status, said) = bench.programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    let successor = bench.inspect("container", "p-app-1");
    assert_ne!(successor["Id"], app["Id"]);
    assert_eq!(volume(&successor), volume(&app));
}

#[test]
fn folders_are_made_before_a_container_needs_them() {
    use std::os::unix::fs::MetadataExt as _;
    let bench = Bench::start();
    let folder = bench.engine.folder().join("app/state");
    let compose = format!(
        "name: p
x-agent:
  ensure_dirs: [{{path: {0}, owner: 1000, group: '1001', mode: '0750'}}]
services:
  web: {{image: standin:1, volumes: [{{type: bind, source: {0}, target: /state, bind: {{create_host_path: false}}}}]}}
",
        folder.display()
    );
    bench.declare("first", &compose);
    let (status, said) = bench.programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    let made = std::fs::metadata(&folder).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (1000, 1001, 0o750));
    assert_eq!(bench.processes().len(), 1, "{said}");
}

#[test]
fn killed_at_any_moment_the_agent_leaves_the_old_container_or_the_new_one() {
    let bench = Bench::start();
    bench.declare("first", STACK);
    let (status, said) = bench.programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    // Every delay is a moment in a pass that replaces a container, and makes its network anew.
    for (round, delay) in [30, 80, 130, 200, 300, 450].into_iter().enumerate() {
        let (colour, zone) = (format!("colour-{round}"), format!("zone-{round}"));
        let compose = STACK.replace("green", &colour).replace("zone: one", &format!("zone: {zone}"));
        bench.declare(&format!("round{round}"), &compose);
        let mut pass = bench.programs.once_command().spawn().unwrap();
        sleep(Duration::from_millis(delay));
        pass.kill().unwrap();
        pass.wait().unwrap();
        let all = bench.engine.docker_prints(&["ps", "-a", "--format", "{{.Names}}"]);
        for service in ["web", "db", "painted"] {
            assert!(all.lines().any(|name| name.contains(&format!("p-{service}-1"))), "{delay} ms: {all}");
        }
        let began = Instant::now();
        let (status, said) = bench.programs.once(&[]);
        assert_eq!(status, Some(0), "{delay} ms: {said}");
        assert!(began.elapsed() < PATIENCE, "{delay} ms");
        let names = bench.engine.docker_prints(&["ps", "-a", "--format", "{{.Names}}"]);
        let mut names: Vec<&str> = names.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["p-db-1", "p-painted-1", "p-web-1"], "{delay} ms: {said}");
        let environment = bench.inspect("container", "p-painted-1")["Config"]["Env"].to_string();
        assert!(environment.contains(&colour), "{delay} ms: {environment}");
        assert_eq!(
            bench.inspect("network", "p_front")["Labels"]["zone"],
            zone.as_str(),
            "{delay} ms: {said}"
        );
        let web = bench.inspect("container", "p-web-1")["NetworkSettings"]["Networks"]["p_front"].take();
        assert!(web["Aliases"].as_array().unwrap().contains(&"www".into()), "{delay} ms: {web}");
    }
}
