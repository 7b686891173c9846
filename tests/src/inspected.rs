//! How does everything on an Engine compare, value by value, with how it was before?

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Engine, Profile};

/// What differs from one making to the next, whoever makes it: ids, times, addresses, paths of the Engine's own.
const CHANCE: [&str; 25] = [
    "Id",
    "Created",
    "CreatedAt",
    "State",
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "LogPath",
    "GraphDriver",
    "Storage",
    "NetworkID",
    "EndpointID",
    "IPAddress",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "SandboxID",
    "SandboxKey",
    "Ports",
    "Containers",
    "DNSNames",
    "Mountpoint",
    "ProcessLabel",
    "MountLabel",
    "ConfigOnly",
    "ExecIDs",
];

/// Addresses are chance where the Engine chose them: from its own pools, and hardware addresses that no test declares.
fn is_chance(key: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match key {
        "Gateway" | "Subnet" => ["172.", "192.168."].iter().any(|pool| text.starts_with(pool)),
        "MacAddress" => !text.starts_with("02:00:5e:"),
        "IPPrefixLen" => true,
        _ => CHANCE.contains(&key),
    }
}

/// Every value of a JSON document by its path; lists in an order of their own.
fn flatten(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            let lasting = map.iter().filter(|(key, value)| !is_chance(key, value));
            lasting.for_each(|(key, value)| flatten(&format!("{path}/{key}"), value, out));
        }
        Value::Array(list) => {
            let mut items: Vec<String> = list
                .iter()
                .map(|item| {
                    let mut parts = BTreeMap::new();
                    flatten("", item, &mut parts);
                    format!("{parts:?}")
                })
                .collect();
            items.sort();
            if path.ends_with("/Aliases") || path.ends_with("/Links") {
                items.dedup();
            }
            out.insert(path.to_owned(), items.join(" "));
        }
        Value::Null => {}
        other => drop(out.insert(path.to_owned(), other.to_string())),
    }
}

/// All containers, networks and volumes as the Engine shows them: `kind/name/path` and the value there.
///
/// # Panics
/// The Engine does not answer.
pub fn inspected(engine: &Engine, profile: &Profile) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    // A container that another's namespace is named by has another id each time: its name stands for it.
    let names = engine.docker_prints(&["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}"]);
    for (kind, list) in [
        ("container", &["ps", "-aq"][..]),
        ("network", &["network", "ls", "-q"]),
        ("volume", &["volume", "ls", "-q"]),
    ] {
        let list = engine.docker_prints(list);
        if list.is_empty() {
            continue;
        }
        let mut text =
            engine.docker_prints(&[kind, "inspect"].into_iter().chain(list.lines()).collect::<Vec<_>>());
        // What is bound is what a declared path leads to.
        text =
            text.replace(&profile.link().display().to_string(), &profile.generation().display().to_string());
        for line in names.lines() {
            let (id, name) = line.split_once(' ').expect("an id and a name");
            text = text.replace(id, name).replace(&id[..12], name);
        }
        let objects: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        for object in objects {
            let name = object["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
            flatten(&format!("{kind}/{}", without_ids(&name)), &object, &mut all);
        }
    }
    all.into_iter().map(|(path, value)| (path, without_ids(&value))).collect()
}

/// One JSON value, value by value, without what is empty: what one client leaves out another may send as nothing.
pub fn flattened(value: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    flatten("", &without_nothing(value), &mut all);
    all
}

fn without_nothing(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), without_nothing(value)))
            .filter(|(_, value)| !is_nothing(value))
            .collect(),
        Value::Array(list) => list.iter().map(without_nothing).collect(),
        other => other.clone(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(is_nothing),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) => false,
    }
}

/// The same text with every id of the Engine's (anonymous volumes, images) made one.
fn without_ids(text: &str) -> String {
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let hex = rest.bytes().take_while(is_hex).count();
        let other = rest.bytes().skip(hex).take_while(|byte| !is_hex(byte)).count();
        out.push_str(if hex == 64 { "<id>" } else { &rest[..hex] });
        out.push_str(&rest[hex..hex + other]);
        rest = &rest[hex + other..];
    }
    out
}

/// Where two states differ, one line each; `is_meant` says of a path that it may.
pub fn differences(
    theirs: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
    is_meant: impl Fn(&str) -> bool,
) -> Vec<String> {
    let empty = String::new();
    let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    paths
        .into_iter()
        .map(|path| (path, theirs.get(path).unwrap_or(&empty), ours.get(path).unwrap_or(&empty)))
        .filter(|(path, theirs, ours)| theirs != ours && !is_meant(path))
        .map(|(path, theirs, ours)| format!("{path}: Compose {theirs}, the agent {ours}"))
        .collect()
}
