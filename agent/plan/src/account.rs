//! What came of a pass: how does the stack stand, what is remembered, what does the journal say?

use std::collections::BTreeMap;

use specs::MASK;

use crate::{
    backoff, contest,
    desired::{Desired, DesiredService},
    drift::{Drift, DriftKind, Subject},
    ids::{ServiceName, Time},
    memory::StackMemory,
    observed::{Health, Observed, ObservedContainer, RunState},
    reference::Reference,
    resource::ImageFacts,
    sources,
    status::{
        ContainerStatus, HealthSummary, OpenDrift, Phase, ServiceStatus, StackStatus, Transition,
        TransitionEvent, WaitStatus,
    },
    step::Retry,
    step::{Act, Outcome, Plan, Remember, StepId, Target, Verdict, WaitKind},
};

/// How the steps of a plan ended.
pub type Outcomes = BTreeMap<StepId, Outcome>;

/// Accounts for one pass of a declared stack. `observed` is what was seen before the steps.
pub fn account(
    desired: &Desired,
    observed: &Observed,
    memory: &StackMemory,
    done: (&Plan, &Outcomes),
    now: Time,
) -> (StackStatus, StackMemory, Vec<Transition>) {
    let (plan, outcomes) = done;
    let mut next = memory.clone();
    let mut transitions = Vec::new();
    let failed = remember_failures(plan, observed, outcomes, &mut next, now);
    keep_memos(plan, outcomes, &mut next);
    forget_the_gone(plan, observed, &mut next);
    remember_bound(desired, observed, &mut next);
    count_corrections(desired, (plan, outcomes), &mut next, now);
    let (open, waiting) = open(plan, memory, now);
    compare_open(desired, memory, &open, done, now, &mut transitions);
    let (phase, reason) = phase(plan, failed.as_deref());
    let since = memory.phase.filter(|(before, _)| *before == phase).map_or(now, |(_, since)| since);
    if memory.phase.map(|(before, _)| before) != Some(phase) {
        transitions.push(Transition {
            at: now,
            stack: desired.stack.clone(),
            event: TransitionEvent::Phase,
            drift: None,
            message: if reason.is_empty() {
                phase.as_str().to_owned()
            } else {
                format!("{}: {reason}", phase.as_str())
            },
            generation: Some(desired.generation.clone()),
        });
    }
    next.phase = Some((phase, since));
    next.open.clone_from(&open);
    next.waiting.clone_from(&waiting);
    let services: Vec<ServiceStatus> = services(desired, observed);
    let retry = waiting.iter().filter_map(|wait| wait.retry_at).min();
    let status = StackStatus {
        name: desired.stack.clone(),
        project: desired.project_name.clone(),
        generation: Some(desired.generation.clone()),
        phase,
        since,
        failed_by: None,
        reason,
        applied: failed.is_none()
            && !outcomes.values().any(|outcome| !matches!(outcome, Outcome::Done { .. })),
        health: services.iter().map(|service| service.health).max().unwrap_or(HealthSummary::Running),
        services,
        drift: open,
        waiting,
        progress: Vec::new(),
        notes: Vec::new(),
        next_wake: retry,
        last_pass: Some(now),
    };
    (status, next, transitions)
}

/// Backoffs after failures; the words of the first failure.
fn remember_failures(
    plan: &Plan,
    observed: &Observed,
    outcomes: &Outcomes,
    memory: &mut StackMemory,
    now: Time,
) -> Option<String> {
    let mut first = None;
    for step in &plan.steps {
        let key = backoff_key(&step.act, plan, observed);
        match outcomes.get(&step.id) {
            Some(Outcome::Failed { error, retry }) => {
                first.get_or_insert_with(|| format!("{}: {error}", step.act));
                // The world moved under us: the next pass sees it as it is.
                if *retry == Retry::Now {
                    continue;
                }
                let backoff = backoff::after_failure(memory.backoff.get(&key), &key, error, now);
                memory.backoff.insert(key, backoff);
                first.get_or_insert_with(|| format!("{}: {error}", step.act));
            }
            Some(Outcome::TimedOut) => {
                let error = format!("no answer within {} s", step.deadline_ms / 1000);
                let backoff = backoff::after_failure(memory.backoff.get(&key), &key, &error, now);
                memory.backoff.insert(key, backoff);
                first.get_or_insert_with(|| format!("{}: {error}", step.act));
            }
            Some(Outcome::Done { .. })
                if matches!(step.act, Act::StartContainer { .. }) || step.act.brings_image() =>
            {
                memory.backoff.remove(&key);
            }
            _ => {}
        }
    }
    first
}

