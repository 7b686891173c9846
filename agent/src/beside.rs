//! How is something done that may hang, such as reading from a mount that does not answer, without anything else waiting?

use std::time::Duration;

use tokio::{task::spawn_blocking, time::timeout};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does `work` on a thread of its own. Where it hangs, the thread is left to it.
///
/// # Errors
/// In words: it did not end in time, or it panicked.
pub async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    match timeout(PATIENCE, spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(format!("internal error: {error}")),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
