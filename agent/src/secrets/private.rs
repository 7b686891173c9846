//! Who may look into a process that holds plaintext? Nobody but root, not after a crash either.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core dump of this process or of its children, and no debugger of anybody but root. Where the system refuses, that
/// is said, and the work goes on.
pub fn keep_memory_private() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    let private = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = limited.and(private) {
        tracing::warn!("a crash may leave secrets in a core dump: {error}");
    }
}
