//! What does one service's set of containers need?
//!
//! Keep what is as declared, put right in place what the Engine can change on a living container, replace the rest, and
//! make what is missing. Nothing that runs is stopped before all that its successor needs is there.

use std::collections::BTreeMap;

use specs::{Text, hash};

use super::{
    draft::Draft,
    orphans::{remove, target},
};
use crate::{
    container::{
        ContainerSpec, Namespace,
        fields::{Comparison, FieldDifference, HashMatch, ImageKnown, Repair, differences},
        fold::fold,
    },
    desire::container_name,
    desired::{Condition, DesiredService},
    drift::DriftKind,
    ids::{Replica, ServiceName},
    labels,
    observed::{Health, ObservedContainer, RunState},
    step::{Act, NewContainer, StepId, Target, Verdict, WaitKind},
};

/// Decides for one service.
pub(super) fn decide(draft: &mut Draft<'_>, service: &DesiredService) {
    let existing = draft.containers_of(&service.name);
    if let Some(foreign) = foreign_name(draft, service) {
        let mut drift = draft.drift(service, None, DriftKind::ForeignName, "container_name");
        drift.want.clone_from(&foreign.name);
        drift.have = format!("a container that is not this stack's ({})", foreign.id.short());
        draft.find(
            drift,
            Verdict::Refuse(
                "another container has the name: rename or remove it, or change container_name".into(),
            ),
        );
        return;
    }
    let mut judged: Vec<(Judgement, &ObservedContainer)> =
        existing.into_iter().map(|container| (judge(draft, service, container), container)).collect();
    judged.sort_by_key(|(judgement, container)| {
        (
            judgement.must_recreate(),
            container.labels.replica.as_ref().map_or(u32::MAX, |replica| replica.number),
        )
    });
    let keep = judged.len().min(service.replicas as usize);
    let mut gone: Vec<StepId> = Vec::new();
    for (_, container) in judged.drain(keep..) {
        let cause = format!(
            "services.{} declares {} containers, {} is one too many",
            service.name, service.replicas, container.name
        );
        let steps = remove(draft, container, &cause, &[]);
        let drift = draft.drift(service, Some(container), DriftKind::Orphan, "scale");
        gone.extend(&steps);
        draft.find(drift, Verdict::Act(steps));
    }
    let missing = (service.replicas as usize).saturating_sub(judged.len());
    let mut next = judged
        .iter()
        .filter_map(|(_, container)| container.labels.replica.as_ref())
        .map(|r| r.number)
        .max()
        .unwrap_or(0);
    for (judgement, container) in &judged {
        kept(draft, service, container, judgement, &gone);
    }
    for _ in 0..missing {
        next += 1;
        create(draft, service, next);
    }
}

/// A container that has one of the names that are wanted, and is not this service's.
fn foreign_name<'a>(draft: &Draft<'a>, service: &DesiredService) -> Option<&'a ObservedContainer> {
    let names: Vec<String> = (1..=service.replicas.max(1))
        .map(|number| container_name(&draft.desired.project_name, service, number))
        .collect();
    draft.observed.containers.iter().find(|container| {
        let ours = draft.desired.owns(container)
            && container.labels.replica.as_ref().is_some_and(|replica| replica.service == service.name);
        !ours && names.contains(&container.name)
    })
}

/// How a container compares with its declaration.
struct Judgement {
    differences: Vec<FieldDifference>,
    /// A new image under the declared reference: `(wanted, has)`.
    image: Option<(String, String)>,
    /// A file that it mounts has other bytes: the label's key.
    content: Vec<String>,
    /// It shares a namespace with a container that is not the service's container any more.
    stale: Option<(String, String)>,
}

impl Judgement {
    fn must_recreate(&self) -> bool {
        self.stale.is_some()
            || self.image.is_some()
            || !self.content.is_empty()
            || self.differences.iter().any(|difference| difference.repair == Repair::Recreate)
    }
}

