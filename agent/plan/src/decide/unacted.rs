//! What is declared that the agent does nothing about?
//!
//! Said once, as a note: nothing that is written in a compose file is left out in silence.

use specs::model::{Deploy, Service};

use super::draft::Draft;
use crate::{
    drift::{Drift, DriftKind, Subject},
    step::Verdict,
};

const SWARM: &str = "it means something to Swarm only: there is one host here";
const DEVELOP: &str = "it is for `docker compose watch`";
const PLUGIN: &str = "Docker Compose calls a plug-in for it, and the agent calls none";

/// Says for every field of every service whether it is left alone.
pub(super) fn decide(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    let api = draft.observed.engine.api;
    for service in desired.project.services.values() {
        let fields = by_nature(service).into_iter().chain(by_deploy(service.deploy.as_ref()));
        let here = too_new(service, api).into_iter().map(|(field, since)| {
            let (major, minor) = since;
            let words = format!(
                "this Engine speaks API {}.{} and knows it from {major}.{minor} on: it is left out",
                api.0, api.1
            );
            (field, words)
        });
        let fields = fields.map(|(field, why)| (field, why.to_owned())).chain(here);
        for (field, why) in fields.collect::<Vec<_>>() {
            let drift = not_acted_on(draft, service, field);
            draft.find(drift, Verdict::Note(why));
        }
    }
}

fn by_nature(s: &Service) -> Vec<(&'static str, &'static str)> {
    let fields = [
        ("provider", s.provider.is_some(), PLUGIN),
        ("models", !s.models.is_empty(), PLUGIN),
        ("develop", s.develop.is_some(), DEVELOP),
        (
            "credential_spec",
            s.credential_spec.is_some(),
            "it is for containers on Windows, and Docker Compose does not send it either",
        ),
        (
            "volumes_from",
            s.volumes_from.iter().any(|from| from.expose().ends_with(":ro")),
            "the volumes are mounted as their owner has them: like Docker Compose, the agent drops the `:ro`",
        ),
    ];
    fields.into_iter().filter(|(_, is_there, _)| *is_there).map(|(field, _, why)| (field, why)).collect()
}

fn by_deploy(deploy: Option<&Deploy>) -> Vec<(&'static str, &'static str)> {
    let Some(deploy) = deploy else { return Vec::new() };
    let placement = &deploy.placement;
    let reserved = deploy.resources.reservations.as_ref();
    let policy = deploy.restart_policy.as_ref();
    let fields = [
        ("deploy.mode", deploy.mode == *"global", SWARM),
        ("deploy.labels", !deploy.labels.is_empty(), SWARM),
        ("deploy.endpoint_mode", !deploy.endpoint_mode.is_empty(), SWARM),
        ("deploy.rollback_config", deploy.rollback_config.is_some(), SWARM),
        (
            "deploy.placement",
            !placement.constraints.is_empty()
                || !placement.preferences.is_empty()
                || placement.max_replicas_per_node > 0,
            SWARM,
        ),
        (
            "deploy.resources.reservations.cpus",
            reserved.is_some_and(|reserved| reserved.cpus != 0.0),
            "the Engine cannot reserve processors",
        ),
        (
            "deploy.resources.reservations.generic_resources",
            reserved.is_some_and(|reserved| !reserved.generic_resources.is_empty()),
            SWARM,
        ),
        (
            "deploy.restart_policy.delay",
            policy.is_some_and(|policy| policy.delay.is_some()),
            "the Engine waits as long as it thinks right between two starts",
        ),
        (
            "deploy.restart_policy.window",
            policy.is_some_and(|policy| policy.window.is_some()),
            "the Engine has a window of its own",
        ),
    ];
    fields.into_iter().filter(|(_, is_there, _)| *is_there).map(|(field, _, why)| (field, why)).collect()
}

/// What this Engine does not know yet, and from which version of the API on it would.
fn too_new(s: &Service, api: (u32, u32)) -> Vec<(&'static str, (u32, u32))> {
    let networks = || s.networks.values().flatten();
    let check = s.healthcheck.as_ref();
    let fields = [
        ("annotations", !s.annotations.is_empty(), (1, 43)),
        ("healthcheck.start_interval", check.is_some_and(|check| check.start_interval.is_some()), (1, 44)),
        ("networks.mac_address", networks().any(|network| !network.mac_address.is_empty()), (1, 44)),
        ("networks.gw_priority", networks().any(|network| network.gw_priority != 0), (1, 48)),
        ("networks.interface_name", networks().any(|network| !network.interface_name.is_empty()), (1, 49)),
    ];
    let newer = fields.into_iter().filter(|(_, is_there, since)| *is_there && api < *since);
    newer.map(|(field, _, since)| (field, since)).collect()
}

fn not_acted_on(draft: &Draft<'_>, service: &Service, field: &str) -> Drift {
    let path = format!("services.{}.{field}", service.name);
    Drift {
        subject: Subject::Service {
            service: service.name.as_str().into(),
            number: None,
            container: None,
            id: None,
        },
        kind: DriftKind::NotActedOn,
        field: field.to_owned(),
        want: "declared".into(),
        have: "nothing is done about it".into(),
        place: draft.place(&path),
        cause: None,
    }
}
