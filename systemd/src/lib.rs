//! The host: where its profile leads, what it has mounted, which keys it has, where plaintext may lie, and how the service
//! manager, the journal and the garbage collector are spoken to.
//!
//! **Where it sits:** beside `docker`, which it never sees; below `agent`, which calls it.
//!
//! **Start reading at:** [`watch`], which starts most passes.
//!
//! **Promises:** everything ends in bounded time, reads a bounded amount, and names the path in its error; whatever this
//! host lacks (a journal, a store, watches, a service manager) makes less happen, and stops nothing. The caller reads the
//! environment.
//!
//! **Not here:** what to do about what was found (plan); which stacks the profile declares (agent).

pub mod folders;
pub mod gc_roots;
pub mod journal;
pub mod keys;
pub mod listening;
pub mod message_ids;
pub mod mount_watch;
pub mod mounts;
pub mod notify;
pub mod runtime_dir;
pub mod stat;
pub mod watch;
