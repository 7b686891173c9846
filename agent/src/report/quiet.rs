//! How much is said: how many entries of one stack in how short a time, and what sums up a day?
//!
//! The history and whoever listens on the control socket get everything; only the log is spared. Nothing is held back
//! without being counted, and the count is said. A day in which nothing happened is not summed up.

use std::collections::BTreeMap;

use plan::{
    ids::{StackName, Time},
    status::{HostStatus, Transition, TransitionEvent},
};

/// So many entries of one stack go to the log within [`SPAN_MS`].
const MOST: u32 = 120;
/// In milliseconds: ten minutes.
const SPAN_MS: i64 = 600_000;
/// A day, in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// Counts what was said of each stack.
#[derive(Debug, Default)]
pub struct Limiter(BTreeMap<StackName, Window>);

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Time,
    said: u32,
    held_back: u32,
}

/// Whether an entry is said now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It is.
    Say,
    /// It is not.
    HoldBack,
}

impl Limiter {
    /// Asks for one entry of a stack.
    pub fn ask(&mut self, stack: &StackName, at: Time) -> Leave {
        let fresh = Window { began: at, said: 0, held_back: 0 };
        let window = self.0.entry(stack.clone()).or_insert(fresh);
        if window.said >= MOST {
            window.held_back += 1;
            return Leave::HoldBack;
        }
        window.said += 1;
        Leave::Say
    }

    /// Begins anew where the time is over, and gives how many entries of which stack were held back in it.
    pub fn counts(&mut self, now: Time) -> Vec<(StackName, u32)> {
        let mut counts = Vec::new();
        self.0.retain(|stack, window| {
            let over = now.since(window.began) >= SPAN_MS;
            if over && window.held_back > 0 {
                counts.push((stack.clone(), window.held_back));
            }
            !over
        });
        counts
    }
}

/// What is said after some were held back.
pub fn held_back(stack: StackName, count: u32, now: Time) -> Transition {
    let minutes = SPAN_MS / 60_000;
    let message = format!(
        "{count} entries were held back within {minutes} minutes; `agentctl history {stack}` has them"
    );
    Transition { at: now, stack, event: TransitionEvent::Note, drift: None, message, generation: None }
}

/// A day in one line; `None` where nothing happened and nothing is open.
pub fn summary(day: &[Transition], now: &HostStatus) -> Option<String> {
    let count = |event| day.iter().filter(|entry| entry.event == event).count();
    let open: usize = now.stacks.iter().map(|stack| stack.drift.len()).sum();
    let [found, corrected, gone, failed] =
        [TransitionEvent::Found, TransitionEvent::Corrected, TransitionEvent::Gone, TransitionEvent::Failed]
            .map(count);
    (found + failed + open > 0).then(|| {
        format!(
            "the last day: {found} differences found, {corrected} put right, {gone} gone by themselves, {failed} failures; \
             {open} open now"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_held_back_counted_and_said_of_its_own_stack_only() {
        let mut limiter = Limiter::default();
        let (loud, calm) = (StackName::from("loud"), StackName::from("calm"));
        let said = (0..MOST + 7).filter(|nth| limiter.ask(&loud, Time((*nth).into())) == Leave::Say).count();
        assert_eq!(said, MOST as usize);
        assert_eq!(limiter.ask(&calm, Time(0)), Leave::Say);
        assert_eq!(limiter.counts(Time(SPAN_MS - 1)), []);
        assert_eq!(limiter.counts(Time(SPAN_MS)), [(loud.clone(), 7)], "once, though nothing more happens");
        assert_eq!(limiter.counts(Time(SPAN_MS)), []);
        assert_eq!(limiter.ask(&loud, Time(SPAN_MS)), Leave::Say);
    }

    #[test]
    fn a_day_is_summed_up_where_something_happened_or_is_open() {
        let mut status = crate::cli::tests::example();
        assert_eq!(summary(&[], &status), None);
        let entry = Transition {
            at: Time(0),
            stack: "web".into(),
            event: TransitionEvent::Found,
            drift: None,
            message: String::new(),
            generation: None,
        };
        let line = summary(std::slice::from_ref(&entry), &status).expect("something happened");
        assert!(line.starts_with("the last day: 1 differences found, 0 put right"), "{line}");
        status.stacks.clear();
        assert!(
            held_back("web".into(), 7, Time(0))
                .message
                .starts_with("7 entries were held back within 10 minutes")
        );
    }
}
