//! How does an entry with exact fields reach the journal?
//!
//! Transitions are looked up by their fields (`journalctl STACK=immich KIND=stopped`), so those are written as they are,
//! in the journal's own protocol; a logging framework would prefix or repeat them. One datagram an entry; one that is too
//! large for that goes as a sealed memory file.

use std::{
    io::{self, IoSlice, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr},
};

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// One entry. Whoever makes it has masked what is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// For people.
    pub message: String,
    /// How much it matters, as syslog counts: 3 error, 4 warning, 5 notice, 6 info, 7 debug.
    pub priority: u8,
    /// What sort it is ([`crate::message_ids`]): the key into the catalogue.
    pub message_id: Option<&'static str>,
    /// Further fields; empty ones are left out.
    pub fields: Vec<(&'static str, String)>,
}

/// Why the journal did not take an entry.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No socket, or nobody behind it.
    #[error("cannot write to the journal at {}", path.display())]
    Send {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A way to the journal.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// A way to the journal behind this socket. Whether anybody is there shows when something is sent: journald may be
    /// restarted at any time, and the socket stays.
    ///
    /// # Errors
    /// There is no such socket.
    pub fn at(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Send { path: path.to_owned(), source };
        let socket = UnixDatagram::unbound().map_err(failed)?;
        // A journal that is stuck must not stop the agent.
        socket.set_nonblocking(true).map_err(failed)?;
        path.symlink_metadata().map_err(failed)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Sends an entry.
    ///
    /// # Errors
    /// It did not get there.
    pub fn send(&self, entry: &Entry) -> Result<(), JournalError> {
        let failed = |source| JournalError::Send { path: self.path.clone(), source };
        let bytes = encode(entry);
        match self.socket.send_to(&bytes, &self.path) {
            Ok(_) => Ok(()),
            Err(error) if is_too_large(&error) => self.send_file(&bytes).map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }

    fn send_file(&self, bytes: &[u8]) -> io::Result<()> {
        let file = memfd_create("journal-entry", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = std::fs::File::from(file);
        file.write_all(bytes)?;
        // journald maps it, and takes nothing that could still change.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
        let file = OwnedFd::from(file);
        let handed = [file.as_fd()];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut room);
        control.push(SendAncillaryMessage::ScmRights(&handed));
        let to = SocketAddrUnix::new(&self.path)?;
        sendmsg_addr(&self.socket, &to, &[IoSlice::new(&[])], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

fn is_too_large(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(Errno::MSGSIZE.raw_os_error()) || code == Some(Errno::NOBUFS.raw_os_error())
}

/// The datagram: `NAME=value` a line; a value with line breaks has its length before it instead.
fn encode(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    put(&mut bytes, "MESSAGE", &entry.message);
    put(&mut bytes, "PRIORITY", &entry.priority.min(7).to_string());
    put(&mut bytes, "MESSAGE_ID", entry.message_id.unwrap_or_default());
    put(&mut bytes, "SYSLOG_IDENTIFIER", "compose-agent");
    for (name, value) in &entry.fields {
        debug_assert!(is_name(name), "{name}");
        if is_name(name) {
            put(&mut bytes, name, value);
        }
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

/// What journald takes as a field's name; one that begins with `_` is its own.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether a stream is the journal's own, by `$JOURNAL_STREAM` (`device:inode`): then lines on it would be doubled, and
/// entries with fields are better sent.
pub fn is_stream(journal_stream: &str, stream: &impl AsFd) -> bool {
    let Some((device, inode)) = journal_stream.split_once(':') else { return false };
    let Ok(facts) = rustix::fs::fstat(stream) else { return false };
    device.parse() == Ok(facts.st_dev) && inode.parse() == Ok(facts.st_ino)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read as _, io::Seek as _};

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    fn entry(message: &str) -> Entry {
        Entry {
            message: message.into(),
            priority: 4,
            message_id: Some("2f6c8c0650a54e24ba6ee70de59e4e23"),
            fields: vec![("STACK", "web".into()), ("CAUSE", String::new()), ("FIELD", "a=b".into())],
        }
    }

    #[test]
    fn fields_arrive_as_they_are_and_a_line_break_makes_no_field() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let reader = UnixDatagram::bind(&path).expect("free");
        let journal = Journal::at(&path).expect("there");
        journal.send(&entry("gone\nPRIORITY=0")).expect("sent");
        let mut bytes = [0; 1024];
        let size = reader.recv(&mut bytes).expect("an entry");
        let expected = b"MESSAGE\n\x0f\0\0\0\0\0\0\0gone\nPRIORITY=0\nPRIORITY=4\n\
            MESSAGE_ID=2f6c8c0650a54e24ba6ee70de59e4e23\nSYSLOG_IDENTIFIER=compose-agent\nSTACK=web\nFIELD=a=b\n";
        assert_eq!(bytes[..size].escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn a_large_entry_arrives_whole_as_a_sealed_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let reader = UnixDatagram::bind(&path).expect("free");
        let large = entry(&"x".repeat(3_000_000));
        Journal::at(&path).expect("there").send(&large).expect("sent");
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut room);
        recvmsg(&reader, &mut [], &mut control, RecvFlags::empty()).expect("a message");
        let mut files = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let mut file = File::from(files.next().expect("a file"));
        let mut bytes = Vec::new();
        file.rewind().expect("it can be read");
        file.read_to_end(&mut bytes).expect("read");
        assert!(bytes == encode(&large));
        assert!(file.write_all(b"x").is_err(), "sealed");
    }

    #[test]
    fn without_a_journal_there_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("none");
        assert!(Journal::at(&path).expect_err("absent").to_string().contains("none"));
    }

    #[test]
    fn a_stream_is_the_journals_only_by_its_inode() {
        let file = tempfile::tempfile().expect("a file");
        let facts = rustix::fs::fstat(&file).expect("open");
        assert!(is_stream(&format!("{}:{}", facts.st_dev, facts.st_ino), &file));
        assert!(!is_stream(&format!("{}:{}", facts.st_dev, facts.st_ino + 1), &file));
        assert!(!is_stream("", &file));
    }

    #[test]
    fn names_are_those_that_the_journal_takes() {
        assert!(is_name("COMPOSE_AGENT_1"));
        for bad in ["", "_PID", "stack", "A-B", "1A"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
