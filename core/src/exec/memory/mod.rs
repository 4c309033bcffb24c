//! Where tasks are: one static a executor, seen as a core, its banks, and one task.

pub mod bank;
#[cfg(not(target_os = "none"))]
pub mod claims;
pub mod core;
pub mod cx;
pub mod look;
pub mod refs;
pub mod tally;
pub mod trace;
pub mod wake;
pub mod waker;