fn judge(draft: &Draft<'_>, service: &DesiredService, container: &ObservedContainer) -> Judgement {
    let image = draft.observed.images.get(container.image_id.as_str());
    let current = draft.observed.images.get(service.spec.image.expose());
    let number = container.labels.replica.as_ref().map_or(1, |replica| replica.number);
    let ids = shared_ids(draft, service);
    let mut spec = spec_for(draft, service, number);
    let stale = resolve(&mut spec, &ids, container);
    let folded = fold(&spec, image, &draft.observed.engine);
    let same_hash =
        container.labels.owner.config_hash.as_deref() == Some(hash::service(&service.service, &ids).as_str());
    let known = Comparison {
        hash: if same_hash { HashMatch::Same } else { HashMatch::Differs },
        image: if image.is_some() { ImageKnown::Yes } else { ImageKnown::No },
    };
    let moved = current.and_then(|current| current.id.as_ref()).filter(|id| **id != container.image_id);
    let digests = &container.labels.digests;
    let content =
        spec.digests.iter().filter(|(key, digest)| digests.get(*key).is_some_and(|old| old != *digest));
    // What the Engine leaves empty means its default on both sides.
    let mut have = fold(&container.spec, None, &draft.observed.engine);
    if let (None, Some(wanted), Some(found)) = (&service.spec.logging, &folded.logging, &mut have.logging)
        && wanted.driver == found.driver
    {
        // The Engine's own settings give options to its default driver.
        found.options.clone_from(&wanted.options);
    }
    Judgement {
        differences: differences(&folded, &have, known),
        image: moved.map(|id| (id.to_string(), container.image_id.to_string())),
        content: content.map(|(key, _)| key.clone()).collect(),
        stale,
    }
}

/// The declared spec with the number's own name among the aliases.
fn spec_for(draft: &Draft<'_>, service: &DesiredService, number: u32) -> ContainerSpec {
    let mut spec = service.spec.clone();
    let name = Text::plain(container_name(&draft.desired.project_name, service, number));
    for endpoint in spec.networks.values_mut() {
        endpoint.aliases.insert(name.clone());
    }
    spec
}

/// The containers that `service:X` means now.
fn shared_ids(draft: &Draft<'_>, service: &DesiredService) -> BTreeMap<String, String> {
    let first = |name: &ServiceName| draft.containers_of(name).first().map(|found| found.id.to_string());
    service.joins.iter().filter_map(|name| Some((name.to_string(), first(name)?))).collect()
}

/// Puts ids where services are named; where the container has another one, says `(wanted, has)`.
fn resolve(
    spec: &mut ContainerSpec,
    ids: &BTreeMap<String, String>,
    container: &ObservedContainer,
) -> Option<(String, String)> {
    let mut stale = None;
    let modes = [
        (&mut spec.network_mode, &container.spec.network_mode),
        (&mut spec.ipc, &container.spec.ipc),
        (&mut spec.pid, &container.spec.pid),
    ];
    for (wanted, has) in modes {
        let Some(Namespace::Service(name)) = wanted else { continue };
        let Some(id) = ids.get(name) else { continue };
        let resolved = Namespace::Container(id.as_str().into());
        if let Some(Namespace::Container(old)) = has
            && old.as_str() != id
        {
            stale = Some((format!("service:{name} ({})", &id[..id.len().min(12)]), old.short().to_owned()));
        }
        *wanted = Some(resolved);
    }
    stale
}

/// The first reason why a container cannot be made or started now.
fn obstacle(
    draft: &mut Draft<'_>,
    service: &DesiredService,
) -> Option<(WaitKind, String, Option<crate::ids::Time>)> {
    if let Some(backoff) = draft.memory.backoff.get(service.name.as_str())
        && backoff.until > draft.now
    {
        return Some((
            WaitKind::Backoff,
            format!("the next try after: {}", backoff.error),
            Some(backoff.until),
        ));
    }
    if let Some(path) = service.needs_paths.iter().next() {
        return Some((
            WaitKind::Path,
            format!("{} is not there", path.display()),
            Some(draft.now.plus_ms(30_000)),
        ));
    }
    let networks = service.spec.networks.keys().map(String::as_str);
    let volumes = service.spec.mounts.values().filter_map(|mount| mount.source.as_ref().map(Text::expose));
    if let Some(lacking) = networks.chain(volumes).find(|name| draft.lacking.contains(*name)) {
        return Some((WaitKind::Dependency, format!("{lacking} is not there"), None));
    }
    image_obstacle(draft, service)
}

