//! How a task is polled, ends and hands on its result.

pub mod finish;
pub mod future;
pub mod join;
pub mod on_drop;
pub mod spawn;
