//! Tables that place keys on endpoints, and who builds them.

pub(in crate::route) mod bounded;
pub(in crate::route) mod builds;
pub(in crate::route) mod maglev;
pub(in crate::route) mod ring;
pub(in crate::route) mod table;
