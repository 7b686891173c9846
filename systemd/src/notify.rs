//! What is the service manager told, and what does it hand over?
//!
//! Without `NOTIFY_SOCKET` or `LISTEN_FDS` (a terminal, a test) everything here does nothing. A message that cannot be
//! sent must not stop what it is about: it is said in the log and forgotten.

use std::{io, os::unix::net::UnixListener, time::Duration};

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The name of the control socket in its unit (`FileDescriptorName=`).
pub const CONTROL: &str = "control";

/// Why a socket that was handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandedOverError {
    /// The variables make no sense.
    #[error("cannot read which sockets the service manager has handed over")]
    Variables(#[source] io::Error),
    /// It cannot be taken.
    #[error("cannot take over the socket {name}")]
    Take {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Started: `status` is the first status line.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// What `systemctl status` shows.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(&one_line(status))]);
}

/// A reload has begun; [`ready`] ends it. The time tells the manager which reload is meant.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("cannot tell the service manager of a reload: {error}"),
    }
}

/// About to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Still alive. Called by the loop of passes itself, so that a wedged loop is restarted.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be called, where the manager asks for it: half of what it allows.
pub fn alive_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|most| most / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("cannot tell the service manager: {error}");
    }
}

/// A line break would be read as another assignment.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The listening control socket, where the manager has made one.
///
/// # Errors
/// One was handed over and cannot be used: listening elsewhere would hide it.
pub fn control_socket() -> Result<Option<UnixListener>, HandedOverError> {
    let mut handed = sd_notify::listen_fds_with_names().map_err(HandedOverError::Variables)?;
    let Some(index) = handed.position(|(_, name)| name == CONTROL) else { return Ok(None) };
    let take = || {
        let listener = ListenFd::from_env().take_unix_listener(index)?;
        let listener =
            listener.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is not there"))?;
        listener.set_nonblocking(true)?;
        Ok(Some(listener))
    };
    take().map_err(|source| HandedOverError::Take { name: CONTROL.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(one_line("2 failed\nREADY=1"), "2 failed READY=1");
    }
}
