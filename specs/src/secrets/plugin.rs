//! How is an age plugin asked for a file's key? Through its program, `age-plugin-NAME` on `PATH`, in the protocol
//! `identity-v1`, with nothing secret in its arguments, and for a bounded time.
//!
//! The `age` crate has a client of its own, which waits for ever for a program that hangs, and leaves each one that has
//! ended behind as a zombie: a daemon cannot have that.

use std::{
    env,
    io::{self, BufRead, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use age_core::format::{FileKey, Stanza};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD as BASE64};
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

/// A plugin may ask hardware; nobody is there to touch it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that is read of what it says.
const MOST: u64 = 1 << 20;
/// The width of a stanza's lines; one that is shorter is the last.
const WIDTH: usize = 64;

/// One plugin identity and its program.
pub(super) struct Plugin<'a> {
    identity: &'a age::plugin::Identity,
    program: PathBuf,
    patience: Duration,
}

impl<'a> Plugin<'a> {
    /// The plugin of an identity, where its program is on `PATH`.
    pub(super) fn of(identity: &'a age::plugin::Identity) -> Option<Self> {
        let name = format!("age-plugin-{}", identity.plugin());
        let path = env::var_os("PATH")?;
        let program = env::split_paths(&path).map(|folder| folder.join(&name)).find(|path| path.is_file())?;
        Some(Self { identity, program, patience: PATIENCE })
    }

    fn ask(&self, stanzas: &[Stanza]) -> io::Result<Option<FileKey>> {
        let mut command = Command::new(&self.program);
        command.arg("--age-plugin=identity-v1").current_dir("/").process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let group = Pid::from_child(&child);
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (over, is_over) = mpsc::channel::<()>();
        let answer = thread::scope(|scope| {
            scope.spawn(move || {
                if is_over.recv_timeout(self.patience) == Err(RecvTimeoutError::Timeout) {
                    // Its end closes the pipes that are read from.
                    let _ = kill_process_group(group, Signal::KILL);
                }
            });
            let answer = pipes.map_or(Ok(None), |(to, from)| converse(to, from, self.identity, stanzas));
            drop(over);
            answer
        });
        // Not reaped yet, so that the group's number is nobody else's; one that is gone needs no ending.
        let _ = kill_process_group(group, Signal::KILL);
        child.wait()?;
        answer
    }
}

impl age::Identity for Plugin<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        // A plugin that fails is one that does not open the file: another identity may.
        self.ask(stanzas).ok().flatten().map(Ok)
    }
}

/// Tells it all stanzas, then answers what it asks until it is done.
fn converse(
    mut to: ChildStdin,
    from: ChildStdout,
    identity: &age::plugin::Identity,
    stanzas: &[Stanza],
) -> io::Result<Option<FileKey>> {
    let mut told = Zeroizing::new(format!("-> add-identity {identity}\n\n"));
    for stanza in stanzas {
        told.push_str(format!("-> recipient-stanza 0 {} {}", stanza.tag, stanza.args.join(" ")).trim_end());
        told.push('\n');
        push_body(&mut told, &stanza.body);
    }
    told.push_str("-> done\n\n");
    to.write_all(told.as_bytes())?;
    to.flush()?;
    let mut from = BufReader::new(from.take(MOST));
    let mut key = None;
    loop {
        let (head, body) = receive(&mut from)?;
        let reply = match head.split_whitespace().collect::<Vec<_>>()[..] {
            ["->", "done"] => return Ok(key),
            ["->", "file-key", "0"] => match <[u8; 16]>::try_from(body.as_slice()) {
                Ok(bytes) => {
                    key = Some(FileKey::new(Box::new(bytes)));
                    "ok"
                }
                Err(_) => "fail",
            },
            ["->", "msg" | "error", ..] => "ok",
            // Nobody is there to be asked.
            ["->", "confirm" | "request-public" | "request-secret" | "file-key", ..] => "fail",
            _ => "unsupported",
        };
        write!(to, "-> {reply}\n\n")?;
        to.flush()?;
    }
}

fn push_body(told: &mut String, body: &[u8]) {
    let encoded = BASE64.encode(body);
    let mut rest = encoded.as_str();
    while let Some((line, more)) = rest.split_at_checked(WIDTH) {
        told.push_str(line);
        told.push('\n');
        rest = more;
    }
    told.push_str(rest);
    told.push('\n');
}

/// A stanza's first line, and its body.
fn receive(from: &mut impl BufRead) -> io::Result<(String, Zeroizing<Vec<u8>>)> {
    let mut line = || {
        let mut line = Zeroizing::new(String::new());
        if from.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(Zeroizing::new(line.trim_end_matches('\n').to_owned()))
    };
    let head = line()?.to_string();
    let mut encoded = Zeroizing::new(String::new());
    loop {
        let part = line()?;
        encoded.push_str(&part);
        if part.len() < WIDTH {
            break;
        }
    }
    let body = BASE64.decode(encoded.as_bytes()).map_err(io::Error::other)?;
    Ok((head, Zeroizing::new(body)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

    use age::Identity as _;

    use super::*;

    const IDENTITY: &str = include_str!("../../tests/data/secrets/plugin/identity.txt");

    /// What a program says to a stanza of the plugin's, and to one with a long body before it.
    fn asked(folder: &Path, script: &str, patience: Duration) -> Option<Vec<u8>> {
        let program = folder.join("age-plugin-null");
        fs::write(&program, script).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
        let identity = IDENTITY.lines().last().expect("a line").parse().expect("an identity");
        let plugin = Plugin { identity: &identity, program, patience };
        let stanza = |tag: &str, body: &[u8]| Stanza { tag: tag.into(), args: vec![], body: body.into() };
        let stanzas = [stanza("ssh-rsa", &[7; 256]), stanza("X25519", &[7; 48]), stanza("null", &[9; 16])];
        let key = plugin.unwrap_stanzas(&stanzas)?.expect("a key");
        Some(age::secrecy::ExposeSecret::expose_secret(&key).to_vec())
    }

    #[test]
    fn a_program_is_asked_and_one_that_hangs_or_talks_nonsense_opens_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = include_str!("../../tests/data/secrets/plugin/age-plugin-null");
        assert_eq!(asked(folder.path(), script, Duration::from_secs(60)), Some(vec![9; 16]));
        let began = Instant::now();
        assert_eq!(asked(folder.path(), "#!/bin/sh\nsleep 600\n", Duration::from_millis(100)), None);
        // Nor where a helper keeps its pipes open.
        assert_eq!(asked(folder.path(), "#!/bin/sh\nsleep 600 &\nwait\n", Duration::from_millis(100)), None);
        assert!(began.elapsed() < Duration::from_secs(60));
        for nonsense in [
            "echo hello",
            "printf -- '-> file-key 0\\n!!\\n'",
            "printf -- '-> file-key 0\\nAA\\n-> done\\n\\n'",
        ] {
            let script = format!("#!/bin/sh\ncat >/dev/null & {nonsense}\n");
            assert_eq!(asked(folder.path(), &script, Duration::from_secs(60)), None, "{nonsense}");
        }
    }
}
