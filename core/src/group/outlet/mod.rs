//! The outlet: the one door through which outputs leave, in one order, each once.

mod machine;
mod record;

pub use machine::{Outlet, OutletError, Taken};
pub use record::RecordError;
