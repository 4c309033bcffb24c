//! What a selector keeps of a class of requests, and how it finds somebody in the end.

pub(in crate::route) mod class;
pub(in crate::route) mod eligible;
pub(in crate::route) mod refresh;
pub(in crate::route) mod search;
pub(in crate::route) mod shares;
pub(in crate::route) mod spill;
pub(in crate::route) mod steps;
