//! What does Podman's Docker-compatible service answer that says nothing about the declaration, and what can it not do?
//!
//! It answers with its own defaults as if they had been declared (capabilities that it drops, a private PID namespace,
//! variables of its own), and with what it has made of the rest: the devices in a folder, a check without its interval, no
//! links. So where the hash on the container is that of the declaration, what nobody can change on a container that is made
//! is not compared with it.

use super::{
    ContainerSpec,
    fields::{FieldDifference, HashMatch, Repair},
};

/// Leaves what is of Podman's own making out; `declared` is not folded. It has no `docker update`, so what that would put
/// right takes a new container.
pub fn correct(found: &mut Vec<FieldDifference>, declared: &ContainerSpec, hash: HashMatch) {
    found.retain(|difference| hash == HashMatch::Differs || !is_its_own(difference, declared));
    for difference in found.iter_mut().filter(|difference| difference.repair == Repair::Update) {
        difference.repair = Repair::Recreate;
    }
}

fn is_its_own(difference: &FieldDifference, declared: &ContainerSpec) -> bool {
    let field = difference.field.as_str();
    match &difference.repair {
        Repair::Disconnect(_) => false,
        _ if difference.want.is_empty() => true,
        Repair::Recreate => !may_lead_elsewhere(field),
        _ => field.ends_with(".links") || (field == "pids_limit" && declared.resources.pids_limit.is_none()),
    }
}

/// What means something else without another declaration: a path of the profile, another container.
fn may_lead_elsewhere(field: &str) -> bool {
    field.starts_with("volumes.") || matches!(field, "network_mode" | "ipc" | "pid" | "volumes_from")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(field: &str, want: &str, repair: Repair) -> bool {
        let difference = FieldDifference {
            field: field.into(),
            want: want.into(),
            have: "other".into(),
            of_secret: false,
            repair,
        };
        is_its_own(&difference, &ContainerSpec::default())
    }

    #[test]
    fn what_it_fills_in_or_answers_otherwise_is_its_own() {
        for (field, want) in
            [("cap_drop", ""), ("shm_size", "67108864"), ("devices", "/dev/dri:/dev/dri:rwm")]
        {
            assert!(is_own(field, want, Repair::Recreate), "{field}");
        }
        assert!(is_own("pids_limit", "-1", Repair::Update));
        assert!(is_own("networks.shop_default.links", "db-1:db", Repair::Reconnect("shop_default".into())));
    }

    #[test]
    fn what_it_cannot_change_takes_a_new_container() {
        let of = |repair| FieldDifference {
            field: "mem_limit".into(),
            want: "1".into(),
            have: "2".into(),
            of_secret: false,
            repair,
        };
        let mut found = vec![of(Repair::Update)];
        correct(&mut found, &ContainerSpec::default(), HashMatch::Same);
        assert_eq!(found, [of(Repair::Recreate)]);
    }

    #[test]
    fn what_can_have_changed_since_is_not() {
        assert!(!is_own("volumes./etc/x.source", "/nix/store/b", Repair::Recreate));
        assert!(!is_own("network_mode", "container:abc", Repair::Recreate));
        assert!(!is_own("mem_limit", "1", Repair::Update));
        assert!(!is_own("networks.other", "", Repair::Disconnect("other".into())));
        assert!(!is_own("networks.shop_default.aliases", "db", Repair::Reconnect("shop_default".into())));
    }
}
