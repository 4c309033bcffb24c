//! Snapshots: a member's state in one piece with all that says which state it is.
//!
//! What has been applied, which events were taken from whom, where the member's own chain ends, and the
//! state: were they kept apart, they would disagree after a crash. Whole length and hash are checked before
//! anything of it is used, so a snapshot that is cut short or changed is an error, never another state.
//!
//! [`Snapshot`] is version 3, which is written by [`SnapshotWriter`]; [`SnapshotV2`] is read only.

mod error;
mod fields;
mod progress;
mod v2;
mod v3;
mod writer;

pub use error::SnapshotError;
pub use progress::{Ordinal, Position, Progress};
pub use v2::SnapshotV2;
pub use v3::Snapshot;
pub use writer::{SnapshotWriteError, SnapshotWriter};
