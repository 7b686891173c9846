//! Which services take part, and which objects do they need?

use crate::{
    load::Loader,
    model::{Project, Service},
};

impl Loader<'_> {
    /// Sets the services aside that no active profile enables.
    pub(super) fn profiles(&self, project: &mut Project) {
        let mut active = self.request.profiles.clone();
        if active.is_empty()
            && let Some(listed) = self.environment.get("COMPOSE_PROFILES")
        {
            active = listed.expose().split(',').map(|profile| profile.trim().to_owned()).collect();
        }
        let named = |name: &str| self.request.services.iter().any(|wanted| wanted == name);
        let enabled = |name: &str, service: &Service| {
            service.profiles.is_empty()
                || named(name)
                || active.iter().any(|active| {
                    active == "*" || service.profiles.iter().any(|profile| *profile == **active)
                })
        };
        let (on, off) = std::mem::take(&mut project.services)
            .into_iter()
            .partition(|(name, service)| enabled(name, service));
        project.services = on;
        project.disabled_services = off;
    }
}

/// Drops networks, volumes, secrets, configs and models that no enabled service uses.
pub(super) fn keep_used(project: &mut Project) {
    let services: Vec<&Service> = project.services.values().collect();
    let networks = |name: &str| services.iter().any(|service| service.networks.contains_key(name));
    let volumes = |name: &str| {
        services.iter().any(|service| {
            service
                .volumes
                .iter()
                .any(|mount| mount.kind == crate::model::MountKind::Volume && mount.source == *name)
        })
    };
    let secrets = |name: &str| {
        services.iter().any(|service| {
            let build = service.build.iter().flat_map(|build| &build.secrets);
            service.secrets.iter().chain(build).any(|reference| reference.source == *name)
        })
    };
    let configs = |name: &str| {
        services.iter().any(|service| service.configs.iter().any(|reference| reference.source == *name))
    };
    let models = |name: &str| services.iter().any(|service| service.models.contains_key(name));
    project.networks.retain(|name, _| networks(name));
    project.volumes.retain(|name, _| volumes(name));
    project.secrets.retain(|name, _| secrets(name));
    project.configs.retain(|name, _| configs(name));
    project.models.retain(|name, _| models(name));
}
