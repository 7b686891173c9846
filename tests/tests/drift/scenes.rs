//! The table of differences: what is declared, what happens to it, what is found, and how it ends?

use std::fs;

use serde_json::Value;

use super::lab::Lab;

/// One difference from its cause to its end.
pub(crate) struct Scene {
    pub(crate) stack: &'static str,
    /// `DATA` stands for a folder of the scene's own.
    pub(crate) spec: &'static str,
    pub(crate) happen: fn(&Lab, &str),
    pub(crate) kind: &'static str,
    /// How the field begins.
    pub(crate) field: &'static str,
    /// A part of what is found.
    pub(crate) have: &'static str,
    /// A part of the cause.
    pub(crate) cause: &'static str,
    pub(crate) end: End,
    /// Whether this machine can have it.
    pub(crate) applies: fn(&Lab) -> bool,
}

/// How it ends.
pub(crate) enum End {
    /// The agent puts it right once it may.
    Corrected,
    /// The agent leaves it; whoever did it undoes it.
    Undone(fn(&Lab, &str)),
}

impl Scene {
    /// Whether a difference, as JSON, is the scene's.
    pub(crate) fn is_about(&self, drift: &Value) -> bool {
        let text = |key: &str| drift[key].as_str().unwrap_or_default().to_owned();
        text("kind") == self.kind && text("field").starts_with(self.field) && text("have").contains(self.have)
    }

    /// Whether it is only something to know.
    pub(crate) fn is_noted(&self) -> bool {
        self.kind == "hash-only"
    }
}

const PLAIN: &str = "services: {app: {image: 'standin:1', environment: {COLOUR: green}}}\n";
const ALWAYS: &str = "services: {app: {image: 'standin:1', restart: always}}\n";

/// A container as somebody makes it by hand who knows Compose's labels.
fn by_hand(lab: &Lab, stack: &str, name: &str, service: &str, more: &[&str]) {
    let labels = [
        format!("com.docker.compose.project={stack}"),
        format!("com.docker.compose.service={service}"),
        "com.docker.compose.container-number=1".to_owned(),
        "com.docker.compose.oneoff=False".to_owned(),
    ];
    let mut arguments = vec!["run", "-d", "--name", name];
    arguments.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
    arguments.extend(more);
    arguments.push("standin:1");
    lab.docker(&arguments);
}

/// Takes a stack's network away from its container, however often the agent connects it again meanwhile.
fn drop_network(lab: &Lab, stack: &str) {
    let network = format!("{stack}_default");
    lab.wait("the network is gone", |lab| {
        lab.engine.docker(&["network", "disconnect", "-f", &network, &app(stack)]);
        lab.engine.docker(&["network", "rm", &network]).status.success()
    });
}

fn app(stack: &str) -> String {
    format!("{stack}-app-1")
}

/// One that the agent puts right, found of this kind and for this cause.
const fn scene(
    stack: &'static str,
    spec: &'static str,
    happen: fn(&Lab, &str),
    kind: &'static str,
    cause: &'static str,
) -> Scene {
    Scene { stack, spec, happen, kind, field: "", have: "", cause, end: End::Corrected, applies: |_| true }
}

