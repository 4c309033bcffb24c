//! What is done with a future whose type is forgotten.

use super::pool::Cells;

/// How a task's storage is polled and emptied.
///
/// # Storage Invariant
///
/// Storage holds a future from the spawn on; once its poll has returned that it is done, its output; after a
/// poll has unwound, or after a drop or a read of what it held, nothing.
pub(in crate::exec) struct Vtable {
    /// Polls the future in the storage, with a waker of the task whose word this is, and returns whether it
    /// is done.
    pub poll: unsafe fn(*mut (), *const ()) -> bool,
    pub drop_future: unsafe fn(*mut ()),
    /// None where dropping the output does nothing.
    pub drop_output: Option<unsafe fn(*mut ())>,
    /// Those of the pool that the storage comes from.
    pub cells: Cells,
    pub type_name: fn() -> &'static str,
}
