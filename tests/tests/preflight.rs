//! Is a generation that could not come up on this host refused before it is switched to, and one that could let through?
//! Each refusal stands beside a control that differs in one thing.

use std::{net::TcpListener, path::PathBuf, process::Command};

use tests::{
    Engine, Profile, Programs,
    image::Image,
    registry::{HOST, Mood, Registry},
    secret::Key,
};

struct Lab {
    engine: Engine,
    profile: Profile,
    keys: PathBuf,
    key: Key,
}

/// A stack of one service with these keys, and another line or two before it.
fn spec(service: &str, before: &str) -> String {
    format!("{before}\nservices:\n  web: {{image: 'standin:1', restart: always, {service}}}\n")
}

impl Lab {
    fn new() -> Self {
        let engine = Engine::start(&[]);
        let profile = Profile::new(engine.folder());
        let key = Key::default();
        let keys = key.save(engine.folder());
        Self { engine, profile, keys, key }
    }

    fn folder(&self, generation: &str) -> PathBuf {
        self.profile.link().with_file_name(generation)
    }

    /// Asks about a generation: whether it is let through, and what was said.
    fn preflight(&self, generation: &str, more: &[&str]) -> (bool, String) {
        let mut command = Command::new(Programs::built("agentctl"));
        command.arg("preflight").arg(self.folder(generation)).args(["--owner", "test", "--age-key"]);
        command.arg(&self.keys).args(more).env("DOCKER_HOST", self.engine.host());
        // The host's ports are those that its Engine publishes at.
        let output = self.engine.in_its_network(|| command.output()).expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{said}");
        (output.status.success(), said)
    }

    /// Asks about a generation with a stack `web` that is this.
    fn stack(&self, compose: &str) -> (bool, String) {
        self.profile.write("asked", "web", "compose.yaml", compose);
        self.preflight("asked", &[])
    }

    fn refuses(&self, compose: &str, words: &str) {
        let (passes, said) = self.stack(compose);
        assert!(!passes && said.contains(words), "{words}\n{compose}\n{said}");
        // Where it was written, for an editor to open.
        assert!(said.contains("asked/etc/compose-agent/web/compose.yaml:"), "{said}");
    }

    fn passes(&self, compose: &str, words: &str) {
        let (passes, said) = self.stack(compose);
        assert!(passes && said.contains(words), "{words}\n{compose}\n{said}");
    }
}

#[test]
fn what_could_not_come_up_is_refused_with_its_place_and_its_control_passes() {
    let lab = Lab::new();
    images(&lab);
    paths(&lab);
    secrets(&lab);
    names_and_ports(&lab);
    specs_verbs_and_no_engine(&lab);
}

fn images(lab: &Lab) {
    let registry = Registry::start(&lab.engine);
    let image = Image::new(&lab.engine, "app");
    registry.push("me/app", "1", &image);
    let with = |image: &str, more: &str| format!("services:\n  web: {{image: '{image}', {more}}}\n");
    let (there, absent) = (format!("{HOST}/me/app:1"), format!("{HOST}/me/app:2"));

    lab.passes(&with(&there, ""), "0 errors, 0 warnings");
    lab.refuses(&with(&absent, ""), "cannot be pulled");
    lab.refuses(&with(&absent, ""), "compose.yaml:2:16: error: services.web.image");
    lab.refuses(&with("127.0.0.1:5999/me/app:1", ""), "cannot be reached from this host");
    registry.require("me", "hunter2");
    lab.refuses(&with(&there, ""), "it is private, or does not exist");
    let login =
        format!("x-agent: {{registries: {{'{HOST}': {{username: me, password_file: ./password.age}}}}}}\n");
    lab.profile.write("asked", "web", "password.age", &lab.key.encrypt("hunter2\n"));
    lab.passes(&(login + &with(&there, "")), "0 errors, 0 warnings");

    // Nobody knows what it has: that is no reason to refuse.
    registry.be(Mood::TooMany);
    lab.passes(&with(&there, ""), "whether it can be pulled is not known");
    registry.be(Mood::Fine);

    // What is not to be pulled is not asked for.
    let asked = registry.asked("me/app");
    lab.refuses(&with(&there, "pull_policy: never"), "is not on the Engine, and pull_policy is never");
    lab.passes(&with("standin:1", "pull_policy: never"), "0 errors, 0 warnings");
    lab.passes(&with(&absent, "build: ."), "0 errors, 0 warnings");
    let archive = lab.folder("asked").join("etc/compose-agent/web/app.tar");
    image.archive(&absent, &archive);
    lab.passes(&("x-agent: {images: [app.tar]}\n".to_owned() + &with(&absent, "")), "0 errors, 0 warnings");
    std::fs::write(&archive, "no archive").expect("written");
    lab.refuses(&("x-agent: {images: [app.tar]}\n".to_owned() + &with("standin:1", "")), "image archive");
    assert_eq!(registry.asked("me/app"), asked);
}

