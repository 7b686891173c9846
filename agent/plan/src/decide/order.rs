//! Is the new container started before the old one is stopped, or after, and why?
//!
//! Start-first needs two containers of one place at a time. What only one of them can have stands against it whoever asks;
//! what two of them may harm together, unless the service's own `deploy.update_config.order` asks; what somebody may rely
//! on, unless anybody asks.

use specs::settings::UpdateOrder;

use super::{draft::Draft, make::carried_over};
use crate::{
    container::{Mount, MountKind, Namespace},
    desired::DesiredService,
    observed::{ObservedContainer, RunState},
    resource::ImageFacts,
};

/// Which of the two runs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    StartFirst,
    StopFirst,
}

/// An order, and the reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) order: Order,
    pub(super) why: String,
}

/// How much it takes to start first in spite of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Nobody asked for either order.
    Unasked,
    /// It works, and somebody may be surprised: any wish outweighs it.
    Caution,
    /// Two at a time may do harm: the service's own wish outweighs it.
    Harm,
    /// Only one of them can have it: nothing outweighs it.
    Exclusive,
}

/// What stands against two containers at a time.
#[derive(Debug)]
struct Objection {
    weight: Weight,
    what: String,
}

/// The order in which `old` and its successor change places.
pub(super) fn order(draft: &Draft<'_>, service: &DesiredService, old: &ObservedContainer) -> Choice {
    let stop_first = |why: String| Choice { order: Order::StopFirst, why: format!("stop-first: {why}") };
    if old.state.status != RunState::Running {
        return stop_first(format!("it is {}", old.state.status.as_str()));
    }
    let (asked, by) = asked(draft, service);
    if asked == UpdateOrder::StopFirst {
        return stop_first(format!("{by} says so"));
    }
    let outweighed = match (asked, by.as_str()) {
        (UpdateOrder::StartFirst, STACK) => Weight::Caution,
        (UpdateOrder::StartFirst, _) => Weight::Harm,
        _ => Weight::Unasked,
    };
    let objections = objections(draft, service, old);
    let Some(objection) =
        objections.into_iter().filter(|found| found.weight > outweighed).max_by_key(|found| found.weight)
    else {
        let why = match asked {
            UpdateOrder::StartFirst => format!("{by} says so"),
            _ => "no host port, name, address, device or shared data stands against it".to_owned(),
        };
        return Choice { order: Order::StartFirst, why: format!("start-first: {why}") };
    };
    stop_first(match asked {
        UpdateOrder::StartFirst => format!("{by} asks for start-first, but {}", objection.what),
        _ => objection.what,
    })
}

const STACK: &str = "x-agent.update.order";

/// Who asks for what: the service's own word counts before its stack's.
fn asked(draft: &Draft<'_>, service: &DesiredService) -> (UpdateOrder, String) {
    let update = service.service.deploy.as_ref().and_then(|deploy| deploy.update_config.as_ref());
    let own = match update.map(|update| update.order.expose()) {
        Some("start-first") => UpdateOrder::StartFirst,
        Some("stop-first") => UpdateOrder::StopFirst,
        _ => return (draft.desired.project.settings.update.order, STACK.to_owned()),
    };
    (own, format!("services.{}.deploy.update_config.order", service.name))
}

fn objections(draft: &Draft<'_>, service: &DesiredService, old: &ObservedContainer) -> Vec<Objection> {
    let image = draft.observed.images.get(service.spec.image.expose());
    let found = [
        (Weight::Exclusive, host_port(service)),
        (Weight::Exclusive, address(service)),
        (Weight::Harm, others_network(service)),
        (
            Weight::Harm,
            service
                .one_shot
                .then(|| "it is meant to end, and two runs at a time are not declared".to_owned()),
        ),
        (Weight::Harm, written(service)),
        (Weight::Harm, taken_over(service, old, image)),
        (Weight::Harm, device(service)),
        (
            Weight::Caution,
            service.container_name.as_ref().map(|name| format!("its container_name is {name}")),
        ),
        (Weight::Caution, joiner(draft, service)),
    ];
    found.into_iter().filter_map(|(weight, what)| Some(Objection { weight, what: what? })).collect()
}

/// A port of the host that it names: one that the Engine chooses is another one for each container.
fn host_port(service: &DesiredService) -> Option<String> {
    let mut bindings = service.spec.port_bindings.values().flatten();
    let taken = bindings.find(|binding| !binding.host_port.is_empty() && binding.host_port != "0")?;
    Some(format!("it publishes {}", taken.host_port))
}

fn address(service: &DesiredService) -> Option<String> {
    let spec = &service.spec;
    let fixed = spec.networks.values().find_map(|endpoint| {
        endpoint.ipv4_address.as_ref().or(endpoint.ipv6_address.as_ref()).or(endpoint.mac_address.as_ref())
    });
    fixed.or(spec.mac_address.as_ref()).map(|address| format!("its address is {}", address.shown()))
}

/// Where two would take each other's ports.
fn others_network(service: &DesiredService) -> Option<String> {
    match service.spec.network_mode.as_ref()? {
        Namespace::Mode(mode) if *mode == "host" => Some("it is in the host's network".to_owned()),
        Namespace::Mode(_) => None,
        Namespace::Service(name) => Some(format!("it is in the network of {name}")),
        Namespace::Container(id) => Some(format!("it is in the network of container {}", id.as_str())),
    }
}

/// Data that both would write. What the agent holds by its digest is a file of the profile, which nobody writes.
fn written(service: &DesiredService) -> Option<String> {
    let spec = &service.spec;
    if !spec.volumes_from.is_empty() {
        return Some("it writes to another container's volumes".to_owned());
    }
    let is_data = |target: &str, mount: &Mount| {
        !mount.read_only
            && matches!(mount.kind, MountKind::Volume | MountKind::Bind | MountKind::Cluster)
            && !spec.digests.contains_key(&crate::container::from_service::digest_key(target))
    };
    let mut mounts = spec.mounts.iter().filter(|(target, mount)| is_data(target, mount));
    mounts.find_map(|(target, mount)| {
        Some(format!("it writes to {} at {target}", mount.source.as_ref()?.shown()))
    })
}

/// An anonymous volume that goes from the old one to the new one.
fn taken_over(
    service: &DesiredService,
    old: &ObservedContainer,
    image: Option<&ImageFacts>,
) -> Option<String> {
    let carried = carried_over(old, &service.spec, image);
    carried.keys().next().map(|target| format!("its volume at {target} goes over to its successor"))
}

fn device(service: &DesiredService) -> Option<String> {
    let spec = &service.spec;
    let named = spec.devices.first().map(|device| device.source.shown().into_owned());
    let requested = spec.device_requests.first().map(|request| match request.device_ids.first() {
        Some(id) => id.shown().into_owned(),
        None => request
            .capabilities
            .iter()
            .flatten()
            .map(|name| name.shown().into_owned())
            .collect::<Vec<_>>()
            .join(" "),
    });
    let privileged = spec.privileged.then(|| "every device: it is privileged".to_owned());
    named.or(requested).or(privileged).map(|device| format!("it uses {device}"))
}

/// Whoever shares its namespaces or volumes stays with the old one until that is gone.
fn joiner(draft: &Draft<'_>, service: &DesiredService) -> Option<String> {
    let other = draft.desired.services.values().find(|other| other.joins.contains(&service.name))?;
    Some(format!("{} shares its namespaces or volumes", other.name))
}
