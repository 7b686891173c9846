//! The clock and the mouth of compose-agent: when a pass runs, and what is said about it.
//!
//! **Where it sits:** above everything else; it wires `specs`, `plan`, `docker` and `systemd` together, and holds both
//! programs, the daemon `compose-agent` and the command `agentctl`.
//!
//! **Start reading at:** [`rounds`] (what keeps passes going), then [`daemon`] (what they share), then [`pass`], [`gather`]
//! (what is read), [`secrets`] (what is decrypted), [`report`] (what is said).
//!
//! **Promises:** never two passes of one stack at a time; a pass that fails or panics fails its own stack only; stopping
//! the agent leaves every container as it is; no message holds a secret.
//!
//! **Not here:** what a spec means (`specs`), what is to be done (`plan`), how it is done (`docker`), what the host has
//! (`systemd`).

pub mod beside;
pub mod cli;
pub mod clock;
pub mod control;
pub mod daemon;
pub(crate) mod decided;
pub mod exit;
pub mod eyes;
pub mod gather;
pub mod heard;
pub mod logs;
pub mod memory;
pub mod methods;
pub mod metrics;
pub mod notifier;
pub mod options;
pub mod pass;
pub mod preflight;
pub mod preview;
mod registries;
pub mod report;
pub mod rounds;
pub mod scheduler;
pub mod secrets;
pub mod sources;
pub mod start;
pub mod store;
pub mod triggers;
pub mod watched;
