//! When is a timestamp the same as another? Go's RFC 3339 form with as many digits of the second as are needed.

/// The canonical form of an RFC 3339 time, or `None` where Go would refuse it.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix('T')?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
        Some(more) => more.split_at(more.find(|char: char| !char.is_ascii_digit())?),
        None => ("", rest),
    };
    build(date, clock, fraction, zone)
}

/// Puts checked parts together: a date and a clock of full width, digits of the second, and `Z` or an offset.
pub(crate) fn build(date: &str, clock: &str, fraction: &str, zone: &str) -> Option<String> {
    let field = |text: &str, from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let digits_only = |text: &str, separator: char, at: [usize; 2]| {
        text.char_indices()
            .all(|(index, char)| if at.contains(&index) { char == separator } else { char.is_ascii_digit() })
    };
    if date.len() != 10
        || clock.len() != 8
        || !digits_only(date, '-', [4, 7])
        || !digits_only(clock, ':', [2, 5])
    {
        return None;
    }
    let (year, month, day) = (field(date, 0, 4)?, field(date, 5, 7)?, field(date, 8, 10)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
        && field(clock, 0, 2)? < 24
        && field(clock, 3, 5)? < 60
        && field(clock, 6, 8)? < 60;
    if !in_range {
        return None;
    }
    let fraction = fraction.get(..fraction.len().min(9))?.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{date}T{clock}{dot}{fraction}{}", offset(zone)?))
}

fn offset(zone: &str) -> Option<&str> {
    if zone == "Z" {
        return Some("Z");
    }
    let [b'+' | b'-', _, _, b':', _, _] = zone.as_bytes() else { return None };
    let digits =
        |from, to| zone.get(from..to).filter(|text: &&str| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (hours, minutes) = (digits(1, 3)?, digits(4, 6)?);
    if hours > "24" || minutes >= "60" {
        return None;
    }
    Some(if hours == "00" && minutes == "00" { "Z" } else { zone })
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_go_writes_them() {
        assert_eq!(canonical("2026-01-02T03:04:05.120+00:00").as_deref(), Some("2026-01-02T03:04:05.12Z"));
        assert_eq!(canonical("2024-02-29T23:59:59-07:30").as_deref(), Some("2024-02-29T23:59:59-07:30"));
        for bad in [
            "2025-02-29T00:00:00Z",
            "2026-01-02",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:04:05",
            "é026-01-02T",
        ] {
            assert_eq!(canonical(bad), None, "{bad}");
        }
    }
}
