//! What is the service manager told, and what does it hand over?
//!
//! Without `NOTIFY_SOCKET` or `LISTEN_FDS` (a terminal, a test) everything here does nothing. A message that cannot be
//! sent must not stop what it is about: it is said in the log and forgotten.

use std::{io, os::unix::net::UnixListener, time::Duration};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use sd_notify::NotifyState;

/// The name of the control socket in its unit (`FileDescriptorName=`).
pub const CONTROL: &str = "control";
/// More sockets than anybody hands over.
const MOST_FDS: usize = 16;

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
    let handed = sd_notify::listen_fds_with_names().map_err(HandedOverError::Variables)?;
    let control = handed.take(MOST_FDS).find(|(_, name)| name == CONTROL);
    let Some((number, name)) = control else { return Ok(None) };
    take(number).map(Some).map_err(|source| HandedOverError::Take { name, source })
}

/// A descriptor by its number, without `unsafe`: the kernel makes a second one of it, as for any process.
fn take(number: i32) -> io::Result<UnixListener> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let socket = pidfd_getfd(own, number, PidfdGetfdFlags::empty())?;
    if !rustix::net::sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    let listener = UnixListener::from(socket);
    // A socket of another family has no path to tell.
    listener.local_addr()?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsRawFd as _, unix::net::UnixStream};

    use super::*;

    #[test]
    fn a_listening_socket_is_taken_by_its_number_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let listener = UnixListener::bind(&path).expect("free");
        let taken = take(listener.as_raw_fd()).expect("taken");
        drop(listener);
        let caller = UnixStream::connect(&path).expect("it still listens");
        taken.set_nonblocking(false).expect("set");
        let (_accepted, _) = taken.accept().expect("called");
        assert!(take(caller.as_raw_fd()).is_err());
        let file = std::fs::File::open("/dev/null").expect("there");
        assert!(take(file.as_raw_fd()).is_err());
        assert!(take(99_999).is_err());
    }

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(one_line("2 failed\nREADY=1"), "2 failed READY=1");
    }
}
