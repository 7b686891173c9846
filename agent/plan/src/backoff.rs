//! How long is a failed thing left alone before it is tried again?

use serde::{Deserialize, Serialize};

use crate::ids::Time;

/// The first wait, in milliseconds.
const FIRST: i64 = 2_000;
/// The longest wait, in milliseconds.
const LONGEST: i64 = 300_000;
/// The longest wait with its jitter, in milliseconds: whatever is further away was written by a clock that was ahead.
pub const MOST: i64 = LONGEST + LONGEST / 4;

/// Two collisions within this time are a failure, in milliseconds.
const COLLISION_MS: i64 = 10_000;

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

impl Backoff {
    /// What was tried met something that somebody else did meanwhile: no failure yet, and tried again at once.
    pub fn collision(error: &str, now: Time) -> Self {
        Self { failures: 0, until: now, error: error.to_owned() }
    }

    /// Whether this was a collision, and is long over.
    pub fn is_over(&self, now: Time) -> bool {
        self.failures == 0 && now.since(self.until) > COLLISION_MS
    }

    /// Whether it has failed with this error before.
    pub fn has_failed_with(&self, error: &str) -> bool {
        self.failures > 0 && self.error.starts_with(error)
    }
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
    fn a_collision_is_no_failure_and_is_soon_forgotten() {
        let met = Backoff::collision("No such container: 1", Time(0));
        assert!(!met.has_failed_with("No such container: 1") && !met.is_over(Time(COLLISION_MS)));
        assert!(met.is_over(Time(COLLISION_MS + 1)));
        let failed = after_failure(Some(&met), "web", "No such container: 1", Time(0));
        assert!(failed.has_failed_with("No such container: 1") && !failed.is_over(Time(i64::MAX)));
        assert_eq!(failed.failures, 1);
    }

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