fn image_obstacle(
    draft: &mut Draft<'_>,
    service: &DesiredService,
) -> Option<(WaitKind, String, Option<crate::ids::Time>)> {
    let reference = service.spec.image.expose().to_owned();
    if draft.observed.images.contains_key(&reference) || draft.images.contains_key(&reference) {
        return None;
    }
    if service.service.pull_policy == *"never" {
        return Some((
            WaitKind::Image,
            format!("image {reference} is not on the Engine, and pull_policy is never"),
            None,
        ));
    }
    if let Some(backoff) = draft.memory.backoff.get(&reference)
        && backoff.until > draft.now
    {
        return Some((WaitKind::Image, format!("image {reference}: {}", backoff.error), Some(backoff.until)));
    }
    let platform = service.spec.platform.as_ref().map(|platform| platform.expose().to_owned());
    let cause = format!("services.{}.image is not on the Engine", service.name);
    let step = draft.step(Act::PullImage { reference: reference.clone(), platform }, cause, &[]);
    draft.images.insert(reference, step);
    None
}

/// The first dependency whose condition does not hold.
fn unmet(draft: &Draft<'_>, service: &DesiredService) -> Option<String> {
    service.depends_on.iter().find_map(|(name, edge)| {
        let declared = draft.desired.services.get(name)?;
        if declared.replicas == 0 {
            return None;
        }
        let containers = draft.containers_of(name);
        let runs = |found: &ObservedContainer| found.state.status == RunState::Running;
        let completed =
            |found: &ObservedContainer| found.state.status == RunState::Exited && found.state.exit_code == 0;
        let met = !containers.is_empty()
            && match edge.condition {
                Condition::Started => {
                    containers.iter().all(|found| runs(found) || declared.one_shot && completed(found))
                }
                Condition::Healthy => {
                    containers.iter().all(|found| runs(found) && found.state.health == Some(Health::Healthy))
                }
                Condition::Completed => containers.iter().any(|found| completed(found)),
            };
        let words = match edge.condition {
            Condition::Started => "started",
            Condition::Healthy => "healthy",
            Condition::Completed => "completed",
        };
        (!met && (edge.required || !containers.is_empty())).then(|| format!("{name} to be {words}"))
    })
}

fn kept(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    judgement: &Judgement,
    gone: &[StepId],
) {
    if judgement.must_recreate() {
        recreate(draft, service, container, judgement);
        return;
    }
    repair(draft, service, container, judgement);
    let number = container.labels.replica.as_ref().map_or(1, |replica| replica.number);
    let name = container_name(&draft.desired.project_name, service, number);
    if container.name != name {
        let mut drift = draft.drift(service, Some(container), DriftKind::Altered, "container_name");
        drift.want.clone_from(&name);
        drift.have.clone_from(&container.name);
        let cause = format!("its name is {}, declared is {name}", container.name);
        let step = draft.step(Act::RenameContainer { container: target(container), name }, cause, gone);
        draft.find(drift, Verdict::Act(vec![step]));
    }
    run(draft, service, container);
}

