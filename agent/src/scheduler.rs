//! When does which stack get its next pass?
//!
//! A plain value without a clock: every moment is handed in, so that its tests need no waiting. One slot per stack; the
//! earliest asked-for time wins; a burst of requests is folded into one pass; a stack that is asked for while its pass
//! runs gets another one afterwards; never two passes of one stack at a time, and never more than `parallel` in all.
//! Moments are [`Instant`]s of tokio's clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use plan::ids::StackName;
use tokio::time::Instant;

/// How long a request waits for others of its burst. An outside change is to be found within a second.
pub const DEBOUNCE: Duration = Duration::from_millis(80);

/// The slots.
#[derive(Debug)]
pub struct Scheduler {
    parallel: usize,
    slots: BTreeMap<StackName, Slot>,
    running: BTreeSet<StackName>,
}

/// One stack's next pass: asked for by something that happened, by a timer, or by both.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// When it may start because of a request, and when the last request was.
    request: Option<(Instant, Instant)>,
    /// When it starts without anything happening.
    wake: Option<Instant>,
}

impl Slot {
    fn due(&self) -> Option<Instant> {
        [self.request.map(|(due, _)| due), self.wake].into_iter().flatten().min()
    }

    /// The last thing that this pass must not miss.
    fn asked(&self, now: Instant) -> Instant {
        let wake = self.wake.filter(|wake| *wake <= now);
        [self.request.map(|(_, at)| at), wake].into_iter().flatten().max().unwrap_or(now)
    }
}

/// A pass that is to start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The stack.
    pub stack: StackName,
    /// What was observed before this moment is too old for the pass.
    pub asked: Instant,
}

impl Scheduler {
    /// No stack has a slot yet; at most `parallel` passes run at a time.
    pub fn new(parallel: usize) -> Self {
        Self { parallel: parallel.max(1), slots: BTreeMap::new(), running: BTreeSet::new() }
    }

    /// Something has happened to a stack: it gets a pass soon.
    pub fn request(&mut self, stack: &StackName, now: Instant) {
        self.ask(stack, now + DEBOUNCE, now);
    }

    /// A person waits: it gets a pass at once.
    pub fn request_now(&mut self, stack: &StackName, now: Instant) {
        self.ask(stack, now, now);
    }

    /// The stack is to be looked at again at `due`, at the latest, whatever happens.
    pub fn wake_at(&mut self, stack: &StackName, due: Instant) {
        let slot = self.slots.entry(stack.clone()).or_default();
        slot.wake = Some(slot.wake.map_or(due, |wake| wake.min(due)));
    }

    fn ask(&mut self, stack: &StackName, due: Instant, now: Instant) {
        let slot = self.slots.entry(stack.clone()).or_default();
        let due = slot.request.map_or(due, |(before, _)| before.min(due));
        slot.request = Some((due, now));
    }

    /// The passes that start now; they count as running until [`Self::done`].
    pub fn take_due(&mut self, now: Instant) -> Vec<Due> {
        let mut ready: Vec<_> = self
            .slots
            .iter()
            .filter(|(stack, _)| !self.running.contains(*stack))
            .filter_map(|(stack, slot)| Some((slot.due().filter(|due| *due <= now)?, stack.clone())))
            .collect();
        ready.sort();
        ready.truncate(self.parallel.saturating_sub(self.running.len()));
        ready.into_iter().filter_map(|(_, stack)| self.start(stack, now)).collect()
    }

    fn start(&mut self, stack: StackName, now: Instant) -> Option<Due> {
        let slot = self.slots.remove(&stack)?;
        self.running.insert(stack.clone());
        Some(Due { stack, asked: slot.asked(now) })
    }

    /// When [`Self::take_due`] has something next; `None`: not before a pass ends or something happens.
    pub fn next_due(&self) -> Option<Instant> {
        if self.running.len() >= self.parallel {
            return None;
        }
        let waiting = self.slots.iter().filter(|(stack, _)| !self.running.contains(*stack));
        waiting.filter_map(|(_, slot)| slot.due()).min()
    }

