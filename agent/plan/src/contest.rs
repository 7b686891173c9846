//! Is somebody else undoing what the agent puts right?
//!
//! The first corrections of a difference are made at once. One that keeps coming back is spaced out, and in the end left
//! as it is: two programs that undo each other's work help nobody.

use crate::ids::Time;

/// How far back corrections count, in milliseconds.
pub const WINDOW_MS: i64 = 3_600_000;
/// So many corrections within the window, and the difference is contested.
pub const MOST: usize = 8;
/// So many are made without a pause: one difference may take more than one pass (an image first, then the container).
const AT_ONCE: usize = 4;
/// The first pause, in milliseconds; each further one is twice as long.
const FIRST_PAUSE_MS: i64 = 10_000;

/// What to do about a difference that was put right before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contest {
    /// Put it right.
    No,
    /// Not before then.
    Pause(Time),
    /// Leave it; then the count starts to fall.
    Contested(Time),
}

/// Why a contested difference is left, in words.
pub fn words(made: usize) -> String {
    format!(
        "{WORD}: put right {made} times within the hour, and there again; somebody else changes it back, or the Engine does \
         not do what it is told. It is left as it is until that is an hour ago"
    )
}

/// Whether a refusal is for that reason.
pub fn is_contested(refusal: &str) -> bool {
    refusal.starts_with(WORD)
}

const WORD: &str = "contested";

/// Judges by the moments of the earlier corrections, the oldest first.
pub fn contest(made: &[Time], now: Time) -> Contest {
    let recent: Vec<Time> = made.iter().copied().filter(|at| now.since(*at) < WINDOW_MS).collect();
    let (Some(first), Some(last)) = (recent.first(), recent.last()) else { return Contest::No };
    if recent.len() >= MOST {
        return Contest::Contested(first.plus_ms(WINDOW_MS));
    }
    let Some(pauses) = recent.len().checked_sub(AT_ONCE) else { return Contest::No };
    let until = last.plus_ms(FIRST_PAUSE_MS << pauses.min(8));
    if now < until { Contest::Pause(until) } else { Contest::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_are_spaced_out_and_end_contested() {
        let mut now = Time(0);
        let mut made = Vec::new();
        let mut pauses = Vec::new();
        loop {
            match contest(&made, now) {
                Contest::No => {
                    made.push(now);
                    now = now.plus_ms(1);
                }
                Contest::Pause(until) => {
                    pauses.push(until.since(now));
                    now = until;
                }
                Contest::Contested(until) => {
                    assert_eq!(until, Time(WINDOW_MS));
                    break;
                }
            }
        }
        assert_eq!(made.len(), MOST);
        assert_eq!(pauses, [9_999, 19_999, 39_999, 79_999]);
        assert_eq!(contest(&made, Time(WINDOW_MS + 10)), Contest::No, "an hour later it is tried again");
    }
}
