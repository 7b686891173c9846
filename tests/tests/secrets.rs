//! Does a rotated secret reach its consumers and nobody else, and is its plaintext nowhere but in them?

#![expect(clippy::too_many_lines, reason = "one story")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tests::{
    Engine, Profile, Programs,
    secret::{Key, spellings},
};

const SPEC: &str = "
x-agent: {env_files: [shop.env]}
services:
  web:
    image: standin:1
    restart: always
    environment: {URL: 'postgres://shop:${DB_PASSWORD}@db/shop'}
  store: {image: 'standin:1', restart: always, env_file: [store.env]}
  api: {image: 'standin:1', restart: always, secrets: [token], read_only: true}
  plain: {image: 'standin:1', restart: always, environment: {A: b}}
secrets: {token: {file: ./token.age}}
";
const NAMES: [&str; 4] = ["web", "store", "api", "plain"];

/// What a generation's secrets are.
#[derive(Clone)]
struct Secrets {
    password: String,
    store: String,
    token: String,
}

fn declare(profile: &Profile, generation: &str, key: &Key, secrets: &Secrets) {
    profile.write(generation, "shop", "compose.yaml", SPEC);
    let env = format!("# {} is the old one\nDB_PASSWORD={}\n", secrets.password, secrets.password);
    profile.write(generation, "shop", "shop.env", &key.encrypt(&env));
    profile.write(generation, "shop", "store.env", &key.encrypt(&format!("STORE_KEY='{}'\n", secrets.store)));
    profile.write(generation, "shop", "token.age", &key.encrypt(&secrets.token));
}

fn ids(engine: &Engine) -> BTreeMap<&'static str, String> {
    NAMES.into_iter().map(|name| (name, engine.id_of(&format!("shop-{name}-1")))).collect()
}

fn renewed(before: &BTreeMap<&str, String>, after: &BTreeMap<&'static str, String>) -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| before[name] != after[name]).collect()
}

/// Every file below a folder, the Engine's own data aside: containers' environments are in there.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !["data", "exec", "dev", "root"].iter().any(|own| path.ends_with(own)) {
            files(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

fn command_lines() -> String {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .fold(String::new(), |all, line| all + &String::from_utf8_lossy(&line).replace('\0', " ") + "\n")
}

#[test]
fn a_rotated_secret_reaches_its_consumers_only_and_its_plaintext_nobody_else() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let key = Key::default();
    let keys = key.save(engine.folder()).display().to_string();
    let programs = Programs::new(&engine, &profile).with(&["--age-key", &keys]).with_memory(&engine);
    let first = Secrets {
        password: "p4ss=w'ord \"with$ all/of it".into(),
        store: "st0re-key+that/is=long-enough".into(),
        token: "t0ken-of-the-first-generation".into(),
    };
    let second = Secrets { store: "another-st0re-key/of=generation2".into(), ..first.clone() };
    let third = Secrets { token: "t0ken-of-the-third-generation".into(), ..second.clone() };
    declare(&profile, "one", &key, &first);
    declare(&profile, "one-again", &key, &first);
    declare(&profile, "two", &key, &second);
    declare(&profile, "three", &key, &third);
    declare(&profile, "locked", &Key::default(), &third);

    profile.switch("one");
    let log = engine.folder().join("daemon.log");
    let daemon = programs.daemon(&log);
    let mut said = Vec::new();
    let mut ask = |programs: &Programs| {
        for words in [
            &["status"][..],
            &["status", "--json"],
            &["history"],
            &["history", "--json"],
            &["plan"],
            &["plan", "--json"],
        ] {
            let output = programs.agentctl(words);
            said.push(format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        said.push(command_lines());
    };
    programs.wait_for("converged", || {
        NAMES.iter().all(|name| !engine.id_of(&format!("shop-{name}-1")).is_empty())
    });
    let environment = |name: &str| {
        engine.docker_prints(&["inspect", "--format", "{{json .Config.Env}}", &format!("shop-{name}-1")])
    };
    let variables: Vec<String> = serde_json::from_str(&environment("web")).unwrap();
    assert!(variables.contains(&format!("URL=postgres://shop:{}@db/shop", first.password)), "{variables:?}");
    assert!(environment("store").contains(&first.store));
    let token = || {
        let format = "{{range .Mounts}}{{.Source}}{{end}}";
        fs::read_to_string(engine.docker_prints(&["inspect", "--format", format, "shop-api-1"])).unwrap()
    };
    assert_eq!(token(), first.token);
    ask(&programs);

    // The same values under new ciphertext: nothing happens.
    let settled = |generation: &str| {
        profile.switch(generation);
        programs.wait_for("converged", || {
            programs.status()["generation"].as_str().is_some_and(|now| now.ends_with(generation))
        });
        assert!(programs.agentctl(&["reconcile", "--wait"]).status.success());
    };
    let one = ids(&engine);
    settled("one-again");
    assert_eq!(renewed(&one, &ids(&engine)), Vec::<&str>::new());
    ask(&programs);

    // A profile that is not activated: what it would do is shown, and nothing is written.
    let next = profile.link().with_file_name("three").display().to_string();
    let plan = programs.agentctl(&["plan", "--profile", &next]);
    let shown = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert_eq!(plan.status.code(), Some(2), "{shown}");
    let starts = |name: &str| shown.contains(&format!("+ start the new shop-{name}-1"));
    assert!(starts("store") && starts("api"), "{shown}");
    assert!(!shown.contains("shop-web-1") && !shown.contains("shop-plain-1"), "{shown}");
    assert_eq!((token(), renewed(&one, &ids(&engine))), (first.token.clone(), Vec::new()));
    let now = programs.agentctl(&["plan"]);
    assert_eq!(
        (now.status.code(), String::from_utf8_lossy(&now.stdout).contains("nothing to do")),
        (Some(0), true)
    );

    // Each rotation renews the one consumer.
    settled("two");
    let two = ids(&engine);
    assert_eq!(renewed(&one, &two), ["store"]);
    assert!(environment("store").contains(&second.store));
    ask(&programs);
    settled("three");
    let three = ids(&engine);
    assert_eq!(renewed(&two, &three), ["api"]);
    assert_eq!(token(), third.token);
    ask(&programs);

    // Nobody here can open the next generation's files: what runs runs on, and the reason says for whom they are.
    profile.switch("locked");
    programs.wait_for("failed", || true);
    assert_eq!(ids(&engine), three);
    ask(&programs);
    drop(daemon);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("shop.env") && log.contains("X25519"), "{log}");

    said.push(engine.docker_prints(&["ps", "-a", "--no-trunc", "--format", "{{json .}}"]));
    let mut found = Vec::new();
    files(engine.folder(), &mut found);
    assert!(
        found.iter().any(|path| path.ends_with("daemon.log"))
            && found.iter().any(|path| path.ends_with("memory.json"))
    );
    for path in found {
        said.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&fs::read(&path).unwrap())));
    }
    for secret in [&first.password, &first.store, &first.token, &second.store, &third.token] {
        for spelling in spellings(secret) {
            let leak = said.iter().find(|text| text.contains(&spelling));
            assert_eq!(leak, None, "`{secret}` is to be read as `{spelling}`");
        }
    }
}
