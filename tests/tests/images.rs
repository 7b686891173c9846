//! Where do images come from: archives, registries, builds; and what becomes of those that nobody uses any more?

use std::{cell::RefCell, fs, os::unix::fs::PermissionsExt as _, path::Path};

use tests::{
    Engine, Profile, Programs,
    image::Image,
    registry::{Mood, Registry},
    secret::Key,
};

fn image_of(engine: &Engine, container: &str) -> String {
    engine.docker_prints(&["inspect", "--format", "{{.Image}}", container])
}

/// A host without a registry: everything comes from archives in the profile.
#[test]
fn archives_are_loaded_by_content_and_a_damaged_one_stops_only_what_needs_it() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let programs = Programs::new(&engine, &profile);
    let (one, two, other) =
        (Image::new(&engine, "one"), Image::new(&engine, "two"), Image::new(&engine, "other"));
    let at = |generation: &str, name: &str| {
        profile.link().with_file_name(generation).join("etc/compose-agent/shop").join(name)
    };
    let spec = "x-agent: {images: [web.tar.gz, other.tar.zst], update: {monitor: 1s}}\nservices:\n  web: {image: 'web:x', restart: always, pull_policy: always}\n  other: {image: 'nowhere.invalid/other:1', restart: always}\n";
    for generation in ["one", "two", "three"] {
        profile.write(generation, "shop", "compose.yaml", spec);
        other.archive("nowhere.invalid/other:1", &at(generation, "other.tar.zst"));
    }
    one.archive("web:x", &at("one", "web.tar.gz"));
    two.archive("web:x", &at("two", "web.tar.gz"));
    let whole = fs::read(at("two", "web.tar.gz")).unwrap();
    fs::write(at("three", "web.tar.gz"), &whole[..whole.len() / 2]).unwrap();

    profile.switch("one");
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(image_of(&engine, "shop-web-1"), format!("sha256:{}", one.id()));
    assert!(said.contains("load image web:x from"), "{said}");
    let kept = engine.id_of("shop-other-1");
    let (status, said) = programs.once(&[]);
    assert_eq!((status, said.contains("load image")), (Some(0), false), "it is loaded once: {said}");

    // Another content: its consumer is replaced, and nobody else.
    profile.switch("two");
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(image_of(&engine, "shop-web-1"), format!("sha256:{}", two.id()));
    assert_eq!(engine.id_of("shop-other-1"), kept);

    // Somebody else's tag is put right from the archive.
    engine.docker_prints(&["tag", "standin:1", "web:x"]);
    assert_eq!(programs.once(&[]).0, Some(0));
    let tagged = engine.docker_prints(&["image", "inspect", "--format", "{{.Id}}", "web:x"]);
    assert_eq!(tagged, format!("sha256:{}", two.id()));

    // A damaged archive is said, with its path, and what runs runs on.
    let web = engine.id_of("shop-web-1");
    profile.switch("three");
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("web.tar.gz: it is damaged"), "{said}");
    assert_eq!((engine.id_of("shop-web-1"), engine.id_of("shop-other-1")), (web, kept));
    engine.docker_prints(&["rm", "-f", "shop-web-1", "shop-other-1"]);
    engine.docker_prints(&["image", "rm", "web:x"]);
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(4), "{said}");
    assert!(engine.id_of("shop-web-1").is_empty() && !engine.id_of("shop-other-1").is_empty());
    assert!(!said.contains("pull image"), "{said}");
}

/// An OCI layout is known by what is in it; an Engine without the containerd image store cannot load it.
#[test]
fn an_oci_layout_that_the_engine_cannot_load_is_said_in_words() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let programs = Programs::new(&engine, &profile);
    let spec = "x-agent: {images: [web.tar]}\nservices: {web: {image: 'web:x'}, other: {image: 'standin:1', restart: always}}\n";
    profile.write("one", "shop", "compose.yaml", spec);
    let folder = profile.link().with_file_name("one").join("etc/compose-agent/shop");
    Image::new(&engine, "one").layout("web:x", &folder.join("web.tar"));
    profile.switch("one");
    let (status, said) = programs.once(&[]);
    assert_ne!(status, Some(0), "{said}");
    assert!(said.contains("this Engine does not load OCI layouts"), "{said}");
    assert!(!engine.id_of("shop-other-1").is_empty(), "only what needs it waits");
}

/// A host with a registry that wants a login.
struct Lab {
    engine: Engine,
    profile: Profile,
    programs: Programs,
    registry: Registry,
    key: Key,
}

