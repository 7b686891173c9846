//! How are scalars turned into each other: Go's number text, sizes, durations, shell words?
//!
//! Each function is what the Go libraries under Docker Compose do, quirks included.

use crate::{Text, doc::Value};

/// A scalar as the text that Go's `%v` gives; empty for null and for collections.
pub fn scalar_text(value: &Value) -> Text {
    match value {
        Value::Str(text) => text.clone(),
        Value::Bool(flag) => Text::plain(flag.to_string()),
        Value::Int(number) => Text::plain(number.to_string()),
        Value::BigInt(number) => Text::plain(number.to_string()),
        Value::Float(number) => Text::plain(go_float(*number)),
        Value::Null | Value::Seq(_) | Value::Map(_) => Text::default(),
    }
}

/// A float as Go's `%v` prints it: the shortest digits that read back, in exponent form where the decimal exponent is
/// below -4 or at least 6.
pub fn go_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let (negative, digits, exponent) = shortest(number);
    let sign = if negative { "-" } else { "" };
    if number == 0.0 {
        return format!("{sign}0");
    }
    if !(-4..6).contains(&exponent) {
        format!("{sign}{}", exponent_form(&digits, exponent))
    } else {
        format!("{sign}{}", plain_form(&digits, exponent))
    }
}

/// The sign, the shortest digits that read back as the same number, and the decimal exponent of the first digit.
fn shortest(number: f64) -> (bool, String, i32) {
    let text = format!("{:e}", number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (number.is_sign_negative(), mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

fn exponent_form(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.abs())
}

fn plain_form(digits: &str, exponent: i32) -> String {
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if exponent < 0 {
        format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize))
    } else if count <= exponent + 1 {
        format!("{digits}{}", "0".repeat((exponent + 1 - count) as usize))
    } else {
        let (whole, part) = digits.split_at((exponent + 1) as usize);
        format!("{whole}.{part}")
    }
}

/// A number of bytes: `512`, `1.5gb`, `64 MiB`; units are powers of 1024, fractions are cut.
pub fn parse_bytes(text: &str) -> Option<i64> {
    let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let (number, suffix) = if text.as_bytes()[last] == b' ' {
        (&text[..last], &text[last + 1..])
    } else {
        text.split_at(last + 1)
    };
    let size: f64 = number.parse().ok().filter(|size: &f64| *size >= 0.0 && size.is_finite())?;
    let suffix = suffix.to_ascii_lowercase();
    let power = match suffix.as_bytes() {
        [] | [b'b'] => 0,
        [unit] | [unit, b'b'] | [unit, b'i', b'b'] => 1 + b"kmgtp".iter().position(|known| known == unit)?,
        _ => return None,
    };
    let bytes = size * 1024_f64.powi(i32::try_from(power).ok()?);
    // What does not fit becomes what an x86 processor makes of it, which is what Docker Compose sends on.
    #[expect(clippy::cast_possible_truncation, reason = "Go truncates the same way")]
    Some(if bytes < 9_223_372_036_854_775_808.0 { bytes as i64 } else { i64::MIN })
}

/// A length of time in nanoseconds: Go's units and `d` and `w`, each number with its unit; `0` alone needs none.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: f64 = 0.0;
    let mut whole: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
        if integer.is_empty() && fraction.is_empty() || number.len() > 40 {
            return None;
        }
        whole += if integer.is_empty() { 0 } else { integer.parse::<i128>().ok()?.checked_mul(unit)? };
        if !fraction.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "a fraction of a unit")]
            let part = format!("0.{fraction}").parse::<f64>().ok()? * unit as f64;
            total += part;
        }
        rest = tail;
    }
    #[expect(clippy::cast_possible_truncation, reason = "Go truncates the same way")]
    let nanoseconds = i64::try_from(whole + total.round() as i128).ok()?;
    Some(if negative { -nanoseconds } else { nanoseconds })
}

/// A command line as Docker Compose splits it: quotes and backslashes as in a shell; an unquoted `;`, `&`, `|`, `<` or `>`
/// ends it silently; `$( )` stays one word; `None` where a quote or a parenthesis is left open.
pub fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut started = false;
    let (mut escaped, mut double, mut single, mut back, mut dollar) = (false, false, false, false, false);
    for c in line.chars() {
        let quoted = double || single || back || dollar;
        match c {
            _ if escaped => {
                escaped = false;
                word.push(c);
                started = true;
                continue;
            }
            '\\' if !single => {
                escaped = true;
                continue;
            }
            ' ' | '\t' | '\r' | '\n' => {
                if quoted {
                    word.push(c);
                } else if started {
                    words.push(std::mem::take(&mut word));
                    started = false;
                }
                continue;
            }
            '`' if !single && !double && !dollar => back = !back,
            ')' if !single && !double && !back => dollar = !dollar,
            '(' if !single && !double && !back => {
                if dollar || !word.ends_with('$') {
                    return None;
                }
                dollar = true;
            }
            '"' if !single && !dollar => {
                started |= double;
                double = !double;
                continue;
            }
            '\'' if !double && !dollar => {
                started |= single;
                single = !single;
                continue;
            }
            ';' | '&' | '|' | '<' | '>' if !quoted => {
                // `2>` belongs to the redirection that ends the line here.
                if c == '>' && word.starts_with(|first: char| first.is_ascii_digit()) {
                    started = false;
                }
                break;
            }
            _ => {}
        }
        word.push(c);
        started = true;
    }
    if started {
        words.push(word);
    }
    (!(escaped || double || single || back || dollar)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_go_prints_them() {
        for (number, text) in [
            (1.0, "1"),
            (1.10, "1.1"),
            (0.5, "0.5"),
            (1_000_000.0, "1e+06"),
            (12_345_678.9, "1.23456789e+07"),
            (100_000.5, "100000.5"),
            (1_234_567.5, "1.2345675e+06"),
            (0.1e-7, "1e-08"),
            (0.0001, "0.0001"),
            (-0.0, "-0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(go_float(number), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("100", Some(100)),
            ("1.5gb", Some(1_610_612_736)),
            ("64 MiB", Some(67_108_864)),
            ("1k", Some(1024)),
            ("5b", Some(5)),
            ("-1", None),
            ("1x", None),
            ("", None),
            ("gb", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ns) in [
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("1d2h", Some(93_600_000_000_000)),
            ("0", Some(0)),
            ("90", None),
            ("s", None),
            ("", None),
            ("1x", None),
        ] {
            assert_eq!(parse_duration(text), ns, "{text}");
        }
    }

    #[test]
    fn words() {
        for (line, words) in [
            ("a 'b c' \"d e\"", Some(vec!["a", "b c", "d e"])),
            ("a; rm -rf /", Some(vec!["a"])),
            ("echo $(date +%s) x", Some(vec!["echo", "$(date +%s)", "x"])),
            ("''", Some(vec![""])),
            ("\"b\\n\"", Some(vec!["bn"])),
            ("a (b)", None),
            ("'open", None),
        ] {
            let expected = words.map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(split_words(line), expected, "{line}");
        }
    }
}
