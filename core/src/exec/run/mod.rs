//! When tasks run: passes, rounds, timers, and the machine under them.

pub mod pass;
pub mod platform;
pub mod poll_trace;
pub mod rounds;
pub mod timers;
