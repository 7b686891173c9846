//! Which system-call filters are a unit's directives?
//!
//! As systemd.exec(5) describes each; of several filters the strictest answer counts.

use std::{collections::BTreeMap, env::consts::ARCH};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mm::ProtFlags,
    thread::UnshareFlags,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use syscalls::Sysno;

use super::{Forbidden, Sandbox};

/// Calls, each with the rules of which one must hold; without rules it always does.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// `SHM_EXEC`.
const SHM_EXEC: u64 = 0o100_000;

pub(super) fn programs(sandbox: &Sandbox) -> Result<Vec<BpfProgram>, BackendError> {
    let allowed = sandbox.calls.iter().filter_map(|name| name.parse().ok()).map(always);
    let program = |rules: Rules, otherwise, matched| {
        SeccompFilter::new(rules, otherwise, matched, ARCH.try_into()?)?.try_into()
    };
    let mut forbidden = Rules::new();
    for (call, rules) in parts(sandbox)? {
        forbidden.entry(call).or_default().extend(rules);
    }
    // What cannot be looked into is said to be absent: the C library has other calls for the same.
    let absent = [Sysno::clone3, Sysno::openat2].map(always).into_iter().collect();
    Ok(vec![
        program(allowed.collect(), SeccompAction::KillProcess, SeccompAction::Allow)?,
        program(forbidden, SeccompAction::Allow, SeccompAction::KillProcess)?,
        program(
            absent,
            SeccompAction::Allow,
            SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs()),
        )?,
    ])
}

fn parts(sandbox: &Sandbox) -> Result<Vec<(i64, Vec<SeccompRule>)>, BackendError> {
    let mut parts = Vec::new();
    if !sandbox.families.is_empty() {
        let other = sandbox
            .families
            .iter()
            .map(|family| is_not(0, family.as_raw().into()))
            .collect::<Result<_, _>>()?;
        parts.push((number(Sysno::socket), vec![SeccompRule::new(other)?]));
    }
    for what in &sandbox.forbidden {
        parts.extend(match what {
            Forbidden::ExecutableMemory => executable_memory()?,
            Forbidden::Namespaces => namespaces()?,
            Forbidden::Personality => {
                vec![(number(Sysno::personality), vec![SeccompRule::new(vec![is_not(0, 0)?])?])]
            }
            Forbidden::Realtime => vec![always(Sysno::sched_setscheduler), always(Sysno::sched_setattr)],
            Forbidden::SetId => set_id()?,
        });
    }
    Ok(parts)
}

fn executable_memory() -> Result<Vec<(i64, Vec<SeccompRule>)>, BackendError> {
    let [write, execute] = [ProtFlags::WRITE, ProtFlags::EXEC].map(|flag| u64::from(flag.bits()));
    Ok(vec![
        (number(Sysno::mmap), vec![has(2, write | execute)?]),
        (number(Sysno::mprotect), vec![has(2, execute)?]),
        (number(Sysno::pkey_mprotect), vec![has(2, execute)?]),
        (number(Sysno::shmat), vec![has(2, SHM_EXEC)?]),
    ])
}

fn namespaces() -> Result<Vec<(i64, Vec<SeccompRule>)>, BackendError> {
    let kinds = [
        UnshareFlags::NEWNS,
        UnshareFlags::NEWCGROUP,
        UnshareFlags::NEWUTS,
        UnshareFlags::NEWIPC,
        UnshareFlags::NEWUSER,
        UnshareFlags::NEWPID,
        UnshareFlags::NEWNET,
    ];
    let any = || kinds.into_iter().map(|kind| has(0, kind.bits().into())).collect::<Result<Vec<_>, _>>();
    Ok(vec![(number(Sysno::clone), any()?), (number(Sysno::unshare), any()?), always(Sysno::setns)])
}

/// Where the mode stands among the arguments of the calls that make a file or change its mode.
fn set_id() -> Result<Vec<(i64, Vec<SeccompRule>)>, BackendError> {
    let bits = [Mode::SUID, Mode::SGID].map(|bit| u64::from(bit.bits()));
    let places = [
        (Sysno::fchmod, 1),
        (Sysno::fchmodat, 2),
        (Sysno::fchmodat2, 2),
        (Sysno::mkdirat, 2),
        (Sysno::mknodat, 2),
    ];
    // Not every architecture has the calls that take no folder.
    let old = [("chmod", 1), ("mkdir", 1), ("mknod", 1), ("creat", 1)];
    let old = old.into_iter().filter_map(|(name, place)| Some((name.parse().ok()?, place)));
    let mut rules = Vec::new();
    for (call, place) in places.into_iter().chain(old) {
        rules.push((number(call), bits.into_iter().map(|bit| has(place, bit)).collect::<Result<_, _>>()?));
    }
    // A call that makes no file may have anything in the place of a mode.
    let open = "open".parse().ok().map(|call| (call, 1));
    for (call, flags) in open.into_iter().chain([(Sysno::openat, 2)]) {
        let makes = || masked(flags, OFlags::CREATE.bits().into());
        let made = bits.into_iter().map(|bit| SeccompRule::new(vec![makes()?, masked(flags + 1, bit)?]));
        rules.push((number(call), made.collect::<Result<_, _>>()?));
    }
    Ok(rules)
}

fn always(call: Sysno) -> (i64, Vec<SeccompRule>) {
    (number(call), Vec::new())
}

fn number(call: Sysno) -> i64 {
    call.id().into()
}

/// All these bits are set in an argument.
fn has(argument: u8, bits: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![masked(argument, bits)?])
}

fn masked(argument: u8, bits: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), bits)
}

fn is_not(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}
