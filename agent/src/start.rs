//! What happens between the daemon's first line and its last?
//!
//! One thread runs everything; reading files, which may hang on a dead network mount, is done beside it. Signals,
//! the profile's link and the control socket only send [`Trigger`]s. Ending leaves every container as it is.

use std::{fs, io::IsTerminal as _, os::unix::fs::DirBuilderExt, path::Path, rc::Rc, time::Duration};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use tokio::{
    net::UnixListener,
    runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::{JoinHandle, LocalSet, spawn_local},
    time::Instant,
};
use tracing_subscriber::EnvFilter;

use crate::{
    control::{access::Rules, server},
    daemon::Agent,
    exit::{Exit, Failure},
    eyes::About,
    methods::Control,
    options::{LogFormat, Options},
    rounds::{self, Pace},
    socket,
    triggers::Trigger,
};

/// Where the link leads is asked this often, whatever the watch says: watches run out, and some file systems have none.
const LOOK: Duration = Duration::from_secs(2);

/// Runs the daemon until it is told to stop, or `--once` until nothing is left to do.
///
/// # Errors
/// It cannot start.
pub fn start(options: Options) -> Result<Exit, Failure> {
    log(options.log_format);
    folder(&options.runtime_dir, 0o755)?;
    folder(&options.state_dir, 0o700)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .context("cannot start the runtime")?;
    let local = LocalSet::new();
    let exit = local.block_on(&runtime, serve(options));
    // A read that hangs on a dead mount must not keep the daemon from ending.
    runtime.shutdown_timeout(Duration::from_millis(200));
    exit
}

/// Sends the agent's own troubles to standard error; what happens to stacks goes through [`crate::report`].
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second daemon in one process (a test) keeps the first one's: no reason not to start.
    let _ = match format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Auto | LogFormat::Journal | LogFormat::Text => {
            lines.without_time().with_ansi(std::io::stderr().is_terminal()).try_init()
        }
    };
}

fn folder(path: &Path, mode: u32) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("cannot make the folder {}", path.display()))?;
    Ok(())
}

async fn serve(options: Options) -> Result<Exit, Failure> {
    let (sender, triggers) = mpsc::unbounded_channel();
    let pace = Pace {
        resync: options.resync,
        parallel: usize::from(options.parallel),
        until: options.once.then(|| Instant::now() + options.timeout),
    };
    let agent = Agent::new(options, sender);
    let mut tasks = vec![signals(&agent)?];
    if !agent.options.once {
        tasks.push(control(&agent)?);
        tasks.push(look(&agent));
    }
    tasks.push(listen(&agent));
    rounds::run(Rc::clone(&agent), pace, triggers).await;
    for task in tasks {
        task.abort();
    }
    agent.save();
    let status = agent.store.status(None, None);
    if agent.options.once {
        return Ok(status.as_ref().map_or(Exit::NoAnswer, Exit::of_host));
    }
    fs::remove_file(agent.options.socket()).ok();
    Ok(Exit::Converged)
}

fn control(agent: &Rc<Agent>) -> Result<JoinHandle<()>, Failure> {
    let options = &agent.options;
    let path = options.socket();
    let listener = socket::listen(&path, options.group.as_deref(), options.read_group.is_some())?;
    let listener = UnixListener::from_std(listener).context("cannot serve the control socket")?;
    let rules = Rules {
        own_uid: rustix::process::geteuid().as_raw(),
        act_group: options.group.clone(),
        read_group: options.read_group.clone(),
    };
    Ok(spawn_local(server::serve(listener, rules, Rc::new(Control(Rc::clone(agent))))))
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
                _ = hup.recv() => Trigger::EveryStackNow,
            };
            agent.trigger(trigger);
        }
    }))
}

fn look(agent: &Rc<Agent>) -> JoinHandle<()> {
    let agent = Rc::clone(agent);
    spawn_local(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            agent.trigger(Trigger::Profile);
        }
    })
}

/// Turns the Engine's events into triggers; where the stream ends, everything is looked at again.
fn listen(agent: &Rc<Agent>) -> JoinHandle<()> {
    let agent = Rc::clone(agent);
    spawn_local(async move {
        loop {
            // Whatever happens from now on is going to be heard, however long connecting takes.
            let since = crate::clock::now().0 / 1000;
            if let Ok(mut events) = agent.eyes.address().and_then(|at| docker::events::events(at, since)) {
                agent.eyes.listen(true);
                while let Some(event) = events.next().await {
                    match agent.eyes.heard(&event) {
                        About::Project(project) => agent.trigger(Trigger::Project(project)),
                        About::Anybody => agent.trigger(Trigger::EveryStack),
                        About::Nobody => {}
                    }
                }
                agent.eyes.listen(false);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            agent.trigger(Trigger::Engine);
        }
    })
}