/// What the plan asked to remember, where its step was done.
fn keep_memos(plan: &Plan, outcomes: &Outcomes, memory: &mut StackMemory) {
    let done = |step: StepId| matches!(outcomes.get(&step), Some(Outcome::Done { .. }));
    for memo in plan.memos.iter().filter(|memo| memo.step.is_none_or(done)) {
        match memo.what.clone() {
            Remember::Rejected { replica, rejection } => {
                memory.rejected.insert(replica, rejection);
            }
            Remember::Settled { replica } => {
                memory.rejected.remove(&replica);
            }
            Remember::Delivered { container, key, digest } => {
                memory.delivered.entry(container.to_string()).or_default().insert(key, digest);
            }
            Remember::Brought { brought } => {
                if let Some(Outcome::Done { made: Some(id) }) = memo.step.and_then(|step| outcomes.get(&step))
                {
                    memory.brought.insert(id.clone(), brought);
                }
            }
            Remember::AdoptedBuild { reference, digest } => {
                memory.adopted_builds.insert(reference, digest);
            }
            Remember::Pulled { reference, pull } => {
                memory.pulled.insert(reference, pull);
            }
        }
    }
}

/// Counts what was put right, so that deciding sees what keeps coming back.
fn count_corrections(desired: &Desired, done: (&Plan, &Outcomes), memory: &mut StackMemory, now: Time) {
    let (plan, outcomes) = done;
    if memory.generation.as_ref() != Some(&desired.generation) {
        memory.generation = Some(desired.generation.clone());
        memory.corrections.clear();
    }
    let succeeded = |step: &StepId| matches!(outcomes.get(step), Some(Outcome::Done { .. }));
    for finding in &plan.findings {
        let Verdict::Act(steps) = &finding.verdict else { continue };
        if !steps.is_empty() && steps.iter().all(succeeded) {
            memory.corrections.entry(finding.drift.key()).or_default().push(now);
        }
    }
    memory.corrections.retain(|_, made| {
        made.retain(|at| now.since(*at) < contest::WINDOW_MS);
        let surplus = made.len().saturating_sub(contest::MOST);
        made.drain(..surplus);
        !made.is_empty()
    });
}

/// Containers that are no more have been told of nothing, and a wish that nothing is left to do for is fulfilled.
fn forget_the_gone(plan: &Plan, observed: &Observed, memory: &mut StackMemory) {
    if plan.steps.is_empty() {
        memory.restart = None;
    }
    memory.delivered.retain(|id, _| observed.containers().any(|found| found.id.as_str() == id));
}

/// What containers have bound that have started since it was last looked at.
fn remember_bound(desired: &Desired, observed: &Observed, memory: &mut StackMemory) {
    memory.bound.retain(|id, _| observed.containers().any(|found| found.id.as_str() == id));
    let running = observed.containers().filter(|found| found.state.status == RunState::Running);
    for container in running.filter(|found| desired.owns(found)) {
        let Some(replica) = &container.labels.replica else { continue };
        let Some(service) = desired.services.get(&replica.service) else { continue };
        let known = memory.bound.get(container.id.as_str());
        if known.is_some_and(|known| known.started == container.state.started_at) {
            continue;
        }
        let bound = sources::bound(&service.spec, &desired.inputs.sources, container.state.started_at);
        if bound.sources.is_empty() {
            memory.bound.remove(container.id.as_str());
        } else {
            memory.bound.insert(container.id.to_string(), bound);
        }
    }
}

