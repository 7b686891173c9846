//! Which words is the daemon started with? The rest is in `agent::daemon`.
fn main() {}
