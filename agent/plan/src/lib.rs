//! The nouns of reconciling, and all deciding.
//!
//! **Where it sits:** above `specs`, below everything that touches the world.
//!
//! **Start reading at:** [`desired`] and [`observed`], then [`drift`], then [`step`].
//!
//! **Promises:** no input, no output, no clock, no randomness: the same arguments give the same plan.
//!
//! **Not here:** how facts are gathered (docker, systemd), how steps are performed (docker), when (agent).

pub mod account;
pub mod backoff;
pub mod build;
pub mod cause;
pub mod container;
pub mod contest;
pub mod decide;
pub mod desire;
pub mod desired;
pub mod devices;
pub mod drift;
pub mod ids;
pub mod labels;
pub mod memory;
pub mod observed;
pub mod policy;
pub mod preflight;
pub mod preview;
pub mod reference;
pub mod resource;
pub mod sources;
pub mod status;
pub mod step;
