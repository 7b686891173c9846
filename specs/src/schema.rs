//! Does a merged document have the shape that the Compose Specification's own schema asks for?
//!
//! The schema (`schema/compose-spec.json`, Apache-2.0, compose-spec/compose-go v2.9.1) is data; this file walks it with
//! exactly the keywords that it uses, so that every error has its place, its expectation and a hint.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use regex::Regex;
use serde_json::{Map as Object, Value as Json};

use crate::{
    Message, Problem,
    doc::{Key, Node, Path, Span, Value},
    message,
    values::scalar_text,
};

static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    serde_json::from_str(include_str!("schema/compose-spec.json")).unwrap_or(Json::Bool(true))
});

/// Holds a document against the schema; every value that does not fit is a problem.
pub fn validate(document: &Node, problems: &mut Vec<Problem>) {
    check(document, &SCHEMA, &Path::default(), problems);
}

fn check(node: &Node, schema: &'static Json, path: &Path, problems: &mut Vec<Problem>) {
    let Some(rules) = schema.as_object() else { return };
    if let Some(target) = rules.get("$ref").and_then(Json::as_str) {
        if let Some(schema) = SCHEMA.pointer(target.trim_start_matches('#')) {
            check(node, schema, path, problems);
        }
        return;
    }
    if let Some(wanted) = rules.get("type")
        && !names(wanted).iter().any(|name| is(node, name))
    {
        let message = message!("expected {}, found {}", words(&names(wanted)), node.kind());
        problems.push(Problem::error("type", node.span, path, message));
        return;
    }
    if let Some(choices) = rules.get("oneOf").and_then(Json::as_array) {
        one_of(node, choices, path, problems);
    }
    scalar(node, rules, path, problems);
    match &node.value {
        Value::Map(_) => mapping(node, rules, path, problems),
        Value::Seq(items) => sequence(items, rules, path, problems),
        _ => {}
    }
}

/// The choice that goes wrong deepest explains best what is wrong.
fn one_of(node: &Node, choices: &'static [Json], path: &Path, problems: &mut Vec<Problem>) {
    let mut fitting = 0;
    let mut best: Vec<Problem> = Vec::new();
    let depth = |found: &[Problem]| found.iter().map(|problem| problem.path.0.len()).max().unwrap_or(0);
    for choice in choices {
        let mut found = Vec::new();
        check(node, choice, path, &mut found);
        if found.is_empty() {
            fitting += 1;
        } else if best.is_empty() || depth(&found) > depth(&best) {
            best = found;
        }
    }
    match fitting {
        1 => {}
        0 => problems.extend(best),
        _ => problems.push(Problem::error("schema", node.span, path, "fits more than one of its forms")),
    }
}

fn scalar(node: &Node, rules: &'static Object<String, Json>, path: &Path, problems: &mut Vec<Problem>) {
    let mut wrong = |message: Message| problems.push(Problem::error("schema", node.span, path, message));
    if let Some(Json::Array(values)) = rules.get("enum") {
        let text = scalar_text(&node.value);
        let allowed: Vec<&'static str> = values.iter().filter_map(Json::as_str).collect();
        if !allowed.contains(&text.expose()) {
            wrong(message!("expected one of {}, found '{}'", Message::list(&allowed, ", "), text));
        }
    }
    if let (Some(pattern), Value::Str(text)) = (rules.get("pattern").and_then(Json::as_str), &node.value)
        && !matches(pattern, text.expose())
    {
        wrong(message!("'{}' does not match {}", text, pattern));
    }
    let number = match node.value {
        #[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
        Value::Int(number) => number as f64,
        Value::Float(number) => number,
        _ => return,
    };
    if let Some(least) = rules.get("minimum").and_then(Json::as_f64).filter(|least| number < *least) {
        wrong(message!("must be at least {}", least));
    }
    if let Some(most) = rules.get("maximum").and_then(Json::as_f64).filter(|most| number > *most) {
        wrong(message!("must be at most {}", most));
    }
}

