//! What can only one of a host's stacks have, and who asks for it twice?

use std::{collections::BTreeMap, net::IpAddr};

use super::host_ports::HostPorts;
use crate::{
    Loaded, Message, Problem, Text,
    doc::{Path, Span},
    message,
};

/// Somebody's claim to a thing of which the host has one.
struct Claim {
    stack: usize,
    path: Path,
    at: Span,
}

/// Every conflict between these stacks, and between the services of each: with the number of the stack that comes second,
/// whose files the place is in.
pub fn across(stacks: &[(String, &Loaded)]) -> Vec<(usize, Problem)> {
    let mut found = names(stacks);
    found.extend(ports(stacks));
    found.extend(subnets(stacks));
    found
}

fn conflict(
    stacks: &[(String, &Loaded)],
    rule: &'static str,
    first: &Claim,
    second: &Claim,
    what: &Message,
) -> (usize, Problem) {
    let (stack, loaded) = &stacks[first.stack];
    // The files of a stack are shown by what may be shown of their paths.
    let place = if first.at.is_written() { loaded.sources.place(first.at) } else { format!("stack {stack}") };
    let place = Text::plain(place);
    let message = message!("{} is claimed already: {}", what, place);
    (second.stack, Problem::error(rule, second.at, &second.path, message))
}

fn names(stacks: &[(String, &Loaded)]) -> Vec<(usize, Problem)> {
    let mut taken: BTreeMap<(&str, String), Claim> = BTreeMap::new();
    let mut found = Vec::new();
    let mut claim = |kind: &'static str, name: &Text, claim: Claim| {
        let what = message!("{} `{}`", kind, name);
        let name = name.expose().to_owned();
        match taken.get(&(kind, name.clone())) {
            Some(first) => found.push(conflict(stacks, "name-collision", first, &claim, &what)),
            None => drop(taken.insert((kind, name), claim)),
        }
    };
    for (nth, (_, loaded)) in stacks.iter().enumerate() {
        let project = &loaded.project;
        let place = |path: Path| {
            let at = loaded.document.at(&path).map_or_else(Span::default, |node| node.span);
            Claim { stack: nth, path, at }
        };
        claim("project name", &Text::plain(&*project.name), place(Path::of("name")));
        for (name, service) in
            project.services.iter().filter(|(_, service)| !service.container_name.is_empty())
        {
            let path = Path::of("services").key(name).key("container_name");
            claim("container name", &service.container_name, place(path));
        }
    }
    found
}

fn ports(stacks: &[(String, &Loaded)]) -> Vec<(usize, Problem)> {
    let mut taken: Vec<(HostPorts, Claim)> = Vec::new();
    let mut found = Vec::new();
    for (nth, (_, loaded)) in stacks.iter().enumerate() {
        for (name, service) in &loaded.project.services {
            for (index, port) in service.ports.iter().enumerate() {
                let Some(wanted) = HostPorts::of(port) else { continue };
                let path = Path::of("services").key(name).key("ports").index(index);
                let at = loaded.document.at(&path).map_or_else(Span::default, |node| node.span);
                let claim = Claim { stack: nth, path, at };
                if let Some((_, other)) = taken.iter().find(|(other, _)| other.clash(&wanted)) {
                    let what = message!("host port `{}/{}`", port.published, port.protocol);
                    found.push(conflict(stacks, "port-collision", other, &claim, &what));
                }
                taken.push((wanted, claim));
            }
        }
    }
    found
}

