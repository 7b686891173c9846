//! What is to be done, why, and in which order?
//!
//! A [`Plan`] is so specific that performing it has no choices left.

mod act;

pub use self::act::{Act, Hook, NewContainer, Target};
use crate::{
    drift::{Drift, Subject},
    ids::{ContainerId, ServiceName},
};

/// A step's number within its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u32);

/// What to do for one stack, and what was found about everything that differs.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In an order that respects [`Step::after`].
    pub steps: Vec<Step>,
    /// Every difference exactly once, acted on or explained.
    pub findings: Vec<Finding>,
    /// What is to be remembered once it is done.
    pub memos: Vec<Memo>,
}

impl Plan {
    /// The service whose difference a step puts right; `None` where it is nobody's in particular.
    pub fn service_of(&self, step: StepId) -> Option<&ServiceName> {
        let puts_right =
            |finding: &&Finding| matches!(&finding.verdict, Verdict::Act(steps) if steps.contains(&step));
        self.findings.iter().filter(puts_right).find_map(|finding| match &finding.drift.subject {
            Subject::Service { service, .. } => Some(service),
            _ => None,
        })
    }
}

/// Something to remember for the passes after this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memo {
    /// The step that must have succeeded; `None`: it holds whatever becomes of the plan.
    pub step: Option<StepId>,
    /// What it is.
    pub what: Remember,
}

/// What is worth remembering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remember {
    /// A declaration whose container did not prove itself: it is not tried again by itself.
    Rejected {
        /// The replica (`web-1`).
        replica: String,
        /// What was declared, and why it was given up.
        rejection: crate::memory::Rejection,
    },
    /// The replica is as declared: nothing is held against its declaration.
    Settled {
        /// The replica.
        replica: String,
    },
    /// A living container was told of a file's new bytes.
    Delivered {
        /// Its id.
        container: ContainerId,
        /// The digest label's key.
        key: String,
        /// The digest of what it was told of.
        digest: String,
    },
    /// An image came to the Engine; its id is what the step has made.
    Brought {
        /// How, and for what.
        brought: crate::memory::Brought,
    },
    /// An image that the agent brought is used again, or is not used any more.
    Unused {
        /// Its id.
        image: String,
        /// Since when.
        since: Option<crate::ids::Time>,
    },
    /// An image that the agent brought is not on the Engine any more.
    Forgotten {
        /// Its id.
        image: String,
    },
    /// An image that somebody else has built is taken as it is.
    AdoptedBuild {
        /// The reference.
        reference: String,
        /// The digest of what it would be built from then.
        digest: String,
    },
    /// An image was fetched because its `pull_policy` said so.
    Pulled {
        /// The reference.
        reference: String,
        /// For which generation, and when.
        pull: crate::memory::Pull,
    },
}

/// One call of the Engine with its cause.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// The call.
    pub act: Act,
    /// Why, in one line that names a field and a place.
    pub cause: String,
    /// The steps that must be done before; if one fails, this one is skipped.
    pub after: Vec<StepId>,
    /// How long it may take, in milliseconds.
    pub deadline_ms: u64,
    /// Whether a running container is interrupted by it.
    pub interrupts: bool,
}

/// One difference and what is made of it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The difference.
    pub drift: Drift,
    /// What is made of it.
    pub verdict: Verdict,
}

/// What is made of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// These steps put it right.
    Act(Vec<StepId>),
    /// It will be put right once something has happened.
    Wait(Wait),
    /// It is left as it is, for a reason.
    Leave(String),
    /// It is no difference that anybody has to mind: shown, and nothing else.
    Note(String),
    /// It cannot be put right without a person.
    Refuse(String),
}

/// What is being waited for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait {
    /// What sort of thing.
    pub on: WaitKind,
    /// In words: `mount /mnt/data (nothing is mounted there)`.
    pub what: String,
    /// When to look again at the latest; `None`: only an event will change it.
    pub retry_at: Option<crate::ids::Time>,
}

/// What sort of thing is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitKind {
    /// The end of what the Engine has begun.
    Engine,
    /// A mount.
    Mount,
    /// A path of the host.
    Path,
    /// A device of the host.
    Device,
    /// An image.
    Image,
    /// A secret.
    Secret,
    /// A network or a volume that somebody else makes.
    External,
    /// Another service's condition.
    Dependency,
    /// A container's health, or its proof that it stays up.
    Health,
    /// The next try after a failure.
    Backoff,
    /// An operator's hold.
    Hold,
    /// Another stack's name or port.
    Conflict,
}

impl WaitKind {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Mount => "mount",
            Self::Path => "path",
            Self::Device => "device",
            Self::Image => "image",
            Self::Secret => "secret",
            Self::External => "external",
            Self::Dependency => "dependency",
            Self::Health => "health",
            Self::Backoff => "backoff",
            Self::Hold => "hold",
            Self::Conflict => "conflict",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done; the id of what was made, where something was.
    Done {
        /// The container's, network's or image's id.
        made: Option<String>,
    },
    /// The Engine refused, or could not be asked.
    Failed {
        /// In words, without a secret.
        error: String,
        /// Whether the same call may succeed later.
        retry: Retry,
    },
    /// A step that it needed did not succeed.
    Skipped {
        /// Which.
        because: StepId,
    },
    /// Its deadline passed; the Engine may still do it.
    TimedOut,
}

/// Whether and when a failed call is worth repeating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    /// At the next pass, at once: the world moved under us.
    Now,
    /// After a while.
    Later,
    /// Not before the declaration changes.
    Never,
}
