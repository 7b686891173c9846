//! What do the containers of a stack say, as one stream, also over a recreate?
//!
//! Bounded: so many containers at a time, so many lines of the past; whoever reads too slowly slows the Engine's streams
//! down and nobody else.

use std::{collections::BTreeSet, rc::Rc};

use docker::logs::{Line, Wanted, logs};
use futures_util::{Stream, StreamExt as _};
use plan::{ids::Time, status::HostStatus};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{control::server::Answers, daemon::Agent};

/// At most so many containers are listened to at a time.
const MOST_CONTAINERS: usize = 64;
/// At most so many lines of the past are given, of each container.
pub const MOST_LINES: u32 = 10_000;
/// So many bytes of the past are given in all: the newest.
const MOST_BYTES: usize = 8 << 20;
/// What a line weighs beside its text.
const OVERHEAD: usize = 200;
/// How much older than its start a container's first line may be, in milliseconds.
const SLACK_MS: i64 = 500;
/// So many lines are sent at once.
const BATCH: usize = 256;

/// One line of one container, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Whose.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// When.
    pub at: Option<Time>,
    /// The line.
    pub line: String,
}

/// A container that is listened to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Speaker {
    service: String,
    container: String,
    id: String,
    /// Which of its runs.
    started: Option<Time>,
}

/// What there is so far, sorted by time.
///
/// # Errors
/// The Engine's address cannot be used.
pub async fn past(agent: &Rc<Agent>, status: &HostStatus, wanted: Wanted) -> Result<Vec<Said>, String> {
    let mut said = Vec::new();
    for speaker in speakers(status) {
        let mut lines = logs(agent.eyes.address()?, &speaker.id, wanted)?;
        while let Some(line) = lines.next().await {
            said.push(speaker.said(line));
        }
    }
    said.sort_by_key(|said| said.at);
    let mut room = MOST_BYTES;
    let kept = said.iter().rev().take_while(|said| {
        room = room.saturating_sub(said.line.len() + OVERHEAD);
        room > 0
    });
    let first = said.len() - kept.count();
    Ok(said.split_off(first))
}

/// What there is and what is to come, until the caller has gone. A container that is made later is listened to as well.
///
/// # Errors
/// The Engine's address cannot be used.
pub async fn follow(
    agent: &Rc<Agent>,
    status: impl Fn() -> Option<HostStatus>,
    wanted: Wanted,
    answers: &mut Answers,
) -> Result<(), String> {
    let address = agent.eyes.address()?.clone();
    let (sender, mut lines) = mpsc::channel::<Said>(BATCH);
    let mut listeners = JoinSet::new();
    let mut known: BTreeSet<Speaker> = BTreeSet::new();
    let mut changes = agent.store.changes();
    let mut wanted = Following { wanted, is_first: true };
    loop {
        changes.mark_unchanged();
        while listeners.try_join_next().is_some() {}
        let now: Vec<Speaker> = status().iter().flat_map(running).collect();
        known.retain(|speaker| now.contains(speaker));
        for speaker in now {
            if known.insert(speaker.clone()) {
                let stream = Box::pin(logs(&address, &speaker.id, wanted.of(&speaker))?);
                listeners.spawn_local(listen(speaker, stream, wanted.is_first, sender.clone()));
            }
        }
        wanted.is_first = false;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            Some(first) = lines.recv() => {
                let mut batch = vec![first];
                while batch.len() < BATCH && let Ok(next) = lines.try_recv() {
                    batch.push(next);
                }
                if !answers.next(json!({ "lines": batch })).await {
                    return Ok(());
                }
            }
        }
    }
}

/// What is wanted of those who are there when following begins, and of those who start later.
struct Following {
    wanted: Wanted,
    is_first: bool,
}

impl Following {
    /// Of what starts later everything is, from its start on.
    fn of(&self, speaker: &Speaker) -> Wanted {
        if self.is_first {
            return self.wanted;
        }
        Wanted { since: speaker.started, tail: MOST_LINES, ..self.wanted }
    }
}

/// Passes the lines of one run of a container on, until it ends.
async fn listen(
    speaker: Speaker,
    mut lines: impl Stream<Item = Line> + Unpin,
    all: bool,
    to: mpsc::Sender<Said>,
) {
    while let Some(line) = lines.next().await {
        // The Engine counts in seconds: what an earlier run said within the same one has been passed on already. The first
        // line may be older than the moment that the Engine calls the start.
        if !all && line.at.map(|at| at.plus_ms(SLACK_MS)) < speaker.started {
            continue;
        }
        if to.send(speaker.said(line)).await.is_err() {
            return;
        }
    }
}

fn speakers(status: &HostStatus) -> Vec<Speaker> {
    let services = status.stacks.iter().flat_map(|stack| &stack.services);
    let containers =
        services.flat_map(|service| service.containers.iter().map(move |found| (service, found)));
    let speaker =
        |(service, found): (&plan::status::ServiceStatus, &plan::status::ContainerStatus)| Speaker {
            service: service.name.to_string(),
            container: found.name.clone(),
            id: found.id.to_string(),
            started: found.started_at,
        };
    containers.map(speaker).take(MOST_CONTAINERS).collect()
}

/// The containers of which more may come.
fn running(status: &HostStatus) -> Vec<Speaker> {
    let services = status.stacks.iter().flat_map(|stack| &stack.services);
    let up: BTreeSet<&str> = services
        .flat_map(|service| &service.containers)
        .filter(|container| matches!(container.state.as_str(), "running" | "paused"))
        .map(|container| container.id.as_str())
        .collect();
    speakers(status).into_iter().filter(|speaker| up.contains(speaker.id.as_str())).collect()
}

impl Speaker {
    fn said(&self, line: Line) -> Said {
        Said {
            service: self.service.clone(),
            container: self.container.clone(),
            stream: line.stream.to_owned(),
            at: line.at,
            line: line.text,
        }
    }
}