fn paths(lab: &Lab) {
    let here = lab.engine.folder().join("here");
    std::fs::create_dir_all(&here).expect("made");
    let (here, gone) = (here.display(), lab.engine.folder().join("gone"));
    let gone = gone.display();
    let bind = |path: &str| {
        format!("volumes: [{{type: bind, source: '{path}', target: /x, bind: {{create_host_path: false}}}}]")
    };
    lab.passes(&spec(&bind(&here.to_string()), ""), "0 errors, 0 warnings");
    lab.refuses(&spec(&bind(&gone.to_string()), ""), "does not exist, and the Engine is told not to make it");
    let ensured = format!("x-agent: {{ensure_dirs: [{{path: '{gone}/deeper'}}]}}");
    lab.passes(&spec(&bind(&gone.to_string()), &ensured), "0 errors, 0 warnings");
    let mount = format!("x-agent: {{requires_mounts: ['{gone}']}}");
    lab.passes(&spec(&bind(&format!("{gone}/data")), &mount), "waits for it");
    // What the Engine makes itself is only said.
    lab.passes(&spec(&format!("volumes: ['{gone}:/x']"), ""), "the Engine makes an empty folder there");
    // But not in the store.
    lab.refuses(&spec("volumes: ['./gone.conf:/x']", ""), "is not among the stack's files");
    lab.profile.write("asked", "web", "gone.conf", "");
    lab.passes(&spec("volumes: ['./gone.conf:/x']", ""), "0 errors, 0 warnings");
    let secret = |file: &str| spec("secrets: [s]", &format!("secrets: {{s: {{file: '{file}'}}}}"));
    lab.refuses(&secret("./absent"), "absent does not exist");
    lab.passes(&secret("./gone.conf"), "0 errors, 0 warnings");
}

fn secrets(lab: &Lab) {
    let compose = spec("environment: {WORD: '${WORD}'}", "x-agent: {env_files: [web.env]}");
    lab.profile.write("asked", "web", "web.env", &lab.key.encrypt("WORD=open-sesame\n"));
    lab.passes(&compose, "0 errors, 0 warnings");
    lab.profile.write("asked", "web", "web.env", &Key::default().encrypt("WORD=open-sesame\n"));
    let (passes, said) = lab.stack(&compose);
    assert!(!passes && said.contains("web/web.env:1:1: error: this host cannot open it"), "{said}");
    assert!(said.contains("variables of the spec") && !said.contains("open-sesame"), "{said}");
    lab.profile.write("asked", "web", "web.env", "");
}

fn names_and_ports(lab: &Lab) {
    let run = ["run", "-d", "--name", "squatter", "-p", "127.0.0.1:8081:80", "standin:1"];
    lab.engine.docker_prints(&run);
    lab.refuses(&spec("container_name: squatter", ""), "container squatter has the container's name");
    lab.passes(&spec("container_name: web", ""), "0 errors, 0 warnings");

    lab.refuses(&spec("ports: ['8081:80']", ""), "host port 8081/tcp is taken by container squatter");
    lab.refuses(&spec("ports: ['8080-8082:80-82']", ""), "services.web.ports[1]: host port 8081/tcp");
    for free in ["8081:80/udp", "127.0.0.2:8081:80", "8080:80", "80"] {
        lab.passes(&spec(&format!("ports: ['{free}']"), ""), "0 errors, 0 warnings");
    }
    // Another stack of the same generation.
    lab.profile.write(
        "asked",
        "other",
        "compose.yaml",
        "services: {a: {image: 'standin:1', ports: ['8080:1']}}\n",
    );
    lab.refuses(&spec("ports: ['127.0.0.1:8080:80']", ""), "host port `8080/tcp` is claimed already");
    lab.passes(&spec("ports: ['127.0.0.1:8083:80']", ""), "0 errors, 0 warnings");

    // A process of the host, whoever it is.
    let listener = lab.engine.in_its_network(|| TcpListener::bind("0.0.0.0:8084").expect("free"));
    lab.refuses(&spec("ports: ['8084:80']", ""), "host port 8084/tcp is taken by process preflight");
    lab.passes(&spec("ports: ['8084:80/udp']", ""), "0 errors, 0 warnings");
    drop(listener);
    lab.passes(&spec("ports: ['8084:80']", ""), "0 errors, 0 warnings");

    // What the stack itself has already is its own; so is what a stack has that goes away.
    lab.profile.write("now", "web", "compose.yaml", &spec("ports: ['8085:80']", ""));
    lab.profile.write("now", "leaves", "compose.yaml", &spec("ports: ['8086:80']", ""));
    lab.profile.switch("now");
    let (status, said) = Programs::new(&lab.engine, &lab.profile).once(&[]);
    assert_eq!(status, Some(0), "{said}");
    lab.passes(&spec("ports: ['8085:80', '8086:81']", ""), "0 errors, 0 warnings");
}

fn specs_verbs_and_no_engine(lab: &Lab) {
    let wrong = "services: {web: {imag: 'standin:1'}}\n";
    lab.refuses(wrong, "unknown key 'imag'");
    let boot = |lab: &Lab| lab.preflight("asked", &["--verb", "boot"]);
    let (passes, said) = boot(lab);
    assert!(!passes, "a spec is wrong whenever it is used: {said}");
    let (passes, said) = lab.preflight("asked", &["--verb", "dry-activate"]);
    assert!(passes && said.contains("error:") && said.contains("unknown key 'imag'"), "{said}");
    lab.refuses(&spec("ports: ['8081:80']", ""), "is taken");
    let (passes, said) = boot(lab);
    assert!(passes && said.contains("warning:") && said.contains("is taken"), "who knows then? {said}");

    let nobody = format!("unix://{}/nobody.sock", lab.engine.folder().display());
    let (passes, said) = lab.preflight("asked", &["--docker-host", &nobody]);
    assert!(passes && said.contains("images, ports and names are not checked"), "{said}");
}
