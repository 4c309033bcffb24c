//! What an executor tells of itself.

pub mod dump;
pub mod stall;
