//! What does the schema not say about the shape of a merged model?
//!
//! The few rules that Docker Compose checks on the canonical document before paths are made absolute: alternatives that
//! exclude each other, and places that must not be empty. Every object counts, used or not.

use std::net::IpAddr;

use crate::{
    Message, Problem, Text,
    doc::{Key, Map, Node, Path, Span, Value},
    message,
};

/// Reports every object that breaks one of the rules.
pub(crate) fn validate(document: &Node, problems: &mut Vec<Problem>) {
    let mut check = Check { problems };
    for (name, node) in entries(document, "volumes") {
        check.volume(node, &Path::of("volumes").key(name));
    }
    for (section, keys) in
        [("configs", &["file", "environment", "content"][..]), ("secrets", &["file", "environment"][..])]
    {
        for (name, node) in entries(document, section) {
            check.file_object(node, keys, &Path::of(section).key(name));
        }
    }
    for (name, node) in entries(document, "services") {
        check.service(node, &Path::of("services").key(name));
    }
}

struct Check<'p> {
    problems: &'p mut Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, at: Span, path: &Path, message: impl Into<Message>) {
        self.problems.push(Problem::error("exclusive", at, path, message));
    }

    fn volume(&mut self, node: &Node, path: &Path) {
        let Some(fields) = node.as_map() else { return };
        if fields.get("external").is_none_or(|entry| entry.node.value != Value::Bool(true)) {
            return;
        }
        let odd = |key: &&Key| *key != "external" && *key != "name" && !key.starts_with("x-");
        if let Some(key) = fields.keys().find(odd) {
            let message = message!(
                "conflicting parameters 'external' and '{}': an external volume is not made here",
                key
            );
            self.wrong(fields[&**key].key, &path.key(key), message);
        }
    }

    fn file_object(&mut self, node: &Node, keys: &[&'static str], path: &Path) {
        let Some(fields) = node.as_map() else {
            return self.wrong(node.span, path, message!("one of {} must be set", Message::list(keys, ", ")));
        };
        let given: Vec<&'static str> = keys.iter().copied().filter(|key| fields.contains_key(*key)).collect();
        match given.as_slice() {
            [] if fields.contains_key("driver") || fields.contains_key("external") => {}
            [] => self.wrong(node.span, path, message!("one of {} must be set", Message::list(keys, ", "))),
            [_] => {}
            [.., last] => {
                let message = message!("{} exclude each other", Message::list(&given, " and "));
                let mut written = given.iter().map(|key| fields[*key].key).filter(|key| key.is_written());
                self.wrong(written.next_back().unwrap_or(node.span), &path.key(*last), message);
            }
        }
    }

    fn service(&mut self, service: &Node, path: &Path) {
        for (nth, port) in items(service.get("ports")).iter().enumerate() {
            if let Some(ip) = port.get("host_ip")
                && ip.as_text().is_none_or(|text| text.expose().parse::<IpAddr>().is_err())
            {
                self.wrong(ip.span, &path.key("ports").index(nth).key("host_ip"), "no IP address");
            }
        }
        for (nth, rule) in
            items(service.get("develop").and_then(|develop| develop.get("watch"))).iter().enumerate()
        {
            if let Some(watched) = rule.get("path").filter(|path| path.as_text().is_some_and(Text::is_empty))
            {
                let path = path.key("develop").key("watch").index(nth).key("path");
                self.wrong(watched.span, &path, "must not be empty");
            }
        }
        let reserved = service
            .get("deploy")
            .and_then(|deploy| deploy.get("resources")?.get("reservations")?.get("devices"));
        for (requests, path) in [
            (service.get("gpus"), path.key("gpus")),
            (reserved, path.key("deploy").key("resources").key("reservations").key("devices")),
        ] {
            for (nth, request) in items(requests).iter().enumerate() {
                if let (Some(_), Some(ids)) = (request.get("count"), request.get("device_ids")) {
                    self.wrong(ids.span, &path.index(nth), "'count' and 'device_ids' exclude each other");
                }
            }
        }
    }
}

fn items(node: Option<&Node>) -> &[Node] {
    node.and_then(Node::as_seq).unwrap_or_default()
}

fn entries<'n>(document: &'n Node, section: &str) -> impl Iterator<Item = (&'n Key, &'n Node)> {
    let map: Option<&Map> = document.get(section).and_then(Node::as_map);
    map.into_iter().flatten().map(|(name, entry)| (name, &entry.node))
}