/// Puts right in place what can be.
fn repair(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    judgement: &Judgement,
) {
    let has = |repair: &Repair| judgement.differences.iter().any(|difference| difference.repair == *repair);
    let mut update: Option<StepId> = None;
    if has(&Repair::Update) {
        let fields: Vec<&str> = judgement
            .differences
            .iter()
            .filter(|difference| difference.repair == Repair::Update)
            .map(|difference| difference.field.as_str())
            .collect();
        let act = Act::UpdateContainer {
            container: target(container),
            resources: fields
                .iter()
                .any(|field| *field != "restart")
                .then(|| Box::new(service.spec.resources.clone())),
            restart: fields.contains(&"restart").then(|| service.spec.restart.clone().unwrap_or_default()),
        };
        update = Some(draft.step(act, format!("{} differ from the declaration", fields.join(", ")), &[]));
    }
    let mut joined: BTreeMap<String, StepId> = BTreeMap::new();
    for difference in &judgement.differences {
        let mut drift = draft.drift(service, Some(container), DriftKind::Altered, &difference.field);
        drift.want = difference.want.shown().into_owned();
        drift.have = difference.have.shown().into_owned();
        let cause = format!("{} is {}, declared is {}", difference.field, drift.have, drift.want);
        let verdict = match &difference.repair {
            Repair::Update => Verdict::Act(update.into_iter().collect()),
            Repair::Connect(network) | Repair::Reconnect(network) => {
                let step = match joined.get(network) {
                    Some(step) => *step,
                    None => join(draft, service, container, &difference.repair, network, &cause),
                };
                joined.insert(network.clone(), step);
                Verdict::Act(vec![step])
            }
            Repair::Disconnect(network) => {
                let act = Act::DisconnectNetwork { network: network.clone(), container: target(container) };
                Verdict::Act(vec![draft.step(act, cause, &[])])
            }
            _ => Verdict::Leave("it changes nothing that the service needs".into()),
        };
        draft.find(drift, verdict);
    }
}

fn join(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    repair: &Repair,
    network: &str,
    cause: &str,
) -> StepId {
    let number = container.labels.replica.as_ref().map_or(1, |replica| replica.number);
    let endpoint = spec_for(draft, service, number).networks.remove(network).unwrap_or_default();
    let mut after: Vec<StepId> = draft.made.get(network).copied().into_iter().collect();
    if matches!(repair, Repair::Reconnect(_)) {
        let act = Act::DisconnectNetwork { network: network.to_owned(), container: target(container) };
        after.push(draft.step(act, cause, &[]));
    }
    draft.step(
        Act::ConnectNetwork { network: network.to_owned(), container: target(container), endpoint },
        cause,
        &after,
    )
}

/// Starts what should run and does not.
fn run(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer) {
    let state = &container.state;
    let completed = state.status == RunState::Exited
        && (service.one_shot && state.started_at.is_some()
            || service.spec.restart.as_ref().is_some_and(|policy| policy.name == "on-failure")
                && state.exit_code == 0);
    match state.status {
        RunState::Running => running(draft, service, container),
        RunState::Paused => {
            let drift = draft.drift(service, Some(container), DriftKind::Paused, "");
            let step = draft.step(
                Act::UnpauseContainer { container: target(container) },
                "it is paused, declared to run",
                &[],
            );
            draft.find(drift, Verdict::Act(vec![step]));
        }
        RunState::Exited if completed && state.exit_code == 0 => {}
        RunState::Exited if completed => {
            let mut drift = draft.drift(service, Some(container), DriftKind::Stopped, "");
            drift.have = format!("exited ({})", state.exit_code);
            draft.find(
                drift,
                Verdict::Leave("it is meant to end, and is not run again before its inputs change".into()),
            );
        }
        RunState::Created | RunState::Exited | RunState::Dead => {
            let mut drift = draft.drift(service, Some(container), DriftKind::Stopped, "");
            drift.want = "running".into();
            drift.have = if state.status == RunState::Exited {
                let killed = if state.oom_killed { ", killed for memory" } else { "" };
                format!("exited ({}{killed})", state.exit_code)
            } else {
                state.status.as_str().to_owned()
            };
            if let Some((on, what, retry)) = obstacle(draft, service) {
                draft.wait(drift, on, what, retry);
            } else if let Some(what) = unmet(draft, service) {
                draft.wait(drift, WaitKind::Dependency, what, None);
            } else {
                let cause = format!("it is {}, declared to run", drift.have);
                let step = start(draft, service, &target(container), &cause, &[]);
                draft.find(drift, Verdict::Act(vec![step]));
            }
        }
        RunState::Restarting | RunState::Removing | RunState::Unknown => {
            let mut drift = draft.drift(service, Some(container), DriftKind::Restarting, "");
            state.status.as_str().clone_into(&mut drift.have);
            let retry = Some(draft.now.plus_ms(5_000));
            draft.wait(
                drift,
                WaitKind::Health,
                format!("{} to leave the state {}", container.name, state.status.as_str()),
                retry,
            );
        }
    }
}

