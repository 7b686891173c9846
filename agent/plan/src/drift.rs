//! What differs between declared and running: one difference, named?

use serde::{Deserialize, Serialize};

use crate::ids::{ContainerId, ServiceName};

/// What a difference is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Subject {
    /// The stack as a whole.
    Stack,
    /// A service, or one of its containers.
    Service {
        /// The service.
        service: ServiceName,
        /// Which of its containers, by number.
        number: Option<u32>,
        /// The container's name, where there is one.
        container: Option<String>,
        /// The container's id, where there is one.
        id: Option<ContainerId>,
    },
    /// A container that no declared service claims.
    Container {
        /// Its name.
        name: String,
        /// Its id.
        id: ContainerId,
    },
    /// A network, by the Engine's name.
    Network {
        /// The name.
        name: String,
    },
    /// A volume, by the Engine's name.
    Volume {
        /// The name.
        name: String,
    },
    /// An image, by reference.
    Image {
        /// The reference.
        reference: String,
    },
}

/// What sort of difference it is. Each has a MESSAGE_ID and an entry in the journal's catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftKind {
    /// Declared, and not there.
    Missing,
    /// There, and not running.
    Stopped,
    /// Ends and restarts over and over.
    Restarting,
    /// Its health check fails.
    Unhealthy,
    /// Frozen.
    Paused,
    /// A field has another value than declared.
    Altered,
    /// The image reference means another image now.
    Image,
    /// The bytes of a mounted or config file are not those that the container started with.
    SideFile,
    /// A secret's value is not the one that the container started with.
    Secret,
    /// Shares a namespace with a container that is gone or has restarted.
    StaleNamespace,
    /// A mount below it was unmounted and mounted again.
    StaleMount,
    /// A bound file was replaced by another inode.
    StaleBind,
    /// A network or a volume has other options than declared.
    Options,
    /// Ours, and no longer declared.
    Orphan,
    /// Somebody else's container or network has a name that is declared.
    ForeignName,
    /// Left over from a step that was interrupted.
    Unfinished,
    /// Declared, and the agent does nothing about it.
    NotActedOn,
    /// The hash label is not Compose's hash of the declaration, though every field is equal.
    HashOnly,
    /// Somebody else has made it anew from a newer image of its tag, and it is as declared.
    Updated,
}

impl DriftKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 19] = [
        Self::Missing,
        Self::Stopped,
        Self::Restarting,
        Self::Unhealthy,
        Self::Paused,
        Self::Altered,
        Self::Image,
        Self::SideFile,
        Self::Secret,
        Self::StaleNamespace,
        Self::StaleMount,
        Self::StaleBind,
        Self::Options,
        Self::Orphan,
        Self::ForeignName,
        Self::Unfinished,
        Self::NotActedOn,
        Self::HashOnly,
        Self::Updated,
    ];

    /// The stable name, as in JSON and in the journal's `KIND=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stopped => "stopped",
            Self::Restarting => "restarting",
            Self::Unhealthy => "unhealthy",
            Self::Paused => "paused",
            Self::Altered => "altered",
            Self::Image => "image",
            Self::SideFile => "side-file",
            Self::Secret => "secret",
            Self::StaleNamespace => "stale-namespace",
            Self::StaleMount => "stale-mount",
            Self::StaleBind => "stale-bind",
            Self::Options => "options",
            Self::Orphan => "orphan",
            Self::ForeignName => "foreign-name",
            Self::Unfinished => "unfinished",
            Self::NotActedOn => "not-acted-on",
            Self::HashOnly => "hash-only",
            Self::Updated => "updated",
        }
    }
}

/// One difference. Holds no secret: `want` and `have` are masked where either side is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Drift {
    /// What it is about.
    pub subject: Subject,
    /// What sort it is.
    pub kind: DriftKind,
    /// The field, in Compose's words (`environment.TZ`, `networks.front.aliases`); empty where the whole is meant.
    pub field: String,
    /// What is declared.
    pub want: String,
    /// What was found.
    pub have: String,
    /// Where the declaration was written, `compose.yaml:12:5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Why it came about, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// A difference in words.
pub(crate) fn differs(field: &str, want: &str, have: &str) -> String {
    format!("{field} is {}, declared is {}", told(have), told(want))
}

/// A value, for people.
pub(crate) fn told(value: &str) -> &str {
    if value.is_empty() { "nothing" } else { value }
}

impl Drift {
    /// What makes two reports be about the same difference: subject, kind and field; not the values.
    pub fn key(&self) -> String {
        let subject = match &self.subject {
            Subject::Service { service, number: Some(number), .. } => format!("{service}/{number}"),
            Subject::Service { service, .. } => format!("{service}/"),
            other => other.to_string(),
        };
        // Each newer image is another thing to say.
        let about = if self.kind == DriftKind::Updated { &self.have } else { &self.field };
        format!("{subject} {} {about}", self.kind.as_str())
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stack => f.write_str("stack"),
            Self::Service { service, number: Some(number), .. } => write!(f, "{service}-{number}"),
            Self::Service { service, .. } => write!(f, "{service}"),
            Self::Container { name, .. } => write!(f, "container {name}"),
            Self::Network { name } => write!(f, "network {name}"),
            Self::Volume { name } => write!(f, "volume {name}"),
            Self::Image { reference } => write!(f, "image {reference}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_can_be_about_every_kind() {
        assert_eq!(DriftKind::ALL.map(DriftKind::as_str), specs::settings::DRIFT_KINDS);
    }
}
