//! The ingress: takes each event once, gives it its place, and hands it to the members.

mod machine;
mod peers;

pub use machine::{BeginError, HighWater, Ingress, SubmitError, Submitted};
pub use peers::ExcludeError;
