//! What does the Engine say while it works: the lines of an answer that ends when the work does?
//!
//! Such an answer has a good status before anything was done; whether it was, only the lines tell.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use crate::wire::WireError;

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 4 << 20;

/// Reads a stream of JSON lines to its end and hands out each. A line that tells an error ends it.
///
/// # Errors
/// What the Engine says went wrong; the connection broke; nothing was said for as long as `stall`.
pub(super) async fn read(
    mut body: Incoming,
    stall: Duration,
    mut each: impl FnMut(&Value),
) -> Result<(), WireError> {
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let frame = tokio::time::timeout(stall, body.frame())
            .await
            .map_err(|_| WireError::Stalled(stall))?
            .transpose()
            .map_err(|error| WireError::Broken(error.to_string()))?;
        let ended = frame.is_none();
        let more = frame.and_then(|frame| frame.into_data().ok()).unwrap_or_else(Bytes::new);
        rest.extend_from_slice(&more);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            take(&line, &mut each)?;
        }
        if ended {
            return take(&rest, &mut each);
        }
        if rest.len() > MAX_LINE {
            return Err(WireError::Broken("the Engine sent a line without an end".into()));
        }
    }
}

fn take(line: &[u8], each: &mut impl FnMut(&Value)) -> Result<(), WireError> {
    let Ok(value) = serde_json::from_slice::<Value>(line) else { return Ok(()) };
    let detail = value["errorDetail"]["message"].as_str();
    if let Some(message) = detail.or_else(|| value["error"].as_str()) {
        return Err(WireError::Refused { status: 500, message: message.trim().to_owned() });
    }
    each(&value);
    Ok(())
}
