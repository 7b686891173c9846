//! The sorts of interference: what is done, and what is it to be found as?

use crate::lab::{Lab, Service};

/// One sort of interference.
pub(crate) struct Act {
    pub(crate) name: &'static str,
    /// What is done to a service; answers what it is to be found as. `None`: it does not apply, or was not done.
    pub(crate) act: fn(&mut Lab, &Service) -> Option<Vec<Expected>>,
}

/// One difference that an interference makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) stack: String,
    pub(crate) service: String,
    pub(crate) kind: &'static str,
    /// What the field begins with.
    pub(crate) field: String,
}

fn found(service: &Service, kind: &'static str, field: impl Into<String>) -> Expected {
    Expected { stack: service.stack.clone(), service: service.name.clone(), kind, field: field.into() }
}

/// What has just gone away by another act needs no interference.
fn docker(lab: &Lab, arguments: &[&str], service: &Service) -> bool {
    lab.engine.docker(&[arguments, &[service.container.as_str()]].concat()).status.success()
}

pub(crate) static ACTS: [Act; 9] = [
    Act {
        name: "kill",
        act: |lab, service| docker(lab, &["kill"], service).then(|| vec![found(service, "stopped", "")]),
    },
    Act {
        name: "stop",
        act: |lab, service| {
            // To stop what does not run does nothing, and succeeds.
            let runs =
                lab.engine.docker_prints(&["ps", "-q", "--filter", &format!("name=^{}$", service.container)]);
            (!runs.is_empty() && docker(lab, &["stop"], service)).then(|| vec![found(service, "stopped", "")])
        },
    },
    Act {
        name: "rm",
        act: |lab, service| {
            // To remove by force what is not there succeeds with some Engines.
            let is_there = !lab.engine.id_of(&service.container).is_empty();
            (is_there && docker(lab, &["rm", "-f"], service)).then(|| vec![found(service, "missing", "")])
        },
    },
    Act {
        name: "pause",
        act: |lab, service| docker(lab, &["pause"], service).then(|| vec![found(service, "paused", "")]),
    },
    Act {
        name: "update",
        act: |lab, service| {
            docker(lab, &["update", "--restart=on-failure:7"], service)
                .then(|| vec![found(service, "altered", "restart")])
        },
    },
    Act {
        name: "disconnect",
        act: |lab, service| {
            let network = service.networks.first()?;
            docker(lab, &["network", "disconnect", network], service)
                .then(|| vec![found(service, "altered", format!("networks.{network}"))])
        },
    },
    Act {
        name: "retag",
        act: |lab, service| {
            let id =
                |name: &str| lab.engine.docker_prints(&["image", "inspect", "--format", "{{.Id}}", name]);
            let pair = if service.checked {
                ["standin:checked", "standin:checked2"]
            } else {
                ["standin:1", "standin:2"]
            };
            let next = if id(&service.image) == id(pair[0]) { pair[1] } else { pair[0] };
            lab.engine.docker_prints(&["tag", next, &service.image]);
            let users = lab.services.iter().filter(|user| user.image == service.image);
            Some(users.map(|user| found(user, "image", "image")).collect())
        },
    },
    Act {
        name: "edit",
        act: |lab, service| {
            let file = service.files.first()?;
            lab.edit(&service.stack, file);
            look(lab, &service.stack);
            let users =
                lab.services.iter().filter(|user| user.stack == service.stack && user.files.contains(file));
            Some(users.map(|user| found(user, "side-file", "")).collect())
        },
    },
    Act {
        name: "rotate",
        act: |lab, service| {
            let variable = service.variables.first()?;
            lab.rotate(&service.stack, variable);
            look(lab, &service.stack);
            let users = lab
                .services
                .iter()
                .filter(|user| user.stack == service.stack && user.variables.contains(variable));
            Some(users.map(|user| found(user, "secret", "")).collect())
        },
    },
];

/// There is no event for what is written in a folder of the profile: this is what the next resync would do.
fn look(lab: &Lab, stack: &str) {
    assert!(lab.programs.agentctl(&["reconcile", stack]).status.success());
}