/// What is left alone after a failure: the image, or the service. It is what deciding looks a backoff up by.
fn backoff_key(act: &Act, plan: &Plan, observed: &Observed) -> String {
    let service = match act {
        Act::PullImage { reference, .. } => return reference.clone(),
        Act::BuildImage { build } => return build.reference.clone(),
        Act::LoadImage { archive, .. } => return archive.display().to_string(),
        Act::CreateContainer(new) => Some(new.replica.service.to_string()),
        other => match other.target() {
            Some(Target::Existing { id, .. }) => {
                let container = observed.containers().find(|container| container.id == *id);
                container
                    .and_then(|container| container.labels.replica.as_ref())
                    .map(|replica| replica.service.to_string())
            }
            Some(Target::Made { step: id, .. }) => {
                plan.steps.iter().find(|step| step.id == *id).and_then(|step| match &step.act {
                    Act::CreateContainer(new) => Some(new.replica.service.to_string()),
                    _ => None,
                })
            }
            None => None,
        },
    };
    service.unwrap_or_else(|| act.to_string())
}

fn open(plan: &Plan, memory: &StackMemory, now: Time) -> (Vec<OpenDrift>, Vec<WaitStatus>) {
    let since = |drift: &Drift| {
        memory.open.iter().find(|open| same(&open.drift, drift)).map_or(now, |open| open.since)
    };
    let mut open: Vec<OpenDrift> = Vec::new();
    let mut waiting: Vec<WaitStatus> = Vec::new();
    for finding in &plan.findings {
        let verdict = match &finding.verdict {
            Verdict::Act(_) => "correcting".to_owned(),
            Verdict::Leave(why) => format!("left: {why}"),
            Verdict::Refuse(why) => format!("refused: {why}"),
            Verdict::Note(why) => format!("noted: {why}"),
            Verdict::Wait(wait) => {
                let known = memory.waiting.iter().find(|known| known.what == wait.what);
                waiting.push(WaitStatus {
                    on: wait.on.as_str().to_owned(),
                    what: wait.what.clone(),
                    since: known.map_or(now, |known| known.since),
                    retry_at: wait.retry_at,
                });
                format!("waiting: {}", wait.what)
            }
        };
        // Two replicas that are missing are one thing to say.
        if !open.iter().any(|known| same(&known.drift, &finding.drift)) {
            open.push(OpenDrift { since: since(&finding.drift), drift: finding.drift.clone(), verdict });
        }
    }
    waiting.dedup_by(|a, b| a.what == b.what);
    (open, waiting)
}

/// Whether two reports are about the same difference.
fn same(a: &Drift, b: &Drift) -> bool {
    a.key() == b.key()
}

fn compare_open(
    desired: &Desired,
    memory: &StackMemory,
    open: &[OpenDrift],
    done: (&Plan, &Outcomes),
    now: Time,
    transitions: &mut Vec<Transition>,
) {
    let (plan, outcomes) = done;
    let mut say = |event: TransitionEvent, drift: Option<&Drift>, message: String| {
        transitions.push(Transition {
            at: now,
            stack: desired.stack.clone(),
            event,
            drift: drift.cloned(),
            message,
            generation: Some(desired.generation.clone()),
        });
    };
    for found in open.iter().filter(|found| !memory.open.iter().any(|known| same(&known.drift, &found.drift)))
    {
        say(beginning(plan, &found.drift), Some(&found.drift), words(&found.drift, &found.verdict));
    }
    for known in memory.open.iter().filter(|known| !open.iter().any(|found| same(&known.drift, &found.drift)))
    {
        let event =
            if known.verdict == "correcting" { TransitionEvent::Corrected } else { TransitionEvent::Gone };
        say(event, Some(&known.drift), words(&known.drift, event.as_str()));
    }
    // The same failure of the same thing is said once, however often it is tried again.
    let is_news = |error: &str| !memory.backoff.values().any(|known| known.error.starts_with(error));
    for step in &plan.steps {
        match outcomes.get(&step.id) {
            Some(Outcome::Done { made }) => {
                let image = made.as_ref().filter(|_| step.act.brings_image());
                let image = image.map_or_else(String::new, |id| format!("; it is {id}"));
                say(TransitionEvent::Done, None, format!("{}: {}{image}", step.act, step.cause));
            }
            Some(Outcome::Failed { error, .. }) if is_news(error) => {
                say(TransitionEvent::Failed, None, format!("{}: {error}", step.act));
            }
            Some(Outcome::TimedOut) if is_news("no answer") => {
                say(TransitionEvent::Failed, None, format!("{}: no answer in time", step.act));
            }
            _ => {}
        }
    }
}

