//! How is a cause put into words, and by whom may it be?

use crate::{
    cause::Heard,
    observed::{ContainerState, Observed, ObservedContainer, RunState},
};

/// An action that is not the agent's.
pub(super) fn outside(event: &Heard) -> String {
    let detail = [("signal", "signal "), ("exitCode", "status "), ("oldName", "before: ")];
    let detail: String = detail
        .iter()
        .filter_map(|(key, word)| {
            Some(format!(" ({word}{})", event.attributes.get(*key)?.trim_start_matches('/')))
        })
        .collect();
    format!("outside action: {} {}{detail} at {}", event.kind, event.action, event.at.stamp())
}

/// How a container's main process has ended.
pub(super) fn ended(state: &ContainerState) -> String {
    if state.oom_killed {
        return "memory ran out".to_owned();
    }
    match state.exit_code {
        code @ 129..=192 => format!("it was ended by signal {}", code - 128),
        code => format!("it ended by itself with status {code}"),
    }
}

/// Programs that are known to change containers, by a part of their image's name.
const PARTIES: [(&str, &str); 6] = [
    ("watchtower", "Watchtower"),
    ("portainer", "Portainer"),
    ("dockge", "Dockge"),
    ("komodo", "Komodo"),
    ("ouroboros", "Ouroboros"),
    ("autoheal", "autoheal"),
];

/// Who has made a container of the project, where that was not the agent.
pub(super) fn maker(container: &ObservedContainer) -> Option<String> {
    let owner = &container.labels.owner;
    (owner.agent.is_none() && owner.project.is_some())
        .then(|| format!("Docker Compose has made {}", container.name))
}

/// Who else may manage containers here: a program that runs on this Engine and is known to.
pub(super) fn party(observed: &Observed) -> Option<String> {
    let running = observed.containers().filter(|found| found.state.status == RunState::Running);
    running.into_iter().find_map(|container| {
        let image = container.spec.image.shown().to_lowercase();
        let (_, name) = PARTIES.iter().find(|(part, _)| image.contains(part))?;
        Some(format!("the other party may be {name} (container {})", container.name))
    })
}
