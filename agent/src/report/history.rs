//! What has happened on this host, across restarts of the agent?
//!
//! One JSON line per transition, in a file that is bounded by cutting it in two: when `history.jsonl` is full it becomes
//! `history.old.jsonl`, and the one before that is gone. A crash can tear only the last line; reading skips what is torn.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use plan::status::Transition;

/// A file of the history is cut at this size, in bytes.
const FULL: u64 = 2 << 20;

/// The history and where it is kept.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    old: PathBuf,
    full: u64,
}

impl History {
    /// The history of a state folder.
    pub fn of(state_dir: &Path) -> Self {
        Self { path: state_dir.join("history.jsonl"), old: state_dir.join("history.old.jsonl"), full: FULL }
    }

    /// Adds what has happened.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&self, transitions: &[Transition]) -> io::Result<()> {
        if transitions.is_empty() {
            return Ok(());
        }
        if fs::metadata(&self.path).is_ok_and(|file| file.len() >= self.full) {
            fs::rename(&self.path, &self.old)?;
        }
        let mut file =
            fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        let mut lines = Vec::new();
        if ends_torn(&mut file)? {
            lines.push(b'\n');
        }
        for transition in transitions {
            serde_json::to_writer(&mut lines, transition)?;
            lines.push(b'\n');
        }
        file.write_all(&lines)
    }

    /// The last `limit` entries that `wanted` takes, oldest first.
    ///
    /// # Errors
    /// The disk's.
    pub fn last(&self, limit: usize, wanted: impl Fn(&Transition) -> bool) -> io::Result<Vec<Transition>> {
        let mut found = Vec::new();
        for path in [&self.path, &self.old] {
            let text = match fs::read(path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let lines = text.rsplit(|byte| *byte == b'\n');
            found.extend(
                lines
                    .filter_map(|line| serde_json::from_slice(line).ok())
                    .filter(&wanted)
                    .take(limit - found.len()),
            );
            if found.len() >= limit {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }
}

/// Whether the last line has no end: a crash tore it.
fn ends_torn(file: &mut fs::File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use plan::{ids::Time, status::TransitionEvent};

    use super::*;

    fn said(at: i64) -> Transition {
        Transition {
            at: Time(at),
            stack: "web".into(),
            event: TransitionEvent::Note,
            drift: None,
            message: "a".repeat(60),
            generation: None,
        }
    }

    fn moments(history: &History, limit: usize) -> Vec<i64> {
        history.last(limit, |_| true).expect("readable").iter().map(|entry| entry.at.0).collect()
    }

    #[test]
    fn the_newest_are_kept_within_the_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = History { full: 1000, ..History::of(folder.path()) };
        for at in 0..100 {
            history.append(&[said(at)]).expect("written");
        }
        let bytes: u64 = fs::read_dir(folder.path())
            .expect("there")
            .map(|file| file.expect("there").metadata().expect("there").len())
            .sum();
        assert!(bytes < 2500, "{bytes}");
        assert_eq!(moments(&history, 3), [97, 98, 99]);
        assert!(moments(&history, 1000).len() > 6, "the file before is read too");
    }

    /// A crash may leave any beginning of the file: every whole line in it is read, and writing goes on behind it.
    #[test]
    fn cut_at_any_byte_it_is_still_read_and_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = History::of(folder.path());
        history.append(&[said(1), said(2), said(3)]).expect("written");
        let path = folder.path().join("history.jsonl");
        let whole = fs::read(&path).expect("there");
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).expect("torn");
            // A line without its end is whole if all of its JSON is there.
            let kept = whole[..=cut].iter().filter(|byte| **byte == b'\n').count();
            history.append(&[said(9)]).expect("written");
            let read = moments(&history, 10);
            assert_eq!(read, [&[1, 2, 3][..kept], &[9]].concat(), "cut at {cut}");
        }
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = History::of(folder.path());
        history.append(&[said(1), said(2)]).expect("written");
        let path = folder.path().join("history.jsonl");
        let whole = fs::read(&path).expect("there");
        fs::write(&path, &whole[..whole.len() - 10]).expect("torn");
        history.append(&[said(3)]).expect("written");
        assert_eq!(moments(&history, 10), [1, 3]);
    }
}
