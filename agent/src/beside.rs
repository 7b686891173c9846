//! How is something done that may hang, such as reading from a mount that does not answer, without anything else waiting?

use std::time::Duration;

use tokio::{task::spawn_blocking, time::timeout};
use tracing::Span;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does `work` on a thread of its own; what it says is said of what the caller works on. Where it hangs, the thread is left to it.
///
/// # Errors
/// In words: it did not end in time, or it panicked.
pub async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let span = Span::current();
    match timeout(PATIENCE, spawn_blocking(move || span.in_scope(work))).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(format!("internal error: {error}")),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
