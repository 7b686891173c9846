//! How does Go's YAML encoder write the tree?

use std::{cmp::Ordering, fmt::Write as _};

use super::tree::{Form, Json, Secrets};
use crate::{doc::Key, values::go_float};

/// The longest key, in bytes, that stands in front of its colon.
const LONGEST_KEY: usize = 128;

impl Json {
    /// A block mapping at `depth`, each line with its end.
    pub(super) fn write_yaml(&self, out: &mut String, depth: usize, secrets: Secrets) {
        let pad = |out: &mut String| (0..depth).for_each(|_| out.push_str("  "));
        match self {
            Self::Object(_) | Self::Map(_) => {
                let mut fields: Vec<(&Key, &Self)> = self.fields_in(Form::Yaml).collect();
                if matches!(self, Self::Map(_)) {
                    fields.sort_by(|a, b| natural(a.0, b.0));
                }
                for (nth, (key, value)) in fields.into_iter().enumerate() {
                    // The first line of a list's item stands behind its dash.
                    if nth > 0 || !out.ends_with("- ") {
                        pad(out);
                    }
                    let key = Self::shown_key(key, secrets);
                    if key.len() > LONGEST_KEY || key.contains('\n') {
                        out.push_str("? ");
                        write_text(out, &key, depth);
                        out.push('\n');
                        pad(out);
                    } else {
                        write_text(out, &key, depth);
                    }
                    out.push(':');
                    value.write_yaml_value(out, depth, secrets);
                }
            }
            Self::Array(items) => {
                for (nth, item) in items.iter().enumerate() {
                    if nth > 0 || !out.ends_with("- ") {
                        pad(out);
                    }
                    match item {
                        Self::Object(_) | Self::Map(_) | Self::Array(_) if !item.is_bare() => {
                            out.push_str("- ");
                            item.write_yaml(out, depth + 1, secrets);
                        }
                        _ => {
                            out.push('-');
                            item.write_yaml_value(out, depth, secrets);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether YAML has nothing inside.
    fn is_bare(&self) -> bool {
        match self {
            Self::Array(items) => items.is_empty(),
            other => other.fields_in(Form::Yaml).next().is_none(),
        }
    }

    fn write_yaml_value(&self, out: &mut String, depth: usize, secrets: Secrets) {
        match self {
            Self::Object(_) | Self::Map(_) if self.is_bare() => out.push_str(" {}\n"),
            Self::Array(items) if items.is_empty() => out.push_str(" []\n"),
            Self::Object(_) | Self::Map(_) | Self::Array(_) => {
                out.push('\n');
                self.write_yaml(out, depth + 1, secrets);
            }
            scalar => {
                out.push(' ');
                match scalar {
                    Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
                    Self::Number(number) => out.push_str(number),
                    Self::Float(number) => out.push_str(&float(*number)),
                    Self::Text(text) => {
                        write_text(out, &Self::shown(text, secrets).replace('$', "$$"), depth);
                    }
                    _ => out.push_str("null"),
                }
                out.push('\n');
            }
        }
    }
}

fn float(number: f64) -> String {
    match go_float(number).as_str() {
        "NaN" => ".nan".into(),
        "+Inf" => ".inf".into(),
        "-Inf" => "-.inf".into(),
        text => text.to_owned(),
    }
}

/// The order of keys: letters before other signs behind a digit and after them elsewhere, numbers by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let is_digit = |c: &char| c.is_ascii_digit();
    let Some(at) = left.iter().zip(&right).position(|(a, b)| a != b) else {
        return left.len().cmp(&right.len());
    };
    match (left[at].is_alphabetic(), right[at].is_alphabetic()) {
        (true, true) => return left[at].cmp(&right[at]),
        (false, false) => {}
        (letter_left, _) => {
            let behind_digit = at > 0 && is_digit(&left[at - 1]);
            return if letter_left == behind_digit { Ordering::Less } else { Ordering::Greater };
        }
    }
    // Digits before the difference count where a zero differs: `10` and `1x`, but not `00` and `0x`.
    let significant = (left[at] == '0' || right[at] == '0')
        && left[..at].iter().rev().take_while(|c| is_digit(c)).any(|c| *c != '0');
    let value = |chars: &[char]| {
        let digits = chars[at..].iter().take_while(|c| is_digit(c));
        digits.clone().fold((i64::from(significant), 0_usize), |(value, count), c| {
            let digit = i64::from(c.to_digit(10).unwrap_or(0));
            (value.wrapping_mul(10).wrapping_add(digit), count + 1)
        })
    };
    value(&left).cmp(&value(&right)).then(left[at].cmp(&right[at]))
}

/// A string as a YAML scalar: plain where that reads back as the same string, else quoted; several lines as a block where one can hold them.
fn write_text(out: &mut String, text: &str, depth: usize) {
    if text.contains('\n') && is_block(text) {
        return write_block(out, text, depth);
    }
    if !is_printable(text) || is_ambiguous(text) || text.contains('\n') {
        write_double_quoted(out, text);
    } else if needs_quotes(text) {
        // Writing to a string cannot fail.
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    } else {
        out.push_str(text);
    }
}

/// Whether several lines can stand as a literal block.
fn is_block(text: &str) -> bool {
    let trailing_space = text.ends_with(' ') || text.contains(" \n");
    text.split('\t').all(is_printable) && !trailing_space
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|c| match c {
        '\n' => true,
        '\u{feff}' | '\u{2028}' | '\u{2029}' => false,
        // Go's encoder takes nothing beyond the basic plane for printable.
        c => matches!(u32::from(c), 0x20..=0x7e | 0xa0..=0xd7ff | 0xe000..=0xfffd),
    })
}

fn write_block(out: &mut String, text: &str, depth: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = text.strip_suffix('\n');
    out.push_str(match body {
        None => "-",
        Some(body) if body.ends_with('\n') || body.is_empty() => "+",
        Some(_) => "",
    });
    for line in body.unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            (0..=depth).for_each(|_| out.push_str("  "));
            out.push_str(line);
        }
    }
}

/// Whether a plain scalar would be read as something else than a string.
fn is_ambiguous(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let old_bool = ["y", "n", "yes", "no", "on", "off"].contains(&lower.as_str());
    text.is_empty() || text == "<<" || old_bool || is_sexagesimal(text) || crate::yaml::is_resolved(text)
}

/// `1:30`, `-12:30:45.6`: numbers to YAML 1.1.
fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.strip_prefix(['-', '+']).unwrap_or(text).split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let whole = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit() || c == b'_');
    let small = |text: &str| {
        (1..=2).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_digit())
            && (text.len() == 1 || text.as_bytes()[0] <= b'5')
    };
    let Some((last, middle)) = rest.split_last() else { return false };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    whole(first)
        && first.as_bytes()[0].is_ascii_digit()
        && middle.iter().all(|part| small(part))
        && small(last)
        && fraction.bytes().all(|c| c.is_ascii_digit() || c == b'_')
}

