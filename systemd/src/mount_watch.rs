//! When does the host mount or unmount something?
//!
//! The kernel marks `mountinfo` as urgent (`POLLPRI`) when the table changes: nothing is read in between, and nothing is
//! asked over and over. A thread of its own waits, because the runtime takes no priority events without `unsafe`. What has
//! changed is not said; whoever is told looks again.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tokio::sync::mpsc::UnboundedSender;

/// The table of this process.
pub const OWN: &str = "/proc/self/mountinfo";
/// How long a thread that nobody listens to may stay.
const LOOK_UP: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Why changes are not seen: mounts are then only looked at by the resync.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch the table of mounts {}", path.display())]
pub struct MountWatchError {
    /// The table.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Sends to `changed` when the table of mounts at `path` has changed, until nobody listens.
///
/// # Errors
/// The table cannot be opened, or no thread started.
pub fn watch(path: &Path, changed: UnboundedSender<()>) -> Result<(), MountWatchError> {
    let failed = |source| MountWatchError { path: path.to_owned(), source };
    let table = File::open(path).map_err(failed)?;
    let run = move || wait(&table, &changed);
    thread::Builder::new().name("mounts".into()).stack_size(64 * 1024).spawn(run).map_err(failed)?;
    Ok(())
}

fn wait(table: &File, changed: &UnboundedSender<()>) {
    loop {
        let mut fds = [PollFd::new(table, PollFlags::PRI)];
        let told = match poll(&mut fds, Some(&LOOK_UP)) {
            // POLLERR comes with POLLPRI here; alone it would come back at once for ever.
            Ok(0) | Err(Errno::INTR) => !changed.is_closed(),
            Ok(_) => fds[0].revents().contains(PollFlags::PRI) && changed.send(()).is_ok(),
            Err(_) => false,
        };
        if !told {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        process::{Command, Stdio},
        time::Duration,
    };

    use tokio::{sync::mpsc::unbounded_channel, time::timeout};

    use super::*;

    /// A child in a mount namespace of its own mounts and unmounts; the test's own table is never touched.
    #[tokio::test]
    async fn a_mount_and_an_unmount_are_told_and_quiet_is_quiet() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = "echo up; while read verb; do case $verb in \
            m) mount -t tmpfs none \"$0\";; u) umount \"$0\";; esac; echo done; done";
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("unshare (util-linux) is there");
        let mut answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        if answers.next().is_none() {
            child.wait().expect("ended");
            // Not root and no user namespaces: there is no way to change any table here.
            return;
        }
        let mut say = child.stdin.take().expect("piped");
        let path = PathBuf::from(format!("/proc/{}/mountinfo", child.id()));
        let (changed, mut changes) = unbounded_channel();
        watch(&path, changed).expect("it can be watched");
        // The first answer may be about what was before.
        let _ = timeout(Duration::from_millis(50), changes.recv()).await;
        assert!(timeout(Duration::from_millis(100), changes.recv()).await.is_err(), "nothing happens");
        for verb in ["m", "u"] {
            writeln!(say, "{verb}").expect("it reads");
            answers.next().expect("it answers").expect("text");
            let told = timeout(Duration::from_secs(3), changes.recv()).await;
            told.expect("told in time").expect("it goes on");
        }
        drop(say);
        child.wait().expect("ended");
    }
}
