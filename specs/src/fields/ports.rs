//! How are published ports written: `80`, `8080:80/udp`, `127.0.0.1:8000-8002:80-82`?
//!
//! Compose Specification, `ports`, short syntax; ranges as Docker's own port parser takes them.

use std::net::IpAddr;

use super::{map, text};
use crate::{
    Message, Problem, Text,
    doc::{Node, Span, Trail, Value},
    message,
    values::scalar_text,
};

/// How many ports one service may publish once its ranges are written out; media servers take some ten thousand.
const MAX_PORTS: usize = 20_000;

/// Every entry in long form; a range becomes several entries, in the order of their `port/proto` text.
pub(super) fn canonical(node: &mut Node, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    let Value::Seq(items) = &mut node.value else { return };
    let mut ports = Vec::with_capacity(items.len());
    for (nth, item) in std::mem::take(items).into_iter().enumerate() {
        match &item.value {
            Value::Str(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) => {
                let written = scalar_text(&item.value);
                match parse(&written) {
                    Ok(found) if ports.len() + found.len() > MAX_PORTS => {
                        let message = message!("more than {} ports", MAX_PORTS);
                        problems.push(Problem::error("port", item.span, path, message));
                        break;
                    }
                    Ok(found) => ports.extend(found.into_iter().map(|port| port.into_node(item.span))),
                    Err(message) => {
                        problems.push(Problem::error("port", item.span, &path.index(nth), message).hint(
                            "write [[ADDRESS:]PUBLISHED:]TARGET[/tcp|udp|sctp], for example \"8080:80\"",
                        ));
                    }
                }
            }
            _ => ports.push(item),
        }
    }
    *items = ports;
}

struct Published {
    host_ip: String,
    published: String,
    target: u16,
    protocol: String,
    secret: bool,
}

impl Published {
    fn into_node(self, span: Span) -> Node {
        let mut value = map(
            span,
            [
                ("mode", text("ingress")),
                ("target", Value::Int(i64::from(self.target))),
                ("protocol", text(self.protocol)),
            ],
        );
        if let Value::Map(fields) = &mut value {
            if !self.published.is_empty() {
                super::put(
                    fields,
                    span,
                    "published",
                    Value::Str(Text::with_secrecy(self.published, self.secret)),
                );
            }
            if !self.host_ip.is_empty() {
                super::put(fields, span, "host_ip", text(self.host_ip));
            }
        }
        Node::new(span, value)
    }
}

fn parse(written: &Text) -> Result<Vec<Published>, Message> {
    let spec = written.expose();
    let parts: Vec<&str> = spec.split(':').collect();
    let (ip, host, container) = match parts.as_slice() {
        [container] => (String::new(), "", *container),
        [host, container] => (String::new(), *host, *container),
        [ip @ .., host, container] => (ip.join(":"), *host, *container),
        [] => return Err("no port".into()),
    };
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).map(str::to_owned);
    let is_bracketed = bare.is_some();
    let ip = bare.unwrap_or(ip);
    if !ip.is_empty() && (ip.parse::<IpAddr>().is_err() || ip.contains(':') && !is_bracketed) {
        return Err(message!("'{}' starts with an invalid IP address", written));
    }
    let (container, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if container.is_empty() {
        return Err(message!("'{}' names no container port", written));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(message!("'{}' has an invalid protocol, expected tcp, udp or sctp", written));
    }
    let (first, last) =
        range(container).ok_or_else(|| message!("'{}' has an invalid container port", written))?;
    let published = if host.is_empty() {
        None
    } else {
        Some(range(host).ok_or_else(|| message!("'{}' has an invalid host port", written))?)
    };
    if let Some((from, to)) = published
        && to - from != last - first
        && first != last
    {
        return Err(message!("'{}' has ranges of different lengths", written));
    }
    let mut found: Vec<Published> = (first..=last)
        .map(|target| Published {
            host_ip: ip.clone(),
            published: match published {
                Some((from, to)) if first == last && from != to => format!("{from}-{to}"),
                Some((from, _)) => (from + (target - first)).to_string(),
                None => String::new(),
            },
            target,
            protocol: protocol.clone(),
            secret: written.is_secret(),
        })
        .collect();
    found.sort_by_key(|port| format!("{}/{}", port.target, port.protocol));
    Ok(found)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port =
        |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((from, to)) => {
            let (from, to) = (port(from)?, port(to)?);
            (from <= to).then_some((from, to))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(spec: &str) -> String {
        match parse(&Text::plain(spec)) {
            Ok(ports) => ports
                .iter()
                .map(|p| format!("{}|{}|{}/{}", p.host_ip, p.published, p.target, p.protocol))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_short_form() {
        for (spec, long) in [
            ("80", "||80/tcp"),
            ("8080:80", "|8080|80/tcp"),
            ("8080:80/UDP", "|8080|80/udp"),
            ("80-82", "||80/tcp ||81/tcp ||82/tcp"),
            ("8000-8002:80-82", "|8000|80/tcp |8001|81/tcp |8002|82/tcp"),
            ("8000-8002:80", "|8000-8002|80/tcp"),
            ("127.0.0.1::80", "127.0.0.1||80/tcp"),
            ("[::1]:8080:80", "::1|8080|80/tcp"),
            ("0:80", "|0|80/tcp"),
            ("9-10:9-10", "|10|10/tcp |9|9/tcp"),
            ("80-81:1-3", "'80-81:1-3' has ranges of different lengths"),
            ("127.0.0.1:80", "'127.0.0.1:80' has an invalid host port"),
            ("1:70000", "'1:70000' has an invalid container port"),
            ("80/icmp", "'80/icmp' has an invalid protocol, expected tcp, udp or sctp"),
        ] {
            assert_eq!(shown(spec), long, "{spec}");
        }
    }
}
