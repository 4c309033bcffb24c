//! What a task is: its id, its state, what it was asked for, where its future is kept.

pub mod family;
pub mod header;
pub mod id;
pub mod join_node;
pub mod options;
pub mod pool;
pub mod reason;
pub mod state;
pub mod vtable;
