//! How is one field of a mapping read, with the conversions that Compose makes?

use std::collections::BTreeMap;

use super::{extensions_of, map_of};
use crate::{
    Message, Problem, Text,
    doc::{Key, Map, Node, Trail, Value},
    message,
    model::{Bytes, Duration, Extensions, FileMode},
    values::{parse_bytes, parse_duration, scalar_text, split_words},
};

/// The fields of one mapping; reads of absent fields give the empty value.
pub(super) struct Fields<'a, 'p> {
    map: Option<&'a Map>,
    path: &'p Trail<'p>,
    problems: &'p mut Vec<Problem>,
}

impl<'a, 'p> Fields<'a, 'p> {
    /// The fields of `node`; `None`, and a problem, where it is no mapping.
    pub(super) fn of(node: &'a Node, path: &'p Trail<'p>, problems: &'p mut Vec<Problem>) -> Option<Self> {
        let map = map_of(node, path, problems)?;
        Some(Self { map, path, problems })
    }

    /// The node of a field that is there and not null.
    fn node(&self, key: &'static str) -> Option<&'a Node> {
        let node = &self.map?.get(key)?.node;
        (node.value != Value::Null).then_some(node)
    }

    fn wrong(&mut self, key: &'static str, node: &Node, expected: &'static str) {
        let found: Message = match node.as_text() {
            Some(text) => message!("'{}'", text),
            None => node.kind().into(),
        };
        let message = message!("expected {}, found {}", expected, found);
        self.problems.push(Problem::error("type", node.span, &self.path.known(key), message));
    }

    pub(super) fn text(&mut self, key: &'static str) -> Text {
        self.maybe_text(key).unwrap_or_default()
    }

    pub(super) fn maybe_text(&mut self, key: &'static str) -> Option<Text> {
        let node = self.node(key)?;
        if matches!(node.value, Value::Seq(_) | Value::Map(_)) {
            self.wrong(key, node, "a string");
            return None;
        }
        Some(scalar_text(&node.value))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.maybe_flag(key).unwrap_or(false)
    }

    pub(super) fn maybe_flag(&mut self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        let flag = match &node.value {
            Value::Bool(flag) => Some(*flag),
            Value::Str(text) => match text.expose().to_ascii_lowercase().as_str() {
                "true" | "yes" | "y" | "on" => Some(true),
                "false" | "no" | "n" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if flag.is_none() {
            self.wrong(key, node, "true or false");
        }
        flag
    }

    pub(super) fn int(&mut self, key: &'static str) -> i64 {
        self.maybe_int(key).unwrap_or(0)
    }

    pub(super) fn maybe_int(&mut self, key: &'static str) -> Option<i64> {
        let node = self.node(key)?;
        let number = whole(&node.value);
        if number.is_none() {
            self.wrong(key, node, "a whole number");
        }
        number
    }

    /// A small number from 0, written as a number: Docker Compose converts no text here.
    pub(super) fn number<T: TryFrom<i64> + Default>(&mut self, key: &'static str) -> T {
        let Some(node) = self.node(key) else { return T::default() };
        let number = match &node.value {
            Value::Str(_) => None,
            other => whole(other).and_then(|number| T::try_from(number).ok()),
        };
        number.unwrap_or_else(|| {
            self.wrong(key, node, "a whole number from 0, without quotes");
            T::default()
        })
    }

    pub(super) fn maybe_unsigned(&mut self, key: &'static str) -> Option<u64> {
        let node = self.node(key)?;
        let number = whole(&node.value).and_then(|number| u64::try_from(number).ok());
        if number.is_none() {
            self.wrong(key, node, "a whole number from 0");
        }
        number
    }

    /// A number held in 32 bits, as Compose holds `cpus`.
    pub(super) fn float(&mut self, key: &'static str) -> f32 {
        let Some(node) = self.node(key) else { return 0.0 };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "Compose holds it in 32 bits"
        )]
        let number = match &node.value {
            Value::Int(number) => Some(*number as f32),
            Value::Float(number) => Some(*number as f32),
            Value::Str(text) => text.expose().trim().parse::<f32>().ok(),
            _ => None,
        };
        number.unwrap_or_else(|| {
            self.wrong(key, node, "a number");
            0.0
        })
    }

    pub(super) fn bytes(&mut self, key: &'static str) -> Bytes {
        let Some(node) = self.node(key) else { return Bytes(0) };
        let size = match &node.value {
            Value::Int(size) => Some(*size),
            // Docker Compose reads whole numbers and texts, and passes over a number with a fraction.
            Value::Float(_) => Some(0),
            Value::Str(text) => parse_bytes(text.expose()),
            _ => None,
        };
        Bytes(size.unwrap_or_else(|| {
            self.wrong(key, node, "a size such as 512m");
            0
        }))
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let node = self.node(key)?;
        let time = match &node.value {
            Value::Str(text) => parse_duration(text.expose()),
            Value::Int(0) => Some(0),
            _ => None,
        };
        if time.is_none() {
            self.wrong(key, node, "a duration such as 1m30s (a number needs its unit)");
        }
        time.map(Duration)
    }

    pub(super) fn mode(&mut self, key: &'static str) -> Option<FileMode> {
        let node = self.node(key)?;
        let mode = match &node.value {
            Value::Int(mode) => Some(*mode),
            Value::Str(text) => i64::from_str_radix(text.expose().trim_start_matches("0o"), 8).ok(),
            _ => None,
        };
        if mode.is_none() {
            self.wrong(key, node, "permission bits such as \"0440\"");
        }
        mode.map(FileMode)
    }

    /// A list of strings; one string is a list of one.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<Text> {
        let Some(node) = self.node(key) else { return Vec::new() };
        match &node.value {
            Value::Seq(items) => items.iter().map(|item| scalar_text(&item.value)).collect(),
            Value::Map(_) => {
                self.wrong(key, node, "a list of strings");
                Vec::new()
            }
            scalar => vec![scalar_text(scalar)],
        }
    }

