//! How are files read from the disk: the one place of this crate that does.
//!
//! Nothing that a path can lead to makes a load wait for long or read without end: a pipe that nobody writes into, a
//! device, a socket.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::{Content, FileKind, MAX_FILE, ReadText};

/// How long a named pipe is waited for: tools that keep env files in pipes write as soon as somebody opens one.
const PIPE_WAIT: Duration = Duration::from_millis(500);
/// How long all of it may take.
const PIPE_LONGEST: Duration = Duration::from_secs(5);
/// How often it is looked at.
const PIPE_LOOK: Duration = Duration::from_millis(2);

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl ReadText for Disk {
    fn read(&self, path: &Path) -> io::Result<Content> {
        // What a shell has opened already (`-f <(…)`, `/dev/stdin`) is read as it comes, as from standard input.
        let is_inherited =
            ["/dev/fd", "/dev/stdin", "/proc/self/fd"].iter().any(|open| path.starts_with(open));
        let flags = if is_inherited { OFlags::empty() } else { OFlags::NONBLOCK };
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(|error| named(path, error))?;
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "a folder, expected a file"));
        }
        if kind.is_block_device() {
            return Err(refused("a disk, expected a file"));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        if kind.is_fifo() && !is_inherited {
            pipe(&file, &mut bytes)?;
        } else {
            file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        }
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {} MiB", MAX_FILE >> 20),
            ));
        }
        Ok(Content { bytes, secret: false })
    }

    fn kind(&self, path: &Path) -> FileKind {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => FileKind::Folder,
            Ok(_) => FileKind::File,
            Err(_) => FileKind::Missing,
        }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }
}

/// A socket cannot be opened, and the system's words for that say nothing.
fn named(path: &Path, error: io::Error) -> io::Error {
    match fs::metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => refused("a socket, expected a file"),
        _ => error,
    }
}

fn refused(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Reads a named pipe to its end. Without a writer it reads as empty, and as not ready while one has nothing to say.
fn pipe(mut file: &fs::File, bytes: &mut Vec<u8>) -> io::Result<()> {
    let started = Instant::now();
    let mut chunk = Zeroizing::new([0_u8; 64 << 10]);
    while bytes.len() as u64 <= MAX_FILE {
        match file.read(&mut chunk[..]) {
            Ok(0) if !bytes.is_empty() => return Ok(()),
            Ok(0) => {}
            Ok(count) => {
                bytes.extend_from_slice(&chunk[..count]);
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if started.elapsed() > if bytes.is_empty() { PIPE_WAIT } else { PIPE_LONGEST } {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "a pipe that nobody writes into to its end, expected a file",
            ));
        }
        thread::sleep(PIPE_LOOK);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::net::UnixListener, process::Command};

    use super::*;

    fn read(path: impl AsRef<Path>) -> Result<String, String> {
        let content = Disk.read(path.as_ref()).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&content.bytes).into_owned())
    }

    #[test]
    fn what_is_no_file_ends_in_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let _listening = UnixListener::bind(at("socket")).unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        for (path, word) in [
            (folder.path().to_owned(), "a folder"),
            (at("socket"), "a socket"),
            (at("pipe"), "nobody writes"),
            ("/dev/zero".into(), "larger than"),
            (at("missing"), "No such file"),
        ] {
            assert!(read(&path).unwrap_err().contains(word), "{}", path.display());
        }
        assert_eq!(read("/dev/null").unwrap(), "");
    }

    #[test]
    fn a_pipe_with_a_writer_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let there = path.clone();
        // The reader may have given up between opening and writing on a busy machine: the pipe is broken then.
        let writer = thread::spawn(move || {
            loop {
                let mut pipe = fs::OpenOptions::new().write(true).open(&there).unwrap();
                if pipe.write_all(b"A=1\n").is_ok() {
                    break;
                }
            }
        });
        let found = (0..100).find_map(|_| read(&path).ok());
        assert_eq!(found.as_deref(), Some("A=1\n"));
        writer.join().unwrap();
    }
}
