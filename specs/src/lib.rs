//! The Compose Specification: text in, typed project out.
//!
//! **Where it sits:** at the bottom; every other crate depends on this one, and this one on none of them.
//!
//! **Start reading at:** `load.rs`, which puts the stages of the load pipeline in order.
//!
//! **Promises:** the same meaning as Docker Compose 2.40; every problem of a stack at once, each with its place; no
//! input or output but through [`ReadText`]; bounded time and memory on any input; no secret in any message.
//!
//! **Not here:** what runs (docker), what to do about it (plan), when (agent).

pub mod canonical;
pub mod check;
pub mod decode;
pub mod disk;
pub mod doc;
pub mod dotenv;
mod extends;
pub mod fields;
pub mod hash;
mod include;
pub mod interpolate;
pub mod lint;
pub mod load;
pub mod mask;
pub mod merge;
mod message;
pub mod model;
pub mod name;
pub mod normalize;
pub mod paths;
mod problem;
mod read;
pub mod reset;
pub mod schema;
pub mod secrets;
pub mod settings;
mod text;
pub mod unify;
mod validate;
pub mod values;
pub mod variables;
pub mod yaml;

pub use load::{LoadRequest, Loaded, load, variables};
pub use message::{Message, Part, join, part};
pub use problem::{Problem, Problems, Rule, Severity, SourceFile, Sources};
pub use read::{Content, FileKind, MAX_FILE, ReadText};
pub use text::{MASK, Text};
