//! What is put right on a living container, and what is started that does not run?

use std::collections::BTreeMap;

use specs::settings::SecretChange;

use super::{
    draft::Draft,
    judge::{Judgement, altered, spec_for},
    make::{remove, start, target},
    obstacle::Obstacle,
    slots::number,
    waits::{Gate, absent_device, gate, obstacle, unjoined},
};
use crate::{
    container::{Namespace, RestartPolicy, fields::Repair},
    desire::container_name,
    desired::DesiredService,
    drift::{Drift, DriftKind, Subject, differs},
    ids::Time,
    observed::{Health, ObservedContainer, RunState},
    sources,
    step::{Act, Remember, StepId, Verdict, WaitKind},
};

/// A container that ended over and over counts as settled once it has been up for so long, in milliseconds.
const STAYED_UP_MS: i64 = 10_000;

/// Puts right in place what can be, of a container that is kept.
pub(super) fn repair(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    judgement: &Judgement,
    gone: &[StepId],
) {
    fields(draft, service, container, judgement);
    secrets(draft, service, container, judgement);
    name(draft, service, container, gone);
    if judgement.hash_only {
        let mut drift = draft.drift(service, Some(container), DriftKind::HashOnly, "");
        drift.have = container.labels.owner.config_hash.clone().unwrap_or_default();
        drift.want = "Compose's hash of the declaration".into();
        draft.find(drift, Verdict::Note("every field is as declared: the container is kept".into()));
    }
    if let Some(before) = &judgement.updated_from {
        let mut drift = draft.drift(service, Some(container), DriftKind::Updated, "");
        drift.have = container.image_id.to_string();
        drift.want.clone_from(before);
        let why = "an updater has made it anew from a newer image of its tag: it is kept";
        draft.find(drift, Verdict::Note(why.into()));
    }
}

fn name(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer, gone: &[StepId]) {
    let name = container_name(&draft.desired.project_name, service, number(container));
    if container.name == name {
        return;
    }
    let mut drift = draft.drift(service, Some(container), DriftKind::Altered, "container_name");
    drift.want.clone_from(&name);
    drift.have.clone_from(&container.name);
    let cause = format!("its name is {}, declared is {name}", container.name);
    let step = draft.step(Act::RenameContainer { container: target(container), name }, cause, gone);
    draft.find(drift, Verdict::Act(vec![step]));
}

fn fields(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    judgement: &Judgement,
) {
    let updated: Vec<&str> = judgement
        .differences
        .iter()
        .filter(|difference| difference.repair == Repair::Update)
        .map(|difference| difference.field.as_str())
        .collect();
    let update = (!updated.is_empty()).then(|| {
        let limits = updated.iter().any(|field| *field != "restart");
        let act = Act::UpdateContainer {
            container: target(container),
            resources: limits.then(|| Box::new(service.spec.resources.clone())),
            restart: updated.contains(&"restart").then(|| restart_policy(service)),
        };
        draft.step(act, format!("{} differ from the declaration", updated.join(", ")), &[])
    });
    let mut joined: BTreeMap<String, StepId> = BTreeMap::new();
    for difference in judgement.differences.iter().filter(|difference| !judgement.recreates(difference)) {
        let mut drift = altered(draft, service, container, difference);
        let cause = differs(&drift.field, &drift.want, &drift.have);
        let verdict = match &difference.repair {
            Repair::Update => Verdict::Act(update.into_iter().collect()),
            Repair::Connect(network) | Repair::Reconnect(network) => {
                let step = match joined.get(network) {
                    Some(step) => *step,
                    None => join(draft, service, container, &difference.repair, network, &cause),
                };
                joined.insert(network.clone(), step);
                draft.joining.entry(container.id.clone()).or_default().push(step);
                Verdict::Act(vec![step])
            }
            Repair::Disconnect(network) => {
                let act = Act::DisconnectNetwork { network: network.clone(), container: target(container) };
                Verdict::Act(vec![draft.step(act, cause, &[])])
            }
            _ if judgement.is_left(difference) => {
                drift.kind = DriftKind::Secret;
                Verdict::Leave("on_secret_change is none".into())
            }
            _ => Verdict::Leave("it changes nothing that the service needs".into()),
        };
        draft.find(drift, verdict);
    }
}

/// The declared policy, said out loud: an update without a name leaves what is there.
fn restart_policy(service: &DesiredService) -> RestartPolicy {
    let declared = service.spec.restart.clone().filter(|policy| !policy.name.is_empty());
    declared.unwrap_or_else(|| RestartPolicy { name: "no".to_owned(), max_retries: 0 })
}

