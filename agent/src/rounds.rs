//! What keeps passes going: triggers in, passes started and ended, until the daemon stops or `--once` is done?
//!
//! The loop knows nothing of containers: what a pass is, comes from outside ([`Rounds`]), so that its own promises are
//! tested without an Engine. They are: a stack's pass never runs twice at a time, a pass that panics fails its stack
//! only, a stack that asks to be woken is woken, and every stack is looked at once a resync.

use std::{collections::BTreeMap, future::Future, rc::Rc, time::Duration};

use plan::ids::{ProjectName, StackName};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    scheduler::{Due, Scheduler},
    triggers::Trigger,
};

/// What the loop drives.
pub trait Rounds: 'static {
    /// One pass of one stack. Answers in how long the stack wants to be looked at again without anything happening.
    fn pass(&self, due: Due) -> impl Future<Output = Option<Duration>>;

    /// A pass has panicked: the stack is failed, with this message.
    fn panicked(&self, stack: &StackName, message: &str);

    /// Looks at the profile, where it may lead elsewhere, in bounded time. Answers the stacks that are to be looked at
    /// because of it.
    fn rescan(&self) -> impl Future<Output = Vec<StackName>>;

    /// All stacks that are declared or owned now.
    fn stacks(&self) -> Vec<StackName>;

    /// The stack with this Compose project.
    fn stack_of(&self, project: &ProjectName) -> Option<StackName>;

    /// The loop goes round: whoever supervises the process may know.
    fn alive(&self);

    /// The profile has been looked at, and every stack that it touches has its pass before it.
    fn ready(&self);

    /// Nothing runs and nothing is about to: memory can be written, `--once` can end if nothing is in flight.
    fn idle(&self);

    /// Whether something that was started has yet to show its effect.
    fn in_flight(&self) -> bool;
}

/// The pace of a loop.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Every stack is looked at this often, whatever happens.
    pub resync: Duration,
    /// At most this many passes at a time.
    pub parallel: usize,
    /// [`Rounds::alive`] is called this often, where somebody wants to know.
    pub alive: Option<Duration>,
    /// `--once`: end when nothing is left to do, at the latest then.
    pub until: Option<Instant>,
}

/// The loop's own state.
struct Loop<R> {
    rounds: Rc<R>,
    pace: Pace,
    scheduler: Scheduler,
    passes: JoinSet<Option<Duration>>,
    stack_of_task: BTreeMap<Id, StackName>,
}

/// While effects are awaited in `--once`, stacks are looked at this often, in case an event is lost.
const IN_FLIGHT: Duration = Duration::from_millis(500);

/// Runs passes until a trigger says stop, or `--once` is done.
pub async fn run<R: Rounds>(rounds: Rc<R>, pace: Pace, mut triggers: UnboundedReceiver<Trigger>) {
    let mut state = Loop {
        scheduler: Scheduler::new(pace.parallel),
        rounds,
        pace,
        passes: JoinSet::new(),
        stack_of_task: BTreeMap::new(),
    };
    state.take(&Trigger::Reload).await;
    let mut alive = pace.alive.map(|every| Instant::now() + every);
    let mut resync = Instant::now() + pace.resync;
    loop {
        state.start_due();
        if state.is_done() {
            return;
        }
        let next = state.scheduler.next_due().map_or(resync, |due| due.min(resync));
        if let (Some(due), Some(every)) = (alive, pace.alive)
            && due <= Instant::now()
        {
            state.rounds.alive();
            alive = Some(Instant::now() + every);
        }
        let next = alive.map_or(next, |due| next.min(due));
        let next = pace.until.map_or(next, |until| next.min(until));
        // Each arm may be dropped at any time without losing anything: a trigger stays in its channel, an ended pass in
        // its set.
        tokio::select! {
            trigger = triggers.recv() => match trigger {
                Some(Trigger::Stop) | None => return,
                Some(trigger) => state.take(&trigger).await,
            },
            Some(ended) = state.passes.join_next_with_id() => state.ended(ended),
            () = sleep_until(next) => {
                if Instant::now() >= resync {
                    resync = Instant::now() + pace.resync;
                    state.take(&Trigger::EveryStack).await;
                }
            }
        }
    }
}

