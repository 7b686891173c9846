//! The host: what it has mounted.
//!
//! **Where it sits:** beside `docker`, which it never sees; below `agent`.
//!
//! **Promises:** text in, facts out; whoever calls does the reading, with a deadline.
//!
//! **Not here:** what to do about a missing mount (plan).

pub mod mounts;
