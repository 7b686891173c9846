//! What is a JSON tree as Go's encoder writes it?

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    MASK, Text,
    model::{Bytes, Duration, FileMode},
};

/// What is printed where a value is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// [`MASK`].
    Mask,
    /// The value: for hashing, and for who asks for it by name.
    Reveal,
}

/// A JSON value; objects keep the order of their fields.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as text.
    Number(String),
    /// A string.
    Text(Text),
    /// `[…]`
    Array(Vec<Json>),
    /// `{…}`
    Object(Vec<(String, Json)>),
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
            Self::Text(text) => text.is_empty(),
            Self::Array(items) => items.is_empty(),
            Self::Object(fields) => fields.is_empty(),
        }
    }

    /// A record to be filled field by field.
    pub(super) fn record() -> Record {
        Record(Vec::new())
    }

    /// The same with the keys of every object in order, as Compose's YAML has them.
    #[must_use]
    pub fn sorted(self) -> Self {
        match self {
            Self::Array(items) => Self::Array(items.into_iter().map(Self::sorted).collect()),
            Self::Object(fields) => {
                let sorted: BTreeMap<String, Self> = fields.into_iter().collect();
                Self::Object(sorted.into_iter().map(|(key, value)| (key, value.sorted())).collect())
            }
            other => other,
        }
    }

    /// Compact, `$` as it is: the form that is hashed.
    pub fn write_compact(&self, out: &mut String) {
        match self {
            Self::Array(items) => {
                out.push('[');
                for (nth, item) in items.iter().enumerate() {
                    if nth > 0 {
                        out.push(',');
                    }
                    item.write_compact(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (nth, (key, value)) in fields.iter().enumerate() {
                    if nth > 0 {
                        out.push(',');
                    }
                    quote(out, key);
                    out.push(':');
                    value.write_compact(out);
                }
                out.push('}');
            }
            scalar => scalar.write_scalar(out, Secrets::Reveal, false),
        }
    }

    pub(super) fn write_indented(&self, out: &mut String, depth: usize, secrets: Secrets) {
        let (open, close, count) = match self {
            Self::Array(items) => ('[', ']', items.len()),
            Self::Object(fields) => ('{', '}', fields.len()),
            scalar => return scalar.write_scalar(out, secrets, true),
        };
        out.push(open);
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str("  "));
        };
        for nth in 0..count {
            line(out, depth + 1);
            match self {
                Self::Array(items) => items[nth].write_indented(out, depth + 1, secrets),
                Self::Object(fields) => {
                    quote(out, &fields[nth].0.replace('$', "$$"));
                    out.push_str(": ");
                    fields[nth].1.write_indented(out, depth + 1, secrets);
                }
                _ => {}
            }
            if nth + 1 < count {
                out.push(',');
            }
        }
        if count > 0 {
            line(out, depth);
        }
        out.push(close);
    }

    fn write_scalar(&self, out: &mut String, secrets: Secrets, double_dollars: bool) {
        match self {
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(number) => out.push_str(number),
            Self::Text(text) if text.is_secret() && secrets == Secrets::Mask => quote(out, MASK),
            Self::Text(text) if double_dollars => quote(out, &text.expose().replace('$', "$$")),
            Self::Text(text) => quote(out, text.expose()),
            _ => out.push_str("null"),
        }
    }

    pub(super) fn write_yaml(&self, out: &mut String, depth: usize, secrets: Secrets) {
        let pad = |out: &mut String| (0..depth).for_each(|_| out.push_str("  "));
        match self {
            Self::Object(fields) => {
                for (key, value) in fields {
                    pad(out);
                    yaml_scalar(out, key, depth);
                    out.push(':');
                    value.write_yaml_value(out, depth, secrets);
                }
            }
            Self::Array(items) => {
                for item in items {
                    pad(out);
                    out.push('-');
                    match item {
                        Self::Object(fields) if !fields.is_empty() => {
                            let mut inner = String::new();
                            item.write_yaml(&mut inner, depth + 1, secrets);
                            out.push(' ');
                            out.push_str(inner.trim_start());
                        }
                        _ => item.write_yaml_value(out, depth, secrets),
                    }
                }
            }
            _ => {}
        }
    }

    fn write_yaml_value(&self, out: &mut String, depth: usize, secrets: Secrets) {
        match self {
            Self::Object(fields) if fields.is_empty() => out.push_str(" {}\n"),
            Self::Array(items) if items.is_empty() => out.push_str(" []\n"),
            Self::Object(_) | Self::Array(_) => {
                out.push('\n');
                self.write_yaml(out, depth + 1, secrets);
            }
            Self::Text(text) => {
                let shown = if text.is_secret() && secrets == Secrets::Mask {
                    MASK.to_owned()
                } else {
                    text.expose().replace('$', "$$")
                };
                out.push(' ');
                yaml_scalar(out, &shown, depth);
                out.push('\n');
            }
            scalar => {
                out.push(' ');
                scalar.write_scalar(out, secrets, true);
                out.push('\n');
            }
        }
    }
}