    /// A command: a list as it is, a string split as a shell would.
    pub(super) fn command(&mut self, key: &'static str) -> Option<Vec<Text>> {
        let node = self.node(key)?;
        match &node.value {
            Value::Str(line) => match split_words(line.expose()) {
                Some(words) => {
                    Some(words.into_iter().map(|word| Text::with_secrecy(word, line.is_secret())).collect())
                }
                None => {
                    self.wrong(key, node, "a command line with every quote and parenthesis closed");
                    None
                }
            },
            _ => Some(self.texts(key)),
        }
    }

    /// A map of strings; a list of `k=v` means the same; a value that is not there is empty.
    pub(super) fn texts_by_name(&mut self, key: &'static str) -> BTreeMap<Key, Text> {
        self.maybe_texts_by_name(key)
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or_default()))
            .collect()
    }

    /// The same, where a value that is not there stays so.
    pub(super) fn maybe_texts_by_name(&mut self, key: &'static str) -> BTreeMap<Key, Option<Text>> {
        let Some(node) = self.node(key) else { return BTreeMap::new() };
        match &node.value {
            Value::Map(map) => map
                .iter()
                .map(|(name, entry)| {
                    let value = (entry.node.value != Value::Null).then(|| scalar_text(&entry.node.value));
                    (name.clone(), value)
                })
                .collect(),
            Value::Seq(items) => items
                .iter()
                .filter(|item| item.value != Value::Null)
                .map(|item| {
                    let written = scalar_text(&item.value);
                    let (name, value) = Key::pair(&written);
                    if name.ends_with(char::is_whitespace) {
                        let message = message!("the name '{}' ends in a space", name);
                        let problem =
                            Problem::error("variable-name", item.span, &self.path.known(key), message);
                        self.problems.push(problem.hint("write NAME=VALUE without a space before the ="));
                    }
                    (name, value)
                })
                .collect(),
            _ => {
                self.wrong(key, node, "a mapping or a list of KEY=VALUE");
                BTreeMap::new()
            }
        }
    }

    /// `host: address`, `host: [addresses]`, or a list of `host=address` and `host:address`.
    pub(super) fn hosts(&mut self, key: &'static str) -> BTreeMap<Key, Vec<Text>> {
        let mut hosts: BTreeMap<Key, Vec<Text>> = BTreeMap::new();
        let Some(node) = self.node(key) else { return hosts };
        let mut add = |host: Key, address: &Text| {
            let bare = |text: &str| {
                let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                inside.filter(|inside| !inside.is_empty()).unwrap_or(text).to_owned()
            };
            let good = !host.is_empty() && !host.contains([':', '=']);
            if good {
                hosts.entry(host).or_default().push(address.map(bare));
            }
            good
        };
        let mut bad = Vec::new();
        match &node.value {
            Value::Map(map) => {
                for (host, entry) in map {
                    let good = match &entry.node.value {
                        Value::Seq(items) => {
                            items.iter().all(|item| add(host.clone(), &scalar_text(&item.value)))
                        }
                        scalar => add(host.clone(), &scalar_text(scalar)),
                    };
                    if !good {
                        bad.push(&entry.node);
                    }
                }
            }
            Value::Seq(items) => {
                for item in items {
                    let written = scalar_text(&item.value);
                    let pair = written.split_once('=').or_else(|| written.split_once(':'));
                    let good = pair.is_some_and(|(host, address)| add(Key::from(&host), &address));
                    if !good {
                        bad.push(item);
                    }
                }
            }
            _ => bad.push(node),
        }
        for node in bad {
            self.wrong(key, node, "HOST=ADDRESS");
        }
        hosts
    }

    /// A nested mapping.
    pub(super) fn object<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node, &Trail<'_>, &mut Vec<Problem>) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(key)?;
        read(node, &self.path.known(key), self.problems)
    }

    /// A list of mappings.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Node, &Trail<'_>, &mut Vec<Problem>) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Value::Seq(items) = &node.value else {
            self.wrong(key, node, "a list");
            return Vec::new();
        };
        let path = self.path.known(key);
        items
            .iter()
            .enumerate()
            .filter_map(|(nth, item)| read(item, &path.index(nth), self.problems))
            .collect()
    }

    /// A map of objects by name.
    pub(super) fn objects<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Node, &Trail<'_>, &Key, &mut Vec<Problem>) -> Option<T>,
    ) -> BTreeMap<Key, T> {
        let Some(node) = self.node(key) else { return BTreeMap::new() };
        let path = self.path.known(key);
        let Some(Some(map)) = map_of(node, &path, self.problems) else { return BTreeMap::new() };
        map.iter()
            .filter_map(|(name, entry)| {
                Some((name.clone(), read(&entry.node, &path.key(name), name, self.problems)?))
            })
            .collect()
    }

    /// The `x-…` fields.
    pub(super) fn extensions(&self) -> Extensions {
        self.map.map(extensions_of).unwrap_or_default()
    }
}

pub(super) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "only whole values pass")]
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
        Value::Str(text) => text.expose().parse().ok(),
        _ => None,
    }
}