/// How a difference begins: one that is only a step on the way (a check that has not answered yet, a dependency that is
/// not up) is waited for; one that somebody or something keeps the agent from putting right was found all the same.
fn beginning(plan: &Plan, drift: &Drift) -> TransitionEvent {
    let finding = plan.findings.iter().find(|finding| same(&finding.drift, drift));
    match finding.map(|finding| &finding.verdict) {
        Some(Verdict::Note(_)) => TransitionEvent::Note,
        Some(Verdict::Wait(_)) if drift.subject == Subject::Stack => TransitionEvent::Waiting,
        Some(Verdict::Wait(wait)) if matches!(wait.on, WaitKind::Hold | WaitKind::Backoff) => {
            TransitionEvent::Found
        }
        Some(Verdict::Wait(_)) if drift.kind != DriftKind::Restarting => TransitionEvent::Waiting,
        _ => TransitionEvent::Found,
    }
}

fn words(drift: &Drift, verdict: &str) -> String {
    let field = if drift.field.is_empty() { String::new() } else { format!(" {}", drift.field) };
    let values = if drift.want.is_empty() && drift.have.is_empty() {
        String::new()
    } else {
        format!(" (declared: {}, found: {})", drift.want, drift.have)
    };
    format!("{} {}{field}{values}: {verdict}", drift.subject, drift.kind.as_str())
}

fn phase(plan: &Plan, failed: Option<&str>) -> (Phase, String) {
    if let Some(error) = failed {
        return (Phase::Failed, error.to_owned());
    }
    let verdicts = || plan.findings.iter().map(|finding| &finding.verdict);
    let refused =
        || verdicts().filter_map(|verdict| if let Verdict::Refuse(why) = verdict { Some(why) } else { None });
    if let Some(why) = refused().find(|why| !contest::is_contested(why)) {
        return (Phase::Failed, why.clone());
    }
    if let Some(why) = refused().next() {
        return (Phase::Contested, why.clone());
    }
    let waits =
        || verdicts().filter_map(|verdict| if let Verdict::Wait(wait) = verdict { Some(wait) } else { None });
    if let Some(wait) = waits().find(|wait| wait.on == WaitKind::Hold) {
        return (Phase::Held, wait.what.clone());
    }
    let soft = |kind: WaitKind| matches!(kind, WaitKind::Health | WaitKind::Dependency);
    if let Some(wait) = waits().find(|wait| wait.on == WaitKind::Backoff) {
        return (Phase::Failed, wait.what.clone());
    }
    if let Some(wait) = waits().find(|wait| !soft(wait.on)) {
        return (Phase::Waiting, wait.what.clone());
    }
    if !plan.steps.is_empty() {
        return (Phase::Working, format!("{} steps done", plan.steps.len()));
    }
    if let Some(wait) = waits().next() {
        return (Phase::Working, format!("waiting for {}", wait.what));
    }
    match verdicts().find_map(|verdict| if let Verdict::Leave(why) = verdict { Some(why) } else { None }) {
        Some(why) => (Phase::Drifted, why.clone()),
        None => (Phase::Converged, String::new()),
    }
}

fn services(desired: &Desired, observed: &Observed) -> Vec<ServiceStatus> {
    desired
        .services
        .values()
        .map(|service| {
            let containers: Vec<&ObservedContainer> = observed
                .containers()
                .filter(|container| container.labels.owner.project.as_ref() == Some(&desired.project_name))
                .filter(|container| is_of(container, &service.name))
                .collect();
            let worst = containers.iter().map(|container| health(container, service.one_shot)).max();
            let enough = containers.len() >= service.replicas as usize;
            let health = if enough { worst.unwrap_or(HealthSummary::Running) } else { HealthSummary::Down };
            ServiceStatus {
                name: service.name.clone(),
                replicas: service.replicas,
                health,
                containers: containers
                    .into_iter()
                    .map(|found| container_status(found, service, observed))
                    .collect(),
                depends_on: service
                    .depends_on
                    .iter()
                    .map(|(name, edge)| (name.clone(), edge.condition.as_str().to_owned()))
                    .collect(),
                networks: service.spec.networks.keys().cloned().collect(),
            }
        })
        .collect()
}