const APP: &str = "127.0.0.1:5000/me/app:1";

impl Lab {
    fn new() -> Self {
        let engine = Engine::start(&[]);
        let profile = Profile::new(engine.folder());
        let key = Key::default();
        let keys = key.save(engine.folder()).display().to_string();
        let programs = Programs::new(&engine, &profile).with(&["--age-key", &keys]);
        let registry = Registry::start(&engine);
        registry.require("me", "hunter2");
        Self { engine, profile, programs, registry, key }
    }

    fn declare(&self, generation: &str, settings: &str, policy: &str) {
        let spec = format!(
            "x-agent: {{update: {{monitor: 1s}}, {settings}}}\nservices:\n  app: {{image: '{APP}', restart: always, pull_policy: {policy}}}\n  other: {{image: 'standin:1', restart: always}}\n"
        );
        self.profile.write(generation, "shop", "compose.yaml", &spec);
        self.profile.write(generation, "shop", "password.age", &self.key.encrypt("hunter2\n"));
        self.profile.switch(generation);
    }

    /// One run with Docker's configuration and helper programs in a folder; never is a password said.
    fn once(&self, config: &Path) -> (Option<i32>, String) {
        let path = format!("{}:{}", config.display(), std::env::var("PATH").unwrap_or_default());
        let output = self.programs.once_command().env("DOCKER_CONFIG", config).env("PATH", path).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("hunter2"), "{said}");
        (output.status.code(), said)
    }

    /// Runs again, as a daemon would after its backoff, until one run converges; gives what was said.
    fn converge(&self, config: &Path) -> String {
        let all = RefCell::new(String::new());
        self.programs.wait_until("converged", || {
            let (status, said) = self.once(config);
            all.borrow_mut().push_str(&said);
            status == Some(0)
        });
        all.into_inner()
    }

    /// Runs again until something is said.
    fn until_said(&self, config: &Path, words: &str) -> String {
        let last = RefCell::new(String::new());
        self.programs.wait_until(words, || {
            let (status, said) = self.once(config);
            assert_ne!(status, Some(0), "{words}: {said}");
            // The same failure is said once, however often it comes.
            last.borrow_mut().push_str(&said);
            last.borrow().contains(words)
        });
        last.into_inner()
    }

    fn forget_image(&self) {
        self.engine.docker_prints(&["rm", "-f", "shop-app-1"]);
        self.engine.docker_prints(&["image", "rm", APP]);
    }
}

const LOGIN: &str = "registries: {'127.0.0.1:5000': {username: me, password_file: ./password.age}}";