/// A container that runs: its health, and whether the one whose namespace it shares has started since.
fn running(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer) {
    let owner =
        service.joins.iter().filter_map(|name| draft.containers_of(name).first().copied()).find(|owner| {
            owner.state.status == RunState::Running
                && owner.state.started_at > container.state.started_at
                && shares_namespace(container)
        });
    if let Some(owner) = owner {
        let mut drift = draft.drift(service, Some(container), DriftKind::StaleNamespace, "network_mode");
        drift.have = format!("{} has started since", owner.name);
        let cause = format!("{} has started since, and took its namespaces with it", owner.name);
        let step =
            draft.step(Act::RestartContainer { container: target(container), timeout: None }, cause, &[]);
        draft.find(drift, Verdict::Act(vec![step]));
        return;
    }
    match container.state.health {
        Some(Health::Starting) => {
            let drift = draft.drift(service, Some(container), DriftKind::Unhealthy, "healthcheck");
            draft.wait(drift, WaitKind::Health, format!("{} to become healthy", container.name), None);
        }
        Some(Health::Unhealthy) => {
            let mut drift = draft.drift(service, Some(container), DriftKind::Unhealthy, "healthcheck");
            drift.want = "healthy".into();
            drift.have = "unhealthy".into();
            draft.find(drift, Verdict::Leave("health alone restarts nothing".into()));
        }
        _ => {}
    }
}

fn shares_namespace(container: &ObservedContainer) -> bool {
    [&container.spec.network_mode, &container.spec.ipc, &container.spec.pid]
        .into_iter()
        .any(|mode| matches!(mode, Some(Namespace::Container(_))))
}

/// Files first, then the start, then the hooks.
fn start(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    container: &Target,
    cause: &str,
    after: &[StepId],
) -> StepId {
    let mut after = after.to_vec();
    if !service.spec.copied_files.is_empty() {
        let files = service.spec.copied_files.clone();
        after.push(draft.step(Act::CopyFiles { container: container.clone(), files }, cause, &after));
    }
    let started = draft.step(Act::StartContainer { container: container.clone() }, cause, &after);
    let mut last = started;
    for hook in &service.service.post_start {
        let variable = |(name, value): (&String, &Option<Text>)| match value {
            Some(value) => value.map(|value| format!("{name}={value}")),
            None => Text::plain(name),
        };
        let given = |text: &Text| (!text.is_empty()).then(|| text.clone());
        let hook = crate::step::Hook {
            command: hook.command.clone().unwrap_or_default(),
            user: given(&hook.user),
            privileged: hook.privileged,
            working_dir: given(&hook.working_dir),
            environment: hook.environment.iter().map(variable).collect(),
        };
        last = draft.step(Act::RunHook { container: container.clone(), hook }, cause, &[last]);
    }
    started
}

/// Makes one more container of a service.
fn create(draft: &mut Draft<'_>, service: &DesiredService, number: u32) {
    let mut drift = draft.drift(service, None, DriftKind::Missing, "");
    drift.want = container_name(&draft.desired.project_name, service, number);
    drift.have = "nothing".into();
    if let Some((on, what, retry)) = obstacle(draft, service) {
        draft.wait(drift, on, what, retry);
        return;
    }
    if let Some(name) = unjoined(draft, service) {
        draft.wait(drift, WaitKind::Dependency, format!("{name} to be made"), None);
        return;
    }
    let cause = format!("services.{} is declared and container {number} is missing", service.name);
    let name = drift.want.clone();
    let step = make(draft, service, number, &name, None, &cause);
    let mut steps = vec![step];
    match unmet(draft, service) {
        None => steps.push(start(draft, service, &Target::Made(step), &cause, &[step])),
        Some(what) => {
            let waiting = draft.drift(service, None, DriftKind::Stopped, "");
            draft.wait(waiting, WaitKind::Dependency, what, None);
        }
    }
    draft.find(drift, Verdict::Act(steps));
}