/// Tells a container of a mounted secret's new bytes, as `on_secret_change` says.
fn secrets(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    judgement: &Judgement,
) {
    for content in judgement.content.iter().filter(|content| judgement.is_spared(content)) {
        let mut drift = draft.drift(service, Some(container), DriftKind::Secret, &content.key);
        drift.want = "the bytes of now".into();
        drift.have = "the bytes it was told of".into();
        let cause = format!("{} has new bytes", content.key);
        let step = match judgement.secret_remedy() {
            SecretChange::Nothing => {
                draft.find(drift, Verdict::Leave("on_secret_change is none".into()));
                continue;
            }
            SecretChange::Signal(signal) if container.state.status == RunState::Running => {
                let act = Act::SignalContainer { container: target(container), signal: signal.clone() };
                draft.step(act, cause, &[])
            }
            _ if container.state.status == RunState::Running => {
                match restart(draft, service, container, &cause, &[]) {
                    Ok(step) => step,
                    Err(obstacle) => {
                        obstacle.explain(draft, [drift]);
                        continue;
                    }
                }
            }
            // It starts with the new bytes anyway.
            _ => continue,
        };
        let what = Remember::Delivered {
            container: container.id.clone(),
            key: content.key.clone(),
            digest: content.digest.clone(),
        };
        draft.remember(Some(step), what);
        draft.find(drift, Verdict::Act(vec![step]));
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
    let endpoint = spec_for(draft, service, number(container)).networks.remove(network).unwrap_or_default();
    let mut after: Vec<StepId> = draft.made.get(network).copied().into_iter().collect();
    if matches!(repair, Repair::Reconnect(_)) {
        let act = Act::DisconnectNetwork { network: network.to_owned(), container: target(container) };
        after.push(draft.step(act, cause, &[]));
    }
    let act = Act::ConnectNetwork { network: network.to_owned(), container: target(container), endpoint };
    draft.step(act, cause, &after)
}

/// Starts what should run and does not.
pub(super) fn run(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer) {
    let state = &container.state;
    let completed = has_completed(service, container);
    match state.status {
        RunState::Running => running(draft, service, container),
        RunState::Paused => {
            let drift = halted(draft, service, container, DriftKind::Paused);
            let act = Act::UnpauseContainer { container: target(container) };
            let step = draft.step(act, "it is paused, declared to run", &[]);
            draft.find(drift, Verdict::Act(vec![step]));
        }
        RunState::Exited if completed && state.exit_code == 0 => {}
        RunState::Exited if completed => {
            let mut drift = draft.drift(service, Some(container), DriftKind::Stopped, "");
            drift.have = format!("exited ({})", state.exit_code);
            let why = "it is meant to end, and is not run again before its inputs change";
            draft.find(drift, Verdict::Leave(why.into()));
        }
        RunState::Created | RunState::Exited => stopped(draft, service, container),
        RunState::Restarting => {
            let retry = draft.now.plus_ms(STAYED_UP_MS);
            restarting(draft, service, container, retry);
        }
        RunState::Removing | RunState::Dead => leaving(draft, service, container),
        RunState::Unknown => {
            let drift = halted(draft, service, container, DriftKind::Stopped);
            let what = format!("{} to leave a state that is not known", container.name);
            let retry = Some(draft.now.plus_ms(5_000));
            draft.wait(drift, WaitKind::Engine, what, retry);
        }
    }
}

/// It is as good as gone, and can never be started again: what is said of it now is what would be said a moment later. One
/// that could not be removed is removed once more.
fn leaving(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer) {
    let mut drift = draft.drift(service, None, DriftKind::Missing, "");
    drift.want.clone_from(&container.name);
    if container.state.status == RunState::Dead {
        drift.have = "a dead one".into();
        let steps = remove(draft, container, "it is dead, and cannot be started", &[]);
        draft.find(drift, Verdict::Act(steps));
        return;
    }
    drift.have = "one that is being removed".into();
    let retry = Some(draft.now.plus_ms(5_000));
    draft.wait(drift, WaitKind::Engine, format!("{} to be gone", container.name), retry);
}

/// The Engine starts it over and over. Between two tries it runs for a moment, which ends nothing.
fn restarting(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer, retry: Time) {
    let mut drift = draft.drift(service, Some(container), DriftKind::Restarting, "");
    drift.want = "running".into();
    drift.have = format!("restarting ({})", container.state.exit_code);
    let what = format!("{} to stay up; the Engine restarts it", container.name);
    draft.wait(drift, WaitKind::Health, what, Some(retry));
}

/// Until when a container that was found restarting has to stay up before that counts as over.
fn on_probation(draft: &Draft<'_>, container: &ObservedContainer) -> Option<Time> {
    let until = container.state.started_at?.plus_ms(STAYED_UP_MS);
    let found = draft.memory.open.iter().any(|open| {
        open.drift.kind == DriftKind::Restarting
            && matches!(&open.drift.subject, Subject::Service { id: Some(id), .. } if *id == container.id)
    });
    (found && until > draft.now).then_some(until)
}

/// Whether its process has ended, and was meant to.
fn has_completed(service: &DesiredService, container: &ObservedContainer) -> bool {
    let state = &container.state;
    let ends_well = || service.spec.restart.as_ref().is_some_and(|policy| policy.name == "on-failure");
    state.status == RunState::Exited
        && (service.one_shot && state.started_at.is_some() || ends_well() && state.exit_code == 0)
}

/// What there is to say of a container that does not run, where it was meant to.
pub(super) fn at_rest(
    draft: &Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
) -> Option<Drift> {
    let kind = match container.state.status {
        RunState::Paused => DriftKind::Paused,
        RunState::Created | RunState::Exited if !has_completed(service, container) => DriftKind::Stopped,
        _ => return None,
    };
    Some(halted(draft, service, container, kind))
}

fn halted(
    draft: &Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    kind: DriftKind,
) -> Drift {
    let state = &container.state;
    let mut drift = draft.drift(service, Some(container), kind, "");
    drift.want = "running".into();
    drift.have = if state.status == RunState::Exited {
        let killed = if state.oom_killed { ", killed for memory" } else { "" };
        format!("exited ({}{killed})", state.exit_code)
    } else {
        state.status.as_str().to_owned()
    };
    drift
}

fn stopped(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer) {
    let drift = halted(draft, service, container, DriftKind::Stopped);
    if let Some(obstacle) = obstacle(draft, service) {
        obstacle.explain(draft, [drift]);
        return;
    }
    match gate(draft, service) {
        Gate::Shut(what) => draft.wait(drift, WaitKind::Dependency, what, None),
        Gate::Open(mut after) => {
            // Started without a network that it has lost, it would come up without its names in it.
            after.extend(draft.joining.get(&container.id).into_iter().flatten());
            let cause = format!("it is {}, declared to run", drift.have);
            let step = start(draft, service, &target(container), &cause, &after);
            draft.find(drift, Verdict::Act(vec![step]));
        }
    }
}

/// A container that runs: whether what it hangs on was renewed under it, and its health.
fn running(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer) {
    if asked(draft, service, container) {
        return;
    }
    if let Some((kind, field, have)) = outrun(draft, service, container) {
        let mut drift = draft.drift(service, Some(container), kind, &field);
        drift.want = "started after it".into();
        drift.have.clone_from(&have);
        // What this very plan stops cannot be joined: it has to be made anew for the one that comes.
        if let Some(obstacle) = unjoined(draft, service) {
            obstacle.explain(draft, [drift]);
            return;
        }
        match gate(draft, service) {
            Gate::Shut(what) => draft.wait(drift, WaitKind::Dependency, what, None),
            Gate::Open(after) => {
                let step = restart(draft, service, container, &format!("{field}: {have}"), &after);
                draft.find(drift, acted(step));
            }
        }
        return;
    }
    if rebind(draft, service, container) {
        return;
    }
    if let Some(until) = on_probation(draft, container) {
        restarting(draft, service, container, until);
        return;
    }
    match container.state.health {
        Some(Health::Starting) => starting(draft, service, container),
        Some(Health::Unhealthy) => {
            let mut drift = draft.drift(service, Some(container), DriftKind::Unhealthy, "healthcheck");
            drift.want = "healthy".into();
            drift.have = "unhealthy".into();
            draft.find(drift, Verdict::Leave("health alone restarts nothing".into()));
        }
        _ => {}
    }
}

/// Its health is not known yet; after `health_deadline` that is no wait any more.
fn starting(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer) {
    let mut drift = draft.drift(service, Some(container), DriftKind::Unhealthy, "healthcheck");
    let deadline_ms = draft.desired.project.settings.health_deadline.0 / 1_000_000;
    let until = container.state.started_at.map(|started| started.plus_ms(deadline_ms));
    if until.is_none_or(|until| draft.now < until) {
        draft.wait(drift, WaitKind::Health, format!("{} to become healthy", container.name), until);
        return;
    }
    drift.want = "healthy".into();
    drift.have = "starting".into();
    let why = format!("it is still starting after {} s, x-agent.health_deadline", deadline_ms / 1000);
    draft.find(drift, Verdict::Leave(why));
}

/// What it has bound was replaced under it: a start binds what is there now. Where nothing is mounted now it must not.
fn rebind(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer) -> bool {
    let known = draft.memory.bound.get(container.id.as_str());
    let mut verdict = None;
    let stale = sources::stale(&service.spec, container, known, &draft.desired.inputs.sources);
    for stale in &stale {
        let mut drift =
            draft.drift(service, Some(container), stale.kind, &format!("volumes.{}", stale.target));
        drift.want = format!("what is at {} now", stale.source.display());
        drift.have.clone_from(&stale.have);
        if let Some(mount_point) = &stale.unmounted {
            let what = format!("{} to be mounted again", mount_point.display());
            draft.wait(drift, WaitKind::Mount, what, None);
            continue;
        }
        match gate(draft, service) {
            Gate::Shut(what) => draft.wait(drift, WaitKind::Dependency, what, None),
            Gate::Open(after) => {
                let cause = format!("{} shows {}", stale.target, stale.have);
                let restarted = || acted(restart(draft, service, container, &cause, &after));
                let verdict = verdict.get_or_insert_with(restarted).clone();
                draft.find(drift, verdict);
            }
        }
    }
    !stale.is_empty()
}

/// An operator has asked for its restart, and it has not started since. In the order of the dependencies.
fn asked(draft: &mut Draft<'_>, service: &DesiredService, container: &ObservedContainer) -> bool {
    let Some(wish) = &draft.memory.restart else { return false };
    let meant = wish.service.as_ref().is_none_or(|name| *name == service.name);
    if !meant || container.state.started_at.is_some_and(|started| started >= wish.at) {
        return false;
    }
    let after: Vec<StepId> =
        service.depends_on.keys().filter_map(|name| draft.restarting.get(name)).flatten().copied().collect();
    let cause = format!("{} asked for it", wish.by);
    let mut drift = draft.drift(service, Some(container), DriftKind::Altered, "restart");
    drift.want = "started anew".into();
    drift.have = "running since before".into();
    let step = restart(draft, service, container, &cause, &after);
    draft.restarting.entry(service.name.clone()).or_default().extend(step.as_ref().ok());
    draft.find(drift, acted(step));
    true
}

/// The step that restarts a container, unless that could not start again.
fn restart(
    draft: &mut Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    cause: &str,
    after: &[StepId],
) -> Result<StepId, Obstacle> {
    if let Some(obstacle) = absent_device(draft, service) {
        return Err(obstacle);
    }
    let act = Act::RestartContainer { container: target(container), timeout: None };
    Ok(draft.step(act, cause, after))
}

fn acted(step: Result<StepId, Obstacle>) -> Verdict {
    step.map_or_else(|obstacle| obstacle.verdict(), |step| Verdict::Act(vec![step]))
}

/// Something it needs was renewed after it had started: the owner of its namespaces, or a dependency with `restart: true`.
fn outrun(
    draft: &Draft<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
) -> Option<(DriftKind, String, String)> {
    let first = |name| {
        let found = draft.containers_of(name).first().copied();
        found.filter(|found| found.state.status == RunState::Running)
    };
    let modes = [&container.spec.network_mode, &container.spec.ipc, &container.spec.pid];
    if modes.into_iter().any(|mode| matches!(mode, Some(Namespace::Container(_)))) {
        let mut owners = service.joins.iter().filter_map(first);
        if let Some(owner) = owners.find(|owner| owner.state.started_at > container.state.started_at) {
            let have = format!("{} has started since, and took its namespaces with it", owner.name);
            return Some((DriftKind::StaleNamespace, "network_mode".into(), have));
        }
    }
    let edges = service.depends_on.iter().filter(|(_, edge)| edge.restart);
    edges.filter_map(|(name, _)| first(name).map(|found| (name, found))).find_map(|(name, found)| {
        let renewed = container.state.started_at.is_some_and(|started| found.created_at > started);
        let have = format!("{} was made anew since", found.name);
        renewed.then(|| (DriftKind::Altered, format!("depends_on.{name}.restart"), have))
    })
}
