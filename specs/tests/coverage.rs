//! Does every key of the official schema, and every field that merges by a rule of its own, have a recorded case?
//!
//! The cases (`tests/cases`) are what Docker Compose said about small files; a key that none of them mentions is held
//! against nothing.

#![allow(clippy::unwrap_used, reason = "a test stops where its fixture is broken")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use specs::{
    doc::{FileId, Node, Value},
    yaml,
};

/// Fields that `merge.rs` and `unify.rs` treat by a rule of their own, `*` for any name.
const MERGED: &[&str] = &[
    "services.*.command",
    "services.*.entrypoint",
    "services.*.healthcheck.test",
    "services.*.ulimits.*",
    "services.*.environment",
    "services.*.labels",
    "services.*.annotations",
    "services.*.sysctls",
    "services.*.dns",
    "services.*.dns_opt",
    "services.*.dns_search",
    "services.*.env_file",
    "services.*.label_file",
    "services.*.tmpfs",
    "services.*.build.args",
    "services.*.build.labels",
    "services.*.build.additional_contexts",
    "services.*.deploy.labels",
    "networks.*.labels",
    "volumes.*.labels",
    "services.*.extra_hosts",
    "services.*.build.extra_hosts",
    "services.*.depends_on",
    "services.*.networks",
    "services.*.models",
    "services.*.build",
    "services.*.logging",
    "networks.*.ipam.config",
    "services.*.cap_add",
    "services.*.cap_drop",
    "services.*.links",
    "services.*.profiles",
    "services.*.expose",
    "services.*.volumes",
    "services.*.devices",
    "services.*.ports",
    "services.*.secrets",
    "services.*.configs",
    "services.*.build.tags",
    "services.*.networks.*.aliases",
    "services.*.networks.*.link_local_ips",
];

fn schema() -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schema/compose-spec.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The YAML documents of each case, those that are files beside its compose file included.
fn cases() -> Vec<Vec<Node>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let folders = below(&root).into_iter().filter(|topic| topic.is_dir()).flat_map(|topic| below(&topic));
    folders
        .map(|case| {
            let mut files = Vec::new();
            let mut open = vec![case];
            while let Some(path) = open.pop() {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    open.extend(below(&path));
                } else if (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.starts_with("expected")
                {
                    files.push(path);
                }
            }
            let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
            texts.filter_map(|text| yaml::parse(&text, FileId(0), false).ok()).flatten().collect()
        })
        .collect()
}

/// Where every property of the schema stands in it.
fn properties(schema: &Json, at: &str, found: &mut BTreeSet<String>) {
    match schema {
        Json::Object(fields) => {
            for (key, value) in fields {
                let here = format!("{at}/{key}");
                if let ("properties", Json::Object(known)) = (key.as_str(), value) {
                    found.extend(known.keys().map(|name| format!("{here}/{name}")));
                }
                properties(value, &here, found);
            }
        }
        Json::Array(items) => {
            for (nth, item) in items.iter().enumerate() {
                properties(item, &format!("{at}/{nth}"), found);
            }
        }
        _ => {}
    }
}

struct Walk<'s> {
    schema: &'s Json,
    seen: BTreeSet<String>,
}

impl<'s> Walk<'s> {
    /// Notes the properties of the schema that a value has.
    fn value(&mut self, node: &Node, rules: &'s Json, at: &str) {
        if let Some(target) = rules["$ref"].as_str() {
            let target = target.trim_start_matches('#');
            let rules = self.schema.pointer(target).unwrap();
            return self.value(node, rules, target);
        }
        for (nth, choice) in rules["oneOf"].as_array().into_iter().flatten().enumerate() {
            self.value(node, choice, &format!("{at}/oneOf/{nth}"));
        }
        match &node.value {
            Value::Map(map) => {
                for (key, entry) in map {
                    let known = &rules["properties"][key.expose()];
                    if !known.is_null() {
                        let here = format!("{at}/properties/{key}");
                        self.value(&entry.node, known, &here);
                        self.seen.insert(here);
                        continue;
                    }
                    for (pattern, rules) in rules["patternProperties"].as_object().into_iter().flatten() {
                        self.value(&entry.node, rules, &format!("{at}/patternProperties/{pattern}"));
                    }
                    self.value(
                        &entry.node,
                        &rules["additionalProperties"],
                        &format!("{at}/additionalProperties"),
                    );
                }
            }
            Value::Seq(items) => {
                items.iter().for_each(|item| self.value(item, &rules["items"], &format!("{at}/items")));
            }
            _ => {}
        }
    }
}

#[test]
fn every_key_of_the_schema_has_a_case() {
    let schema = schema();
    let mut wanted = BTreeSet::new();
    properties(&schema, "", &mut wanted);
    assert!(wanted.len() > 300, "only {} keys", wanted.len());
    let mut walk = Walk { schema: &schema, seen: BTreeSet::new() };
    for document in cases().iter().flatten() {
        walk.value(document, &schema, "");
    }
    let missing: Vec<&String> = wanted.difference(&walk.seen).collect();
    assert!(missing.is_empty(), "{} of {} keys have no case: {missing:#?}", missing.len(), wanted.len());
}

/// Whether a document has a value at such a path.
fn has(node: &Node, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    let inside = |node: &Node| has(node, rest);
    match &node.value {
        Value::Map(map) if *first == "*" => map.values().any(|entry| inside(&entry.node)),
        Value::Map(map) => map.get(*first).is_some_and(|entry| inside(&entry.node)),
        _ => false,
    }
}

#[test]
fn every_field_with_a_merge_rule_of_its_own_has_a_case_that_merges_it() {
    let cases = cases();
    let merges = |rule: &&&str| {
        let path: Vec<&str> = rule.split('.').collect();
        let twice =
            |documents: &Vec<Node>| documents.iter().filter(|document| has(document, &path)).count() > 1;
        cases.iter().any(twice)
    };
    let missing: Vec<_> = MERGED.iter().filter(|rule| !merges(rule)).collect();
    assert!(missing.is_empty(), "no case merges {missing:?}");
}
