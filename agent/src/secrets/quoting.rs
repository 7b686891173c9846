//! Where others' words are passed on (the Engine's about what it refuses, a health check's), do they quote a stack's
//! secrets? Those are masked before anything is made of the words.

use std::{borrow::Cow, sync::Arc};

use plan::{
    account::Outcomes,
    observed::{ContainerState, Observed},
    step::Outcome,
};
use specs::mask::Mask;

/// What the Engine said of steps that it did not do.
pub fn outcomes(mut outcomes: Outcomes, secrets: &Mask) -> Outcomes {
    for outcome in outcomes.values_mut() {
        if let Outcome::Failed { error, .. } = outcome {
            *error = secrets.mask(error).into_owned();
        }
    }
    outcomes
}

/// What containers say of themselves: why they do not start, and the last words of their health checks.
pub fn snapshot<'o>(observed: &'o Observed, secrets: &Mask) -> Cow<'o, Observed> {
    let quotes = |state: &ContainerState| {
        [&state.error, &state.health_output].iter().any(|words| matches!(secrets.mask(words), Cow::Owned(_)))
    };
    if !observed.containers().any(|container| quotes(&container.state)) {
        return Cow::Borrowed(observed);
    }
    let mut masked = observed.clone();
    for container in masked.containers.iter_mut().filter(|container| quotes(&container.state)) {
        let state = &mut Arc::make_mut(container).state;
        for words in [&mut state.error, &mut state.health_output] {
            *words = secrets.mask(words).into_owned();
        }
    }
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use plan::{
        observed::ObservedContainer,
        step::{Retry, StepId},
    };
    use specs::Text;

    use super::*;

    #[test]
    fn what_quotes_a_secret_is_masked_and_what_does_not_is_not_copied() {
        let secrets = Mask::of(&[Text::secret("hunter2")]);
        let failed = Outcome::Failed { error: "invalid value 'hunter2'".into(), retry: Retry::Never };
        let told = outcomes([(StepId(0), failed)].into(), &secrets);
        assert!(matches!(&told[&StepId(0)], Outcome::Failed { error, .. } if error == "invalid value '***'"));
        let of = |error: &str| {
            let state = ContainerState { error: error.into(), ..ContainerState::default() };
            let container = ObservedContainer {
                id: "1".into(),
                name: "a".into(),
                labels: plan::observed::ComposeLabels::default(),
                state,
                spec: plan::container::ContainerSpec::default(),
                image_id: "i".into(),
                attached: std::collections::BTreeMap::new(),
                anonymous_volumes: std::collections::BTreeMap::new(),
                created_at: plan::ids::Time(0),
            };
            Observed { containers: vec![container.into()], ..Observed::default() }
        };
        let (quiet, loud) = (of("no such program"), of("exec: \"hunter2\": not found"));
        assert!(matches!(snapshot(&quiet, &secrets), Cow::Borrowed(_)));
        assert_eq!(snapshot(&loud, &secrets).containers[0].state.error, "exec: \"***\": not found");
    }
}
