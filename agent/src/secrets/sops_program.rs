//! How is the `sops` program asked for what only it can open (KMS, PGP, Vault)? Without a shell and without anything secret
//! in its arguments, for a bounded time, with a bounded answer, and with no environment but what key services need.

use std::{
    env,
    io::{self, Read, Write},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use specs::secrets::{MAX_BYTES, Plaintext, ProgramCall, SecretError};
use zeroize::Zeroizing;

/// A key service is asked over the network.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of what it says about its failure.
const MOST_WORDS: u64 = 4096;
/// What it says then is about keys; at any other time it may quote a value.
const NO_KEY: i32 = 128;
/// What it may know of the agent's environment: where programs and key services are, and as whom to ask them.
const PASSED: [&str; 9] = [
    "PATH",
    "HOME",
    "GNUPGHOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HTTPS_PROXY",
    "NO_PROXY",
];
const PASSED_PREFIXES: [&str; 4] = ["AWS_", "AZURE_", "VAULT_", "SOPS_"];

/// Why the program gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not on `PATH`.
    #[error("there is no `sops` on PATH")]
    Absent,
    /// It cannot be run.
    #[error("cannot run `sops`")]
    Run(#[from] io::Error),
    /// It did not end in time, and was ended.
    #[error("`sops` did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It wrote more than any secret has.
    #[error("`sops` wrote more than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// It refused.
    #[error("`sops` failed with status {status}{}", said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
    Failed {
        /// Its exit status; -1 where a signal ended it.
        status: i32,
        /// What it said, where that cannot be a value.
        said: Option<String>,
    },
    /// What it wrote is not what was asked for.
    #[error(transparent)]
    Output(#[from] SecretError),
}

/// Runs it on the bytes of an encrypted file.
///
/// # Errors
/// It is absent, fails, or does not end in time.
pub fn run(call: ProgramCall, bytes: &[u8]) -> Result<Plaintext, ProgramError> {
    run_as(Command::new(call.program()), call, bytes, PATIENCE)
}

fn run_as(
    mut command: Command,
    call: ProgramCall,
    bytes: &[u8],
    patience: Duration,
) -> Result<Plaintext, ProgramError> {
    command.args(call.arguments()).env_clear().envs(env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        PASSED.contains(&&*name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    }));
    // A group of its own, so that what it has started ends with it.
    command
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ProgramError::Absent,
        _ => ProgramError::Run(error),
    })?;
    let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends early does not read on, and says why itself.
            let _ = stdin.as_mut().map(|stdin| stdin.write_all(bytes));
            drop(stdin);
        });
        let plain = scope.spawn(move || take(stdout, MAX_BYTES as u64 + 1, bytes.len()));
        let said = scope.spawn(move || take(stderr, MOST_WORDS, 0));
        let status = wait(&mut child, patience);
        let (plain, said) = (plain.join().unwrap_or_default(), said.join().unwrap_or_default());
        let status = status?;
        if plain.len() > MAX_BYTES {
            return Err(ProgramError::TooLarge);
        }
        if !status.success() {
            let status = status.code().unwrap_or(-1);
            let said = (status == NO_KEY).then(|| first_words(&said)).filter(|said| !said.is_empty());
            return Err(ProgramError::Failed { status, said });
        }
        Ok(call.accept(plain)?)
    })
}

/// Reads up to `most` bytes, and drops the rest so that the writer does not wait for ever.
fn take(from: Option<impl Read>, most: u64, expected: usize) -> Vec<u8> {
    let Some(mut from) = from else { return Vec::new() };
    // Plaintext is shorter than its file: no growing, hence no copies left behind.
    let mut bytes = Vec::with_capacity(expected + 1);
    let _ = from.by_ref().take(most).read_to_end(&mut bytes);
    let mut rest = Zeroizing::new([0; 4096]);
    while from.read(rest.as_mut_slice()).is_ok_and(|count| count > 0) {}
    bytes
}

/// Waits for its end, and ends all that it has started: a helper that lives on would keep the pipes open.
fn wait(child: &mut Child, patience: Duration) -> Result<ExitStatus, ProgramError> {
    let group = Pid::from_child(child);
    let end = Instant::now() + patience;
    // Left unreaped until its group has ended: so long the group's number is nobody else's.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let in_time = loop {
        match waitid(WaitId::Pid(group), ended) {
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            Ok(found) => break found.is_some(),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    };
    // A group that is gone needs no ending.
    let _ = kill_process_group(group, Signal::KILL);
    let status = child.wait()?;
    if in_time { Ok(status) } else { Err(ProgramError::TimedOut(patience)) }
}

fn first_words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take(6).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use specs::secrets::{Identities, decrypt};

    use super::*;

    /// A file that only PGP opens, as far as its metadata says.
    const FILE: &str = "A=ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]\n\
        sops_lastmodified=2026-01-01T00:00:00Z\nsops_mac=ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]\n\
        sops_pgp__list_0__map_fp=ABCD\nsops_pgp__list_0__map_enc=x\nsops_version=3.11.0\n";

    fn with(folder: &Path, script: &str, patience: u64) -> Result<Plaintext, ProgramError> {
        let path = folder.join("sops");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        let error = decrypt(FILE.as_bytes(), &Identities::new()).expect_err("no key");
        let call = error.program().expect("a call");
        run_as(Command::new(path), call, FILE.as_bytes(), Duration::from_millis(patience))
    }

    #[test]
    fn the_program_gets_the_file_and_nothing_else_and_its_answer_is_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let script =
            "[ -z \"$CARGO_MANIFEST_DIR\" ] && [ -n \"$PATH\" ] && echo \"A=$*\" && cat | head -c 1 >&2";
        let plain = with(folder.path(), script, 5000).expect("an answer");
        let said = plain.get("A").expect("a value");
        assert_eq!(said.expose(), "--decrypt --input-type dotenv --output-type dotenv /dev/stdin");
        assert!(said.is_secret());
    }

    #[test]
    fn one_that_hangs_floods_or_fails_is_ended_and_quotes_no_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = |script: &str, patience| with(folder.path(), script, patience).expect_err("refused");
        assert!(matches!(error("exec sleep 60", 100), ProgramError::TimedOut(_)));
        // Nor is one waited for whose helper keeps its pipes open.
        assert!(matches!(error("sleep 60; echo A=1", 100), ProgramError::TimedOut(_)));
        with(folder.path(), "sleep 60 & echo A=1", 20_000).expect("an answer");
        assert!(matches!(error("exec head -c 20000000 /dev/zero", 20_000), ProgramError::TooLarge));
        let failed = error("echo 'bad value hunter2' >&2; exit 1", 5000);
        assert_eq!(failed.to_string(), "`sops` failed with status 1");
        let failed = error("echo 'no master key' >&2; exit 128", 5000);
        assert_eq!(failed.to_string(), "`sops` failed with status 128: no master key");
        let absent = decrypt(FILE.as_bytes(), &Identities::new()).expect_err("no key");
        let call = absent.program().expect("a call");
        let none = Command::new(folder.path().join("none"));
        let patience = Duration::from_secs(1);
        assert!(matches!(run_as(none, call, b"", patience), Err(ProgramError::Absent)));
    }
}
