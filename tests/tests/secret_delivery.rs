//! Does plaintext reach a container in every way that a spec can ask for, as whose it asks, also after the host's memory was
//! lost, and does a change outside the profile reach it, too?

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tests::{
    Engine, Profile, Programs,
    secret::{Key, recorded},
};

/// Everything that is encrypted is so for one of two keys; `outside` stands for a folder like `/run/secrets`.
const SPEC: &str = "
services:
  variables: {image: 'standin:1', restart: always, env_file: [all.dotenv], environment: {URL: 'http://u:${PW}@h'}}
  short: {image: 'standin:1', restart: always, read_only: true, secrets: [token], configs: [settings]}
  long:
    image: standin:1
    restart: always
    read_only: true
    user: '4711:42'
    secrets: [{source: token, target: /mine/token, uid: '4711', gid: '42', mode: 0400}]
    configs: [{source: settings, target: /etc/settings, uid: '4711', gid: '42', mode: 0440}]
  keys: {image: 'standin:1', restart: always, secrets: [yaml, json, ini, dotenv]}
  bound: {image: 'standin:1', restart: always, volumes: ['./token.age:/bound']}
  inline: {image: 'standin:1', restart: always, read_only: true, configs: [written], secrets: [variable]}
  open: {image: 'standin:1', restart: always, configs: [plain]}
  outside: {image: 'standin:1', restart: always, secrets: [outside], env_file: [OUTSIDE/env]}
secrets:
  token: {file: ./token.age}
  yaml: {file: './all.yaml#postgres/password'}
  json: {file: './all.json#postgres/user'}
  ini: {file: './all.ini#postgres/user'}
  dotenv: {file: './all.dotenv#DB_HOST'}
  variable: {environment: PW}
  outside: {file: OUTSIDE/token}
configs:
  settings: {file: ./settings.age}
  written: {content: 'password = ${PW}'}
  plain: {content: 'colour = COLOUR'}
";
const SERVICES: [&str; 8] = ["variables", "short", "long", "keys", "bound", "inline", "open", "outside"];

/// What each container reads in which file.
const READ: [(&str, &str, &str); 12] = [
    ("short", "/run/secrets/token", "the-token"),
    ("short", "/settings", "a=1\n"),
    ("long", "/mine/token", "the-token"),
    ("long", "/etc/settings", "a=1\n"),
    ("keys", "/run/secrets/yaml", "c0rrect horse"),
    ("keys", "/run/secrets/json", "app"),
    ("keys", "/run/secrets/ini", "app"),
    ("keys", "/run/secrets/dotenv", "db.internal"),
    ("bound", "/bound", "the-token"),
    ("inline", "/written", "password = hunter2"),
    ("inline", "/run/secrets/variable", "hunter2"),
    ("outside", "/run/secrets/outside", "decrypted-by-somebody-else"),
];

struct World {
    engine: Engine,
    profile: Profile,
    programs: Programs,
    key: Key,
}

impl World {
    fn new() -> Self {
        let engine = Engine::start(&[]);
        let profile = Profile::new(engine.folder());
        let key = Key::default();
        let mut programs = Programs::new(&engine, &profile).with_memory(&engine);
        for file in [recorded("keys/age.txt"), key.save(engine.folder()), engine.folder().join("late.txt")] {
            programs = programs.with(&["--age-key", &file.display().to_string()]);
        }
        fs::create_dir(engine.folder().join("outside")).unwrap();
        let world = Self { engine, profile, programs, key };
        world.outside("token", "decrypted-by-somebody-else");
        world.outside("env", "FROM_OUTSIDE=1\n");
        world
    }

    /// Replaces a file outside the profile, as sops-nix does: by another folder's.
    fn outside(&self, name: &str, text: &str) {
        let new = self.engine.folder().join("outside.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.engine.folder().join("outside").join(name)).unwrap();
    }

    fn declare(&self, generation: &str, password: &str, colour: &str) {
        let write = |file: &str, text: &str| self.profile.write(generation, "app", file, text);
        let outside = self.engine.folder().join("outside").display().to_string();
        write("compose.yaml", &SPEC.replace("OUTSIDE", &outside).replace("COLOUR", colour));
        write(".env", &self.key.encrypt(&format!("PW={password}\n")));
        write("token.age", &self.key.encrypt("the-token"));
        write("settings.age", &self.key.encrypt("a=1\n"));
        for format in ["yaml", "json", "ini", "dotenv"] {
            let sealed = fs::read_to_string(recorded(&format!("cases/{format}-age.sops"))).unwrap();
            write(&format!("all.{format}"), &sealed);
        }
    }

    /// A stack that must not run, with one secret.
    fn declare_bad(&self, generation: &str, stack: &str, file: &str) {
        let spec = format!(
            "services: {{a: {{image: 'standin:1', secrets: [s]}}}}\nsecrets: {{s: {{file: './{file}'}}}}\n"
        );
        self.profile.write(generation, stack, "compose.yaml", &spec);
        let sealed = fs::read_to_string(recorded("cases/yaml-age.sops")).unwrap();
        self.profile.write(generation, stack, "all.yaml", &sealed);
        self.profile.write(generation, stack, "plain.yaml", "a: 1\n");
    }

    fn id(&self, service: &str) -> String {
        self.engine.id_of(&format!("app-{service}-1"))
    }

    /// The services with another container than before.
    fn renewed(&self, before: &[String]) -> Vec<&'static str> {
        let now = self.ids();
        (0..SERVICES.len()).filter(|at| now[*at] != before[*at]).map(|at| SERVICES[at]).collect()
    }

