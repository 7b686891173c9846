//! How does Go write a floating-point number? Three ways, all of the shortest digits that read back the same:
//! without an exponent for the MAC, with one for large and small numbers in YAML, and JSON's own (in `json.rs`).

/// Go's `'f', -1`: never an exponent. `1e21` is 1 and 21 zeros.
pub(crate) fn plain(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        // Rust's Display is the shortest that reads back, in plain notation.
        None => format!("{value}"),
    }
}

/// Go's `%g` with the shortest digits: an exponent below -4 and from `limit` on, with at least two digits.
pub(crate) fn general(value: f64, limit: i32) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    if value == 0.0 {
        return format!("{value}");
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    } else {
        format!("{value}")
    }
}

fn special(value: f64) -> Option<&'static str> {
    match (value.is_nan(), value.is_infinite(), value > 0.0) {
        (true, ..) => Some("NaN"),
        (_, true, true) => Some("+Inf"),
        (_, true, false) => Some("-Inf"),
        _ => None,
    }
}

/// Reads what Go's `ParseFloat` reads, as far as anything writes it.
pub(crate) fn parse(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        assert_eq!(plain(1e21), "1000000000000000000000");
        assert_eq!(plain(0.1), "0.1");
        assert_eq!(plain(f64::NEG_INFINITY), "-Inf");
        assert_eq!(general(1e21, 21), "1e+21");
        assert_eq!(general(1.5e-7, 21), "1.5e-07");
        assert_eq!(general(123_456.0, 21), "123456");
    }
}
