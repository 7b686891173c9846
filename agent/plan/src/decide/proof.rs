//! Has a container that took another's place proven itself?

use specs::settings::UpdatePolicy;

use crate::{
    desired::DesiredService,
    ids::Time,
    observed::{ContainerState, Health, RunState},
};

/// How often a container may have been restarted by the Engine before it is given up.
const MOST_RESTARTS: u32 = 3;

/// What can be said of it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// It does its work.
    Given,
    /// Not yet; look again then, where no event will say so.
    Pending(Option<Time>),
    /// It does not, for this reason.
    Failed(String),
}

/// Judges by the health check where there is one, else by how long it has stayed up.
pub(super) fn proof(
    service: &DesiredService,
    state: &ContainerState,
    policy: &UpdatePolicy,
    now: Time,
) -> Proof {
    let looping = state.restart_count >= MOST_RESTARTS;
    match state.status {
        RunState::Running => match state.health {
            Some(Health::Healthy) => Proof::Given,
            Some(Health::Unhealthy) => Proof::Failed("its health check fails".into()),
            _ if looping => {
                Proof::Failed(format!("it ended and was restarted {} times", state.restart_count))
            }
            Some(Health::Starting) => Proof::Pending(None),
            None => {
                let started = state.started_at.unwrap_or(now);
                let until = started.plus_ms(monitor_ms(service, policy));
                if now >= until { Proof::Given } else { Proof::Pending(Some(until)) }
            }
        },
        RunState::Created if state.error.is_empty() => Proof::Pending(None),
        RunState::Created | RunState::Dead => Proof::Failed(format!("it does not start: {}", state.error)),
        RunState::Exited if service.one_shot && state.exit_code == 0 => Proof::Given,
        // The Engine starts again what ends by itself: somebody has stopped it, which says nothing about it.
        RunState::Exited if state.error.is_empty() && is_restarted(service) => Proof::Pending(None),
        RunState::Exited => {
            let memory = if state.oom_killed { ", killed for memory" } else { "" };
            Proof::Failed(format!("it ended with status {}{memory}", state.exit_code))
        }
        _ if looping => Proof::Failed(format!("it ended and was restarted {} times", state.restart_count)),
        _ => Proof::Pending(Some(now.plus_ms(1_000))),
    }
}

/// Whether the Engine starts it again however it ends.
fn is_restarted(service: &DesiredService) -> bool {
    let policy = service.spec.restart.as_ref().map(|policy| policy.name.as_str());
    matches!(policy, Some("always" | "unless-stopped"))
}

/// `deploy.update_config.monitor` where the file has it, else the policy's.
fn monitor_ms(service: &DesiredService, policy: &UpdatePolicy) -> i64 {
    let declared = service.service.deploy.as_ref().and_then(|deploy| deploy.update_config.as_ref());
    let declared = declared.map(|update| update.monitor).filter(|monitor| monitor.0 > 0);
    declared.unwrap_or(policy.monitor).0 / 1_000_000
}
