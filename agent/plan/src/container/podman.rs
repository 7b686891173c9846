//! What does Podman's Docker-compatible service fill in by itself?
//!
//! It answers with its own defaults as if they had been declared (capabilities that it drops, a private PID namespace,
//! variables of its own), so that a difference to nothing declared says nothing. Where the hash on the container is that of
//! the declaration, only fields that are declared are compared.

use super::{ContainerSpec, fields::FieldDifference};

/// Whether a difference is one between Podman's default and nothing declared; `declared` is not folded.
pub fn is_its_own(difference: &FieldDifference, declared: &ContainerSpec) -> bool {
    difference.want.is_empty()
        || match difference.field.as_str() {
            "stop_grace_period" => declared.stop_timeout.is_none(),
            // It names whatever runtime it has been given `oci`.
            "runtime" => true,
            "shm_size" => declared.resources.shm_size == 0,
            "pids_limit" => declared.resources.pids_limit.is_none(),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::fields::Repair;

    fn difference(field: &str, want: &str) -> FieldDifference {
        FieldDifference {
            field: field.into(),
            want: want.into(),
            have: "other".into(),
            repair: Repair::Recreate,
        }
    }

    #[test]
    fn only_what_is_declared_differs() {
        let mut declared = ContainerSpec::default();
        for (field, want) in [("cap_drop", ""), ("stop_grace_period", "10s"), ("shm_size", "67108864")] {
            assert!(is_its_own(&difference(field, want), &declared), "{field}");
        }
        declared.stop_timeout = Some(30);
        assert!(!is_its_own(&difference("stop_grace_period", "30s"), &declared));
        assert!(!is_its_own(&difference("environment.A", "b"), &declared));
    }
}
