//! What has to be there before a container can be made or started, and is not?

use super::{draft::Draft, images, obstacle::Obstacle};
use crate::{
    container::{Namespace, VolumesFrom},
    desired::{Condition, DesiredService},
    devices::needs,
    ids::ServiceName,
    observed::{Health, ObservedContainer, RunState},
    step::{StepId, Wait, WaitKind},
};

/// The first reason why a container cannot be made or started now.
pub(super) fn obstacle(draft: &mut Draft<'_>, service: &DesiredService) -> Option<Obstacle> {
    if let Some(backoff) = draft.memory.backoff.get(service.name.as_str())
        && backoff.until > draft.now
    {
        let what = format!("the next try after: {}", backoff.error);
        return Some(Obstacle::Wait(Wait { on: WaitKind::Backoff, what, retry_at: Some(backoff.until) }));
    }
    if let Some(path) = service.needs_paths.iter().next() {
        let what = format!("{} is not there", path.display());
        let retry_at = Some(draft.now.plus_ms(30_000));
        return Some(Obstacle::Wait(Wait { on: WaitKind::Path, what, retry_at }));
    }
    if let Some(device) = absent_device(draft, service) {
        return Some(device);
    }
    let networks = service.spec.networks.keys().map(String::as_str);
    let volumes = service.spec.mounts.values().filter_map(|mount| Some(mount.source.as_ref()?.expose()));
    if let Some(lacking) = networks.chain(volumes).find(|name| draft.lacking.contains(*name)) {
        return Some(Obstacle::new(WaitKind::External, format!("{lacking} is not there")));
    }
    images::obstacle(draft, service)
}

/// A device that it needs and that the host does not have. What runs with it runs on; what is started would fail.
pub(super) fn absent_device(draft: &Draft<'_>, service: &DesiredService) -> Option<Obstacle> {
    let absent = &draft.desired.inputs.absent_devices;
    let (need, why) = needs(&service.spec).into_iter().find_map(|need| {
        let why = absent.get(&need)?;
        Some((need, why))
    })?;
    Some(Obstacle::new(WaitKind::Device, format!("{need} {why}")))
}

/// A service that it shares something with and that has no container yet, or is about to get another.
pub(super) fn unjoined(draft: &Draft<'_>, service: &DesiredService) -> Option<Obstacle> {
    let gone = |name: &&ServiceName| draft.containers_of(name).is_empty() || draft.replaced.contains(*name);
    if let Some(outsider) = absent_outsider(draft, service) {
        return Some(Obstacle::new(WaitKind::Dependency, format!("container {outsider} to be there")));
    }
    let name = service.joins.iter().find(gone)?;
    Some(Obstacle::new(WaitKind::Dependency, format!("{name} to be made")))
}

/// A container outside the stack whose namespace or volumes it shares, and that is not there.
fn absent_outsider(draft: &Draft<'_>, service: &DesiredService) -> Option<String> {
    let spec = &service.spec;
    let modes = [&spec.network_mode, &spec.ipc, &spec.pid].into_iter().flatten();
    let shared = modes.filter_map(|mode| match mode {
        Namespace::Container(name) => Some(name.as_str().to_owned()),
        Namespace::Mode(_) | Namespace::Service(_) => None,
    });
    let volumes = spec.volumes_from.iter().filter_map(|from| match from {
        VolumesFrom::Container(name) => name.expose().split(':').next().map(str::to_owned),
        VolumesFrom::Service(_) => None,
    });
    let is_there = |name: &str| {
        let all = &draft.observed.containers;
        all.iter().any(|found| found.name == name || found.id.as_str().starts_with(name))
    };
    shared.chain(volumes).find(|name| !is_there(name))
}

/// What has to have happened before a container may start.
#[derive(Debug)]
pub(super) enum Gate {
    /// Nothing, but these steps of this very plan.
    Open(Vec<StepId>),
    /// This, in words.
    Shut(String),
}

/// The dependencies' conditions, as far as they hold already or as soon as this plan's steps are done.
pub(super) fn gate(draft: &Draft<'_>, service: &DesiredService) -> Gate {
    let mut after = Vec::new();
    for (name, edge) in &service.depends_on {
        let Some(declared) = draft.desired.services.get(name) else { continue };
        if declared.replicas == 0 {
            continue;
        }
        let containers = draft.containers_of(name);
        let starting = draft.starting.get(name).map_or(&[][..], Vec::as_slice);
        let runs = |found: &ObservedContainer| found.state.status == RunState::Running;
        let completed =
            |found: &ObservedContainer| found.state.status == RunState::Exited && found.state.exit_code == 0;
        let condition = edge.condition;
        if condition == Condition::Started && starting.len() >= declared.replicas as usize {
            after.extend(starting);
            continue;
        }
        let met = !containers.is_empty()
            && match condition {
                Condition::Started => {
                    containers.iter().all(|found| runs(found) || declared.one_shot && completed(found))
                }
                Condition::Healthy => {
                    containers.iter().all(|found| runs(found) && found.state.health == Some(Health::Healthy))
                }
                Condition::Completed => containers.iter().any(|found| completed(found)),
            };
        if !met && (edge.required || !containers.is_empty()) {
            let unchecked = |found: &ObservedContainer| runs(found) && found.state.health.is_none();
            let never = condition == Condition::Healthy && containers.iter().any(|found| unchecked(found));
            let but = if never { ", and it has no health check" } else { "" };
            return Gate::Shut(format!("{name} to be {}{but}", condition.as_str()));
        }
    }
    Gate::Open(after)
}

/// A dependency that is not as it must be, or that this plan replaces and that has to become healthy first.
pub(super) fn awaited(draft: &Draft<'_>, service: &DesiredService) -> Option<Obstacle> {
    let what = match gate(draft, service) {
        Gate::Shut(what) => what,
        Gate::Open(_) => {
            let mut edges = service.depends_on.iter();
            let renewed = edges
                .find(|(name, edge)| edge.condition == Condition::Healthy && draft.replaced.contains(*name));
            format!("{} to be healthy anew", renewed?.0)
        }
    };
    Some(Obstacle::new(WaitKind::Dependency, what))
}
