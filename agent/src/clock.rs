//! What time is it? The one place that asks the wall clock, and that prints moments for people.

use std::time::{SystemTime, UNIX_EPOCH};

use plan::ids::Time;

/// Now, on the wall clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A span of time in one or two units, as people say it: `5s`, `3m`, `2h 5m`, `4d`.
pub fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match () {
        () if seconds < 60 => format!("{seconds}s"),
        () if minutes < 60 => format!("{minutes}m"),
        () if hours < 6 && minutes % 60 > 0 => format!("{hours}h {}m", minutes % 60),
        () if hours < 48 => format!("{hours}h"),
        () => format!("{days}d"),
    }
}

/// `2026-11-23T09:41:04Z`.
pub fn stamp(time: Time) -> String {
    jiff::Timestamp::from_millisecond(time.0)
        .and_then(|time| time.round(jiff::Unit::Second))
        .map_or_else(|_| time.0.to_string(), |time| time.to_string())
}

/// Reads `90s`, `5m`, `2h`, `1d`, `1h30m`, or a plain number of seconds.
///
/// # Errors
/// What is no such span, in words.
pub fn parse_span(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("`{text}` is no span of time; write 90s, 5m, 2h or 1d");
    let mut total = 0_u64;
    let mut digits = String::new();
    for letter in text.trim().chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        digits.clear();
        let unit = match letter {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
    }
    if !digits.is_empty() {
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        total = total.checked_add(number).ok_or_else(wrong)?;
    } else if text.trim().is_empty() {
        return Err(wrong());
    }
    Ok(std::time::Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_say_them_and_back() {
        let said: Vec<_> = [0, 59_999, 60_000, 3_600_000, 7_500_000, 90_000_000, 200_000_000]
            .map(span)
            .into_iter()
            .collect();
        assert_eq!(said, ["0s", "59s", "1m", "1h", "2h 5m", "25h", "2d"]);
        assert_eq!(parse_span("1h30m").map(|span| span.as_secs()), Ok(5400));
        assert_eq!(parse_span("45").map(|span| span.as_secs()), Ok(45));
        assert!(parse_span("").is_err() && parse_span("5y").is_err() && parse_span("h").is_err());
        assert_eq!(stamp(Time(1_000)), "1970-01-01T00:00:01Z");
    }
}
