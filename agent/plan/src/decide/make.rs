//! How is a container made and started, and how is one stopped and removed?

use std::collections::BTreeMap;

use specs::{Text, doc::Key, model::Hook as DeclaredHook};

use super::{
    draft::Draft,
    images,
    judge::{resolve, shared_ids, spec_for},
    waits::{Gate, gate, obstacle, unjoined},
};
use crate::{
    container::{ContainerSpec, MountKind},
    desire::container_name,
    desired::DesiredService,
    drift::DriftKind,
    ids::Replica,
    labels,
    observed::{ObservedContainer, RunState},
    resource::ImageFacts,
    step::{Act, Hook, NewContainer, StepId, Target, Verdict, WaitKind},
};

/// Makes and starts one more container of a service; `before` held the place, and left its anonymous volumes.
pub(super) fn create(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    number: u32,
    before: Option<&ObservedContainer>,
) {
    let name = container_name(&draft.desired.project_name, service, number);
    let mut drift = draft.drift(service, None, DriftKind::Missing, "");
    drift.want.clone_from(&name);
    drift.have = "nothing".into();
    let stands_in_the_way = obstacle(draft, service)
        .or_else(|| unjoined(draft, service))
        .or_else(|| images::fresh_first(draft, service));
    if let Some(obstacle) = stands_in_the_way {
        obstacle.explain(draft, [drift]);
        return;
    }
    let cause = format!("services.{} is declared and container {number} is missing", service.name);
    let step = make(draft, service, number, &name, before, &cause);
    let mut steps = vec![step];
    match gate(draft, service) {
        Gate::Open(mut after) => {
            after.push(step);
            steps.push(start(draft, service, &Target::Made { step, name }, &cause, &after));
        }
        Gate::Shut(what) => {
            let waiting = draft.drift(service, None, DriftKind::Stopped, "");
            draft.wait(waiting, WaitKind::Dependency, what, None);
        }
    }
    draft.find(drift, Verdict::Act(steps));
}

/// The step that makes a container under `name`.
pub(super) fn make(
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
    resolve(&mut spec, &ids);
    let image = draft.observed.images.get(spec.image.expose());
    let image_id = image.and_then(|image| image.id.as_ref()).map(ToString::to_string);
    let mut labels = labels::container(desired, &service.service, &replica);
    labels.insert(labels::HASH.into(), labels::hash(desired, &service.service, &ids));
    labels.extend(image_id.map(|id| (labels::IMAGE.to_owned(), id)));
    labels.extend(
        spec.digests.iter().map(|(key, digest)| (format!("{}{key}", labels::DIGEST), digest.clone())),
    );
    let replaced_name = replaces
        .map(|_| service.container_name.clone().unwrap_or_else(|| format!("{}-{number}", service.name)));
    labels.extend(replaced_name.clone().map(|name| (labels::REPLACE.to_owned(), name)));
    let carried_volumes = replaces.map(|old| carried_over(old, &spec, image)).unwrap_or_default();
    let mut after: Vec<StepId> =
        spec.networks.keys().filter_map(|network| draft.made.get(network).copied()).collect();
    let sources = spec.mounts.values().filter_map(|mount| mount.source.as_ref());
    after.extend(sources.filter_map(|source| draft.made.get(source.expose()).copied()));
    let name = name.to_owned();
    let new = NewContainer { replica, name, spec, labels, carried_volumes, replaces: replaced_name };
    draft.step(Act::CreateContainer(Box::new(new)), cause, &after)
}

/// The anonymous volumes that the new container takes over.
pub(super) fn carried_over(
    old: &ObservedContainer,
    spec: &ContainerSpec,
    image: Option<&ImageFacts>,
) -> BTreeMap<String, (String, bool)> {
    let wanted = |target: &str| {
        let declared = spec.mounts.get(target);
        declared.map_or_else(
            || image.is_some_and(|image| image.volumes.iter().any(|volume| volume == target)),
            |mount| mount.kind == MountKind::Volume && mount.source.is_none(),
        )
    };
    let volumes = old.anonymous_volumes.iter().filter(|(target, _)| wanted(target));
    volumes.map(|(target, volume)| (target.clone(), (volume.clone(), false))).collect()
}

/// Files first, then the start, then the hooks; gives the start.
pub(super) fn start(
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
    draft.starting.entry(service.name.clone()).or_default().push(started);
    hooks(draft, &service.service.post_start, container, cause, &[started]);
    started
}

/// Lifecycle hooks, one after the other; gives what comes after them.
fn hooks(
    draft: &mut Draft<'_>,
    declared: &[DeclaredHook],
    container: &Target,
    cause: &str,
    after: &[StepId],
) -> Vec<StepId> {
    let mut after = after.to_vec();
    for hook in declared {
        let variable = |(name, value): (&Key, &Option<Text>)| match value {
            Some(value) => value.map(|value| format!("{}={value}", name.expose())),
            None => name.text(),
        };
        let given = |text: &Text| (!text.is_empty()).then(|| text.clone());
        let hook = Hook {
            command: hook.command.clone().unwrap_or_default(),
            user: given(&hook.user),
            privileged: hook.privileged,
            working_dir: given(&hook.working_dir),
            environment: hook.environment.iter().map(variable).collect(),
        };
        after = vec![draft.step(Act::RunHook { container: container.clone(), hook }, cause, &after)];
    }
    after
}

/// Stops a container that runs, its `pre_stop` hooks first; gives the step, where one is needed.
pub(super) fn stop(
    draft: &mut Draft<'_>,
    container: &ObservedContainer,
    cause: &str,
    after: &[StepId],
) -> Option<StepId> {
    if matches!(container.state.status, RunState::Exited | RunState::Created | RunState::Dead) {
        return None;
    }
    let target = target(container);
    let declared = container.labels.replica.as_ref().and_then(|replica| {
        draft.desired.services.get(&replica.service).map(|service| service.service.clone())
    });
    let mut after = after.to_vec();
    if let Some(service) = declared.filter(|_| container.state.status == RunState::Running) {
        after = hooks(draft, &service.pre_stop, &target, cause, &after);
    }
    Some(draft.step(Act::StopContainer { container: target, timeout: None }, cause, &after))
}

/// Stops a container that runs, and removes it; gives the steps.
pub(super) fn remove(
    draft: &mut Draft<'_>,
    container: &ObservedContainer,
    cause: &str,
    after: &[StepId],
) -> Vec<StepId> {
    let stopped = stop(draft, container, cause, after);
    let mut steps: Vec<StepId> = stopped.into_iter().collect();
    let after: Vec<StepId> = after.iter().chain(&steps).copied().collect();
    steps.push(draft.step(Act::RemoveContainer { container: target(container) }, cause, &after));
    steps
}

/// A container that is there, as an act's target.
pub(super) fn target(container: &ObservedContainer) -> Target {
    Target::Existing { id: container.id.clone(), name: container.name.clone() }
}
