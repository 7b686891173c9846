//! Does a secret stay out of every message, wherever it is interpolated and for whatever reason it is refused?

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where its fixture is broken")]

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use specs::{
    Content, FileKind, LoadRequest, Problem, Problems, ReadText, Text,
    canonical::{self, Secrets},
    lint, load,
};

/// Two words and an odd sign, so that it is refused nearly everywhere, and seen in part as well as whole.
const SECRET: &str = "hunter2 !swordfish";

/// Files in memory; `/p/.env` was decrypted.
struct Files(BTreeMap<PathBuf, String>);

impl ReadText for Files {
    fn read(&self, path: &Path) -> io::Result<Content> {
        let text = self.0.get(path).ok_or_else(|| {
            // As a reader says it that names what it looked for.
            io::Error::new(io::ErrorKind::NotFound, format!("{} is nowhere", path.display()))
        })?;
        let secret = path.extension().is_some_and(|ending| ending == "enc") || path.ends_with(".env");
        Ok(Content { bytes: text.as_bytes().to_vec().into(), secret })
    }

    fn kind(&self, path: &Path) -> FileKind {
        if self.0.contains_key(path) { FileKind::File } else { FileKind::Missing }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

fn request() -> LoadRequest {
    LoadRequest {
        working_directory: "/p".into(),
        files: vec!["/p/compose.yaml".into()],
        ..LoadRequest::default()
    }
}

fn files(compose: &str) -> Files {
    let dotenv = format!("S='{SECRET}'\nP=hunter2\nN=4242424242\n");
    Files(BTreeMap::from([
        ("/p/compose.yaml".into(), compose.to_owned()),
        ("/p/.env".into(), dotenv),
        ("/p/bad.enc".into(), "A=hunter2\n!swordfish=1\n".to_owned()),
        ("/p/raw.enc".into(), "-----hunter2 KEY-----\nswordfish line\n".to_owned()),
        (
            "/p/yaml.enc".into(),
            "services: {a: {image: x, restart: [hunter2], cap_add: [$swordfish, *hunter2]}}\n".to_owned(),
        ),
        ("/p/date.enc".into(), "services: {a: {image: x, hostname: 4242-12-12}}\n".to_owned()),
        ("/p/base.yaml".into(), "services: {other: {image: x}}\n".to_owned()),
    ]))
}

/// Everything that is said of a load: its problems, its lints and its masked print.
fn said(compose: &str) -> (bool, String) {
    let problem = |problem: &Problem| {
        let related =
            problem.related.iter().map(|(_, words)| words.to_string()).collect::<Vec<_>>().join("; ");
        let hint = problem.hint.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{}: {} ({hint}; {related}) {problem:?}\n", problem.path, problem.message)
    };
    match load(&request(), &files(compose)) {
        Ok(loaded) => {
            let mut all = loaded.warnings.clone();
            all.extend(lint::lint(&loaded, &|_| false));
            all.extend(
                lint::across(&[("a".into(), &loaded), ("b".into(), &loaded)])
                    .into_iter()
                    .map(|(_, found)| found),
            );
            let mut text: String = all.iter().map(problem).collect();
            text += &canonical::json(&loaded.project, Secrets::Mask);
            text += &canonical::yaml(&loaded.project, Secrets::Mask);
            text += &format!("{:?}", loaded.project);
            (true, text)
        }
        Err(problems) => {
            let text: String = problems.list.iter().map(problem).collect();
            let places: String = problems
                .sources
                .iter()
                .map(|file| file.path.display().to_string())
                .collect::<Vec<_>>()
                .join(" ");
            (false, format!("{problems}\n{text}{places}"))
        }
    }
}

fn leaks(text: &str) -> bool {
    ["hunter2", "swordfish", "4242424242", "4242-12"].iter().any(|word| text.contains(word))
}

/// A service whose field says this.
fn web(field: &str) -> String {
    format!("services:\n  web:\n    image: x:1\n    {field}\n")
}

/// Fields of a service in which a secret is refused.
const FIELDS: &[&str] = &[
    "extends: {file: $S, service: a}",
    "extends: {file: base.yaml, service: $S}",
    "extends: $S",
    "depends_on: [$S]",
    "depends_on: {db: {condition: $S}}",
    "network_mode: 'service:$S'",
    "pid: 'service:$S'",
    "ipc: 'service:$S'",
    "volumes_from: [$S]",
    "links: [$S]",
    "networks: [$S]",
    "models: [$S]",
    "secrets: [$S]",
    "configs: [$S]",
    "volumes: ['data$S:/x']",
    "volumes: ['aa:bb:cc:$S']",
    "volumes: ['/a:/$P']\n    tmpfs: ['/$P:x']",
    "devices: ['a:b:c:$S']",
    "ports: ['$S']",
    "ports: ['$S:80']",
    "ports: ['80:$S']",
    "ports: ['$S:80:80']",
    "ports: ['80/$S']",
    "ports: [{target: 80, host_ip: $S}]",
    "ports: [{target: $S}]",
    "stop_grace_period: $S",
    "healthcheck: {interval: $S}",
    "healthcheck: {test: [$S]}",
    "healthcheck: {retries: $S}",
    "mem_limit: $S",
    "shm_size: $S",
    "cpus: $S",
    "cpu_count: $S",
    "pids_limit: $S",
    "privileged: $S",
    "scale: $S",
    "ulimits: {nofile: $S}",
    "extra_hosts: ['$S']",
    "command: \"'$S\"",
    "environment: ['$S =1']",
    "env_file: [$S]",
    "env_file: [{path: a, format: $S}]",
    "env_file: [bad.enc]",
    "env_file: [{path: raw.enc, format: raw}]",
    "pull_policy: $S",
    "cgroup: $S",
    "deploy: {replicas: $S}",
    "deploy: {resources: {limits: {memory: $S}}}",
    "deploy: {restart_policy: {delay: $S}}",
    "deploy: {update_config: {order: $S}}",
    "deploy: {endpoint_mode: $S, mode: $S, resources: {reservations: {devices: [{count: $S}]}}}",
    "develop: {watch: [{path: a, action: $S}]}",
    "build: {context: ., additional_contexts: {a: 'service:$S'}}",
    "build: {context: ., secrets: [$S]}",
    "build: {context: ., dockerfile: $S, dockerfile_inline: x}",
    "platform: $S\n    build: {context: ., platforms: [x]}",
    "command: '${NOT_THERE:?$S}'",
    "command: '${NOT_THERE:?${S}}'",
    "blkio_config: {weight: $S}",
    "gpus: [{count: $S}]",
    "credential_spec: {x: $S}",
    "label_file: [$S]",
];

/// Documents that are refused for a secret in them.
const DOCUMENTS: &[&str] = &[
    "name: $S\nservices: {a: {image: x}}\nnetworks: {n: [$S]}",
    "include: [$S]",
    "include: [{path: base.yaml, env_file: $S}]",
    "include: [{path: base.yaml, env_file: bad.enc}]",
    "include: [yaml.enc]",
    "include: [date.enc]",
    "services: {a: {image: x}}\nx-agent: {drift: $S}",
    "services: {a: {image: x}}\nx-agent: {drift: {kinds: {stopped: $S}}}",
    "services: {a: {image: x}}\nx-agent: {health_deadline: $S}",
    "services: {a: {image: x}}\nx-agent: {unset_variables: $S}",
    "services: {a: {image: x}}\nx-agent: {on_secret_change: $S}",
    "services: {a: {image: x}}\nx-agent: {update: {order: $S}}",
    "services: {a: {image: x}}\nx-agent: {update: {monitor: $S}}",
    "services: {a: {image: x}}\nx-agent: {ensure_dirs: [{path: /a, mode: $S}]}",
    "services: {a: {image: x}}\nx-agent: {remove_orphans: $S}",
    "services: {a: {image: x, networks: [n]}}\nnetworks: {n: {name: $S, external: {name: a$S}}}",
    "services: {a: {image: x, container_name: $P}, b: {image: x, container_name: $P}}",
];

#[test]
fn a_secret_in_a_refused_field_is_in_no_message() {
    let refused: Vec<String> = FIELDS
        .iter()
        .map(|field| web(field))
        .chain(DOCUMENTS.iter().map(|text| (*text).to_owned()))
        .collect();
    let mut wrong = Vec::new();
    for compose in &refused {
        let (accepted, text) = said(compose);
        if accepted {
            wrong.push(format!("accepted: {compose}"));
        } else if leaks(&text) {
            wrong.push(format!("leaks: {compose}\n  {text:.600}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), refused.len(), wrong.join("\n"));
}

#[test]
fn a_secret_that_is_accepted_is_in_no_print_and_no_lint() {
    for field in [
        "environment: [$S, 'B=$S', '${P}=1']",
        "environment: {A: $S}",
        "labels: ['$P', 'a=$S']",
        "build: {context: ., args: ['$P=1'], labels: [$P], additional_contexts: ['$P=/x'], ssh: ['$P=/x']}",
        "extra_hosts: ['$P=1.2.3.4']",
        "sysctls: ['$P=1']",
        "annotations: ['$P=1']",
        "hostname: $P",
        "volumes: ['/$P:/x']",
        "ports: ['${N}0:80']\n    container_name: $P",
        "network_mode: 'container:$P'\n    ports: ['80:80']",
        "logging: {driver: $P, options: {a: $P}}",
        "dns: $P",
        "ulimits: {nofile: 3}\n    tmpfs: '/$P'",
        "expose: [$P]\n    domainname: $P\n    user: $P",
        "secrets: [{source: s, target: $P}]\nsecrets: {s: {file: /$P}}",
        "networks: {default: {aliases: [$P]}}\nnetworks: {default: {name: $P, driver_opts: {a: $P}}}",
        "x-own: {a: $P, b: [$P]}",
    ] {
        let (_, text) = said(&web(field));
        assert!(!leaks(&text), "{field}: {text:.2000}");
    }
}

#[test]
fn the_name_before_a_secret_value_is_shown() {
    let loaded = load(&request(), &files(&web("environment: ['PASSWORD=$S', 'B=1']"))).unwrap();
    let printed = canonical::json(&loaded.project, Secrets::Mask);
    assert!(printed.contains("\"PASSWORD\": \"***\""), "{printed}");
    let web = &loaded.project.services["web"];
    assert_eq!(web.environment["PASSWORD"].as_ref().map(Text::expose), Some(SECRET));
}

#[test]
fn a_refusal_that_shows_nothing_secret_says_what_it_found() {
    let problems: Problems = load(&request(), &files(&web("stop_grace_period: soon"))).unwrap_err();
    assert!(problems.to_string().contains("found 'soon'"), "{problems}");
}
