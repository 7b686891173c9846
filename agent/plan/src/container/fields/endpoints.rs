//! Is the container where the declaration puts it: in these networks, under these names, behind these ports?

use std::collections::{BTreeMap, BTreeSet};

use specs::Text;

use super::{Found, Repair};
use crate::container::{ContainerSpec, Endpoint, Namespace, PortBinding, fold};

pub(super) fn compare(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    ports(found, &want.port_bindings, &have.port_bindings);
    networks(found, want, have);
    if let Some(ours) = &want.mac_address {
        let primary = have.primary_network.as_ref().and_then(|name| have.networks.get(name));
        let theirs = primary.and_then(|endpoint| endpoint.mac_address.as_ref()).or(have.mac_address.as_ref());
        hardware_address(found, "mac_address", ours, theirs, Repair::Recreate);
    }
}

fn ports(
    found: &mut Found,
    want: &BTreeMap<String, Vec<PortBinding>>,
    have: &BTreeMap<String, Vec<PortBinding>>,
) {
    let normal = |bindings: &BTreeMap<String, Vec<PortBinding>>| -> BTreeMap<String, BTreeSet<Text>> {
        bindings
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(port, list)| (fold::port(port), list.iter().map(published).collect()))
            .collect()
    };
    let (want, have) = (normal(want), normal(have));
    let targets: BTreeSet<_> = want.keys().chain(have.keys()).cloned().collect();
    for target in targets {
        let ours = want.get(&target).cloned().unwrap_or_default();
        let theirs = have.get(&target).cloned().unwrap_or_default();
        found.set(&format!("ports.{target}"), ours, theirs);
    }
}

/// `127.0.0.1:8080`; every address and any port are written as nothing.
fn published(binding: &PortBinding) -> Text {
    let ip = match binding.host_ip.as_str() {
        "0.0.0.0" | "" => "",
        ip => ip,
    };
    let port = if binding.host_port == "0" { "" } else { binding.host_port.as_str() };
    let text = if ip.is_empty() { port.to_owned() } else { format!("{ip}:{port}") };
    if text.is_empty() { "(any)".into() } else { text.into() }
}

fn networks(found: &mut Found, want: &ContainerSpec, have: &ContainerSpec) {
    if want.networks.is_empty() {
        return;
    }
    if let Some(mode @ (Namespace::Mode(_) | Namespace::Container(_))) = &have.network_mode {
        let theirs = match mode {
            Namespace::Mode(mode) => mode.clone(),
            Namespace::Container(id) => format!("container:{id}").into(),
            Namespace::Service(service) => format!("service:{service}").into(),
        };
        // A bridge container can join; one in another's or the host's network cannot.
        if theirs != "bridge" && theirs != "default" {
            let names: Vec<_> = want.networks.keys().map(|name| Text::plain(name.as_str())).collect();
            return found.push("network_mode", super::shown_list(&names), theirs, Repair::Recreate);
        }
    }
    for (name, ours) in &want.networks {
        match have.networks.get(name) {
            Some(theirs) => endpoint(found, name, ours, theirs),
            None => found.push(
                format!("networks.{name}"),
                "attached".into(),
                "not attached".into(),
                Repair::Connect(name.clone()),
            ),
        }
    }
    for name in have.networks.keys().filter(|name| !want.networks.contains_key(*name)) {
        found.push(
            format!("networks.{name}"),
            "not attached".into(),
            "attached".into(),
            Repair::Disconnect(name.clone()),
        );
    }
}

fn endpoint(found: &mut Found, name: &str, want: &Endpoint, have: &Endpoint) {
    let mut push = |part: &str, want: Text, have: Text| {
        if want != have {
            found.push(format!("networks.{name}.{part}"), want, have, Repair::Reconnect(name.to_owned()));
        }
    };
    let line = |set: &BTreeSet<Text>| super::shown_list(&set.iter().cloned().collect::<Vec<_>>());
    // Names beyond the declared ones are the Engine's (the short id) or do no harm.
    let kept: BTreeSet<Text> = have.aliases.intersection(&want.aliases).cloned().collect();
    push("aliases", line(&want.aliases), line(&kept));
    let text = |value: &Option<Text>| value.clone().unwrap_or_default();
    push("ipv4_address", text(&want.ipv4_address), text(&have.ipv4_address));
    push("ipv6_address", text(&want.ipv6_address), text(&have.ipv6_address));
    let set = |list: &[Text]| list.iter().cloned().collect::<BTreeSet<_>>();
    push("link_local_ips", line(&set(&want.link_local_ips)), line(&set(&have.link_local_ips)));
    push("links", line(&set(&want.links)), line(&set(&have.links)));
    for (key, value) in &want.driver_opts {
        let theirs = have.driver_opts.get(key).cloned().unwrap_or_default();
        push(&format!("driver_opts.{key}"), value.clone(), theirs);
    }
    push("gw_priority", want.gw_priority.to_string().into(), have.gw_priority.to_string().into());
    if let Some(ours) = &want.mac_address {
        let field = format!("networks.{name}.mac_address");
        hardware_address(found, &field, ours, have.mac_address.as_ref(), Repair::Reconnect(name.to_owned()));
    }
}

/// A stopped container has no address: nothing can be said of it.
fn hardware_address(found: &mut Found, field: &str, want: &Text, have: Option<&Text>, repair: Repair) {
    let normal = |text: &Text| text.expose().to_lowercase().replace('-', ":");
    if let Some(have) = have.filter(|have| !have.is_empty())
        && normal(want) != normal(have)
    {
        found.push(field, want.clone(), have.clone(), repair);
    }
}
