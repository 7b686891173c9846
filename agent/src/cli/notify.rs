//! `agentctl notify`: who tells people what happens?

use std::{
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context as _;
use clap::Args;
use tokio::{runtime, sync::mpsc, task::LocalSet};

use crate::{
    clock,
    exit::{Exit, Failure},
    notifier::{
        Notifier,
        hear::{Heard, hear},
    },
};

/// Tells the commands and webhooks of the profile's agent.yaml what happens, until interrupted.
#[derive(Debug, Args)]
pub(super) struct Notify {
    /// The profile whose `etc/compose-agent/agent.yaml` says whom.
    #[arg(long, default_value = "/run/current-system", value_name = "PATH")]
    profile: PathBuf,

    /// Send everybody a test message and end: 0 where all have taken it, 1 where not.
    #[arg(long)]
    test: bool,
}

impl Notify {
    pub(super) fn run(self, socket: &Path) -> Result<Exit, Failure> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the runtime")?;
        LocalSet::new().block_on(&runtime, async {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let mut notifier = Notifier::new(self.profile, host);
            notifier.refresh()?;
            if self.test { test(&notifier).await } else { tell(notifier, socket).await }
        })
    }
}

async fn test(notifier: &Notifier) -> Result<Exit, Failure> {
    let mut exit = Exit::Converged;
    let mut any = false;
    for (name, result) in notifier.test().await {
        any = true;
        match result {
            Ok(()) => anstream::println!("{name}: taken"),
            Err(why) => {
                anstream::println!("{name}: {why}");
                exit = Exit::NoAnswer;
            }
        }
    }
    if !any {
        return Err(Failure::usage("the profile names nobody to tell")
            .hint("`notify:` in agent.yaml: docs/notifications.md"));
    }
    Ok(exit)
}

async fn tell(mut notifier: Notifier, socket: &Path) -> Result<Exit, Failure> {
    anstream::eprintln!("<6>tells {} targets what happens", notifier.count());
    let (to, mut heard) = mpsc::channel(64);
    let (socket, since) = (socket.to_owned(), clock::now());
    thread::Builder::new().name("hear".into()).spawn(move || hear(&socket, since, &to))?;
    while let Some(heard) = heard.recv().await {
        match heard {
            Heard::Transition(transition) => notifier.tell(&transition),
            Heard::Away(why) => anstream::eprintln!("<4>{why}"),
            Heard::There => {}
        }
        // Another generation may name others.
        if let Err(error) = notifier.refresh() {
            anstream::eprintln!("<3>{}", Failure::from(error));
        }
    }
    notifier.finish().await;
    Ok(Exit::Converged)
}