pub(crate) const SCENES: &[Scene] = &[
    scene(
        "missing",
        ALWAYS,
        |lab, stack| lab.docker(&["rm", "-f", &app(stack)]),
        "missing",
        "outside action: container destroy at",
    ),
    Scene {
        have: "exited (3)",
        ..scene(
            "ended",
            PLAIN,
            |lab, stack| lab.docker(&["kill", "-s", "USR1", &app(stack)]),
            "stopped",
            "outside action: container kill (signal 10)",
        )
    },
    Scene {
        have: "exited (137)",
        ..scene(
            "killed",
            ALWAYS,
            |lab, stack| lab.docker(&["kill", &app(stack)]),
            "stopped",
            "outside action: container kill (signal 9)",
        )
    },
    Scene {
        have: "killed for memory",
        applies: |lab| lab.engine.docker_prints(&["info", "--format", "{{.MemoryLimit}}"]) == "true",
        ..scene(
            "memory",
            "services: {app: {image: 'standin:1', mem_limit: 32m, memswap_limit: 32m}}\n",
            |lab, stack| lab.docker(&["kill", "-s", "USR2", &app(stack)]),
            "stopped",
            "memory ran out",
        )
    },
    Scene {
        end: End::Undone(|lab, stack| fs::remove_file(lab.data(stack, "crash")).unwrap()),
        ..scene(
            "restarting",
            "services: {app: {image: 'standin:1', restart: always, environment: {STANDIN_CRASH: /d/crash}, volumes: ['DATA:/d']}}\n",
            |lab, stack| {
                fs::write(lab.data(stack, "crash"), "").unwrap();
                lab.docker(&["restart", &app(stack)]);
            },
            "restarting",
            "restarted",
        )
    },
    Scene {
        have: "unhealthy",
        end: End::Undone(|lab, stack| fs::write(lab.data(stack, "file"), "again\n").unwrap()),
        ..scene(
            "unhealthy",
            "services: {app: {image: 'standin:1', volumes: ['DATA:/d'], healthcheck: {test: [CMD, /bin/standin, --show, /d/file], interval: 1s, retries: 1}}}\n",
            |lab, stack| fs::remove_file(lab.data(stack, "file")).unwrap(),
            "unhealthy",
            "its check fails",
        )
    },
    scene(
        "paused",
        PLAIN,
        |lab, stack| lab.docker(&["pause", &app(stack)]),
        "paused",
        "outside action: container pause at",
    ),
    Scene {
        field: "restart",
        have: "no",
        ..scene(
            "updated",
            ALWAYS,
            |lab, stack| lab.docker(&["update", "--restart=no", &app(stack)]),
            "altered",
            "outside action: container update",
        )
    },
    Scene {
        field: "networks",
        ..scene(
            "unplugged",
            ALWAYS,
            |lab, stack| lab.docker(&["network", "disconnect", "unplugged_default", &app(stack)]),
            "altered",
            "outside action: network disconnect",
        )
    },
    Scene {
        field: "networks",
        ..scene(
            "plugged",
            ALWAYS,
            |lab, stack| {
                lab.docker(&["network", "create", "another"]);
                lab.docker(&["network", "connect", "another", &app(stack)]);
            },
            "altered",
            "outside action: network connect",
        )
    },
    Scene {
        field: "container_name",
        have: "other-name",
        ..scene(
            "renamed",
            ALWAYS,
            |lab, stack| lab.docker(&["rename", &app(stack), "other-name"]),
            "altered",
            "outside action: container rename",
        )
    },
    Scene {
        field: "environment.COLOUR",
        have: "red",
        ..scene(
            "recreated",
            PLAIN,
            |lab, stack| {
                lab.docker(&["rm", "-f", &app(stack)]);
                let own = ["--network", "recreated_default", "--network-alias", "app", "-e", "COLOUR=red"];
                by_hand(lab, stack, &app(stack), "app", &own);
            },
            "altered",
            "outside action: container create",
        )
    },
    Scene {
        field: "image",
        ..scene(
            "moved",
            "services: {app: {image: 'moved:1'}}\n",
            |lab, _| lab.docker(&["tag", "standin:checked", "moved:1"]),
            "image",
            "outside action: image tag",
        )
    },
    scene(
        "side",
        "services: {app: {image: 'standin:1', volumes: ['./side.conf:/side.conf:ro']}}\n",
        |lab, stack| lab.profile.write("one", stack, "side.conf", "changed\n"),
        "side-file",
        "the file was changed in place",
    ),
    Scene {
        field: "volumes./f",
        ..scene(
            "inode",
            "services: {app: {image: 'standin:1', volumes: ['DATA/file:/f']}}\n",
            |lab, stack| {
                fs::write(lab.data(stack, "new"), "replaced\n").unwrap();
                fs::rename(lab.data(stack, "new"), lab.data(stack, "file")).unwrap();
            },
            "stale-bind",
            "the file was replaced on the host",
        )
    },
    Scene {
        field: "volumes./d",
        ..scene(
            "mount",
            "services: {app: {image: 'standin:1', volumes: ['DATA/nas/films:/d']}}\n",
            |lab, stack| lab.mount(&lab.data(stack, "nas")),
            "stale-mount",
            "something else was mounted there",
        )
    },
    scene(
        "secret",
        "services: {app: {image: 'standin:1', secrets: [token]}}\nsecrets: {token: {file: ./token.age}}\n",
        |lab, stack| lab.profile.write("one", stack, "token.age", &lab.key.encrypt("second")),
        "secret",
        "the secret was rotated in place",
    ),
    scene(
        "joined",
        "services:\n  app: {image: 'standin:1'}\n  side: {image: 'standin:1', network_mode: 'service:app'}\n",
        |lab, stack| lab.docker(&["restart", &app(stack)]),
        "stale-namespace",
        "outside action: container ",
    ),
    scene(
        "options",
        ALWAYS,
        |lab, stack| {
            drop_network(lab, stack);
            let labels = ["project=options", "network=default", "config-hash=0000"]
                .map(|label| format!("--label=com.docker.compose.{label}"));
            let [project, key, hash] = &labels;
            lab.docker(&["network", "create", "--internal", project, key, hash, "options_default"]);
        },
        "options",
        "outside action: network create",
    ),
    scene(
        "orphan",
        ALWAYS,
        |lab, stack| by_hand(lab, stack, "orphan-old-1", "old", &[]),
        "orphan",
        "outside action: container create",
    ),
    Scene {
        end: End::Undone(|lab, stack| lab.docker(&["rm", "-f", &app(stack)])),
        ..scene(
            "foreign",
            ALWAYS,
            |lab, stack| {
                lab.docker(&["rm", "-f", &app(stack)]);
                lab.docker(&["run", "-d", "--name", &app(stack), "standin:1"]);
            },
            "foreign-name",
            "outside action: container create",
        )
    },
    scene(
        "surplus",
        ALWAYS,
        |lab, stack| by_hand(lab, stack, "surplus-twin", "app", &[]),
        "unfinished",
        "outside action: container create",
    ),
    Scene {
        end: End::Undone(|lab, stack| lab.docker(&["rm", "-f", &app(stack)])),
        ..scene(
            "hash",
            PLAIN,
            |lab, stack| {
                lab.docker(&["rm", "-f", &app(stack)]);
                let own = ["--network", "hash_default", "--network-alias", "app", "-e", "COLOUR=green"];
                let hash = ["--network-alias", "hash-app-1", "--label", "com.docker.compose.config-hash=00"];
                by_hand(lab, stack, &app(stack), "app", &[&own[..], &hash[..]].concat());
            },
            "hash-only",
            "outside action: container create",
        )
    },
];
