//! Does every kind of key, from every place that a host keeps one, open what is encrypted to it, and is a value never in
//! what `agentctl secrets` says?

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Engine, Profile, Programs, secret::recorded};

/// A stack for each key: its name, the recorded file that it has, and the variable in it that is looked for.
const STACKS: [(&str, &str, &str); 7] = [
    ("x25519", "cases/dotenv-age.sops", DATABASE),
    ("several", "cases/dotenv-several.sops", DATABASE),
    ("ed25519", "cases/dotenv-ssh_ed25519.sops", DATABASE),
    ("converted", "cases/dotenv-ssh_to_age.sops", DATABASE),
    ("rsa", "cases/dotenv-ssh_rsa.sops", DATABASE),
    ("plugin", "plugin/small.sops", "PASS=geheim"),
    ("pgp", "cases/pgp-only.sops", "FETCHED=by-a-key-service"),
];
/// What Docker Compose reads of it: a `#` behind a space begins a comment.
const DATABASE: &str = "DB_PASSWORD=c0rrect horse = battery";

/// Stands for the real one where a key service is needed: notes what it was given, and answers.
const SOPS: &str = "#!/bin/sh
{ echo \"$# $*\"; tr '\\0' '\\n' < /proc/$$/environ; } > ${0%/*}/given
grep -q sops_pgp__list_0__map_enc || exit 1
echo FETCHED=by-a-key-service
";

struct World {
    engine: Engine,
    profile: Profile,
    programs: Programs,
    /// In front of `PATH`.
    bin: PathBuf,
}

impl World {
    fn new() -> Self {
        let engine = Engine::start(&[]);
        let profile = Profile::new(engine.folder());
        for (stack, file, _) in STACKS {
            let sealed = fs::read_to_string(recorded(file)).unwrap();
            profile.write("one", stack, "sealed", &sealed);
            let spec = "services: {a: {image: 'standin:1', restart: always, env_file: [sealed]}}\n";
            profile.write("one", stack, "compose.yaml", spec);
        }
        let both = fs::read(recorded("plugin/small.age")).unwrap();
        fs::write(engine.folder().join("profile/one/etc/compose-agent/plugin/whole.age"), both).unwrap();
        profile.switch("one");
        let bin = engine.folder().join("bin");
        fs::create_dir(&bin).unwrap();
        let programs = Programs::new(&engine, &profile).with_memory(&engine);
        Self { engine, profile, programs, bin }
    }

    /// Puts a program in front of `PATH`.
    fn install(&self, name: &str, text: &[u8]) {
        fs::write(self.bin.join(name), text).unwrap();
        fs::set_permissions(self.bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self) -> String {
        // Without the peers: a sops of theirs would stand for the test's own.
        format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", self.bin.display())
    }

    /// `agentctl secrets --json` with these keys alone.
    fn secrets(&self, variables: &[(&str, &str)], keys: &[PathBuf]) -> (Option<i32>, Value) {
        let mut command = self.programs.agentctl_command();
        command.args(["secrets", "--json", "--profile"]).arg(self.profile.link());
        for key in keys {
            command.arg("--age-key").arg(key);
        }
        let output = self.clean(&mut command).envs(variables.iter().copied()).output().unwrap();
        silent(&output);
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    }

    fn clean<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        for name in ["SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "CREDENTIALS_DIRECTORY"] {
            command.env_remove(name);
        }
        command.env("PATH", self.path())
    }

    fn environment(&self, stack: &str) -> String {
        self.engine.docker_prints(&["inspect", "--format", "{{json .Config.Env}}", &format!("{stack}-a-1")])
    }
}

/// The stacks whose files can be read, with the identities that read them.
fn readable(answer: &Value) -> Vec<(String, String)> {
    let files = answer["files"].as_array().unwrap().iter().filter(|file| file["readable"] == true);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    files.map(|file| (text(&file["stack"]), text(&file["opened_by"][0]))).collect()
}

fn stacks(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(stack, _)| stack.as_str()).collect()
}

/// Nothing that was said holds a value or a key.
fn silent(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    for value in ["c0rrect", "geheim", "by-a-key-service", "AGE-SECRET-KEY-", "BEGIN"] {
        assert!(!said.contains(value), "{value}: {said}");
    }
}

#[test]
fn every_kind_of_key_opens_its_files_from_every_place() {
    let world = World::new();
    each_place_alone(&world);
    all_of_them_at_once(&world);
    what_the_spec_means_is_read_with_the_same_keys(&world);
    a_program_that_hangs_is_ended(&world);
    a_key_in_gnupg_is_asked_for_through_the_real_sops(&world);
}