fn mapping(node: &Node, rules: &'static Object<String, Json>, path: &Path, problems: &mut Vec<Problem>) {
    let Some(map) = node.as_map() else { return };
    let known = rules.get("properties").and_then(Json::as_object);
    let patterns = rules.get("patternProperties").and_then(Json::as_object);
    for (key, entry) in map {
        let mut taken = false;
        if let Some(schema) = known.and_then(|known| known.get(&**key)) {
            taken = true;
            check(&entry.node, schema, &path.key(key), problems);
        }
        for (_, schema) in patterns.into_iter().flatten().filter(|(pattern, _)| matches(pattern, key)) {
            taken = true;
            check(&entry.node, schema, &path.key(key), problems);
        }
        match rules.get("additionalProperties") {
            Some(Json::Bool(false)) if !taken => {
                problems.push(unknown(key, entry.key, known, &path.key(key)));
            }
            Some(schema @ Json::Object(_)) if !taken => {
                check(&entry.node, schema, &path.key(key), problems);
            }
            _ => {}
        }
    }
    for key in rules.get("required").map(names).unwrap_or_default() {
        if !map.contains_key(key) {
            problems.push(Problem::error("missing-key", node.span, path, message!("'{}' is missing", key)));
        }
    }
}

fn unknown(key: &Key, at: Span, known: Option<&'static Object<String, Json>>, path: &Path) -> Problem {
    let problem = Problem::error("unknown-key", at, path, message!("unknown key '{}'", key));
    let near = known.and_then(|known| {
        known.keys().map(|name| (distance(key, name), name.as_str())).filter(|(far, _)| *far <= 2).min()
    });
    match near {
        Some((_, name)) => problem.hint(message!("did you mean '{}'?", name)),
        None if path.0.len() == 2 && known.is_none() => {
            problem.hint("names consist of letters, digits, '.', '_' and '-'")
        }
        None => problem.hint("remove it, or begin it with x- to have it ignored"),
    }
}

fn sequence(items: &[Node], rules: &'static Object<String, Json>, path: &Path, problems: &mut Vec<Problem>) {
    if let Some(schema) = rules.get("items") {
        for (nth, item) in items.iter().enumerate() {
            check(item, schema, &path.index(nth), problems);
        }
    }
    if rules.get("uniqueItems") == Some(&Json::Bool(true)) {
        let mut seen = std::collections::HashMap::new();
        for (nth, item) in items.iter().enumerate() {
            let key = (item.kind(), scalar_text(&item.value));
            if item.as_map().is_none()
                && item.as_seq().is_none()
                && let Some(first) = seen.insert(key, item.span)
            {
                let problem =
                    Problem::error("duplicate-item", item.span, &path.index(nth), "stands here twice");
                problems.push(problem.related(first, "first here"));
            }
        }
    }
}

fn names(value: &'static Json) -> Vec<&'static str> {
    match value {
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

fn words(names: &[&'static str]) -> Message {
    let word = |name: &&'static str| match *name {
        "object" => "a mapping",
        "array" => "a list",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "null" => "nothing",
        _ => "a string",
    };
    Message::list(&names.iter().map(word).collect::<Vec<_>>(), " or ")
}

fn is(node: &Node, name: &str) -> bool {
    match &node.value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Int(_) | Value::BigInt(_) => matches!(name, "integer" | "number"),
        Value::Float(number) => name == "number" || name == "integer" && number.fract() == 0.0,
        Value::Str(_) => name == "string",
        Value::Seq(_) => name == "array",
        Value::Map(_) => name == "object",
    }
}

/// The six patterns of the schema; the frequent ones without a regular expression.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        "^x-" => text.starts_with("x-"),
        "^.+$" => !text.is_empty(),
        "^[a-z]+$" => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase()),
        "^[a-zA-Z0-9._-]+$" => {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        _ => compiled(pattern).is_some_and(|pattern| pattern.is_match(text)),
    }
}

/// A pattern's regular expression, made once: making it costs more than loading the rest of a small file.
fn compiled(pattern: &str) -> Option<Regex> {
    static MADE: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = made.get(pattern) {
        return Some(known.clone());
    }
    let new = Regex::new(pattern).ok()?;
    made.insert(pattern.to_owned(), new.clone());
    Some(new)
}

/// Levenshtein's distance, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let next = (corner + usize::from(left != *right)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
