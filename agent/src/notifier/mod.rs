//! How do people hear of what happens to their stacks, without asking?
//!
//! `agentctl notify` is a process of its own, beside the daemon: it hears what the daemon tells everybody who may look,
//! and hands it to commands and webhooks. So the daemon, which holds secrets and steers containers, needs no network and
//! waits for nobody; and what is handed on was masked before it got here. [`config`] says to whom, [`hear`] what has
//! happened, [`message`] in which words, `deliver` how.
//!
//! Bounded everywhere: transitions that wait for a target, lines of a message, tries, the time of each, and the number of
//! messages: what comes while one is under way is told in the next.

pub mod config;
mod deliver;
pub mod hear;
pub mod message;
mod url;
mod webhook;

use std::{cell::Cell, path::PathBuf, rc::Rc, time::Duration};

use plan::status::Transition;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep, sleep_until},
};

use self::{
    config::Target,
    deliver::{deliver, once},
    message::Message,
};

/// Transitions that wait for one target; what is more is counted, and told as a number.
const WAITING: usize = 64;
/// How long the first transition waits for others of its kind.
const BUNDLE: Duration = Duration::from_secs(1);

/// Everybody who is told.
#[derive(Debug)]
pub struct Notifier {
    profile: PathBuf,
    host: String,
    written: Option<String>,
    lines: Vec<Line>,
    ended: Vec<JoinHandle<()>>,
}

/// What waits for one target.
#[derive(Debug)]
struct Line {
    target: Rc<Target>,
    queue: mpsc::Sender<Transition>,
    lost: Rc<Cell<u32>>,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Tells whom the profile's `agent.yaml` names.
    pub fn new(profile: PathBuf, host: String) -> Self {
        Self { profile, host, written: None, lines: Vec::new(), ended: Vec::new() }
    }

    /// Looks whom the profile names now. Who is named no more is still told what waits for them.
    ///
    /// # Errors
    /// What is wrong with the configuration: those that were named before stay.
    pub fn refresh(&mut self) -> Result<(), config::ConfigError> {
        let text = config::read(&self.profile)?;
        if self.written.as_ref() == Some(&text) {
            return Ok(());
        }
        let targets = config::parse(&text, &config::path(&self.profile));
        // Said once, not every time that somebody looks.
        self.written = Some(text);
        let lines = targets?.into_iter().map(|target| Line::start(Rc::new(target), &self.host)).collect();
        let before = std::mem::replace(&mut self.lines, lines);
        self.ended.retain(|task| !task.is_finished());
        self.ended.extend(before.into_iter().map(|line| line.task));
        Ok(())
    }

    /// How many are told.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// Sends everybody a test message, once: who it is, and why it was not taken, where it was not.
    pub async fn test(&self) -> Vec<(String, Result<(), String>)> {
        let mut results = Vec::new();
        for line in &self.lines {
            let taken = once(&line.target, &Message::test(&self.host)).await;
            results.push((line.target.name.clone(), taken.map_err(|failed| failed.to_string())));
        }
        results
    }

    /// Hands a transition to whom it concerns. Waits for nobody.
    pub fn tell(&self, transition: &Transition) {
        for line in self.lines.iter().filter(|line| line.target.wants(transition)) {
            if line.queue.try_send(transition.clone()).is_err() {
                line.lost.set(line.lost.get().saturating_add(1));
            }
        }
    }

    /// Waits until what is under way has arrived, or has been given up.
    pub async fn finish(self) {
        let tasks = self.lines.into_iter().map(|line| {
            drop(line.queue);
            line.task
        });
        for task in tasks.chain(self.ended) {
            // One that panicked has nothing more to tell.
            let _ = task.await;
        }
    }
}

impl Line {
    fn start(target: Rc<Target>, host: &str) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        let lost = Rc::new(Cell::new(0));
        let task = spawn_local(serve(Rc::clone(&target), waiting, Rc::clone(&lost), host.to_owned()));
        Self { target, queue, lost, task }
    }
}

/// One message after the other, never sooner than the target wants the next one.
async fn serve(
    target: Rc<Target>,
    mut waiting: mpsc::Receiver<Transition>,
    lost: Rc<Cell<u32>>,
    host: String,
) {
    while let Some(first) = waiting.recv().await {
        sleep(BUNDLE).await;
        let mut bundle = vec![first];
        while let Ok(next) = waiting.try_recv() {
            bundle.push(next);
        }
        let next = Instant::now() + target.every;
        deliver(&target, &Message::of(&host, &bundle, lost.take())).await;
        if waiting.is_closed() && waiting.is_empty() {
            return;
        }
        sleep_until(next).await;
    }
}

#[cfg(test)]
mod tests {
    use plan::{ids::Time, status::TransitionEvent};
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_burst_is_one_message_and_a_full_line_holds_nobody_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        let yaml = format!("notify:\n  - command: [sh, -c, 'cat >> {}']\n    every: 0s\n", out.display());
        let place = config::path(folder.path());
        std::fs::create_dir_all(place.parent().expect("a folder")).expect("made");
        std::fs::write(&place, yaml).expect("written");
        let local = LocalSet::new();
        let said = local.run_until(async {
            let mut notifier = Notifier::new(folder.path().to_owned(), "lab".into());
            notifier.refresh().expect("it is sound");
            for at in 0..100 {
                notifier.tell(&Transition {
                    at: Time(at),
                    stack: "web".into(),
                    event: TransitionEvent::Failed,
                    drift: None,
                    message: format!("number {at}"),
                    generation: None,
                });
            }
            notifier.finish().await;
            std::fs::read_to_string(out).expect("the command has run")
        });
        let said: serde_json::Value = serde_json::from_str(&said.await).expect("one message");
        assert_eq!(said["title"], "lab: 64 failed, 36 more");
        assert_eq!(said["transitions"].as_array().map(Vec::len), Some(WAITING));
        assert!(said["message"].as_str().expect("text").contains("web: number 0\n"), "{said}");
    }
}