fn each_place_alone(world: &World) {
    let key = |name: &str| recorded(&format!("keys/{name}"));
    let found = |variables: &[(&str, &str)], keys: &[PathBuf]| {
        let (status, answer) = world.secrets(variables, keys);
        assert_eq!(status, Some(4), "something is used and cannot be read");
        readable(&answer)
    };
    // Files with comments and empty lines, and with several identities.
    assert_eq!(stacks(&found(&[], &[key("age.txt")])), ["x25519"]);
    assert_eq!(stacks(&found(&[], &[key("several.txt")])), ["several"]);
    assert_eq!(stacks(&found(&[], &[key("age.txt"), key("several.txt")])), ["several", "x25519"]);
    // One host key stands for two recipients.
    let host = found(&[], &[key("host_ed25519")]);
    assert_eq!(stacks(&host), ["converted", "ed25519"]);
    assert!(host[0].1.contains("(ssh-to-age age1") && host[1].1.contains("(ssh-ed25519 SHA256:"), "{host:?}");
    let rsa = found(&[], &[key("host_rsa")]);
    assert!(stacks(&rsa) == ["rsa"] && rsa[0].1.contains("(ssh-rsa SHA256:"), "{rsa:?}");

    let text = fs::read_to_string(key("age.txt")).unwrap();
    let one = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let variable = found(&[("SOPS_AGE_KEY", one)], &[]);
    assert!(stacks(&variable) == ["x25519"] && variable[0].1.starts_with("SOPS_AGE_KEY (age age1"));
    let file = key("several.txt").display().to_string();
    assert_eq!(stacks(&found(&[("SOPS_AGE_KEY_FILE", &file)], &[])), ["several"]);
    let credentials = world.engine.folder().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::copy(key("host_rsa"), credentials.join("compose-agent.rsa")).unwrap();
    fs::write(credentials.join("token"), "no key at all").unwrap();
    let folder = credentials.display().to_string();
    assert_eq!(stacks(&found(&[("CREDENTIALS_DIRECTORY", &folder)], &[])), ["rsa"]);

    // The crate has post-quantum recipients only: said, and no obstacle to the keys beside it.
    let (_, answer) = world.secrets(&[], &[key("postquantum.txt"), key("age.txt")]);
    assert_eq!(stacks(&readable(&answer)), ["x25519"]);
    assert!(answer["troubles"][0].as_str().unwrap().contains("post-quantum"), "{}", answer["troubles"]);

    // A plugin is looked for on PATH.
    let identity = recorded("plugin/identity.txt");
    assert_eq!(stacks(&found(&[], std::slice::from_ref(&identity))), Vec::<&str>::new());
    world.install("age-plugin-null", &fs::read(recorded("plugin/age-plugin-null")).unwrap());
    let plugin = found(&[], &[identity]);
    assert!(stacks(&plugin) == ["plugin", "plugin"] && plugin[0].1.contains("age plugin null"), "{plugin:?}");

    // Without the program, a file of a key service says what is missing.
    let (_, answer) = world.secrets(&[], &[key("age.txt")]);
    let files = answer["files"].as_array().unwrap();
    let pgp = files.iter().find(|file| file["stack"] == "pgp").unwrap();
    assert!(pgp["problem"].as_str().unwrap().contains("only a key service opens"), "{pgp}");
    assert!(pgp["hint"].as_str().unwrap().contains("put `sops` on the agent's PATH"), "{pgp}");
    assert!(pgp["recipients"][0][0].as_str().unwrap().starts_with("pgp "), "{pgp}");
    world.install("sops", SOPS.as_bytes());
    assert_eq!(stacks(&found(&[], &[])), ["pgp"]);
}

/// The daemon with a key from each place: every stack runs with its values.
fn all_of_them_at_once(world: &World) {
    let key = |name: &str| recorded(&format!("keys/{name}"));
    let credentials = world.engine.folder().join("credentials");
    fs::copy(recorded("plugin/identity.txt"), credentials.join("compose-agent.plugin")).unwrap();
    let age = fs::read_to_string(key("age.txt")).unwrap();
    let mut command = world.programs.once_command();
    command.arg("--age-key").arg(key("host_ed25519"));
    world.clean(&mut command).env("SOPS_AGE_KEY_FILE", key("several.txt")).env("SOPS_AGE_KEY", age);
    let output = command.env("CREDENTIALS_DIRECTORY", &credentials).output().unwrap();
    silent(&output);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for (stack, _, variable) in STACKS {
        let found: Vec<String> = serde_json::from_str(&world.environment(stack)).unwrap();
        assert!(found.iter().any(|one| one == variable), "{stack}: {found:?}");
    }
    // The program had no value, no path and no key of the agent's in its arguments, and of its environment what it needs.
    let given = fs::read_to_string(world.bin.join("given")).unwrap();
    let (arguments, environment) = given.split_once('\n').unwrap();
    assert_eq!(arguments, "6 --decrypt --input-type dotenv --output-type dotenv /dev/stdin");
    assert!(environment.contains("PATH=") && !environment.contains("DOCKER_HOST"), "{environment}");

    let mut table = world.programs.agentctl_command();
    table.args(["secrets", "--profile"]).arg(world.profile.link()).arg("--age-key").arg(key("host_ed25519"));
    let output = world.clean(&mut table).env("CREDENTIALS_DIRECTORY", &credentials).output().unwrap();
    silent(&output);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in
        ["host_ed25519 (ssh-ed25519", "the sops program", "age plugin null", "cannot be read", "a: env_file"]
    {
        assert!(said.contains(words), "{words}:\n{said}");
    }
}

