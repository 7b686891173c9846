//! What does a rootless Engine set otherwise than declared?
//!
//! A user's processes cannot be made less likely to be killed for their memory than the user's Engine is: it raises each
//! container's `oom_score_adj` to its own, and says so.

use super::fields::FieldDifference;

/// Whether a difference is the Engine's own doing, which making the container anew would not mend.
pub fn is_its_own(difference: &FieldDifference) -> bool {
    let [want, have] =
        [&difference.want, &difference.have].map(|value| value.to_string().parse().unwrap_or(0_i64));
    difference.field == "oom_score_adj" && have > want
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::fields::Repair;

    #[test]
    fn only_a_score_that_was_raised_is_the_engines_own() {
        let difference = |field: &str, want: &str, have: &str| FieldDifference {
            field: field.into(),
            want: want.into(),
            have: have.into(),
            of_secret: false,
            repair: Repair::Recreate,
        };
        assert!(is_its_own(&difference("oom_score_adj", "", "200")));
        assert!(is_its_own(&difference("oom_score_adj", "-500", "200")));
        assert!(!is_its_own(&difference("oom_score_adj", "500", "200")));
        assert!(!is_its_own(&difference("pids_limit", "1", "200")));
    }
}
