//! Code that isn't linked unless somebody asks for it.

use core::ptr::{from_ref, null_mut};

use crate::sync::{FixedPtr, Ordering};

/// A table of functions, which whoever asks for them sets; null before that. So the code of what no option
/// and no call asks for isn't in the image. Its type isn't named here: the functions know all that is below.
pub(in crate::route) struct Link(FixedPtr<()>);

/// What is set: a table that lives for ever, or none.
#[derive(Clone, Copy)]
pub(in crate::route) struct Table(*mut ());

impl Table {
    pub const NONE: Self = Self(null_mut());

    pub const fn of<T>(table: &'static T) -> Self {
        Self(from_ref(table).cast_mut().cast())
    }
}

impl Link {
    pub const fn new(table: Table) -> Self {
        Self(FixedPtr::new(table.0))
    }

    /// Any context.
    #[inline(always)]
    pub fn set(&self, table: Table) {
        self.0.store(table.0, Ordering::Relaxed);
    }

    /// # Safety
    ///
    /// Each table that is set here is a `T`.
    #[inline(always)]
    pub unsafe fn get<T>(&self) -> Option<&'static T> {
        // SAFETY: it is null, or of a table that lives for ever, whose type the caller knows.
        unsafe { self.0.load(Ordering::Relaxed).cast::<T>().as_ref() }
    }
}