fn what_the_spec_means_is_read_with_the_same_keys(world: &World) {
    let config = |stack: &str, variables: &[(&str, &Path)]| {
        let folder = world.profile.link().join("etc/compose-agent").join(stack);
        let mut command = world.programs.agentctl_command();
        command.args(["config", "--show-secrets", "--file"]).arg(folder.join("compose.yaml"));
        let output = world.clean(&mut command).envs(variables.iter().copied()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let credentials = world.engine.folder().join("credentials");
    let credentials = [("CREDENTIALS_DIRECTORY", credentials.as_path())];
    assert!(config("plugin", &credentials).contains("PASS: geheim"));
    assert!(config("pgp", &[]).contains("FETCHED: by-a-key-service"));
    let several = recorded("keys/several.txt");
    assert!(config("several", &[("SOPS_AGE_KEY_FILE", &several)]).contains("DB_PASSWORD: c0rrect"));
    let absent = config("several", &[("SOPS_AGE_KEY_FILE", Path::new("/nowhere/key"))]);
    assert!(
        absent.contains("cannot read the identity file /nowhere/key") && !absent.contains("c0rrect"),
        "{absent}"
    );
}

fn a_program_that_hangs_is_ended(world: &World) {
    world.install("sops", b"#!/bin/sh\nsleep 1000\n");
    let began = Instant::now();
    let (status, answer) = world.secrets(&[], &[recorded("keys/age.txt")]);
    assert_eq!((status, stacks(&readable(&answer))), (Some(4), vec!["x25519"]));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let files = answer["files"].as_array().unwrap();
    let pgp = files.iter().find(|file| file["stack"] == "pgp").unwrap();
    assert!(pgp["problem"].as_str().unwrap().contains("`sops` did not answer within 10 s"), "{pgp}");
}

/// With the real programs, where they are: `gpg`, and `sops` among the peers or on `PATH`.
#[expect(clippy::print_stderr, reason = "what was not looked at is said")]
fn a_key_in_gnupg_is_asked_for_through_the_real_sops(world: &World) {
    let on_path = |name: &str| {
        let peers = std::env::var_os("COMPOSE_AGENT_PEERS").map(|folder| PathBuf::from(folder).join("bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = peers.into_iter().chain(std::env::split_paths(&path).collect::<Vec<_>>());
        folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
    };
    let (Some(sops), Some(_)) = (on_path("sops"), on_path("gpg")) else {
        return eprintln!("not looked at: the real sops with gpg, which are not here");
    };
    // gpg-agent's socket has no room for a long path.
    let home = tempfile::Builder::new().prefix("g").tempdir_in("/tmp").unwrap();
    let gpg = |words: &[&str]| {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]).args(words);
        command.env("GNUPGHOME", home.path()).stderr(Stdio::null()).output().unwrap()
    };
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(gpg(&["--quick-generate-key", "a@example.org", "default", "default", "never"]).status.success());
    let listed = gpg(&["--list-keys", "--with-colons"]).stdout;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let print =
        listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':');
    let plain = world.engine.folder().join("plain.env");
    fs::write(&plain, "REAL=from-gnupg\n").unwrap();
    let mut command = Command::new(&sops);
    command.args(["--config", "/dev/null", "--disable-version-check", "--encrypt", "--pgp", print]);
    command.args(["--input-type", "dotenv", "--output-type", "dotenv"]).arg(&plain);
    let sealed = command.env("GNUPGHOME", home.path()).output().unwrap();
    assert!(sealed.status.success(), "{}", String::from_utf8_lossy(&sealed.stderr));
    world.profile.write("real", "real", "sealed", &String::from_utf8_lossy(&sealed.stdout));
    let spec = "services: {a: {image: 'standin:1', restart: always, env_file: [sealed]}}\n";
    world.profile.write("real", "real", "compose.yaml", spec);
    world.profile.switch("real");
    fs::remove_file(world.bin.join("sops")).unwrap();
    std::os::unix::fs::symlink(sops, world.bin.join("sops")).unwrap();
    let mut once = world.programs.once_command();
    let output = world.clean(&mut once).env("GNUPGHOME", home.path()).output().unwrap();
    let ended = gpg(&["--version"]).status.success()
        && Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", home.path()).status().is_ok();
    assert!(ended, "gpg-agent is still there");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(world.environment("real").contains("REAL=from-gnupg"), "{said}");
}
