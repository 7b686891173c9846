//! What makes the agent look? Every cause ends as one of these few words, none of which says what to do about it.

use plan::ids::{ProjectName, StackName};

/// Something may have changed. A pass that starts for any reason does the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// This stack, soon.
    Stack(StackName),
    /// This stack, at once: a person waits.
    StackNow(StackName),
    /// The stack with this Compose project, soon.
    Project(ProjectName),
    /// Every stack, soon.
    EveryStack,
    /// Every stack, at once.
    EveryStackNow,
    /// The profile may lead elsewhere.
    Profile,
    /// The Engine's event stream was lost or came back: whatever happened meanwhile was not heard.
    Engine,
    /// Look at the profile and at every stack, and tell the service manager when that has been taken in.
    Reload,
    /// End; containers stay as they are.
    Stop,
}