fn subnets(stacks: &[(String, &Loaded)]) -> Vec<(usize, Problem)> {
    let mut taken: Vec<((u128, u128, bool), String, Claim)> = Vec::new();
    let mut found = Vec::new();
    for (nth, (_, loaded)) in stacks.iter().enumerate() {
        for (key, network) in loaded.project.networks.iter().filter(|(_, network)| !network.external) {
            for (index, pool) in network.ipam.config.iter().enumerate() {
                let Some((first, last, is_v4)) = range(pool.subnet.expose()) else { continue };
                let path = Path::of("networks").key(key).key("ipam").key("config").index(index).key("subnet");
                let at = loaded.document.at(&path).map_or_else(Span::default, |node| node.span);
                let claim = Claim { stack: nth, path, at };
                let name = network.name.expose().to_owned();
                let clash = taken.iter().find(|((from, to, v4), other, _)| {
                    *v4 == is_v4 && *from <= last && first <= *to && *other != name
                });
                if let Some((_, _, other)) = clash {
                    let what = message!("subnet `{}` or a part of it", pool.subnet);
                    found.push(conflict(stacks, "subnet-collision", other, &claim, &what));
                }
                taken.push(((first, last, is_v4), name, claim));
            }
        }
    }
    found
}

/// The first and the last address of `10.0.0.0/8`, and whether it is of version 4.
fn range(subnet: &str) -> Option<(u128, u128, bool)> {
    let (address, length) = subnet.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32_u32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let free = width.checked_sub(length.parse().ok()?)?;
    let mask = if free >= 128 { u128::MAX } else { (1_u128 << free) - 1 };
    Some((bits & !mask, bits | mask, width == 32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tests::loaded;

    fn conflicts(texts: &[&str]) -> Vec<String> {
        let loaded: Vec<Loaded> = texts.iter().map(|text| loaded(text)).collect();
        let stacks: Vec<(String, &Loaded)> =
            loaded.iter().enumerate().map(|(nth, loaded)| (format!("s{nth}"), loaded)).collect();
        across(&stacks)
            .into_iter()
            .map(|(stack, problem)| format!("s{stack} {} {}", problem.path, problem.message))
            .collect()
    }

    #[test]
    fn names_of_projects_and_containers() {
        let found = conflicts(&[
            "name: one\nservices: {a: {image: x, container_name: same}}",
            "name: one\nservices: {b: {image: x, container_name: same}}",
        ]);
        assert_eq!(
            found,
            [
                "s1 name project name `one` is claimed already: /p/compose.yaml:1:7",
                "s1 services.b.container_name container name `same` is claimed already: /p/compose.yaml:2:42",
            ]
        );
    }

    #[test]
    fn ports_by_address_and_protocol() {
        let text = |name: &str, port: &str| {
            format!("name: {name}\nservices: {{a: {{image: x, ports: ['{port}']}}}}")
        };
        for (a, b, count) in [
            ("80:80", "80:81", 1),
            ("80:80", "80:80/udp", 0),
            ("80:80", "127.0.0.1:80:80", 1),
            ("127.0.0.2:80:80", "127.0.0.1:80:80", 0),
            ("0.0.0.0:80:80", "127.0.0.1:80:80", 1),
            ("[::1]:80:80", "127.0.0.1:80:80", 0),
            ("3000-3002:1-3", "3001:9", 1),
            ("3000-3002:1", "3001:9", 0),
            ("80", "80", 0),
        ] {
            let (a, b) = (text("a", a), text("b", b));
            assert_eq!(conflicts(&[&a, &b]).len(), count, "{a} {b}");
        }
    }

    #[test]
    fn subnets_that_overlap() {
        let text = |name: &str, subnet: &str| {
            format!(
                "name: {name}\nservices: {{a: {{image: x, networks: [n]}}}}\nnetworks: {{n: {{ipam: {{config: [{{subnet: '{subnet}'}}]}}}}}}"
            )
        };
        for (a, b, count) in [
            ("10.0.0.0/8", "10.1.0.0/16", 1),
            ("10.0.0.0/16", "10.1.0.0/16", 0),
            ("fd00::/64", "fd00::/120", 1),
            ("10.0.0.0/24", "fd00::/64", 0),
        ] {
            let (a, b) = (text("a", a), text("b", b));
            assert_eq!(conflicts(&[&a, &b]).len(), count, "{a} {b}");
        }
    }
}
