//! How does the text file for node_exporter's `--collector.textfile.directory` come about?
//!
//! It is replaced as a whole after every change, so that a reader sees the old or the new one; between changes nothing is
//! done. Each resync is a change: that the file is old says that the agent is stuck.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use tokio::time::sleep;

use super::Format;
use crate::daemon::Agent;

/// A burst of changes is one writing.
const BURST: Duration = Duration::from_secs(1);

/// Keeps the file as things are, until it is dropped.
pub async fn keep(agent: Rc<Agent>, path: PathBuf) {
    let mut changes = agent.store.changes();
    let mut failed = false;
    loop {
        changes.mark_unchanged();
        match write(&agent, &path) {
            Ok(()) => failed = false,
            // Once, not at every change of a disk that is full.
            Err(error) if !failed => {
                tracing::error!("cannot write the metrics to {}: {error}", path.display());
                failed = true;
            }
            Err(_) => {}
        }
        sleep(BURST).await;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Writes the file, where metrics are collected at all.
///
/// # Errors
/// The disk's.
pub fn write(agent: &Agent, path: &Path) -> io::Result<()> {
    let Some(text) = agent.metrics_text(Format::Prometheus) else { return Ok(()) };
    // Another ending: the collector reads `*.prom` only.
    let beside = path.with_extension("prom.new");
    fs::write(&beside, text)?;
    // Whoever collects is another user, whatever the umask.
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o644))?;
    fs::rename(beside, path)
}