/// A service that it shares something with and that has no container yet.
fn unjoined(draft: &Draft<'_>, service: &DesiredService) -> Option<ServiceName> {
    service
        .joins
        .iter()
        .find(|name| draft.containers_of(name).is_empty() || draft.replaced.contains(*name))
        .cloned()
}

fn make(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    number: u32,
    name: &str,
    replaces: Option<&ObservedContainer>,
    cause: &str,
) -> StepId {
    let ids = shared_ids(draft, service);
    let replica = Replica { service: service.name.clone(), number };
    let desired = draft.desired;
    let mut spec = spec_for(draft, service, number);
    for mode in [&mut spec.network_mode, &mut spec.ipc, &mut spec.pid].into_iter().flatten() {
        if let Namespace::Service(name) = mode
            && let Some(id) = ids.get(name)
        {
            *mode = Namespace::Container(id.as_str().into());
        }
    }
    let image = draft.observed.images.get(spec.image.expose());
    let image_id = image.and_then(|image| image.id.as_ref()).map(ToString::to_string);
    let mut labels = labels::container(desired, &service.service, &replica);
    labels.insert(labels::HASH.into(), hash::service(&service.service, &ids));
    labels.extend(image_id.map(|id| (labels::IMAGE.to_owned(), id)));
    labels.extend(
        spec.digests.iter().map(|(key, digest)| (format!("{}{key}", labels::DIGEST), digest.clone())),
    );
    let replaced_name = replaces
        .map(|_| service.container_name.clone().unwrap_or_else(|| format!("{}-{number}", service.name)));
    labels.extend(replaced_name.clone().map(|name| (labels::REPLACE.to_owned(), name)));
    let carried_volumes = replaces.map(|old| carried(old, &spec, image)).unwrap_or_default();
    let mut after: Vec<StepId> =
        spec.networks.keys().filter_map(|network| draft.made.get(network).copied()).collect();
    let sources = spec.mounts.values().filter_map(|mount| mount.source.as_ref());
    after.extend(sources.filter_map(|source| draft.made.get(source.expose()).copied()));
    after.extend(draft.images.get(spec.image.expose()).copied());
    let new = NewContainer {
        replica,
        name: name.to_owned(),
        spec,
        labels,
        carried_volumes,
        replaces: replaced_name,
    };
    draft.step(Act::CreateContainer(Box::new(new)), cause, &after)
}

/// The anonymous volumes that the new container takes over.
fn carried(
    old: &ObservedContainer,
    spec: &ContainerSpec,
    image: Option<&crate::resource::ImageFacts>,
) -> BTreeMap<String, (String, bool)> {
    let wanted = |target: &str| {
        let declared = spec.mounts.get(target);
        declared.map_or_else(
            || image.is_some_and(|image| image.volumes.iter().any(|volume| volume == target)),
            |mount| mount.kind == crate::container::MountKind::Volume && mount.source.is_none(),
        )
    };
    let volumes = old.anonymous_volumes.iter().filter(|(target, _)| wanted(target));
    volumes.map(|(target, volume)| (target.clone(), (volume.clone(), false))).collect()
}

/// A dependency that is not as it must be, or that this plan replaces and that has to become healthy first.
fn awaited(draft: &Draft<'_>, service: &DesiredService) -> Option<String> {
    let renewed = service
        .depends_on
        .iter()
        .find(|(name, edge)| edge.condition == Condition::Healthy && draft.replaced.contains(*name));
    unmet(draft, service).or_else(|| renewed.map(|(name, _)| format!("{name} to be healthy anew")))
}

