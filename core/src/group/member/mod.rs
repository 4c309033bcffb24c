//! Members: each holds the records, and applies them to its copy of the daemon's state.

mod follow;
mod machine;
mod transfer;

pub use machine::{Applied, Fault, Member, Standby};
pub use transfer::{InstallError, SnapshotFailed};