    fn ids(&self) -> Vec<String> {
        SERVICES.iter().map(|service| self.id(service)).collect()
    }

    fn inspect(&self, service: &str, format: &str) -> String {
        self.engine.docker_prints(&["inspect", "--format", format, &format!("app-{service}-1")])
    }

    /// What the container itself reads; nothing where it does not run.
    fn sees(&self, service: &str, file: &str) -> String {
        let container = format!("app-{service}-1");
        let shown = self.engine.docker(&["exec", &container, "/bin/standin", "--show", file]);
        String::from_utf8_lossy(&shown.stdout).into_owned()
    }

    fn stack(&self, name: &str) -> Value {
        let status = self.programs.status();
        let stacks = status["stacks"].as_array().cloned().unwrap_or_default();
        stacks.into_iter().find(|stack| stack["name"] == name).unwrap_or_default()
    }

    fn wait_for_app(&self, what: &str, also: impl Fn() -> bool) {
        self.programs.wait_until(what, || self.stack("app")["phase"] == "converged" && also());
    }

    fn all_read(&self) {
        for (service, file, text) in READ {
            assert_eq!(self.sees(service, file), text, "{service} {file}");
        }
    }

    /// The files on the memory file system that a container has bound.
    fn placed(&self, service: &str) -> Vec<PathBuf> {
        let sources = self.inspect(service, "{{range .Mounts}}{{println .Source}}{{end}}");
        let memory = self.engine.memory();
        sources.lines().map(PathBuf::from).filter(|path| path.starts_with(&memory)).collect()
    }

    fn files(&self) -> Vec<String> {
        let folder = fs::read_dir(self.engine.memory().join("secrets"));
        folder.map_or_else(
            |_| Vec::new(),
            |folder| folder.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect(),
        )
    }
}

#[test]
fn plaintext_reaches_containers_in_every_way_and_comes_back_after_a_reboot() {
    let mut world = World::new();
    world.declare("one", "hunter2", "green");
    world.declare_bad("one", "absent", "all.yaml#postgres/passwd");
    world.declare_bad("one", "empty", "all.yaml#postgres/empty");
    world.declare_bad("one", "keyless", "plain.yaml#a");
    let late = Key::default();
    world.profile.write(
        "one",
        "late",
        "compose.yaml",
        "services: {a: {image: 'standin:1', restart: always, env_file: [e]}}\n",
    );
    world.profile.write("one", "late", "e", &late.encrypt("LATE=yes\n"));
    world.profile.switch("one");
    let log = world.engine.folder().join("daemon.log");
    let mut daemon = world.programs.daemon(&log);
    world.wait_for_app("delivered", || SERVICES.iter().all(|service| !world.id(service).is_empty()));

    delivered(&world);
    what_cannot_be_had_fails_its_own_stack(&world);
    a_key_that_arrives_late_is_noticed(&world, &late);
    changes_renew_their_consumers_only(&world);

    // The host goes down, and with it its memory. The Engine is up before the agent, and would start everything.
    daemon.signal("TERM");
    assert!(daemon.ended());
    world.engine.kill();
    fs::remove_dir_all(world.engine.memory()).unwrap();
    fs::create_dir(world.engine.memory()).unwrap();
    world.engine.revive();
    let before = world.ids();
    daemon = world.programs.daemon(&log);
    world.wait_for_app("up again", || world.sees("bound", "/bound") == "the-token");
    assert_eq!(world.renewed(&before), Vec::<&str>::new(), "nothing but a start was needed");
    for (service, file, text) in READ.iter().filter(|(service, ..)| !["inline", "outside"].contains(service))
    {
        assert_eq!(world.sees(service, file), *text, "{service} {file}");
    }
    for service in ["short", "long", "keys", "bound", "inline"] {
        placed_before_it_started(&world, service);
    }

    // Who does not use them any more leaves nothing behind.
    world.profile.write(
        "none",
        "app",
        "compose.yaml",
        "services: {open: {image: 'standin:1', restart: always}}\n",
    );
    world.profile.switch("none");
    world.programs.wait_until("no plaintext is left", || world.files().is_empty());
    drop(daemon);
}

