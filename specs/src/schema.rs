//! Does a merged document have the shape that the Compose Specification's own schema asks for?
//!
//! The schema (`schema/compose-spec.json`, Apache-2.0, compose-spec/compose-go v2.9.1) is data; this file walks its rules
//! with exactly the keywords that it uses, so that every error has its place, its expectation and a hint.

use std::collections::HashMap;

use crate::{
    Message, Problem,
    doc::{Key, Map, Node, Path, Span, Trail, Value},
    message,
    values::scalar_text,
};

mod rules;

use rules::{Others, Rules};

/// Holds a document against the schema; every value that does not fit is a problem.
pub fn validate(document: &Node, problems: &mut Vec<Problem>) {
    check(document, rules::root(), &Trail::Root, problems);
}

fn check(node: &Node, rules: &'static Rules, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    let rules = rules.resolved();
    if !rules.takes(&node.value) {
        let message = message!("expected {}, found {}", words(rules.kinds()), node.kind());
        problems.push(Problem::error("type", node.span, path, message));
        return;
    }
    if !rules.choices.is_empty() {
        one_of(node, &rules.choices, path, problems);
    }
    scalar(node, rules, path, problems);
    match &node.value {
        Value::Map(map) => mapping(node, map, rules, path, problems),
        Value::Seq(items) => sequence(items, rules, path, problems),
        _ => {}
    }
}

/// The choice that goes wrong deepest explains best what is wrong; one of another kind is not meant where one is of this.
fn one_of(node: &Node, choices: &'static [Rules], path: &Trail<'_>, problems: &mut Vec<Problem>) {
    let mut fitting = 0;
    let mut best: Vec<Problem> = Vec::new();
    let depth = |found: &[Problem]| found.iter().map(|problem| problem.path.0.len()).max().unwrap_or(0);
    let is_meant = |choice: &&Rules| choice.resolved().takes(&node.value);
    let any = choices.iter().any(|choice| is_meant(&choice));
    for choice in choices.iter().filter(|choice| !any || is_meant(choice)) {
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

fn scalar(node: &Node, rules: &'static Rules, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    let mut wrong = |message: Message| problems.push(Problem::error("schema", node.span, path, message));
    if !rules.values.is_empty() {
        let text = scalar_text(&node.value);
        if !rules.values.contains(&text.expose()) {
            wrong(message!("expected one of {}, found '{}'", Message::list(&rules.values, ", "), text));
        }
    }
    if let (Some(pattern), Value::Str(text)) = (&rules.pattern, &node.value)
        && !pattern.matches(text.expose())
    {
        wrong(message!("'{}' does not match {}", text, pattern.text()));
    }
    let number = match node.value {
        #[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
        Value::Int(number) => number as f64,
        Value::Float(number) => number,
        _ => return,
    };
    if let Some(least) = rules.least.filter(|least| number < *least) {
        wrong(message!("must be at least {}", least));
    }
    if let Some(most) = rules.most.filter(|most| number > *most) {
        wrong(message!("must be at most {}", most));
    }
}

fn mapping(node: &Node, map: &Map, rules: &'static Rules, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    for (key, entry) in map {
        let here = path.key(key);
        let known = rules.known.as_ref().and_then(|known| known.get(key.expose()));
        let patterns =
            rules.patterns.iter().filter(|(pattern, _)| pattern.matches(key)).map(|(_, rules)| rules);
        let mut taken = false;
        for rules in known.into_iter().chain(patterns) {
            taken = true;
            check(&entry.node, rules, &here, problems);
        }
        match &rules.others {
            Others::Refused if !taken => problems.push(unknown(key, entry.key, rules, &here.path())),
            Others::Ruled(rules) if !taken => check(&entry.node, rules, &here, problems),
            _ => {}
        }
    }
    for key in rules.required.iter().filter(|key| !map.contains_key(**key)) {
        problems.push(Problem::error("missing-key", node.span, path, message!("'{}' is missing", *key)));
    }
}

fn unknown(key: &Key, at: Span, rules: &'static Rules, path: &Path) -> Problem {
    let problem = Problem::error("unknown-key", at, path, message!("unknown key '{}'", key));
    let known = rules.known.as_ref();
    let near = known.and_then(|known| {
        known.keys().map(|name| (distance(key, name), *name)).filter(|(far, _)| *far <= 2).min()
    });
    match near {
        Some((_, name)) => problem.hint(message!("did you mean '{}'?", name)),
        None if path.0.len() == 2 && known.is_none() => {
            problem.hint("names consist of letters, digits, '.', '_' and '-'")
        }
        None => problem.hint("remove it, or begin it with x- to have it ignored"),
    }
}

fn sequence(items: &[Node], rules: &'static Rules, path: &Trail<'_>, problems: &mut Vec<Problem>) {
    if let Some(rules) = &rules.items {
        for (nth, item) in items.iter().enumerate() {
            check(item, rules, &path.index(nth), problems);
        }
    }
    if !rules.unique || items.len() < 2 {
        return;
    }
    let mut seen = HashMap::new();
    let scalars =
        items.iter().enumerate().filter(|(_, item)| item.as_map().is_none() && item.as_seq().is_none());
    for (nth, item) in scalars {
        if let Some(first) = seen.insert((item.kind(), scalar_text(&item.value)), item.span) {
            let problem = Problem::error("duplicate-item", item.span, &path.index(nth), "stands here twice");
            problems.push(problem.related(first, "first here"));
        }
    }
}

/// The schema's words for kinds in ours.
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
