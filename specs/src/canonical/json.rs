//! How does Go's encoder write the tree as JSON?

use std::fmt::Write as _;

use super::tree::{Form, Json, Secrets};
use crate::values::go_float;

impl Json {
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
            Self::Object(_) | Self::Map(_) => {
                out.push('{');
                for (nth, (key, value)) in self.fields_in(Form::Json).enumerate() {
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
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str("  "));
        };
        let close = match self {
            Self::Array(items) => {
                out.push('[');
                for (nth, item) in items.iter().enumerate() {
                    out.push_str(if nth > 0 { "," } else { "" });
                    line(out, depth + 1);
                    item.write_indented(out, depth + 1, secrets);
                }
                ']'
            }
            Self::Object(_) | Self::Map(_) => {
                out.push('{');
                for (nth, (key, value)) in self.fields_in(Form::Json).enumerate() {
                    out.push_str(if nth > 0 { "," } else { "" });
                    line(out, depth + 1);
                    quote(out, &Self::shown_key(key, secrets));
                    out.push_str(": ");
                    value.write_indented(out, depth + 1, secrets);
                }
                '}'
            }
            scalar => return scalar.write_scalar(out, secrets, true),
        };
        if !out.ends_with(['[', '{']) {
            line(out, depth);
        }
        out.push(close);
    }

    fn write_scalar(&self, out: &mut String, secrets: Secrets, double_dollars: bool) {
        match self {
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(number) => out.push_str(number),
            Self::Float(number) => out.push_str(&go_json_float(*number).unwrap_or_else(|| go_float(*number))),
            Self::Text(text) => match Self::shown(text, secrets) {
                shown if double_dollars && shown.contains('$') => quote(out, &shown.replace('$', "$$")),
                shown => quote(out, shown),
            },
            _ => out.push_str("null"),
        }
    }
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
fn go_json_float(number: f64) -> Option<String> {
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
