//! What is a plain scalar: a number, a boolean, nothing, a point in time, or text?
//!
//! As the Go loader under Docker Compose resolves them: YAML 1.2 words, but YAML 1.1 octal, binary and underscores.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::doc::Value;

/// A plain scalar as yaml.v3 resolves it; `None` for a string.
pub(super) fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Value::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    let first = text.as_bytes()[0];
    if first == b'.' {
        return text.parse().ok().filter(|_| text.len() > 1 && is_float(text)).map(Value::Float);
    }
    if !first.is_ascii_digit() && first != b'+' && first != b'-' {
        return None;
    }
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    if let Some(magnitude) = integer(digits) {
        return match (negative, i64::try_from(magnitude)) {
            (false, Ok(number)) => Some(Value::Int(number)),
            (true, Ok(number)) => Some(Value::Int(-number)),
            (true, Err(_)) if magnitude == 1 << 63 => Some(Value::Int(i64::MIN)),
            (false, Err(_)) => Some(Value::BigInt(magnitude)),
            (true, Err(_)) => None,
        };
    }
    let number: f64 = plain.parse().ok().filter(|_| is_float(&plain))?;
    // What is too large for a float stays text.
    number.is_finite().then_some(Value::Float(number))
}

/// Go's `ParseUint(digits, 0, 64)`.
fn integer(digits: &str) -> Option<u64> {
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    (!digits.is_empty() && !digits.starts_with(['+', '-']))
        .then(|| u64::from_str_radix(digits, radix).ok())
        .flatten()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) =
        text.find(['e', 'E']).map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty()),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa && exponent
}

/// `!!binary`: base64 as text; what is none stays as it is.
pub(super) fn decode_binary(text: &str) -> String {
    let compact: String = text.split_whitespace().collect();
    STANDARD
        .decode(compact)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| text.to_owned())
}

/// A date, or a date and a time, as the Go loader takes it for one: in RFC 3339 then.
pub(super) fn timestamp(text: &str) -> Option<String> {
    let mut rest = text;
    let year = number(&mut rest, 4, 4)?;
    let month =
        after(&mut rest, '-').and_then(|()| number(&mut rest, 1, 2)).filter(|n| (1..=12).contains(n))?;
    let day = after(&mut rest, '-').and_then(|()| number(&mut rest, 1, 2))?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, 28 + u32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
    if !(1..=days).contains(&day) {
        return None;
    }
    if rest.is_empty() {
        return Some(format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
    }
    let zoned = rest.starts_with(['T', 't']);
    after(&mut rest, 'T').or_else(|| after(&mut rest, 't')).or_else(|| after(&mut rest, ' '))?;
    let hour = number(&mut rest, 1, 2).filter(|n| *n < 24)?;
    let minute = after(&mut rest, ':').and_then(|()| number(&mut rest, 1, 2)).filter(|n| *n < 60)?;
    let second = after(&mut rest, ':').and_then(|()| number(&mut rest, 1, 2)).filter(|n| *n < 60)?;
    let mut fraction = String::new();
    if let Some(part) = rest.strip_prefix('.') {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        if end == 0 {
            return None;
        }
        fraction = format!(".{}", part[..end].trim_end_matches('0'));
        rest = &part[end..];
    }
    let zone = match (zoned, rest) {
        (false, "") | (true, "Z") => "Z",
        (true, zone) if is_offset(zone) => zone,
        _ => return None,
    };
    let fraction = if fraction == "." { "" } else { &fraction };
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

fn after(rest: &mut &str, sign: char) -> Option<()> {
    *rest = rest.strip_prefix(sign)?;
    Some(())
}

fn number(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, tail) = rest.split_at_checked(digits).filter(|_| digits >= least)?;
    *rest = tail;
    number.parse().ok()
}

/// `+01:30`
fn is_offset(zone: &str) -> bool {
    let bytes = zone.as_bytes();
    bytes.len() == 6
        && matches!(bytes[0], b'+' | b'-')
        && bytes[3] == b':'
        && [1, 2, 4, 5].iter().all(|at| bytes[*at].is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        for (text, time) in [
            ("2024-01-02", Some("2024-01-02T00:00:00Z")),
            ("2024-1-2", Some("2024-01-02T00:00:00Z")),
            ("2001-12-14t21:59:43.10-05:00", Some("2001-12-14T21:59:43.1-05:00")),
            ("2001-12-14 21:59:43", Some("2001-12-14T21:59:43Z")),
            ("2024-02-30", None),
            ("2024-13-01", None),
            ("2001-12-14T21:59:43", None),
            ("1.2.3-4", None),
            ("2024", None),
        ] {
            assert_eq!(timestamp(text).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn what_no_float_can_hold_is_text() {
        assert_eq!(resolve("1e400"), None);
        assert_eq!(decode_binary("aGVs bG8="), "hello");
    }
}
