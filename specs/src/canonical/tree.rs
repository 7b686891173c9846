//! What is the tree that is printed, as JSON or as YAML?

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    MASK, Text,
    doc::{Key, Node, Value},
    model::{Bytes, Duration, Extensions, FileMode},
};

/// What is printed where a value is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// [`MASK`].
    Mask,
    /// The value: for hashing, and for who asks for it by name.
    Reveal,
}

/// In which of the two forms a field is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In JSON, and in what is hashed.
    Json,
    /// In YAML.
    Yaml,
}

/// A value to be printed.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as text.
    Number(String),
    /// A number with a fraction.
    Float(f64),
    /// A string.
    Text(Text),
    /// `[…]`
    Array(Vec<Json>),
    /// `{…}` with the fields of a Go type, in its order.
    Object(Vec<(Key, Json)>),
    /// `{…}` with names of the user's, each form in an order of its own.
    Map(Vec<(Key, Json)>),
    /// A field that the other form leaves out.
    Only(Form, Box<Json>),
}

impl Json {
    /// A plain string.
    pub fn text(value: &str) -> Self {
        Self::Text(Text::plain(value))
    }

    /// Strings.
    pub(super) fn array(texts: &[Text]) -> Self {
        Self::Array(texts.iter().cloned().map(Self::Text).collect())
    }

    /// Whether Go's `omitempty` leaves it out.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(flag) => !flag,
            Self::Number(number) => number == "0",
            Self::Float(number) => *number == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::Array(items) => items.is_empty(),
            Self::Map(fields) => fields.is_empty(),
            Self::Object(fields) => {
                fields.iter().all(|(_, value)| matches!(value, Self::Only(Form::Yaml, _)))
            }
            Self::Only(_, value) => value.is_empty(),
        }
    }

    /// Names with values.
    pub(super) fn map(fields: impl IntoIterator<Item = (Key, Self)>) -> Self {
        Self::Map(fields.into_iter().collect())
    }

    /// A value of an extension, as it was written.
    pub(super) fn written(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Int(number) => Self::Number(number.to_string()),
            Value::BigInt(number) => Self::Number(number.to_string()),
            Value::Float(number) => Self::Float(*number),
            Value::Str(text) => Self::Text(text.clone()),
            Value::Seq(items) => Self::Array(items.iter().map(Self::written).collect()),
            Value::Map(map) => {
                let mut fields: Vec<(Key, Self)> =
                    map.iter().map(|(key, entry)| (key.clone(), Self::written(&entry.node))).collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Map(fields)
            }
        }
    }

    /// The fields that a form has, and their values.
    pub(super) fn fields_in(&self, form: Form) -> impl Iterator<Item = (&Key, &Self)> {
        let fields = match self {
            Self::Object(fields) | Self::Map(fields) => fields.as_slice(),
            _ => &[],
        };
        fields.iter().filter_map(move |(key, value)| match value {
            Self::Only(only, value) => (*only == form).then_some((key, &**value)),
            value => Some((key, value)),
        })
    }

    /// All texts and names that are secret.
    pub(crate) fn secrets(&self, found: &mut Vec<Text>) {
        match self {
            Self::Text(text) if text.is_secret() => found.push(text.clone()),
            Self::Array(items) => items.iter().for_each(|item| item.secrets(found)),
            Self::Object(fields) | Self::Map(fields) => {
                for (name, value) in fields {
                    found.extend(name.is_secret().then(|| name.text()));
                    value.secrets(found);
                }
            }
            Self::Only(_, value) => value.secrets(found),
            Self::Text(_) | Self::Null | Self::Bool(_) | Self::Number(_) | Self::Float(_) => {}
        }
    }

    /// A record with its fields in the order of their names.
    pub(super) fn sorted(mut self) -> Self {
        if let Self::Object(fields) = &mut self {
            fields.sort_by(|a, b| a.0.cmp(&b.0));
        }
        self
    }

    /// What may be shown of a text.
    pub(super) fn shown(text: &Text, secrets: Secrets) -> &str {
        if text.is_secret() && secrets == Secrets::Mask { MASK } else { text.expose() }
    }

    /// What may be shown of a key, with the dollar signs doubled that a reader would expand.
    pub(super) fn shown_key(key: &Key, secrets: Secrets) -> Cow<'_, str> {
        match secrets {
            Secrets::Mask if key.is_secret() => MASK.into(),
            _ if key.contains('$') => key.replace('$', "$$").into(),
            _ => key.expose().into(),
        }
    }

    /// A record to be filled field by field.
    pub(super) fn record() -> Record {
        Record(Vec::new())
    }
}

/// A record under construction: fields in Go's order, empty ones left out.
pub(super) struct Record(Vec<(Key, Json)>);

impl Record {
    /// A field that is never left out.
    pub(super) fn always(self, key: &'static str, value: Json) -> Self {
        self.named_by(Key::known(key), value)
    }

    /// A field whose name is not Compose's own.
    pub(super) fn named_by(mut self, key: Key, value: Json) -> Self {
        self.0.push((key, value));
        self
    }

