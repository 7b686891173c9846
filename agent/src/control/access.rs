//! Who may do what over the control socket?
//!
//! The kernel says who called (`SO_PEERCRED`); nothing that the caller says about itself counts. Group membership is
//! looked up by the caller's user id, not through `/proc/PID`, where a process id may have changed hands.

use std::path::Path;

/// What a caller may do. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nothing.
    Nothing,
    /// Look.
    Read,
    /// Look and act.
    Act,
}

/// Who may do what.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The daemon's own user.
    pub own_uid: u32,
    /// The group that may act, by name or number.
    pub act_group: Option<String>,
    /// The group that may look, by name or number.
    pub read_group: Option<String>,
}

impl Rules {
    /// What the caller with this user and primary group may do.
    pub fn access(&self, uid: u32, gid: u32) -> Access {
        self.access_with(uid, gid, &Accounts::of_host())
    }

    fn access_with(&self, uid: u32, gid: u32, accounts: &Accounts) -> Access {
        let within =
            |group: &Option<String>| group.as_ref().is_some_and(|group| accounts.within(group, uid, gid));
        if uid == 0 || uid == self.own_uid || within(&self.act_group) {
            Access::Act
        } else if within(&self.read_group) {
            Access::Read
        } else {
            Access::Nothing
        }
    }
}

/// The host's users and groups, as text.
struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    fn of_host() -> Self {
        let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        Self { passwd: read("/etc/passwd"), group: read("/etc/group") }
    }

    fn within(&self, group: &str, uid: u32, gid: u32) -> bool {
        let line = self.group.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found =
            line.into_iter().find(|fields| fields.len() >= 4 && (fields[0] == group || fields[2] == group));
        let Some(fields) = found else { return group.parse() == Ok(gid) };
        if fields[2].parse() == Ok(gid) {
            return true;
        }
        self.user_name(uid).is_some_and(|name| fields[3].split(',').any(|member| member == name))
    }

    fn user_name(&self, uid: u32) -> Option<&str> {
        self.passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
        })
    }
}

/// The number of a group, by name or number.
pub fn group_id(group: &str) -> Option<u32> {
    if let Ok(gid) = group.parse() {
        return Some(gid);
    }
    let text = std::fs::read_to_string("/etc/group").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == group).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_daemon_act_groups_do_what_they_are_for_and_strangers_nothing() {
        let accounts = Accounts {
            passwd: "root:x:0:0::/root:/bin/sh\nann:x:1000:100::/:/bin/sh\nbob:x:1001:100::/:/bin/sh\n"
                .into(),
            group: "root:x:0:\nops:x:50:ann,eve\nwatch:x:60:bob\n".into(),
        };
        let rules = Rules { own_uid: 990, act_group: Some("ops".into()), read_group: Some("60".into()) };
        let of = |uid, gid| rules.access_with(uid, gid, &accounts);
        assert_eq!(of(0, 0), Access::Act);
        assert_eq!(of(990, 990), Access::Act);
        assert_eq!(of(1000, 100), Access::Act, "member by name");
        assert_eq!(of(1001, 100), Access::Read, "group by number");
        assert_eq!(of(4000, 60), Access::Read, "primary group");
        assert_eq!(of(4000, 100), Access::Nothing);
    }
}