#[test]
fn a_registry_is_logged_in_to_with_the_stack_s_or_docker_s_login() {
    let lab = Lab::new();
    let Lab { engine, registry, .. } = &lab;
    let one = Image::new(engine, "one");
    let digest = registry.push("me/app", "1", &one);
    let config = engine.folder().join("docker-config");
    fs::create_dir(&config).unwrap();

    // Nobody knows a login: that is said, with where one could be, and the other service runs.
    lab.declare("none", "", "missing");
    let file = config.join("config.json");
    let words = format!("x-agent.registries has no login for 127.0.0.1:5000, nor has {}", file.display());
    lab.until_said(&config, &words);
    assert!(!engine.id_of("shop-other-1").is_empty());

    // The stack's own, from an encrypted file.
    lab.declare("own", LOGIN, "missing");
    let said = lab.converge(&config);
    assert_eq!(image_of(engine, "shop-app-1"), format!("sha256:{}", one.id()));
    assert_eq!(said.matches("pull image").count(), 1, "one line a pull: {said}");

    // Docker's, from a helper program.
    lab.forget_image();
    lab.declare("helper", "", "missing");
    fs::write(&file, r#"{"credHelpers": {"127.0.0.1:5000": "lab"}}"#).unwrap();
    let helper = config.join("docker-credential-lab");
    let script = "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get 127.0.0.1:5000' ] && echo '{\"Username\": \"me\", \"Secret\": \"hunter2\"}'\n";
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    lab.converge(&config);

    // Docker's, from its file; it is wrong, and that is said.
    lab.forget_image();
    let auths = r#"{"auths": {"http://127.0.0.1:5000/v2/": {"auth": "bWU6d3Jvbmc="}}}"#;
    fs::write(&file, auths).unwrap();
    let said = lab.until_said(&config, "does not let the login of");
    assert!(said.contains("config.json read me/app"), "{said}");
    fs::write(&file, auths.replace("d3Jvbmc=", "aHVudGVyMg==")).unwrap();
    let said = lab.converge(&config);
    assert!(said.contains(&one.id()), "the image's id is recorded: {said}");

    // How far it has got, while it comes; and the registry's digest afterwards.
    lab.forget_image();
    lab.declare("slow", LOGIN, "missing");
    registry.be(Mood::Slow);
    let daemon = lab.programs.daemon(&engine.folder().join("daemon.log"));
    lab.programs.wait_until("pulling", || {
        let status = lab.programs.status();
        let progress = &status["stacks"][0]["progress"][0];
        progress["what"] == format!("pull image {APP}")
            && progress["how_far"].as_str().is_some_and(|text| text.contains(" of 1 layers"))
    });
    registry.be(Mood::Fine);
    lab.programs.wait_for("converged", || {
        let status = lab.programs.status();
        let container = &status["stacks"][0]["services"][0]["containers"][0];
        container["image_digest"] == format!("127.0.0.1:5000/me/app@{digest}")
    });
    drop(daemon);
}

#[test]
fn a_pull_that_fails_leaves_what_is_there_and_a_fresh_image_is_waited_for() {
    let lab = Lab::new();
    let Lab { engine, registry, .. } = &lab;
    let (one, two) = (Image::new(engine, "one"), Image::new(engine, "two"));
    let nowhere = engine.folder().join("no-config");
    registry.push("me/app", "1", &one);
    lab.declare("one", LOGIN, "always");
    lab.converge(&nowhere);
    let asked = registry.asked("/manifests/1");
    lab.converge(&nowhere);
    assert_eq!(registry.asked("/manifests/1"), asked, "`always` asks once a generation");

    // The registry has enough: what is made anew is made from what is there.
    registry.push("me/app", "1", &two);
    registry.be(Mood::TooMany);
    engine.docker_prints(&["rm", "-f", "shop-app-1"]);
    lab.declare("two", LOGIN, "always");
    lab.until_said(&nowhere, "limits how often this account may pull");
    lab.programs.wait_until("made from what is there", || {
        lab.once(&nowhere);
        !engine.id_of("shop-app-1").is_empty()
    });
    assert_eq!(image_of(engine, "shop-app-1"), format!("sha256:{}", one.id()));

    // It has calmed down: what is made anew waits for the fresh image, and is made once.
    registry.be(Mood::Fine);
    lab.converge(&nowhere);
    assert_eq!(image_of(engine, "shop-app-1"), format!("sha256:{}", two.id()));
    registry.push("me/app", "1", &one);
    engine.docker_prints(&["rm", "-f", "shop-app-1"]);
    lab.declare("three", LOGIN, "always");
    let said = lab.converge(&nowhere);
    assert_eq!(image_of(engine, "shop-app-1"), format!("sha256:{}", one.id()));
    assert_eq!(said.matches("create container").count(), 1, "{said}");

    // What is not there at all is said, and the old container runs on.
    let spec = format!("x-agent: {{{LOGIN}}}\nservices: {{app: {{image: '127.0.0.1:5000/me/app:9'}}}}\n");
    lab.profile.write("four", "shop", "compose.yaml", &spec);
    lab.profile.write("four", "shop", "password.age", &lab.key.encrypt("hunter2"));
    lab.profile.switch("four");
    lab.until_said(&nowhere, "check the spelling");
    assert_eq!(image_of(engine, "shop-app-1"), format!("sha256:{}", one.id()));
}

const BUILT: &str = "
x-agent: {update: {monitor: 1s}}
services:
  web:
    build: {context: ./app, args: {COLOUR: green}, additional_contexts: {lib: ./lib}, labels: {team: a}}
    restart: always
  base:
    build: {context: ./other, dockerfile_inline: \"FROM standin:1\\nCOPY . /all\\n\"}
    restart: always
  upon:
    build: {context: ./other, dockerfile: ../Dockerfile.upon}
    restart: always
";
const DOCKERFILE: &str = "FROM standin:1\nARG COLOUR\nLABEL colour=$COLOUR\nCOPY --from=lib /name /name\nCOPY kept /kept\nCOPY . /all\n";

#[test]
fn an_image_is_built_again_only_when_what_it_is_built_from_changes() {
    let engine = Engine::start(&[]);
    let profile = Profile::new(engine.folder());
    let programs = Programs::new(&engine, &profile);
    let declare = |generation: &str, kept: &str, ignored: &str, dockerfile: &str| {
        profile.write(generation, "shop", "compose.yaml", BUILT);
        profile.write(generation, "shop", "Dockerfile.upon", "FROM shop-base\nLABEL upon=yes\n");
        for (folder, file, text) in [
            ("app", "Dockerfile", dockerfile),
            ("app", ".dockerignore", "*\n!kept\n"),
            ("app", "kept", kept),
            ("app", "ignored", ignored),
            ("lib", "name", "lib"),
            ("other", "file", "other"),
        ] {
            profile.write(generation, &format!("shop/{folder}"), file, text);
        }
        profile.switch(generation);
    };
    let label = |name: &str, key: &str| {
        engine.docker_prints(&[
            "inspect",
            "--format",
            &format!("{{{{index .Config.Labels \"{key}\"}}}}"),
            name,
        ])
    };
    let ids = || ["web", "base", "upon"].map(|name| engine.id_of(&format!("shop-{name}-1")));
    let shows = |file: &str| engine.docker_prints(&["exec", "shop-web-1", "/bin/standin", "--show", file]);

    declare("one", "1", "1", DOCKERFILE);
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!((shows("/name"), shows("/kept"), shows("/all/kept")), ("lib".into(), "1".into(), "1".into()));
    assert_eq!([label("shop-web-1", "colour"), label("shop-web-1", "team")], ["green", "a"]);
    assert_eq!(label("shop-upon-1", "upon"), "yes", "it is built upon another service's image");
    let absent = engine.docker(&["exec", "shop-web-1", "/bin/standin", "--show", "/all/ignored"]);
    assert!(!absent.status.success(), "what .dockerignore leaves out is not in the image");
    let first = ids();

    // Another generation with the same content: nothing is built, and nobody is restarted.
    declare("two", "1", "changed", DOCKERFILE);
    let (status, said) = programs.once(&[]);
    assert_eq!((status, ids(), said.contains("build image")), (Some(0), first.clone(), false), "{said}");

    declare("three", "3", "changed", DOCKERFILE);
    let (status, said) = programs.once(&[]);
    assert_eq!(status, Some(0), "{said}");
    let third = ids();
    assert_eq!((shows("/kept").as_str(), &third[1..]), ("3", &first[1..]), "only its consumer is replaced");
    assert_ne!(third[0], first[0]);
    assert_eq!(said.matches("build image").count(), 1, "{said}");

    // A build that fails says why; what runs, runs on, and what is made anew is made from the image that is there.
    declare("four", "4", "changed", "FROM standin:1\nCOPY --from=lib /nope /nope\n");
    let (status, said) = programs.once(&[]);
    assert_ne!(status, Some(0), "{said}");
    assert!(said.contains("build image shop-web") && said.contains("nope"), "{said}");
    assert_eq!(ids(), third);
    engine.docker_prints(&["rm", "-f", "shop-web-1"]);
    programs.wait_until("made from what is there", || {
        programs.once(&[]);
        !engine.id_of("shop-web-1").is_empty()
    });
    assert_eq!(shows("/kept"), "3");
}

/// A stack that wants to know is told when its tag means another image in the registry; nothing is pulled for that.
#[test]
fn a_newer_image_in_the_registry_is_said_where_that_is_wanted() {
    let lab = Lab::new();
    let Lab { engine, registry, .. } = &lab;
    let (one, two) = (Image::new(engine, "one"), Image::new(engine, "two"));
    registry.push("me/app", "1", &one);
    lab.declare("one", LOGIN, "missing");
    lab.converge(&engine.folder().join("no-config"));
    let newer = registry.push("me/app", "1", &two);
    let log = engine.folder().join("daemon.log");
    let drift = || lab.programs.status()["stacks"][0]["drift"].to_string();
    {
        let _daemon = lab.programs.daemon(&log);
        lab.programs.wait_for("converged", || drift() == "[]");
        lab.declare("two", &format!("check_registry: 1h, {LOGIN}"), "missing");
        lab.programs.wait_for("converged", || drift().contains(&newer));
        assert!(drift().contains("the registry has another image by this tag"), "{}", drift());
        let once = registry.asked("/manifests/1");
        assert!(lab.programs.agentctl(&["reconcile", "--wait"]).status.success());
        assert_eq!(registry.asked("/manifests/1"), once, "once an hour");
    }
    assert_eq!(image_of(engine, "shop-app-1"), format!("sha256:{}", one.id()));
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(said.matches("the registry has another image").count(), 1, "said once: {said}");

    lab.declare("three", LOGIN, "always");
    lab.converge(&engine.folder().join("no-config"));
    assert_eq!(image_of(engine, "shop-app-1"), format!("sha256:{}", two.id()));
}
