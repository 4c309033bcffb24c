//! Names of tasks and regions.

use core::fmt;

use crate::id::Key;

pub use crate::id::Key as TaskId;

/// A region's id: the place in its executor's table, and a generation that notices reuse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub(in crate::exec) Key);

impl fmt::Debug for RegionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{:?}", self.0)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for RegionId {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "r{}", self.0);
    }
}
