//! How is a value read from JSON that may lack it, or have another shape?

use std::collections::BTreeMap;

use plan::ids::Time;
use serde_json::Value;
use specs::{Text, doc::Key};

pub(super) fn text(value: &Value) -> Option<Text> {
    value.as_str().filter(|text| !text.is_empty()).map(Text::plain)
}

pub(super) fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

pub(super) fn texts<C: FromIterator<Text>>(value: &Value) -> C {
    items(value).filter_map(Value::as_str).map(Text::plain).collect()
}

pub(super) fn texts_by_name(value: &Value) -> BTreeMap<Key, Text> {
    entries(value).map(|(key, value)| (key.into(), Text::plain(string(value)))).collect()
}

pub(super) fn strings_by_name(value: &Value) -> BTreeMap<String, String> {
    entries(value).map(|(key, value)| (key.clone(), string(value))).collect()
}

pub(super) fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

pub(super) fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

/// A moment as the Engine writes it (RFC 3339); `None` for its zero, the year 1.
pub fn time(value: &Value) -> Option<Time> {
    let text = value.as_str()?;
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970 {
        return None;
    }
    let digits: String = text
        .get(19..)?
        .strip_prefix('.')
        .unwrap_or("")
        .chars()
        .take_while(char::is_ascii_digit)
        .take(3)
        .collect();
    let millis: i64 = format!("{digits:0<3}").parse().ok()?;
    // Days since 1970-01-01 in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let zone = text
        .find(['+'])
        .and_then(|at| Some(number(at + 1..at + 3)? * 3600 + number(at + 4..at + 6)? * 60))
        .unwrap_or(0);
    Some(Time(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis - zone * 1000))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments() {
        assert_eq!(time(&json!("1970-01-01T00:00:01.5Z")), Some(Time(1500)));
        assert_eq!(time(&json!("2024-02-29T12:00:00Z")), Some(Time(1_709_208_000_000)));
        assert_eq!(time(&json!("2024-02-29T12:00:00.123456789+01:00")), Some(Time(1_709_204_400_123)));
        assert_eq!(time(&json!("0001-01-01T00:00:00Z")), None);
    }
}
