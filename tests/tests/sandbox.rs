//! Do the tests' agents run under what their unit forbids, and is that forbidden indeed?

use std::{
    collections::BTreeSet,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tests::Programs;

/// `SIGSYS`: what ends a process that makes a forbidden call.
const FORBIDDEN: i32 = 31;

const MAY: [&str; 5] = ["nothing", "unix", "memory", "a file", "an owner"];
const MAY_NOT: [&str; 17] = [
    "inet",
    "netlink",
    "executable memory",
    "memory made executable",
    "a user namespace",
    "a cloned namespace",
    "another namespace",
    "the personality",
    "real time",
    "priority",
    "a set-id file",
    "a set-id mode",
    "a mount",
    "a user id",
    "a root",
    "tracing",
    "a program for the kernel",
];

fn attempts(folder: &Path) -> PathBuf {
    let program = folder.join("attempt");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("standin/attempt.c");
    assert!(Command::new("cc").arg("-o").arg(&program).arg(source).status().unwrap().success());
    program
}

/// Those of all attempts that end a process.
fn refused(command: impl Fn() -> Command) -> BTreeSet<&'static str> {
    let ends = |what: &&str| match command().arg(what).status().unwrap() {
        status if status.success() => false,
        status => {
            assert_eq!(status.signal(), Some(FORBIDDEN), "{what}: {status}");
            true
        }
    };
    MAY.into_iter().chain(MAY_NOT).filter(ends).collect()
}

#[test]
fn what_the_unit_forbids_ends_a_process_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let program = attempts(folder.path());
    assert_eq!(refused(|| Command::new(&program)), BTreeSet::new(), "the control");
    let under = |drop_in| refused(|| Programs::sandboxed(&program, "compose-agent.service", drop_in));
    let all = BTreeSet::from(MAY_NOT);
    assert_eq!(under(""), all);
    let opened = &all - &under("RestrictAddressFamilies=AF_INET");
    assert_eq!(opened, BTreeSet::from(["inet"]), "a drop-in opens what it names");
}
