//! What does the schema ask of a value? The schema's JSON, read once into rules that are quick to walk.

use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
};

use regex::Regex;
use serde_json::{Map as Object, Value as Json};

use crate::doc::Value;

static TEXT: LazyLock<Json> =
    LazyLock::new(|| serde_json::from_str(include_str!("compose-spec.json")).unwrap_or(Json::Bool(true)));

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let definitions: Vec<(&str, &Json)> = TEXT
        .get("definitions")
        .and_then(Json::as_object)
        .map(|named| named.iter().map(|(name, rules)| (name.as_str(), rules)).collect())
        .unwrap_or_default();
    let names: Vec<&str> = definitions.iter().map(|(name, _)| *name).collect();
    let read = |json: &'static Json| Rules::of(json, &names);
    Schema { root: read(&TEXT), definitions: definitions.iter().map(|(_, rules)| read(rules)).collect() }
});

struct Schema {
    root: Rules,
    definitions: Vec<Rules>,
}

/// What holds for one value.
#[derive(Default)]
pub(super) struct Rules {
    /// `$ref`: these definitions hold, and nothing beside them.
    reference: Option<usize>,
    /// `type`, where it is given, and its words in the order of the schema.
    kinds: Option<(u8, Vec<&'static str>)>,
    /// `oneOf`
    pub(super) choices: Vec<Rules>,
    /// `enum`
    pub(super) values: Vec<&'static str>,
    /// `pattern`
    pub(super) pattern: Option<Pattern>,
    /// `minimum`
    pub(super) least: Option<f64>,
    /// `maximum`
    pub(super) most: Option<f64>,
    /// `properties`
    pub(super) known: Option<HashMap<&'static str, Rules, foldhash::fast::RandomState>>,
    /// `patternProperties`
    pub(super) patterns: Vec<(Pattern, Rules)>,
    /// `additionalProperties`
    pub(super) others: Others,
    /// `required`
    pub(super) required: Vec<&'static str>,
    /// `items`
    pub(super) items: Option<Box<Rules>>,
    /// `uniqueItems`
    pub(super) unique: bool,
}

/// What holds for keys that neither a name nor a pattern of the schema covers.
#[derive(Default)]
pub(super) enum Others {
    /// They may hold anything.
    #[default]
    Free,
    /// There must be none.
    Refused,
    /// Their values follow these rules.
    Ruled(Box<Rules>),
}

/// The rules of a whole document.
pub(super) fn root() -> &'static Rules {
    &SCHEMA.root
}

impl Rules {
    fn of(json: &'static Json, names: &[&str]) -> Self {
        let Some(object) = json.as_object() else { return Self::default() };
        let read = |json: &'static Json| Self::of(json, names);
        let named = |key: &str| object.get(key).and_then(Json::as_object);
        let reference =
            object.get("$ref").and_then(Json::as_str).and_then(|target| target.rsplit('/').next());
        Self {
            reference: reference.and_then(|target| names.iter().position(|name| *name == target)),
            kinds: object.get("type").map(|kinds| kinds_of(&words(kinds))),
            choices: object.get("oneOf").and_then(Json::as_array).into_iter().flatten().map(read).collect(),
            values: object.get("enum").map(words).unwrap_or_default(),
            pattern: object.get("pattern").and_then(Json::as_str).map(Pattern::of),
            least: object.get("minimum").and_then(Json::as_f64),
            most: object.get("maximum").and_then(Json::as_f64),
            known: named("properties")
                .map(|known| known.iter().map(|(key, rules)| (key.as_str(), read(rules))).collect()),
            patterns: named("patternProperties")
                .into_iter()
                .flatten()
                .map(|(pattern, rules)| (Pattern::of(pattern), read(rules)))
                .collect(),
            others: others(object, read),
            required: object.get("required").map(words).unwrap_or_default(),
            items: object.get("items").map(|items| Box::new(read(items))),
            unique: object.get("uniqueItems") == Some(&Json::Bool(true)),
        }
    }

    /// The rules that a reference leads to, or these.
    pub(super) fn resolved(&self) -> &Self {
        self.reference.and_then(|nth| SCHEMA.definitions.get(nth)).unwrap_or(self)
    }

    /// Whether a value is of a kind that is asked for.
    pub(super) fn takes(&self, value: &Value) -> bool {
        self.kinds.as_ref().is_none_or(|(kinds, _)| kinds & kinds_of_value(value) != 0)
    }

    /// The kinds that are asked for, in the schema's words.
    pub(super) fn kinds(&self) -> &[&'static str] {
        self.kinds.as_ref().map_or(&[], |(_, words)| words)
    }
}

fn others(object: &'static Object<String, Json>, read: impl Fn(&'static Json) -> Rules) -> Others {
    match object.get("additionalProperties") {
        Some(Json::Bool(false)) => Others::Refused,
        Some(rules @ Json::Object(_)) => Others::Ruled(Box::new(read(rules))),
        _ => Others::Free,
    }
}

fn words(json: &'static Json) -> Vec<&'static str> {
    match json {
        Json::Array(words) => words.iter().filter_map(Json::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

const KINDS: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

fn kinds_of(words: &[&'static str]) -> (u8, Vec<&'static str>) {
    let bit = |word: &&str| KINDS.iter().position(|kind| kind == word).map_or(0, |nth| 1_u8 << nth);
    (words.iter().map(bit).fold(0, |all, bit| all | bit), words.to_vec())
}

/// The bits of [`KINDS`] that a value counts as.
fn kinds_of_value(value: &Value) -> u8 {
    match value {
        Value::Null => 1,
        Value::Bool(_) => 1 << 1,
        Value::Int(_) | Value::BigInt(_) => 1 << 2 | 1 << 3,
        Value::Float(number) if number.fract() == 0.0 => 1 << 2 | 1 << 3,
        Value::Float(_) => 1 << 3,
        Value::Str(_) => 1 << 4,
        Value::Seq(_) => 1 << 5,
        Value::Map(_) => 1 << 6,
    }
}

/// One of the schema's few patterns; the frequent ones need no regular expression.
pub(super) enum Pattern {
    Extension,
    Anything,
    Lowercase,
    Name,
    /// Made when it is first asked: making it costs more than loading the rest of a small file.
    Other(&'static str, OnceLock<Option<Regex>>),
}

impl Pattern {
    fn of(text: &'static str) -> Self {
        match text {
            "^x-" => Self::Extension,
            "^.+$" => Self::Anything,
            "^[a-z]+$" => Self::Lowercase,
            "^[a-zA-Z0-9._-]+$" => Self::Name,
            other => Self::Other(other, OnceLock::new()),
        }
    }

    /// The pattern as the schema has it.
    pub(super) fn text(&self) -> &'static str {
        match self {
            Self::Extension => "^x-",
            Self::Anything => "^.+$",
            Self::Lowercase => "^[a-z]+$",
            Self::Name => "^[a-zA-Z0-9._-]+$",
            Self::Other(text, _) => text,
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Extension => text.starts_with("x-"),
            Self::Anything => !text.is_empty(),
            Self::Lowercase => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase()),
            Self::Name => {
                !text.is_empty()
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            }
            Self::Other(pattern, made) => made
                .get_or_init(|| Regex::new(pattern).ok())
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(text)),
        }
    }
}