    /// A field that JSON has even where it is empty.
    pub(super) fn json_always(self, key: &'static str, value: Json) -> Self {
        let has_yaml = match &value {
            Json::Object(_) => value.fields_in(Form::Yaml).next().is_some(),
            other => !other.is_empty(),
        };
        if has_yaml { self.always(key, value) } else { self.only(Form::Json, key, value) }
    }

    /// A number that YAML has even where it is zero.
    pub(super) fn yaml_always(self, key: &'static str, value: i64) -> Self {
        let number = Json::Number(value.to_string());
        if value == 0 { self.only(Form::Yaml, key, number) } else { self.always(key, number) }
    }

    /// A command: JSON has it as `null` where there is none, YAML has it empty where it is there and empty.
    pub(super) fn field_or_json_null(self, key: &'static str, words: Option<&[Text]>) -> Self {
        match words {
            Some(words) => self.always(key, Json::array(words)),
            None => self.only(Form::Json, key, Json::Null),
        }
    }

    /// A field with a value for each form, left out where it is empty.
    pub(super) fn named(self, key: &'static str, json: Json, yaml: Json) -> Self {
        if json.is_empty() { self } else { self.only(Form::Json, key, json).only(Form::Yaml, key, yaml) }
    }

    /// A field of a Go type that gives JSON no name for it.
    pub(super) fn named_in_go(self, json: &'static str, yaml: &'static str, value: Json) -> Self {
        self.only(Form::Json, json, value.clone()).only(Form::Yaml, yaml, value)
    }

    /// A field of one form.
    pub(super) fn only(self, form: Form, key: &'static str, value: Json) -> Self {
        self.always(key, Json::Only(form, Box::new(value)))
    }

    /// The `x-…` of a record, which Docker Compose's JSON leaves out below the top level.
    pub(super) fn extensions(mut self, extensions: &Extensions) -> Self {
        let written = |node| Json::Only(Form::Yaml, Box::new(Json::written(node)));
        self.0.extend(extensions.iter().map(|(key, node)| (key.clone(), written(node))));
        self
    }

    /// A field that is left out where it is empty.
    pub(super) fn field(self, key: &'static str, value: Json) -> Self {
        if value.is_empty() { self } else { self.always(key, value) }
    }

    /// A field that is left out where it was not given, and kept where it is zero.
    pub(super) fn maybe(self, key: &'static str, value: Option<Json>) -> Self {
        match value {
            Some(value) => self.always(key, value),
            None => self,
        }
    }

    pub(super) fn text(self, key: &'static str, value: &Text) -> Self {
        self.field(key, Json::Text(value.clone()))
    }

    pub(super) fn flag(self, key: &'static str, value: bool) -> Self {
        self.field(key, Json::Bool(value))
    }

    pub(super) fn maybe_flag(self, key: &'static str, value: Option<bool>) -> Self {
        self.maybe(key, value.map(Json::Bool))
    }

    pub(super) fn int(self, key: &'static str, value: i64) -> Self {
        self.field(key, Json::Number(value.to_string()))
    }

    pub(super) fn maybe_int(self, key: &'static str, value: Option<i64>) -> Self {
        self.maybe(key, value.map(|value| Json::Number(value.to_string())))
    }

    pub(super) fn maybe_unsigned(self, key: &'static str, value: Option<u64>) -> Self {
        self.maybe(key, value.map(|value| Json::Number(value.to_string())))
    }

    /// A 32-bit number, shortest.
    pub(super) fn float(self, key: &'static str, value: f32) -> Self {
        if value == 0.0 { self } else { self.always(key, Json::Number(format!("{value}"))) }
    }

    pub(super) fn bytes(self, key: &'static str, value: Bytes) -> Self {
        if value.0 == 0 { self } else { self.always(key, Json::text(&value.to_string())) }
    }

    pub(super) fn duration(self, key: &'static str, value: Option<Duration>) -> Self {
        self.maybe(key, value.map(|value| Json::text(&value.to_string())))
    }

    pub(super) fn mode(self, key: &'static str, value: Option<FileMode>) -> Self {
        self.maybe(key, value.map(|value| Json::text(&value.to_string())))
    }

    pub(super) fn texts(self, key: &'static str, value: &[Text]) -> Self {
        self.field(key, Json::array(value))
    }

    pub(super) fn list(self, key: &'static str, value: Vec<Json>) -> Self {
        self.field(key, Json::Array(value))
    }

    pub(super) fn texts_by_name(self, key: &'static str, value: &BTreeMap<Key, Text>) -> Self {
        self.field(
            key,
            Json::Map(value.iter().map(|(name, value)| (name.clone(), Json::Text(value.clone()))).collect()),
        )
    }

    pub(super) fn maybe_texts_by_name(self, key: &'static str, value: &BTreeMap<Key, Option<Text>>) -> Self {
        let entry = |value: &Option<Text>| value.clone().map_or(Json::Null, Json::Text);
        self.field(key, Json::Map(value.iter().map(|(name, value)| (name.clone(), entry(value))).collect()))
    }

    /// The record.
    pub(super) fn done(self) -> Json {
        Json::Object(self.0)
    }
}
