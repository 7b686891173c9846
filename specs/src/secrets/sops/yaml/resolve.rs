//! What does a plain YAML scalar mean to Go? Needed twice: to read the values that a file has in the open, and to know
//! which strings must be quoted so that they stay strings.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::super::{
    time,
    tree::{Secret, Value},
};

/// The value of a scalar with a tag or without one; `None` where sops would not take it.
pub(super) fn scalar(text: &str, plain: bool, tag: Option<&str>) -> Option<Value> {
    let tag = tag.map(|tag| tag.strip_prefix("!<tag:yaml.org,2002:").map_or(tag, |rest| rest));
    let tag = tag.map(|tag| tag.trim_end_matches('>').trim_start_matches("!!"));
    match tag {
        None | Some("!") if plain => meaning(text),
        Some("binary") => {
            let packed: Zeroizing<String> =
                Zeroizing::new(text.chars().filter(|char| !char.is_ascii_whitespace()).collect());
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(packed.as_bytes()).ok()?);
            Some(match str::from_utf8(&bytes) {
                Ok(text) => Value::text(text),
                Err(_) => Value::Bytes(bytes),
            })
        }
        Some("null") if text.is_empty() => Some(Value::Null),
        Some(kind @ ("int" | "float" | "bool" | "null" | "timestamp")) => {
            let value = meaning(text)?;
            match (kind, value) {
                #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
                ("float", Value::Int(number)) => Some(Value::Float(number as f64)),
                (kind, value) => (kind == kind_of(&value)).then_some(value),
            }
        }
        _ => Some(Value::text(text)),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Time(_) => "timestamp",
        _ => "str",
    }
}

/// Whether a plain scalar with this text is a string, and no older reader takes it for anything else.
pub(super) fn may_stand_plain(text: &str) -> bool {
    matches!(meaning(text), Some(Value::Text(_))) && !is_base_60(text) && !is_old_bool(text)
}

/// `None` for a number that fits no type of sops's.
fn meaning(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => match text.as_bytes().first() {
            Some(b'.') => float(text).map_or_else(|| Value::text(text), Value::Float),
            Some(b'0'..=b'9' | b'+' | b'-') => return number(text),
            _ => Value::text(text),
        },
    })
}

fn number(text: &str) -> Option<Value> {
    if let Some(time) = timestamp(text) {
        return Some(Value::Time(Secret::new(time)));
    }
    let plain = Zeroizing::new(text.replace('_', ""));
    let (negative, digits) = match plain.as_bytes().first() {
        Some(b'-') => (true, plain.get(1..).unwrap_or_default()),
        Some(b'+') => (false, plain.get(1..).unwrap_or_default()),
        _ => (false, plain.as_str()),
    };
    if let Some(magnitude) = integer(digits) {
        return match (negative, i64::try_from(magnitude)) {
            (false, Ok(number)) => Some(Value::Int(number)),
            (true, Ok(number)) => Some(Value::Int(-number)),
            (true, Err(_)) if magnitude == 1 << 63 => Some(Value::Int(i64::MIN)),
            // Too large for one type, and no other: sops cannot hash it.
            (false, Err(_)) if !plain.starts_with('+') => None,
            _ => Some(float(&plain).map_or_else(|| Value::text(text), Value::Float)),
        };
    }
    Some(float(&plain).map_or_else(|| Value::text(text), Value::Float))
}

/// Go's `ParseUint` with a base by prefix.
fn integer(digits: &str) -> Option<u64> {
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    (!digits.is_empty() && !digits.starts_with(['+', '-']))
        .then(|| u64::from_str_radix(digits, radix).ok())
        .flatten()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and within the range of the type.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
    let is_float = all_digits(whole)
        && all_digits(part)
        && !(whole.is_empty() && part.is_empty())
        && exponent.is_none_or(|digits| !digits.is_empty() && all_digits(digits));
    is_float.then(|| text.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

/// The four forms of a time that Go's library takes, in the canonical one.
fn timestamp(text: &str) -> Option<String> {
    let (year, rest) = text.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if year.len() != 4 || !is_number(year) {
        return None;
    }
    let (date, clock) = match rest.find(['T', 't', ' ']) {
        Some(at) => (rest.get(..at)?, rest.get(at..)?),
        None => (rest, ""),
    };
    let two = |text: &str| (is_number(text) && text.len() <= 2).then(|| format!("{text:0>2}"));
    let (month, day) = date.split_once('-')?;
    let date = format!("{year}-{}-{}", two(month)?, two(day)?);
    if clock.is_empty() {
        return time::build(&date, "00:00:00", "", "Z");
    }
    let spaced = clock.starts_with(' ');
    let clock = clock.get(1..)?;
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, seconds) = (two(parts.next()?)?, two(parts.next()?)?, parts.next()?);
    let end = seconds.find(|char: char| !char.is_ascii_digit()).unwrap_or(seconds.len());
    let (second, rest) = seconds.split_at(end);
    let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
        Some(more) => {
            let end = more.find(|char: char| !char.is_ascii_digit()).unwrap_or(more.len());
            (more.get(..end).filter(|digits| !digits.is_empty())?, more.get(end..)?)
        }
        None => ("", rest),
    };
    let zone = match (spaced, zone) {
        (true, "") => "Z",
        (false, zone) => zone,
        (true, _) => return None,
    };
    time::build(&date, &format!("{hour}:{minute}:{}", two(second)?), fraction, zone)
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`: minutes or an angle to YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = text.split(':');
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let first = parts.next().unwrap_or_default();
    if !first.starts_with(|char: char| char.is_ascii_digit()) || !number(first) {
        return false;
    }
    let mut rest: Vec<&str> = parts.collect();
    let Some(last) = rest.last_mut() else { return false };
    if let Some((digits, fraction)) = last.split_once('.') {
        if !number(fraction) {
            return false;
        }
        *last = digits;
    }
    rest.iter().all(|part| match part.as_bytes() {
        [one] => one.is_ascii_digit(),
        [tens, one] => (b'0'..=b'5').contains(tens) && one.is_ascii_digit(),
        _ => false,
    })
}

fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_would_be_something_else_are_quoted() {
        for text in [
            "",
            "~",
            "null",
            "yes",
            "N",
            "off",
            "1",
            "-1",
            "0x1f",
            "1_000",
            "1e3",
            ".5",
            ".inf",
            "12:30",
            "1:02:03.5",
            "2024-01-02",
            "2024-1-2T3:4:5Z",
            "2001-12-14 21:59:43.10",
            "018446744073709551615",
            "089",
        ] {
            assert!(!may_stand_plain(text), "{text}");
        }
        for text in
            ["a", "1.2.3", "12:61", "2024-13-01", "1e400", "0b12", "-", "+", ".", "<<", "=", "1 2", "0x"]
        {
            assert!(may_stand_plain(text), "{text}");
        }
    }

    #[test]
    fn times_come_in_one_form() {
        for (text, want) in [
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("2001-12-14t21:59:43.10-05:00", "2001-12-14T21:59:43.1-05:00"),
            ("2001-1-4 1:9:3.10", "2001-01-04T01:09:03.1Z"),
        ] {
            assert_eq!(timestamp(text).as_deref(), Some(want), "{text}");
        }
        for text in ["2001-12-14 21:59:43.10 -5", "2001-12-14T21:59:43", "2023-02-29", "12-12-12"] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
