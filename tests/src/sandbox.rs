//! What does a unit forbid to its processes, and how is the same forbidden without a service manager?
//!
//! Read from the unit itself, so that what the tests run under is what hosts run under: capabilities, and every directive
//! that a service manager turns into a system-call filter. Mounts and other namespaces are not made: `tests/systemd-host`
//! has those. The directives about clocks, kernel modules, host names and the kernel's log filter calls, too; none of them
//! is in the list of the calls that the unit allows.

mod filters;

use std::{collections::BTreeSet, io};

use rustix::{net::AddressFamily, thread::CapabilitySet};

/// The groups of calls, as systemd 257 prints them up to all that it knows: `systemd-analyze syscall-filter --no-pager | sed '/^@known/,$d'`.
const GROUPS: &str = include_str!("sandbox/groups.txt");

/// What is forbidden beside calls by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Forbidden {
    ExecutableMemory,
    Namespaces,
    Personality,
    Realtime,
    SetId,
}

const DIRECTIVES: [(&str, Forbidden); 5] = [
    ("MemoryDenyWriteExecute", Forbidden::ExecutableMemory),
    ("RestrictNamespaces", Forbidden::Namespaces),
    ("LockPersonality", Forbidden::Personality),
    ("RestrictRealtime", Forbidden::Realtime),
    ("RestrictSUIDSGID", Forbidden::SetId),
];

/// What a unit leaves to its processes.
#[derive(Debug)]
pub struct Sandbox {
    calls: BTreeSet<String>,
    families: Vec<AddressFamily>,
    capabilities: CapabilitySet,
    forbidden: BTreeSet<Forbidden>,
}

impl Sandbox {
    /// Of a unit's text, with its drop-ins after it.
    ///
    /// # Panics
    /// It names a group, a family or a capability that is not known here, or another error than the tests' own rule stands
    /// for.
    pub fn of(unit: &str) -> Self {
        let mut sandbox = Self {
            calls: BTreeSet::new(),
            families: Vec::new(),
            capabilities: CapabilitySet::empty(),
            forbidden: BTreeSet::new(),
        };
        for (name, value) in unit.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "SystemCallFilter" => sandbox.filter(value),
                "SystemCallArchitectures" => assert_eq!(value, "native"),
                "SystemCallErrorNumber" => assert_eq!(value, "EPERM"),
                "RestrictAddressFamilies" => sandbox.families.extend(value.split_whitespace().map(family)),
                "CapabilityBoundingSet" => {
                    sandbox.capabilities |= value.split_whitespace().map(capability).collect();
                }
                _ => {
                    let directive = DIRECTIVES.iter().find(|(directive, _)| *directive == name);
                    sandbox.forbidden.extend(directive.filter(|_| value == "yes").map(|(_, what)| *what));
                }
            }
        }
        sandbox
    }

    fn filter(&mut self, value: &str) {
        if self.calls.is_empty() {
            self.calls = group("@default");
        }
        let (names, wanted) = value.strip_prefix('~').map_or((value, true), |names| (names, false));
        for call in names.split_whitespace().flat_map(group) {
            if wanted {
                self.calls.insert(call);
            } else {
                self.calls.remove(&call);
            }
        }
    }

    /// Puts the calling thread, which must be the process's only one, and all that it starts, under it.
    ///
    /// A call that the unit lets fail with EPERM ends the process here: a test that goes on as if nothing had happened
    /// would prove nothing.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn enter(&self) -> io::Result<()> {
        let others = CapabilitySet::all().difference(self.capabilities);
        for (_, capability) in others.iter_names() {
            rustix::thread::remove_capability_from_bounding_set(capability)?;
        }
        rustix::thread::set_no_new_privs(true)?;
        for program in filters::programs(self).map_err(io::Error::other)? {
            seccompiler::apply_filter(&program).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// The calls of a group and of the groups in it; a call is itself.
fn group(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let mut lines = GROUPS.lines().skip_while(|line| *line != name);
    assert!(lines.next().is_some(), "no group {name}");
    let members = lines.map_while(|line| line.strip_prefix("    ")).filter(|line| !line.starts_with('#'));
    members.flat_map(group).collect()
}

fn family(name: &str) -> AddressFamily {
    match name {
        "AF_UNIX" => AddressFamily::UNIX,
        "AF_INET" => AddressFamily::INET,
        "AF_INET6" => AddressFamily::INET6,
        other => panic!("no family {other} here"),
    }
}

fn capability(name: &str) -> CapabilitySet {
    let known = name.strip_prefix("CAP_").and_then(CapabilitySet::from_name);
    known.unwrap_or_else(|| panic!("no capability {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_is_gone_and_what_is_given_again_is_there() {
        let sandbox = Sandbox::of(
            "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\nSystemCallFilter=@chown\n",
        );
        let allows = |call: &str| sandbox.calls.contains(call);
        assert!(["read", "execve", "chown", "fchownat", "socket"].into_iter().all(allows));
        assert!(!["mount", "setuid", "setpriority", "reboot", "ptrace"].into_iter().any(allows));
    }

    #[test]
    fn a_drop_in_adds_to_the_unit() {
        let unit = "RestrictAddressFamilies=AF_UNIX\nRestrictNamespaces=yes\nLockPersonality=no\nCapabilityBoundingSet=CAP_CHOWN\n";
        let sandbox = Sandbox::of(&format!("{unit}RestrictAddressFamilies=AF_INET\n"));
        assert_eq!(sandbox.families, [AddressFamily::UNIX, AddressFamily::INET]);
        assert_eq!(sandbox.forbidden, BTreeSet::from([Forbidden::Namespaces]));
        assert_eq!(sandbox.capabilities, CapabilitySet::CHOWN);
    }
}
