//! What must the agent remember across passes, and across its own restarts?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    backoff::{Backoff, MOST},
    ids::{Generation, ServiceName, StackName, Time},
    sources::BoundAt,
    status::{OpenDrift, Phase, WaitStatus},
};

/// The version of the form on disk; an older one is read, a newer one is left alone.
pub const VERSION: u32 = 1;

/// Everything that is remembered, of all stacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// [`VERSION`].
    pub version: u32,
    /// The generation last seen, and since when.
    pub generation: Option<(Generation, Time)>,
    /// By stack.
    pub stacks: BTreeMap<StackName, StackMemory>,
    /// When a day was last summed up.
    #[serde(default)]
    pub summed_up: Option<Time>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { version: VERSION, generation: None, stacks: BTreeMap::new(), summed_up: None }
    }
}

/// What is remembered of one stack.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StackMemory {
    /// The phase and since when.
    pub phase: Option<(Phase, Time)>,
    /// Differences that were reported and are still open, so that a restart reports nothing twice.
    pub open: Vec<OpenDrift>,
    /// Waits that were reported and still hold.
    pub waiting: Vec<WaitStatus>,
    /// Failures in a row and when to try again, by what fails (a service's name, an image reference, or `stack`).
    pub backoff: BTreeMap<String, Backoff>,
    /// An operator's holds: the empty key is the whole stack, others are services.
    pub holds: BTreeMap<String, Hold>,
    /// Declarations whose containers did not prove themselves, by replica (`web-1`).
    pub rejected: BTreeMap<String, Rejection>,
    /// Digests of files that living containers were told of, by container id and the digest label's key.
    pub delivered: BTreeMap<String, BTreeMap<String, String>>,
    /// What running containers had bound when they started, by container id.
    pub bound: BTreeMap<String, BoundAt>,
    /// Images that a `pull_policy` made the agent fetch, by reference.
    pub pulled: BTreeMap<String, Pull>,
    /// Images that somebody else has built, by reference: what they would have been built from when they were first seen.
    pub adopted_builds: BTreeMap<String, String>,
    /// Images that the agent itself has brought to the Engine, by id.
    pub brought: BTreeMap<String, Brought>,
    /// When images that it brought are removed, as its spec said last: it counts on when the stack is gone.
    pub pruning: Option<Pruning>,
    /// The generation of the last pass.
    pub generation: Option<Generation>,
    /// When each correction was made for this generation, by [`crate::drift::Drift::key`], to see when somebody else
    /// undoes it.
    pub corrections: BTreeMap<String, Vec<Time>>,
    /// An operator's wish for a restart, until everything that it is about has started since.
    pub restart: Option<Restart>,
    /// What the stack ran when it was last as declared.
    pub ran: Option<Ran>,
}

impl StackMemory {
    /// The same without what a clock that was ahead has written. A machine without a battery for its clock boots in the
    /// future or in the past, and is put right later: nothing may wait years for that.
    #[must_use]
    pub fn believed(mut self, now: Time) -> Self {
        for backoff in self.backoff.values_mut().filter(|backoff| backoff.until > now.plus_ms(MOST)) {
            backoff.until = now;
        }
        if let Some(restart) = &mut self.restart {
            restart.at = restart.at.min(now);
        }
        for brought in self.brought.values_mut() {
            brought.unused_since = brought.unused_since.map(|since| since.min(now));
        }
        for made in self.corrections.values_mut() {
            made.retain(|at| *at <= now);
        }
        self
    }
}

/// An operator's "hands off".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Time,
    /// Until when; `None`: until released.
    pub until: Option<Time>,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Its containers and networks are taken away meanwhile (`agentctl down`).
    #[serde(default)]
    pub down: bool,
}

impl Hold {
    /// Who holds, and why.
    pub fn words(&self) -> String {
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("held by {}{why}", self.by)
    }
}

/// An operator's wish for a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Of this service; `None`: of all.
    pub service: Option<ServiceName>,
    /// What has started since then has been restarted.
    pub at: Time,
    /// Who.
    pub by: String,
}

/// A declaration that was tried and given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// What was declared: Compose's hash, the image's id and the digests of its files.
    pub declaration: String,
    /// Why it was given up, in words.
    pub why: String,
    /// When.
    pub at: Time,
}

/// What a stack runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The generation that declares it.
    pub generation: Generation,
    /// Each service's image, with its digest.
    pub images: BTreeMap<ServiceName, String>,
}

/// One fetch of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// The generation that asked for it.
    pub generation: Generation,
    /// When.
    pub at: Time,
}

/// One image that the agent has brought to the Engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The reference that it was brought for.
    pub reference: String,
    /// What it was made from: the id that its archive tells. The Engine may call it by another one.
    pub from: Option<String>,
    /// When.
    pub at: Time,
    /// Since when nothing declares or runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since: Option<Time>,
}

/// `x-agent.prune_images`, where it is not `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruning {
    /// An image that has been unused for less is kept, in milliseconds.
    pub older_than_ms: i64,
    /// So many of each repository are kept at any age, those that were used last.
    pub keep_last: usize,
}

impl Brought {
    /// An image that comes now.
    pub fn new(reference: &str, from: Option<String>, at: Time) -> Self {
        Self { reference: reference.to_owned(), from, at, unused_since: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_that_was_ahead_has_written_holds_nothing_up() {
        let (now, ahead) = (Time(1_000_000), Time(4_000_000_000_000));
        let backoff = |until| Backoff { failures: 3, until, error: "no".into() };
        let memory = StackMemory {
            backoff: [("a".into(), backoff(ahead)), ("b".into(), backoff(now.plus_ms(MOST)))].into(),
            restart: Some(Restart { service: None, at: ahead, by: "uid 0".into() }),
            corrections: [("c".into(), vec![Time(5), ahead])].into(),
            brought: [("d".into(), Brought { unused_since: Some(ahead), ..Brought::new("a:1", None, now) })]
                .into(),
            ..StackMemory::default()
        };
        let believed = memory.believed(now);
        assert_eq!(believed.backoff["a"].until, now);
        assert_eq!(believed.backoff["b"].until, now.plus_ms(MOST), "as long as any wait may be");
        assert_eq!(believed.restart.map(|restart| restart.at), Some(now));
        assert_eq!(believed.corrections["c"], [Time(5)]);
        assert_eq!(believed.brought["d"].unused_since, Some(now));
    }
}