fn is_of(container: &ObservedContainer, service: &ServiceName) -> bool {
    !container.labels.oneoff
        && container.labels.replica.as_ref().is_some_and(|replica| replica.service == *service)
}

fn health(container: &ObservedContainer, one_shot: bool) -> HealthSummary {
    match (container.state.status, container.state.health) {
        (RunState::Running, Some(Health::Healthy)) => HealthSummary::Healthy,
        (RunState::Running, Some(Health::Starting)) => HealthSummary::Starting,
        (RunState::Running, Some(Health::Unhealthy)) => HealthSummary::Unhealthy,
        (RunState::Running, None) => HealthSummary::Running,
        (RunState::Exited, _) if one_shot && container.state.exit_code == 0 => HealthSummary::Completed,
        (RunState::Unknown, _) => HealthSummary::Unknown,
        _ => HealthSummary::Down,
    }
}

/// The registry's digest of an image, under the name that the container has it by.
fn digest(image: &ImageFacts, container: &ObservedContainer) -> Option<String> {
    let named = Reference::parse(container.spec.image.expose());
    let is_same = |digest: &&String| {
        let of = Reference::parse(digest);
        (of.registry, of.repository) == (named.registry.clone(), named.repository.clone())
    };
    image.digests.iter().find(is_same).cloned()
}

fn container_status(
    container: &ObservedContainer,
    service: &DesiredService,
    observed: &Observed,
) -> ContainerStatus {
    let state = &container.state;
    ContainerStatus {
        name: container.name.clone(),
        id: container.id.clone(),
        state: state.status.as_str().to_owned(),
        health: state.health.map(|health| health.as_str().to_owned()),
        // The Engine does not know that a tag came out of an encrypted file.
        image: if service.spec.image.is_secret() {
            MASK.into()
        } else {
            container.spec.image.shown().into_owned()
        },
        image_id: container.image_id.to_string(),
        image_digest: observed
            .images
            .get(container.image_id.as_str())
            .filter(|_| !service.spec.image.is_secret())
            .and_then(|image| digest(image, container)),
        started_at: state.started_at,
        exit_code: (state.status == RunState::Exited).then_some(state.exit_code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{observed::ComposeLabels, step::Step};

    #[test]
    fn a_failed_start_keeps_its_service_back_and_a_good_one_lets_it_go() {
        let replica = crate::ids::Replica { service: "web".into(), number: 1 };
        let container = ObservedContainer {
            id: "1".into(),
            name: "p-web-1".into(),
            labels: ComposeLabels { replica: Some(replica), ..ComposeLabels::default() },
            state: crate::observed::ContainerState::default(),
            spec: crate::container::ContainerSpec::default(),
            image_id: "i".into(),
            attached: BTreeMap::new(),
            anonymous_volumes: BTreeMap::new(),
            created_at: Time(0),
        };
        let observed = Observed { containers: vec![container.into()], ..Observed::default() };
        let act =
            Act::StartContainer { container: Target::Existing { id: "1".into(), name: "p-web-1".into() } };
        let step = Step {
            id: StepId(0),
            act,
            cause: String::new(),
            after: Vec::new(),
            deadline_ms: 1,
            interrupts: false,
        };
        let plan = Plan { steps: vec![step], ..Plan::default() };
        let mut memory = StackMemory::default();
        let failed = Outcome::Failed { error: "port taken".into(), retry: Retry::Later };
        let failed: Outcomes = [(StepId(0), failed)].into();
        remember_failures(&plan, &observed, &failed, &mut memory, Time(0));
        assert_eq!(memory.backoff["web"].failures, 1);
        let done: Outcomes = [(StepId(0), Outcome::Done { made: None })].into();
        remember_failures(&plan, &observed, &done, &mut memory, Time(9));
        assert!(memory.backoff.is_empty());
    }
}
