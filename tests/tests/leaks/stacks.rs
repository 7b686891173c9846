//! Which stacks send secrets everywhere that a spec can send them, and which get them into everybody's error messages?

use std::{
    fs,
    io::Read as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use tests::{Engine, Profile, secret::Key};

use crate::search::Needle;

/// Secrets of each route: 50 in all.
const ROUTES: [(&str, usize); 12] = [
    ("env_files", 2),
    ("dotenv", 12),
    ("env_file", 22),
    ("short", 1),
    ("long", 1),
    ("key", 2),
    ("config", 1),
    ("bound", 1),
    ("content", 1),
    ("variable", 1),
    ("override", 1),
    ("hook", 5),
];

/// The routes on which a secret reaches a container as a file: on no disk, not even the Engine's.
pub(crate) const FILES: [&str; 7] = ["short", "long", "key", "config", "bound", "content", "variable"];

/// One stack of everything that works.
const GOOD: &str = "
x-agent: {env_files: [more.env]}
services:
  web:
    image: standin:1
    restart: always
    env_file: [web.env]
    environment: {URL: 'postgres://shop:${DOTENV_0}@db/shop', TWICE: '${ENV_FILES_0}-${ENV_FILES_1}'}
    healthcheck: {test: [CMD, curl, '${DOTENV_1}'], interval: 1s}
    post_start: [{command: [/bin/standin, '${HOOK_0}'], environment: {PW: '${HOOK_1}'}}]
  files:
    image: standin:1
    restart: always
    read_only: true
    secrets: [short, {source: long, target: /long, uid: '4711', mode: 0400}, first, second, variable]
    configs: [config, content]
    volumes: ['./bound.age:/bound:ro']
secrets:
  short: {file: ./short.age}
  long: {file: ./long.age}
  first: {file: './keys.yaml#a/first'}
  second: {file: './keys.yaml#second'}
  variable: {environment: VARIABLE_0}
configs:
  config: {file: ./config.age}
  content: {content: 'password = ${CONTENT_0}'}
";

/// Stacks that are refused by the loader or the Engine, or fail when they run: a name, and its service.
const BAD: [(&str, &str); 22] = [
    ("ports", "{image: 'standin:1', ports: ['${DOTENV_2}:80']}"),
    ("memory", "{image: 'standin:1', mem_limit: '${DOTENV_2}'}"),
    ("restart", "{image: 'standin:1', restart: '${DOTENV_3}'}"),
    ("pull", "{image: 'standin:1', pull_policy: '${DOTENV_3}'}"),
    ("image", "{image: 'standin:1:not-one'}"),
    ("host", "{image: 'standin:1', hostname: 'a b ${DOTENV_11}'}"),
    ("scale", "{image: 'standin:1', scale: '${DOTENV_4}'}"),
    ("interval", "{image: 'standin:1', healthcheck: {test: [CMD, curl], interval: '${DOTENV_5}'}}"),
    ("needed", "{image: 'standin:1', environment: {A: '${ABSENT:?${DOTENV_5}}'}}"),
    ("tmpfs", "{image: 'standin:1', tmpfs: ['${DOTENV_6}']}"),
    ("target", "{image: 'standin:1', volumes: ['/tmp:not/${DOTENV_6}']}"),
    ("folder", "{image: 'standin:1', working_dir: 'not/${DOTENV_7}'}"),
    ("capability", "{image: 'standin:1', cap_add: ['${DOTENV_7}']}"),
    ("user", "{image: 'standin:1', user: '${DOTENV_8}'}"),
    ("device", "{image: 'standin:1', devices: ['/dev/${DOTENV_8}']}"),
    ("entrypoint", "{image: 'standin:1', entrypoint: ['/no/${DOTENV_9}']}"),
    ("signal", "{image: 'standin:1', stop_signal: '${DOTENV_9}'}"),
    ("runtime", "{image: 'standin:1', runtime: '${DOTENV_10}'}"),
    ("driver", "{image: 'standin:1', logging: {driver: '${DOTENV_10}'}}"),
    (
        "check",
        "{image: 'standin:1', restart: always, environment: {STANDIN_UNHEALTHY: '1'}, healthcheck: {test: [CMD, '/no/${HOOK_2}'], interval: 1s, retries: 1}}",
    ),
    ("hook", "{image: 'standin:1', restart: always, post_start: [{command: ['/no/${HOOK_3}']}]}"),
    ("sysctl", "{image: 'standin:1', sysctls: {'net.${HOOK_4}': '1'}}"),
];

/// Fresh secrets: nobody has ever written them.
pub(crate) fn secrets() -> Vec<Needle> {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut random = fs::File::open("/dev/urandom").unwrap();
    let mut fresh = || {
        let mut bytes = [0; 24];
        random.read_exact(&mut bytes).unwrap();
        let letters = bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        let mut text: String = letters.collect();
        // What dotenv, YAML, URLs and JSON all leave as it is, and their encodings do not.
        text.insert_str(8, "/+");
        text
    };
    let routes = ROUTES.iter().flat_map(|(route, count)| (0..*count).map(move |nth| (*route, nth)));
    routes.map(|(route, nth)| Needle::new(format!("{}_{nth}", route.to_uppercase()), fresh())).collect()
}

/// The stacks of one generation.
pub(crate) struct Stacks<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) profile: &'a Profile,
    pub(crate) key: &'a Key,
    pub(crate) secrets: &'a [Needle],
}

