//! What happens between the daemon's first line and its last?
//!
//! One thread runs everything; reading files, which may hang on a dead network mount, is done beside it. Signals,
//! the profile's link and the control socket only send `Trigger`s. Ending leaves every container as it is.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path, rc::Rc, sync::Arc, time::Duration};

use anyhow::Context as _;
use systemd::notify;
use tokio::{
    net::UnixListener,
    runtime,
    sync::mpsc,
    task::{JoinHandle, LocalSet, spawn_local},
    time::Instant,
};

use crate::{
    control::socket,
    control::{access::Rules, server},
    daemon::Agent,
    exit::{Exit, Failure},
    methods::Control,
    metrics::{self, Metrics, listen::Listener},
    options::Options,
    report::{spans, voice::Voice},
    rounds::{self, Pace},
    secrets::private,
    sources::listen_to_all,
};

/// How many file systems may hang before nothing can be read any more; a thread exists only while it is needed.
const THREADS: usize = 64;

/// Runs the daemon until it is told to stop, or `--once` until nothing is left to do.
///
/// # Errors
/// It cannot start.
pub fn start(options: Options) -> Result<Exit, Failure> {
    let (voice, trouble) = Voice::of(options.log_format, &options.journal_socket);
    let voice = Arc::new(voice);
    spans::listen(Arc::clone(&voice));
    if let Some(error) = trouble {
        tracing::warn!("{error}; messages go to standard error");
    }
    private::keep_memory_private();
    folder(&options.runtime_dir, 0o755)?;
    folder(&options.state_dir, 0o700)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .context("cannot start the runtime")?;
    let local = LocalSet::new();
    let exit = local.block_on(&runtime, serve(options, voice));
    // A read that hangs on a dead mount must not keep the daemon from ending.
    runtime.shutdown_timeout(Duration::from_millis(200));
    exit
}

fn folder(path: &Path, mode: u32) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("cannot make the folder {}", path.display()))?;
    Ok(())
}

async fn serve(options: Options, voice: Arc<Voice>) -> Result<Exit, Failure> {
    let (sender, triggers) = mpsc::unbounded_channel();
    let pace = Pace {
        resync: options.resync,
        parallel: usize::from(options.parallel),
        alive: notify::alive_every(),
        until: options.once.then(|| Instant::now() + options.timeout),
    };
    let agent = Agent::new(options, voice, sender);
    let mut tasks = listen_to_all(&agent)?;
    if !agent.options.once {
        tasks.push(control(&agent)?);
    }
    tasks.extend(collect(&agent)?);
    rounds::run(Rc::clone(&agent), pace, triggers).await;
    notify::stopping();
    for task in tasks {
        task.abort();
    }
    agent.save();
    if let Some(path) = &agent.options.metrics_file {
        let written = metrics::write(&agent, path);
        written.with_context(|| format!("cannot write the metrics to {}", path.display()))?;
    }
    let status = agent.store.status(None, None);
    if agent.options.once {
        return Ok(status.as_ref().map_or(Exit::NoAnswer, Exit::of_host));
    }
    Ok(Exit::Converged)
}

/// What metrics take, where somebody is to collect them; nothing at all where not.
fn collect(agent: &Rc<Agent>) -> Result<Vec<JoinHandle<()>>, Failure> {
    let options = &agent.options;
    if options.metrics.is_some() || options.metrics_file.is_some() {
        agent.metrics.get_or_init(Metrics::new);
    }
    let mut tasks = Vec::new();
    if options.once {
        return Ok(tasks);
    }
    if let Some(address) = &options.metrics {
        tasks.push(spawn_local(metrics::serve(Listener::at(address)?, Rc::clone(agent))));
    }
    if let Some(path) = options.metrics_file.clone() {
        tasks.push(spawn_local(metrics::keep(Rc::clone(agent), path)));
    }
    Ok(tasks)
}

fn control(agent: &Rc<Agent>) -> Result<JoinHandle<()>, Failure> {
    let options = &agent.options;
    let listener = match notify::control_socket()? {
        Some(handed_over) => handed_over,
        None => socket::listen(&options.socket(), options.group.as_deref(), options.read_group.is_some())?,
    };
    let listener = UnixListener::from_std(listener).context("cannot serve the control socket")?;
    let rules = Rules {
        own_uid: rustix::process::geteuid().as_raw(),
        act_group: options.group.clone(),
        read_group: options.read_group.clone(),
    };
    let serving = server::serve(listener, rules, Rc::new(Control(Rc::clone(agent))));
    Ok(spawn_local(serving))
}