fn needs_quotes(text: &str) -> bool {
    let first = text.chars().next().unwrap_or(' ');
    let indicator = "!&*@`%|>'\"#,[]{}".contains(first);
    let lonely = "-?:".contains(first) && text[first.len_utf8()..].chars().next().is_none_or(|c| c == ' ');
    indicator
        || lonely
        || text.starts_with(' ')
        || text.starts_with("---")
        || text.starts_with("...")
        || text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains(" #")
}

fn write_double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{a0}' => out.push_str("\\_"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if is_printable(c.encode_utf8(&mut [0; 4])) => out.push(c),
            c => {
                let code = u32::from(c);
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02X}"),
                    0x100..=0xffff => write!(out, "\\u{code:04X}"),
                    _ => write!(out, "\\U{code:08X}"),
                };
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        write_text(&mut out, text, 0);
        out
    }

    #[test]
    fn what_would_read_as_something_else_is_quoted() {
        for (text, yaml) in [
            ("plain text", "plain text"),
            ("yes", "\"yes\""),
            ("0644", "\"0644\""),
            ("1.5", "\"1.5\""),
            ("12:30", "\"12:30\""),
            ("80:80", "80:80"),
            ("2024-01-01", "\"2024-01-01\""),
            ("a: b", "'a: b'"),
            ("it's: x", "'it''s: x'"),
            ("", "\"\""),
            ("a\tb", "\"a\\tb\""),
            ("a\nb\n", "|\n  a\n  b"),
        ] {
            assert_eq!(written(text), yaml, "{text:?}");
        }
    }

    #[test]
    fn keys_with_numbers_count() {
        let mut keys = ["s10", "s2", "a", "s1", "_x", "B"];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(keys, ["_x", "B", "a", "s1", "s2", "s10"]);
    }
}