/// A string as a YAML scalar: plain where that reads back as the same string, else quoted; several lines as a block.
fn yaml_scalar(out: &mut String, text: &str, depth: usize) {
    if text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.chars().any(|c| c.is_control() && c != '\n')
    {
        let body = text.strip_suffix('\n');
        out.push_str(match body {
            None => "|-",
            Some(body) if body.ends_with('\n') => "|+",
            Some(_) => "|",
        });
        for line in body.unwrap_or(text).split('\n') {
            out.push('\n');
            if !line.is_empty() {
                (0..=depth).for_each(|_| out.push_str("  "));
                out.push_str(line);
            }
        }
        return;
    }
    if text.chars().any(char::is_control) || is_ambiguous(text) {
        quote_yaml(out, text);
    } else if needs_quotes(text) {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    } else {
        out.push_str(text);
    }
}

/// Whether a plain scalar would be read as something else than a string.
fn is_ambiguous(text: &str) -> bool {
    let resolved = crate::yaml::parse(&format!("- {text}"), crate::doc::FileId(0), false);
    let old_bool = ["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    let time = text.contains(':') && text.chars().all(|c| c.is_ascii_digit() || c == ':' || c == '.');
    text.is_empty()
        || old_bool
        || time
        || !needs_quotes(text)
            && !resolved.is_ok_and(|documents| {
                documents
                    .first()
                    .and_then(|document| document.as_seq()?.first()?.as_text().cloned())
                    .is_some_and(|read| read == *text)
            })
}

fn needs_quotes(text: &str) -> bool {
    let first = text.chars().next().unwrap_or(' ');
    let indicator = "!&*@`%|>'\"#,[]{}".contains(first);
    let lonely = "-?:".contains(first) && text[first.len_utf8()..].chars().next().is_none_or(|c| c == ' ');
    indicator
        || lonely
        || text.starts_with(' ')
        || text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains(" #")
}

fn quote_yaml(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A string as Go's encoder quotes it: `<`, `>`, `&` and the line separators escaped.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A float as Go's JSON encoder writes it; `None` where JSON has no word for it.
pub(super) fn go_json_float(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        return Some(format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()));
    }
    Some(format!("{number}"))
}

/// A record under construction: fields in Go's order, empty ones left out.
pub(super) struct Record(Vec<(String, Json)>);

impl Record {
    /// A field that is never left out.
    pub(super) fn always(mut self, key: &str, value: Json) -> Self {
        self.0.push((key.to_owned(), value));
        self
    }

    /// A field that is left out where it is empty.
    pub(super) fn field(self, key: &str, value: Json) -> Self {
        if value.is_empty() { self } else { self.always(key, value) }
    }

    /// A field that is left out where it was not given, and kept where it is zero.
    pub(super) fn maybe(self, key: &str, value: Option<Json>) -> Self {
        match value {
            Some(value) => self.always(key, value),
            None => self,
        }
    }

    pub(super) fn text(self, key: &str, value: &Text) -> Self {
        self.field(key, Json::Text(value.clone()))
    }

    pub(super) fn flag(self, key: &str, value: bool) -> Self {
        self.field(key, Json::Bool(value))
    }

    pub(super) fn maybe_flag(self, key: &str, value: Option<bool>) -> Self {
        self.maybe(key, value.map(Json::Bool))
    }

    pub(super) fn int(self, key: &str, value: i64) -> Self {
        self.field(key, Json::Number(value.to_string()))
    }

    pub(super) fn maybe_int(self, key: &str, value: Option<i64>) -> Self {
        self.maybe(key, value.map(|value| Json::Number(value.to_string())))
    }

    pub(super) fn maybe_unsigned(self, key: &str, value: Option<u64>) -> Self {
        self.maybe(key, value.map(|value| Json::Number(value.to_string())))
    }

    /// A 32-bit number, shortest.
    pub(super) fn float(self, key: &str, value: f32) -> Self {
        if value == 0.0 { self } else { self.always(key, Json::Number(format!("{value}"))) }
    }

    pub(super) fn bytes(self, key: &str, value: Bytes) -> Self {
        if value.0 == 0 { self } else { self.always(key, Json::text(&value.to_string())) }
    }

    pub(super) fn duration(self, key: &str, value: Option<Duration>) -> Self {
        self.maybe(key, value.map(|value| Json::text(&value.to_string())))
    }

    pub(super) fn mode(self, key: &str, value: Option<FileMode>) -> Self {
        self.maybe(key, value.map(|value| Json::text(&value.to_string())))
    }

    pub(super) fn texts(self, key: &str, value: &[Text]) -> Self {
        self.field(key, Json::array(value))
    }

    pub(super) fn list(self, key: &str, value: Vec<Json>) -> Self {
        self.field(key, Json::Array(value))
    }

    pub(super) fn texts_by_name(self, key: &str, value: &BTreeMap<String, Text>) -> Self {
        self.field(
            key,
            Json::Object(
                value.iter().map(|(name, value)| (name.clone(), Json::Text(value.clone()))).collect(),
            ),
        )
    }

    pub(super) fn maybe_texts_by_name(self, key: &str, value: &BTreeMap<String, Option<Text>>) -> Self {
        let entry = |value: &Option<Text>| value.clone().map_or(Json::Null, Json::Text);
        self.field(
            key,
            Json::Object(value.iter().map(|(name, value)| (name.clone(), entry(value))).collect()),
        )
    }

    /// The record. Compose's JSON leaves `x-…` out below the top level.
    pub(super) fn done(self) -> Json {
        Json::Object(self.0)
    }
}
