//! Which variables does a project ask for, and what does it say about each?
//!
//! What `docker compose config --variables` lists: read from the merged model before anything is expanded.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    Text,
    doc::{Node, Value},
    interpolate::{closing, name_length},
};

/// What a project says about one variable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variable {
    /// Whether loading fails without it, as `${A:?why}` asks for.
    pub required: bool,
    /// What stands in for it where it is not set, as it was written.
    pub default: Text,
    /// What stands in for it where it is set, as it was written.
    pub alternate: Text,
}

/// The variables in the texts below a node; the keys of mappings are none.
pub fn collect(node: &Node, found: &mut BTreeMap<String, Variable>) {
    match &node.value {
        Value::Str(text) => scan(text.expose(), text.is_secret(), found, 0),
        Value::Seq(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Map(map) => map.values().for_each(|entry| collect(&entry.node, found)),
        _ => {}
    }
}

fn scan(mut rest: &str, secret: bool, found: &mut BTreeMap<String, Variable>, depth: usize) {
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some(end) = closing(after) else { return };
            braced(&after[..end], secret, found, depth);
            rest = &after[end + 1..];
        } else {
            let length = name_length(rest);
            if length > 0 {
                found.entry(rest[..length].to_owned()).or_default();
            }
            rest = &rest[length..];
        }
    }
}

fn braced(inside: &str, secret: bool, found: &mut BTreeMap<String, Variable>, depth: usize) {
    let (name, form) = inside.split_at(name_length(inside));
    if name.is_empty() {
        return;
    }
    let variable = found.entry(name.to_owned()).or_default();
    let form = form.strip_prefix(':').unwrap_or(form);
    let written = form.get(1..).unwrap_or_default();
    match form.chars().next() {
        Some('-') => variable.default = Text::with_secrecy(written, secret),
        Some('+') => variable.alternate = Text::with_secrecy(written, secret),
        Some('?') => variable.required = true,
        _ => {}
    }
    if depth < 64 {
        scan(written, secret, found, depth + 1);
    }
}

/// The table that Docker Compose prints.
pub fn table(variables: &BTreeMap<String, Variable>) -> String {
    let heads = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(heads)
        .chain(variables.iter().map(|(name, variable)| {
            [
                name.clone(),
                variable.required.to_string(),
                variable.default.shown().into_owned(),
                variable.alternate.shown().into_owned(),
            ]
        }))
        .collect();
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        (longest + 3).max(20)
    };
    let widths = [width(0), width(1), width(2)];
    rows.iter().fold(String::new(), |mut out, [name, required, default, alternate]| {
        let [first, second, third] = widths;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:first$}{required:second$}{default:third$}{alternate}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_says_something_else() {
        let mut found = BTreeMap::new();
        scan("$A ${B:-b} ${C?why} ${D:+d} $$E ${F:-${G-g}} $1 ${", false, &mut found, 0);
        let shown: Vec<String> = found
            .iter()
            .map(|(name, v)| format!("{name}{}{}{}", v.required, v.default, v.alternate))
            .collect();
        assert_eq!(shown, ["Afalse", "Bfalseb", "Ctrue", "Dfalsed", "Ffalse${G-g}", "Gfalseg"]);
    }
}