    /// A pass has ended.
    pub fn done(&mut self, stack: &StackName) {
        self.running.remove(stack);
    }

    /// A stack is neither declared nor owned any more.
    pub fn forget(&mut self, stack: &StackName) {
        self.slots.remove(stack);
    }

    /// Whether a pass of the stack runs now.
    pub fn is_running(&self, stack: &StackName) -> bool {
        self.running.contains(stack)
    }

    /// Whether nothing runs, and nothing is due before `until`.
    pub fn is_idle(&self, until: Instant) -> bool {
        self.running.is_empty() && self.slots.values().filter_map(Slot::due).all(|due| due >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(due: &[Due]) -> Vec<&str> {
        due.iter().map(|due| due.stack.as_str()).collect()
    }

    fn web() -> StackName {
        "web".into()
    }

    #[test]
    fn a_burst_is_one_pass_that_sees_its_last_event() {
        let mut scheduler = Scheduler::new(4);
        let first = Instant::now();
        scheduler.request(&web(), first);
        let last = first + DEBOUNCE / 2;
        scheduler.request(&web(), last);
        assert!(scheduler.take_due(last).is_empty(), "not before the burst is folded");
        assert_eq!(scheduler.next_due(), Some(first + DEBOUNCE), "later events do not push it away");
        assert_eq!(scheduler.take_due(first + DEBOUNCE), [Due { stack: web(), asked: last }]);
        scheduler.done(&web());
        assert_eq!(scheduler.next_due(), None);
    }

    #[test]
    fn never_two_passes_of_one_stack_and_none_is_lost() {
        let mut scheduler = Scheduler::new(4);
        scheduler.request_now(&web(), Instant::now());
        assert_eq!(scheduler.take_due(Instant::now()).len(), 1);
        scheduler.request_now(&web(), Instant::now());
        assert!(scheduler.take_due(Instant::now()).is_empty());
        assert_eq!(scheduler.next_due(), None, "only the end of the pass can change that");
        scheduler.done(&web());
        assert_eq!(names(&scheduler.take_due(Instant::now())), ["web"]);
    }

    #[test]
    fn the_number_of_passes_is_bounded_and_the_longest_waiting_goes_first() {
        let mut scheduler = Scheduler::new(2);
        let start = Instant::now();
        for (nth, name) in ["c", "a", "b"].into_iter().enumerate() {
            scheduler.wake_at(&name.into(), start + Duration::from_secs(nth as u64));
        }
        let now = start + Duration::from_secs(5);
        assert_eq!(names(&scheduler.take_due(now)), ["c", "a"]);
        assert_eq!(scheduler.next_due(), None);
        scheduler.done(&"a".into());
        assert_eq!(names(&scheduler.take_due(now)), ["b"]);
        assert!(!scheduler.is_idle(now));
    }

    #[test]
    fn an_event_comes_before_the_timer_and_the_earliest_timer_wins() {
        let mut scheduler = Scheduler::new(1);
        let start = Instant::now();
        scheduler.wake_at(&web(), start + Duration::from_secs(300));
        scheduler.wake_at(&web(), start + Duration::from_secs(20));
        scheduler.wake_at(&web(), start + Duration::from_secs(60));
        assert_eq!(scheduler.next_due(), Some(start + Duration::from_secs(20)));
        assert!(scheduler.is_idle(start + Duration::from_secs(20)));
        scheduler.request(&web(), start);
        assert_eq!(scheduler.next_due(), Some(start + DEBOUNCE));
        let due = scheduler.take_due(start + Duration::from_secs(30));
        assert_eq!(
            due[0].asked,
            start + Duration::from_secs(20),
            "a timer that has passed is the later of the two"
        );
    }
}