fn delivered(world: &World) {
    let variables = world.inspect("variables", "{{json .Config.Env}}");
    let variables: Vec<String> = serde_json::from_str(&variables).unwrap();
    for variable in ["URL=http://u:hunter2@h", "DB_PASSWORD=c0rrect horse = battery", "UNICODE=Grüße 🔑"]
    {
        assert!(variables.iter().any(|found| found == variable), "{variable}: {variables:?}");
    }
    world.all_read();
    // As whose: in the open syntax for all, in the folder of the agent alone.
    let facts = |service: &str| {
        let placed = world.placed(service);
        let facts = placed.iter().map(|path| fs::metadata(path).unwrap());
        let mut facts: Vec<_> = facts.map(|file| (file.uid(), file.gid(), file.mode() & 0o7777)).collect();
        facts.sort_unstable();
        facts
    };
    assert_eq!(facts("short"), [(0, 0, 0o444), (0, 0, 0o444)]);
    assert_eq!(facts("long"), [(4711, 42, 0o400), (4711, 42, 0o440)]);
    assert_eq!((facts("keys").len(), facts("bound").len(), facts("inline").len()), (4, 1, 2));
    assert_eq!(fs::metadata(world.engine.memory().join("secrets")).unwrap().mode() & 0o7777, 0o700);
    for service in ["short", "long", "keys", "bound", "inline"] {
        let writable = world.inspect(service, "{{range .Mounts}}{{.RW}} {{end}}");
        assert!(!writable.contains("true"), "{service}: {writable}");
    }
    // What is in the open is as Docker Compose has it: in the container's own layer, and where it was.
    assert_eq!((world.sees("open", "/plain").as_str(), world.placed("open").len()), ("colour = green", 0));
    assert_eq!(world.placed("outside").len(), 0);
}

fn what_cannot_be_had_fails_its_own_stack(world: &World) {
    for (stack, words) in [
        ("absent", "has no key `postgres/passwd`; one of: user, password"),
        ("empty", "`postgres/empty` of the encrypted file is empty"),
        ("keyless", "only an encrypted file has keys"),
    ] {
        let status = world.stack(stack);
        let reason = status["reason"].as_str().unwrap_or_default();
        assert!(status["phase"] == "failed" && reason.contains(words), "{stack}: {status:#}");
        assert_eq!(world.engine.id_of(&format!("{stack}-a-1")), "");
    }
}

fn a_key_that_arrives_late_is_noticed(world: &World, late: &Key) {
    let failed = world.stack("late");
    assert!(failed["phase"] == "failed", "{failed:#}");
    let saved = late.save(&world.engine.memory());
    fs::copy(saved, world.engine.folder().join("late.txt")).unwrap();
    world.programs.wait_until("the late key is used", || world.stack("late")["phase"] == "converged");
    assert_ne!(world.engine.id_of("late-a-1"), "");
}

fn changes_renew_their_consumers_only(world: &World) {
    // Outside the profile: nobody says so but the files themselves.
    let before = world.ids();
    world.outside("token", "decrypted-anew");
    world.outside("env", "FROM_OUTSIDE=2\n");
    world.wait_for_app("the files outside are seen", || {
        world.sees("outside", "/run/secrets/outside") == "decrypted-anew"
            && world.inspect("outside", "{{json .Config.Env}}").contains("FROM_OUTSIDE=2")
    });
    assert_eq!(world.renewed(&before), ["outside"]);

    // Contents that no file has: of a variable that is secret, and in the open.
    let before = world.ids();
    world.declare("two", "correct-horse", "green");
    world.profile.switch("two");
    world.wait_for_app("the password's consumers are renewed", || {
        world.sees("inline", "/written") == "password = correct-horse"
            && world.sees("inline", "/run/secrets/variable") == "correct-horse"
            && world.inspect("variables", "{{json .Config.Env}}").contains("http://u:correct-horse@h")
    });
    assert_eq!(world.renewed(&before), ["variables", "inline"]);
    let before = world.ids();
    world.declare("three", "correct-horse", "blue");
    world.profile.switch("three");
    world.wait_for_app("the content is renewed", || world.sees("open", "/plain") == "colour = blue");
    assert_eq!(world.renewed(&before), ["open"]);
    // Nothing half-written is left.
    assert!(world.files().iter().all(|name| !name.starts_with('.')), "{:?}", world.files());
}

/// Every file of a container is older than its start.
fn placed_before_it_started(world: &World, service: &str) {
    let started = world.inspect(service, "{{.State.StartedAt}}");
    let seconds = Command::new("date").args(["-d", &started, "+%s"]).output().unwrap().stdout;
    let seconds: i64 = String::from_utf8_lossy(&seconds).trim().parse().unwrap();
    for path in world.placed(service) {
        assert!(placed_at(&path) <= seconds, "{service}: {} is newer than {started}", path.display());
    }
}

fn placed_at(path: &Path) -> i64 {
    fs::metadata(path).unwrap().mtime()
}
