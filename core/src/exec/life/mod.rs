//! How a task is polled, ends and hands on its result.

pub mod finish;
pub mod future;
#[cfg(not(target_os = "none"))]
pub mod in_slot;
pub mod join;
pub mod on_drop;
pub mod spawn;
pub mod spawn_error;
