//! How long is a failed thing left alone before it is tried again?

use serde::{Deserialize, Serialize};

use crate::ids::Time;

/// The first wait, in milliseconds.
const FIRST: i64 = 2_000;
/// The longest wait, in milliseconds.
const LONGEST: i64 = 300_000;
/// The longest wait with its jitter, in milliseconds: whatever is further away was written by a clock that was ahead.
pub const MOST: i64 = LONGEST + LONGEST / 4;

/// Repeated failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Failures in a row.
    pub failures: u32,
    /// Not before.
    pub until: Time,
    /// The last error.
    pub error: String,
}

/// The next state after one more failure of `what`: doubled each time, with up to a quarter of jitter that depends on
/// `what`, so that many stacks that failed together do not come back together.
pub fn after_failure(before: Option<&Backoff>, what: &str, error: &str, now: Time) -> Backoff {
    let failures = before.map_or(0, |backoff| backoff.failures).saturating_add(1);
    let wait = FIRST.saturating_mul(1_i64 << (failures - 1).min(20)).min(LONGEST);
    let seed: u32 =
        what.bytes().fold(failures, |seed, byte| seed.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let jitter = wait / 4 * i64::from(seed % 100) / 100;
    Backoff { failures, until: now.plus_ms(wait + jitter), error: error.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit() {
        let mut state = None;
        let mut waits = Vec::new();
        for _ in 0..12 {
            let next = after_failure(state.as_ref(), "web", "no", Time(0));
            waits.push(next.until.0);
            state = Some(next);
        }
        assert!((2_000..=2_500).contains(&waits[0]) && (4_000..=5_000).contains(&waits[1]));
        assert!(waits[11] <= 375_000 && waits[11] >= 300_000);
    }
}