/// Replaces a container by Compose's sequence: make the new one under a name of its own, stop the old one, remove it,
/// rename the new one, start it.
fn recreate(draft: &mut Draft<'_>, service: &DesiredService, old: &ObservedContainer, judgement: &Judgement) {
    let reasons = reasons(draft, service, old, judgement);
    let blocked = obstacle(draft, service).or_else(|| {
        unjoined(draft, service).map(|name| (WaitKind::Dependency, format!("{name} to be made anew"), None))
    });
    // What runs goes on running until its successor could start.
    let blocked = blocked.or_else(|| {
        let runs = old.state.status == RunState::Running;
        let what = runs.then(|| awaited(draft, service)).flatten()?;
        Some((WaitKind::Dependency, what, None))
    });
    if let Some((on, what, retry)) = blocked {
        for drift in reasons {
            draft.wait(drift, on, what.clone(), retry);
        }
        return;
    }
    if let Some(words) = contested(draft, service, old) {
        for drift in reasons {
            draft.find(drift, Verdict::Refuse(words.clone()));
        }
        return;
    }
    let cause = reasons.first().map_or_else(String::new, |drift| {
        let place = drift.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        format!("{} is {}, declared is {}{place}", drift.field, drift.have, drift.want)
    });
    let number = old.labels.replica.as_ref().map_or(1, |replica| replica.number);
    let name = container_name(&draft.desired.project_name, service, number);
    draft.replaced.insert(service.name.clone());
    let made = make(draft, service, number, &format!("{}_{name}", old.id.short()), Some(old), &cause);
    let mut steps = vec![made];
    steps.extend(remove(draft, old, &cause, &[made]));
    let act = Act::RenameContainer { container: Target::Made(made), name };
    let renamed = draft.step(act, cause.as_str(), &steps);
    steps.push(renamed);
    if unmet(draft, service).is_none() {
        steps.push(start(draft, service, &Target::Made(made), &cause, &[renamed]));
    }
    for drift in reasons {
        draft.find(drift, Verdict::Act(steps.clone()));
    }
}

/// A container that was replaced again and again within minutes is left as it is: somebody else changes it back, or the
/// Engine does not do what it is told.
fn contested(draft: &Draft<'_>, service: &DesiredService, old: &ObservedContainer) -> Option<String> {
    const MOST: usize = 3;
    const WITHIN_MS: i64 = 600_000;
    let number = old.labels.replica.as_ref().map_or(1, |replica| replica.number);
    let made = draft.memory.corrections.get(&format!("{}-{number}", service.name))?;
    let recent = made.iter().filter(|at| draft.now.since(**at) < WITHIN_MS).count();
    (recent >= MOST).then(|| {
        format!("contested: replaced {recent} times within 10 minutes and different again; it is left as it is until then")
    })
}

/// Why a container has to be replaced: one difference each.
fn reasons(
    draft: &Draft<'_>,
    service: &DesiredService,
    old: &ObservedContainer,
    judgement: &Judgement,
) -> Vec<crate::drift::Drift> {
    let named = |kind: DriftKind, field: &str, want: &str, have: &str| {
        let mut drift = draft.drift(service, Some(old), kind, field);
        want.clone_into(&mut drift.want);
        have.clone_into(&mut drift.have);
        drift
    };
    let mut reasons = Vec::new();
    for difference in judgement.differences.iter().filter(|difference| difference.repair == Repair::Recreate)
    {
        reasons.push(named(
            DriftKind::Altered,
            &difference.field,
            &difference.want.shown(),
            &difference.have.shown(),
        ));
    }
    if let Some((want, have)) = &judgement.image {
        reasons.push(named(DriftKind::Image, "image", want, have));
    }
    for key in &judgement.content {
        reasons.push(named(DriftKind::SideFile, key, "the bytes of now", "the bytes it started with"));
    }
    if let Some((want, have)) = &judgement.stale {
        reasons.push(named(DriftKind::StaleNamespace, "network_mode", want, have));
    }
    reasons
}
