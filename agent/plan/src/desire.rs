//! What does a loaded project want of the Engine?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use specs::{
    Text, hash,
    model::{self, DependencyCondition, Project, Service},
};

use crate::{
    container::from_service::container_spec,
    desired::{Condition, Dependency, Desired, DesiredNetwork, DesiredService, DesiredVolume, Inputs},
    ids::{Generation, ProjectName, ServiceName, StackName},
    resource::{NetworkSpec, Pool, VolumeSpec},
};

/// What to want, and for whom.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The stack.
    pub stack: StackName,
    /// This host's name in owner labels.
    pub host: String,
    /// The generation that declares it.
    pub generation: Generation,
    /// The loaded project.
    pub project: Arc<Project>,
    /// What was found out about its files and mounts.
    pub inputs: Inputs,
    /// Where fields were written.
    pub places: BTreeMap<String, String>,
}

/// The name of a service's container.
pub fn container_name(project: &ProjectName, service: &DesiredService, number: u32) -> String {
    service.container_name.clone().unwrap_or_else(|| format!("{project}-{}-{number}", service.name))
}

/// Turns a loaded project into what is to be compared with the Engine.
pub fn desire(wish: Wish) -> Desired {
    let project = &wish.project;
    let awaited: BTreeSet<&str> = project
        .services
        .values()
        .flat_map(|service| &service.depends_on)
        .filter(|(_, edge)| edge.condition == DependencyCondition::CompletedSuccessfully)
        .map(|(name, _)| name.expose())
        .collect();
    let services = project
        .services
        .values()
        .filter(|service| service.provider.is_none())
        .map(|service| {
            (
                ServiceName::from(service.name.as_str()),
                desired_service(project, service, &awaited, &wish.inputs),
            )
        })
        .collect();
    let networks =
        project.networks.iter().map(|(key, network)| (key.expose().to_owned(), desired_network(network)));
    let volumes =
        project.volumes.iter().map(|(key, volume)| (key.expose().to_owned(), desired_volume(volume)));
    Desired {
        stack: wish.stack,
        project_name: project.name.as_str().into(),
        host: wish.host,
        generation: wish.generation,
        services,
        networks: networks.collect(),
        volumes: volumes.collect(),
        inputs: wish.inputs,
        places: wish.places,
        project: Arc::clone(&wish.project),
    }
}

fn desired_service(
    project: &Project,
    service: &Service,
    awaited: &BTreeSet<&str>,
    inputs: &Inputs,
) -> DesiredService {
    let own_name = (!service.container_name.is_empty()).then(|| service.container_name.expose().to_owned());
    let name = own_name.clone().unwrap_or_else(|| format!("{}-{}-1", project.name, service.name));
    let mut spec = container_spec(project, service, &name, inputs);
    if own_name.is_none() {
        // Each container's own name is added to its aliases when it is made.
        for endpoint in spec.networks.values_mut() {
            endpoint.aliases.remove(&Text::plain(&*name));
        }
    }
    let replicas = service.scale.or(service.deploy.as_ref().and_then(|deploy| deploy.replicas)).unwrap_or(1);
    DesiredService {
        name: service.name.as_str().into(),
        replicas: u32::try_from(replicas).unwrap_or(0),
        container_name: own_name,
        one_shot: service.restart == *"no" || awaited.contains(service.name.as_str()),
        depends_on: service
            .depends_on
            .iter()
            .map(|(name, edge)| (name.expose().into(), dependency(edge)))
            .collect(),
        joins: joins(service),
        needs_paths: needs_paths(service, inputs),
        service: Arc::new(service.clone()),
        spec,
    }
}

fn dependency(edge: &model::Dependency) -> Dependency {
    let condition = match edge.condition {
        DependencyCondition::Started => Condition::Started,
        DependencyCondition::Healthy => Condition::Healthy,
        DependencyCondition::CompletedSuccessfully => Condition::Completed,
    };
    Dependency { condition, restart: edge.restart, required: edge.required }
}

fn joins(service: &Service) -> BTreeSet<ServiceName> {
    let modes = [&service.network_mode, &service.ipc, &service.pid];
    let spaces =
        modes.into_iter().filter_map(|mode| mode.expose().strip_prefix("service:").map(ServiceName::from));
    let volumes = service
        .volumes_from
        .iter()
        .filter(|from| !from.expose().starts_with("container:"))
        .filter_map(|from| from.expose().split(':').next().map(ServiceName::from));
    spaces.chain(volumes).collect()
}

fn needs_paths(service: &Service, inputs: &Inputs) -> BTreeSet<PathBuf> {
    let sources = service.volumes.iter().map(|mount| PathBuf::from(mount.source.expose()));
    sources.filter(|source| inputs.missing_paths.contains(source)).collect()
}

fn given(text: &Text) -> Option<Text> {
    (!text.is_empty()).then(|| text.clone())
}

fn desired_network(network: &model::Network) -> DesiredNetwork {
    let pool = |pool: &model::IpamPool| Pool {
        subnet: pool.subnet.expose().to_owned(),
        gateway: pool.gateway.expose().to_owned(),
        ip_range: pool.ip_range.expose().to_owned(),
        aux_addresses: pool
            .aux_addresses
            .iter()
            .map(|(key, ip)| (key.expose().to_owned(), ip.expose().to_owned()))
            .collect(),
    };
    DesiredNetwork {
        spec: NetworkSpec {
            name: network.name.expose().to_owned(),
            driver: given(&network.driver),
            driver_opts: network.driver_opts.clone(),
            ipam_driver: given(&network.ipam.driver),
            ipam_options: BTreeMap::new(),
            pools: network.ipam.config.iter().map(pool).collect(),
            internal: network.internal,
            attachable: network.attachable,
            enable_ipv4: network.enable_ipv4,
            enable_ipv6: network.enable_ipv6,
            labels: network.labels.clone(),
        },
        external: network.external,
        hash: hash::network(network),
    }
}

fn desired_volume(volume: &model::Volume) -> DesiredVolume {
    DesiredVolume {
        spec: VolumeSpec {
            name: volume.name.expose().to_owned(),
            driver: given(&volume.driver),
            driver_opts: volume.driver_opts.clone(),
            labels: volume.labels.clone(),
        },
        external: volume.external,
        hash: hash::volume(volume),
    }
}
