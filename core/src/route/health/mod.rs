//! How endpoints do: health, breakers, slow start, and what time changes.

pub(in crate::route) mod breaker;
pub(in crate::route) mod checker;
pub(in crate::route) mod condition;
pub(in crate::route) mod probing;
pub(in crate::route) mod timed;