impl<R: Rounds> Loop<R> {
    /// Passes that run go on meanwhile.
    async fn take(&mut self, trigger: &Trigger) {
        let now = Instant::now();
        match trigger {
            Trigger::Stack(stack) => self.scheduler.request(stack, now),
            Trigger::StackNow(stack) => self.scheduler.request_now(stack, now),
            Trigger::Project(project) => {
                if let Some(stack) = self.rounds.stack_of(project) {
                    self.scheduler.request(&stack, now);
                }
            }
            Trigger::Profile => {
                for stack in self.rounds.rescan().await {
                    self.scheduler.request(&stack, now);
                }
            }
            Trigger::EveryStack | Trigger::EveryStackNow | Trigger::Engine | Trigger::Reload => {
                // What has just left the profile is not among its stacks any more, and gets its pass all the same.
                let gone = self.rounds.rescan().await;
                for stack in gone.into_iter().chain(self.rounds.stacks()) {
                    self.scheduler.request_now(&stack, now);
                }
                if *trigger == Trigger::Reload {
                    self.rounds.ready();
                }
            }
            Trigger::Stop => {}
        }
    }

    fn start_due(&mut self) {
        for due in self.scheduler.take_due(Instant::now()) {
            let stack = due.stack.clone();
            let rounds = Rc::clone(&self.rounds);
            let task = self.passes.spawn_local(async move { rounds.pass(due).await });
            self.stack_of_task.insert(task.id(), stack);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Option<Duration>), JoinError>) {
        let (id, wake) = match &ended {
            Ok((id, wake)) => (*id, *wake),
            Err(error) => (error.id(), Some(Duration::from_secs(60))),
        };
        let Some(stack) = self.stack_of_task.remove(&id) else { return };
        if let Err(error) = ended {
            let message =
                error.try_into_panic().map_or_else(|error| error.to_string(), |panic| words(&*panic));
            self.rounds.panicked(&stack, &message);
        }
        self.scheduler.done(&stack);
        if let Some(wake) = wake {
            self.scheduler.wake_at(&stack, Instant::now() + wake);
        }
        // A pass may have found stacks that nobody had known of, or waits for a stack that has just loaded.
        if self.passes.is_empty() {
            self.rounds.idle();
        }
    }

