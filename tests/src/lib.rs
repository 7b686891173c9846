//! The whole product on a real Engine.
//!
//! **Where it sits:** above everything; its tests run the built programs.
//!
//! **Start reading at:** [`Engine`], which brings a Docker Engine of its own, in namespaces of its own.
//!
//! **Promises:** the host's containers are never touched; nothing stays behind.

pub mod awesome;
pub mod compose;
pub mod corpus;
mod ear;
mod engine;
pub mod image;
pub mod inspected;
mod lab;
mod profile;
mod programs;
pub mod proxy;
pub mod registry;
pub mod sandbox;
pub mod secret;
pub mod takeover;

use std::time::Duration;

pub use ear::Ear;
pub use engine::Engine;
pub use lab::Lab;
pub use profile::Profile;
pub use programs::{Daemon, Programs};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);
