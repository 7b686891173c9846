//! What makes the agent look: where does each `Trigger` come from?
//!
//! The profile's link, files outside it, the table of mounts, the Engine's events and signals. None of them decides anything: each only says
//! that something may have changed, and whatever is missed, the resync finds.

use std::{path::Path, rc::Rc, time::Duration};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use systemd::{mount_watch, notify, watch};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::{JoinHandle, spawn_blocking, spawn_local},
    time::sleep,
};

use crate::{
    daemon::Agent, exit::Failure, eyes::About, gather::bound::own_mounts, secrets::decrypt::unchanged,
    triggers::Trigger, watched,
};

/// When to ask for the Engine's events again after they have ended.
const AGAIN: Duration = Duration::from_secs(1);
/// How often missing devices are looked for, and files outside the profile, where a watch may not see them. They are few
/// (keys, what sops-nix has decrypted).
const FILES: Duration = Duration::from_secs(5);

/// Everything that a daemon, or one `--once`, listens to.
pub fn listen_to_all(agent: &Rc<Agent>) -> Result<Vec<JoinHandle<()>>, Failure> {
    let mut tasks = vec![signals(agent)?, events(agent)];
    if !agent.options.once {
        tasks.extend([
            profile(agent),
            files(agent),
            spawn_local(watched::watch(Rc::clone(agent))),
            mounts(agent),
        ]);
    }
    Ok(tasks)
}

fn signals(agent: &Rc<Agent>) -> Result<JoinHandle<()>, Failure> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut term, mut int, mut hup) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?);
    let agent = Rc::clone(agent);
    Ok(spawn_local(async move {
        loop {
            let trigger = tokio::select! {
                _ = term.recv() => Trigger::Stop,
                _ = int.recv() => Trigger::Stop,
                _ = hup.recv() => {
                    // The loop of passes says when the reload is done.
                    notify::reloading();
                    Trigger::Reload
                }
            };
            agent.trigger(trigger);
        }
    }))
}

fn profile(agent: &Rc<Agent>) -> JoinHandle<()> {
    let agent = Rc::clone(agent);
    let watch = watch::Watch::new(&agent.options.profile, watch::Pace::default());
    spawn_local(async move { watch.run(|| agent.trigger(Trigger::Profile)).await })
}

/// An identity, or a file that a spec names outside the profile, may change at any time, and a missing device may come.
fn files(agent: &Rc<Agent>) -> JoinHandle<()> {
    let agent = Rc::clone(agent);
    spawn_local(async move {
        loop {
            sleep(FILES).await;
            let read = agent.files_elsewhere();
            // Beside the loop: a file may be on a mount that does not answer.
            let changed = spawn_blocking(move || {
                read.into_iter()
                    .filter(|(_, seen)| !unchanged(seen))
                    .map(|(stack, _)| stack)
                    .collect::<Vec<_>>()
            });
            let supplied = agent.supplied_stacks().await;
            for stack in changed.await.unwrap_or_default().into_iter().chain(supplied) {
                agent.trigger(Trigger::Stack(stack));
            }
        }
    })
}

/// A mount that comes or goes may be one that a stack waits for, or that a container has an older one of.
fn mounts(agent: &Rc<Agent>) -> JoinHandle<()> {
    let agent = Rc::clone(agent);
    let (sender, mut changes) = mpsc::unbounded_channel();
    if let Err(error) = mount_watch::watch(Path::new(mount_watch::OWN), sender) {
        tracing::warn!("{}; mounts are looked at every resync only", Failure::from(error));
    }
    spawn_local(async move {
        let mut known = own_mounts();
        while changes.recv().await.is_some() {
            let now = own_mounts();
            // Containers mount and unmount all day: a stack that binds elsewhere has nothing to look at.
            let stacks = agent.stacks_on(&systemd::mounts::changed(&known, &now));
            for stack in agent.stacks_with_mounts().into_iter().chain(stacks) {
                agent.trigger(Trigger::Stack(stack));
            }
            known = now;
        }
    })
}

/// The Engine's events; where their stream ends, everything is looked at again.
fn events(agent: &Rc<Agent>) -> JoinHandle<()> {
    let agent = Rc::clone(agent);
    spawn_local(async move {
        loop {
            // Whatever happens from now on is going to be heard, however long connecting takes.
            let since = crate::clock::now().0 / 1000;
            if let Ok(mut events) = agent.eyes.address().and_then(|at| docker::events::events(at, since)) {
                agent.eyes.listen(true);
                agent.ear.listening(true);
                while let Some(event) = events.next().await {
                    agent.ear.hear(&event);
                    match agent.eyes.heard(&event) {
                        About::Project(project) => agent.trigger(Trigger::Project(project)),
                        About::Anybody => agent.trigger(Trigger::EveryStack),
                        About::Nobody => {}
                    }
                }
                agent.eyes.listen(false);
                agent.ear.listening(false);
            }
            sleep(AGAIN).await;
            agent.trigger(Trigger::Engine);
        }
    })
}
