//! Eyes and hands on the Docker Engine.
//!
//! **Where it sits:** above `plan`, whose nouns it fills (`Observed`) and does (`Plan`); beside `systemd`, which it never
//! sees.
//!
//! **Start reading at:** [`engine`], then [`mod@perform`].
//!
//! **Promises:** every call has a deadline; the API version is on the path; lost contact is an error, never an empty
//! answer; one odd object never hides the others; volumes are never removed.
//!
//! **Not here:** what to do and why (plan), when (agent).

pub mod cache;
pub mod decode;
pub mod encode;
pub mod engine;
pub mod events;
pub mod images;
pub mod logs;
pub mod perform;
pub mod wire;

pub use cache::Cache;
pub use engine::{Engine, EngineError, Interest};
pub use perform::perform;
pub use wire::Address;