impl Stacks<'_> {
    fn value(&self, route: &str) -> &str {
        &self.secrets.iter().find(|secret| secret.route == route).unwrap().value
    }

    /// `NAME=value` lines of routes.
    fn lines(&self, routes: &[&str]) -> String {
        let of = |secret: &&Needle| {
            routes.iter().any(|route| {
                secret
                    .route
                    .strip_prefix(route)
                    .is_some_and(|nth| nth.starts_with('_') && nth[1..].parse::<u8>().is_ok())
            })
        };
        self.secrets.iter().filter(of).map(|secret| format!("{}={}\n", secret.route, secret.value)).collect()
    }

    /// Writes them.
    pub(crate) fn declare(&self, generation: &str) {
        let write = |stack: &str, file: &str, text: &str| self.profile.write(generation, stack, file, text);
        let variables = self.key.encrypt(&self.lines(&["DOTENV", "HOOK", "CONTENT", "VARIABLE"]));
        write("good", "compose.yaml", GOOD);
        write("good", ".env", &variables);
        write("good", "more.env", &self.key.encrypt(&self.lines(&["ENV_FILES"])));
        write("good", "web.env", &self.sealed("dotenv", &self.lines(&["ENV_FILE"])));
        for name in ["short", "long", "config", "bound"] {
            let value = self.value(&format!("{}_0", name.to_uppercase()));
            write("good", &format!("{name}.age"), &self.key.encrypt(value));
        }
        let keys = ["KEY_0", "KEY_1"].map(|route| self.value(route));
        if sops().is_some() {
            let text = format!("a:\n    first: {}\nsecond: {}\n", keys[0], keys[1]);
            write("good", "keys.yaml", &self.sealed("yaml", &text));
        } else {
            // Keys can be taken out of sops files only: these come out of two age files.
            let spec =
                GOOD.replace("keys.yaml#a/first", "first.age").replace("keys.yaml#second", "second.age");
            write("good", "compose.yaml", &spec);
            write("good", "first.age", &self.key.encrypt(keys[0]));
            write("good", "second.age", &self.key.encrypt(keys[1]));
        }
        let more = format!(
            "services:\n    web:\n        environment:\n            OVER: {}\n",
            self.value("OVERRIDE_0")
        );
        write("good", "compose.override.yaml", &self.key.encrypt(&more));
        for (name, service) in BAD {
            write(name, "compose.yaml", &format!("services: {{a: {service}}}\n"));
            write(name, ".env", &variables);
        }
    }

    /// Encrypted by the real sops, where the peers are there, else by age.
    fn sealed(&self, format: &str, plain: &str) -> String {
        let Some(sops) = sops() else { return self.key.encrypt(plain) };
        let file = self.engine.memory().join("plain");
        fs::write(&file, plain).unwrap();
        let mut command = Command::new(sops);
        command.args([
            "--config",
            "/dev/null",
            "--disable-version-check",
            "--encrypt",
            "--age",
            &self.key.recipient(),
        ]);
        command.args(["--input-type", format, "--output-type", format]).arg(&file).stderr(Stdio::inherit());
        let sealed = command.output().unwrap();
        fs::remove_file(file).unwrap();
        assert!(sealed.status.success(), "sops does not encrypt");
        String::from_utf8(sealed.stdout).unwrap()
    }
}

/// The sops of the peers.
pub(crate) fn sops() -> Option<PathBuf> {
    let peers = std::env::var_os("COMPOSE_AGENT_PEERS").map(PathBuf::from)?;
    Some(peers.join("bin/sops")).filter(|path| path.is_file())
}

/// All stacks.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BAD.iter().map(|(name, _)| *name).chain(["good"])
}
