//! What are acts and their results called in a label? Names are part of dashboards: they are added, never changed.

use plan::step::{Act, Outcome};

/// What was done.
pub(super) fn act(act: &Act) -> &'static str {
    match act {
        Act::PullImage { .. } => "pull-image",
        Act::BuildImage { .. } => "build-image",
        Act::LoadImage { .. } => "load-image",
        Act::RemoveImage { .. } => "remove-image",
        Act::CreateNetwork { .. } => "create-network",
        Act::RemoveNetwork { .. } => "remove-network",
        Act::ConnectNetwork { .. } => "connect-network",
        Act::DisconnectNetwork { .. } => "disconnect-network",
        Act::CreateVolume { .. } => "create-volume",
        Act::CreateContainer(_) => "create-container",
        Act::CopyFiles { .. } => "copy-files",
        Act::StartContainer { .. } => "start-container",
        Act::StopContainer { .. } => "stop-container",
        Act::RestartContainer { .. } => "restart-container",
        Act::SignalContainer { .. } => "signal-container",
        Act::RemoveContainer { .. } => "remove-container",
        Act::RenameContainer { .. } => "rename-container",
        Act::UpdateContainer { .. } => "update-container",
        Act::UnpauseContainer { .. } => "unpause-container",
        Act::RunHook { .. } => "run-hook",
    }
}

/// What became of it.
pub(super) fn result(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Failed { .. } => "failed",
        Outcome::Skipped { .. } => "skipped",
        Outcome::TimedOut => "timed-out",
    }
}