    /// `--once`: everything has been looked at, nothing is about to happen, and nothing is in flight.
    fn is_done(&mut self) -> bool {
        let Some(until) = self.pace.until else { return false };
        let now = Instant::now();
        if now >= until {
            return true;
        }
        if !self.scheduler.is_idle(now + crate::scheduler::DEBOUNCE) {
            return false;
        }
        if self.rounds.in_flight() {
            for stack in self.rounds.stacks() {
                self.scheduler.wake_at(&stack, now + IN_FLIGHT);
            }
            return false;
        }
        true
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::{
        sync::{Notify, mpsc},
        task::LocalSet,
        time::{sleep, timeout},
    };

    use super::*;

    #[derive(Default)]
    struct Fake {
        passes: RefCell<Vec<String>>,
        failed: RefCell<Vec<String>>,
        running: Cell<bool>,
        flying: Cell<u32>,
        beats: Cell<u32>,
        ready: Cell<u32>,
        /// A pass of `slow` ends when it is told to.
        end: Notify,
    }

    impl Fake {
        fn passes_of(&self, stack: &str) -> usize {
            self.passes.borrow().iter().filter(|name| *name == stack).count()
        }

        /// Waits for as long as a slow machine may take.
        async fn until(&self, holds: impl Fn(&Self) -> bool) {
            let waiting = async {
                while !holds(self) {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(Duration::from_secs(60), waiting).await.expect("it comes to hold");
        }
    }

    impl Rounds for Fake {
        async fn pass(&self, due: Due) -> Option<Duration> {
            self.passes.borrow_mut().push(due.stack.to_string());
            assert!(due.stack.as_str() != "bad", "it broke");
            if due.stack.as_str() == "slow" {
                assert!(!self.running.replace(true), "two passes of one stack");
                self.end.notified().await;
                self.running.set(false);
            }
            self.flying.set(self.flying.get().saturating_sub(1));
            None
        }

        fn panicked(&self, stack: &StackName, message: &str) {
            self.failed.borrow_mut().push(format!("{stack}: {message}"));
        }

        async fn rescan(&self) -> Vec<StackName> {
            Vec::new()
        }

        fn stacks(&self) -> Vec<StackName> {
            vec!["bad".into(), "web".into()]
        }

        fn stack_of(&self, project: &ProjectName) -> Option<StackName> {
            Some(project.as_str().into())
        }

        fn idle(&self) {}

        fn alive(&self) {
            self.beats.set(self.beats.get() + 1);
        }

        fn ready(&self) {
            self.ready.set(self.ready.get() + 1);
        }

        fn in_flight(&self) -> bool {
            self.flying.get() > 0
        }
    }

    fn pace(until: Option<Duration>) -> Pace {
        let until = until.map(|span| Instant::now() + span);
        Pace { resync: Duration::from_secs(300), parallel: 4, alive: None, until }
    }

    #[tokio::test]
    async fn once_ends_when_nothing_is_left_and_a_panic_fails_its_own_stack_only() {
        let fake = Rc::new(Fake::default());
        let (_send, triggers) = mpsc::unbounded_channel();
        let pace = pace(Some(Duration::from_secs(20)));
        LocalSet::new().run_until(run(Rc::clone(&fake), pace, triggers)).await;
        assert_eq!(*fake.passes.borrow(), ["bad", "web"]);
        assert_eq!(*fake.failed.borrow(), ["bad: it broke"]);
    }

    #[tokio::test]
    async fn once_waits_for_what_is_in_flight() {
        let fake = Rc::new(Fake::default());
        fake.flying.set(3);
        let (_send, triggers) = mpsc::unbounded_channel();
        let pace = pace(Some(Duration::from_secs(20)));
        LocalSet::new().run_until(run(Rc::clone(&fake), pace, triggers)).await;
        assert_eq!(fake.passes_of("web"), 3);
    }

    #[tokio::test]
    async fn the_loop_itself_says_that_it_is_alive_and_when_a_reload_was_taken_in() {
        let fake = Rc::new(Fake::default());
        let (send, triggers) = mpsc::unbounded_channel();
        let every = Duration::from_millis(20);
        let pace = Pace { alive: Some(every), ..pace(None) };
        LocalSet::new()
            .run_until(async {
                let began = Instant::now();
                let run = tokio::task::spawn_local(run(Rc::clone(&fake), pace, triggers));
                fake.until(|fake| fake.beats.get() >= 4).await;
                send.send(Trigger::Reload).expect("the loop listens");
                fake.until(|fake| fake.ready.get() == 2).await;
                send.send(Trigger::Stop).expect("the loop listens");
                run.await.expect("it ends");
                let most = began.elapsed().as_millis() / every.as_millis() + 1;
                assert!(u128::from(fake.beats.get()) <= most, "no more often than it was told to");
            })
            .await;
        assert_eq!(fake.ready.get(), 2, "once at the start, once for the reload");
    }

    #[tokio::test]
    async fn what_happens_during_a_pass_gets_one_more_pass() {
        let fake = Rc::new(Fake::default());
        let (send, triggers) = mpsc::unbounded_channel();
        LocalSet::new()
            .run_until(async {
                let run = tokio::task::spawn_local(run(Rc::clone(&fake), pace(None), triggers));
                send.send(Trigger::StackNow("slow".into())).expect("the loop listens");
                fake.until(|fake| fake.passes_of("slow") == 1).await;
                for _ in 0..10 {
                    send.send(Trigger::Project("slow".into())).expect("the loop listens");
                }
                // What is sent in order is taken in order: the ten have been when this one has been.
                send.send(Trigger::Reload).expect("the loop listens");
                fake.until(|fake| fake.ready.get() == 2).await;
                fake.end.notify_one();
                fake.until(|fake| fake.passes_of("slow") == 2).await;
                fake.end.notify_one();
                sleep(crate::scheduler::DEBOUNCE * 2).await;
                send.send(Trigger::Stop).expect("the loop listens");
                run.await.expect("it ends");
            })
            .await;
        assert_eq!(fake.passes_of("slow"), 2);
    }
}
