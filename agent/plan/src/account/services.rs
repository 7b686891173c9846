//! How does every service of a stack stand?

use specs::MASK;

use crate::{
    desired::{Desired, DesiredService},
    ids::ServiceName,
    observed::{Health, Observed, ObservedContainer, RunState},
    reference::Reference,
    resource::ImageFacts,
    status::{ContainerStatus, HealthSummary, ServiceStatus},
};

/// Every declared service, with its containers.
pub(super) fn services(desired: &Desired, observed: &Observed) -> Vec<ServiceStatus> {
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
