//! What the executor keeps for a task: 44 bytes on a 32-bit chip, all zeros at first.

use core::ptr;

use super::family::Family;
use super::join_node::JoinNode;
use super::options::Attributes;
use super::state::StateCell;
use super::vtable::Vtable;
use crate::sched::Node;
use crate::sync::{AtomicU32, Cell, Ordering, const_fn};

/// A slot for a task.
#[repr(C)]
pub(in crate::exec) struct Header {
    pub state: StateCell,
    pub generation: AtomicU32,
    /// Where the future is, then the output.
    pub storage: Cell<*mut ()>,
    /// Behind `storage`: a poll loads both.
    vtable: Cell<*const Vtable>,
    /// Whoever awaits the handle; belongs to the holder of the lock.
    pub joiner: Cell<*const JoinNode>,
    pub attributes: Cell<Option<&'static Attributes>>,
    /// Region and siblings; belongs to the holder of the lock.
    pub family: Family,
    /// `embedder_index` is the index in the bank, `embedder_word` the slot in the pool.
    pub node: Node,
}

#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Header>() == 44, "the documented size of a header");

impl Header {
    const_fn! {
    pub const fn new() -> Self {
        Self {
            state: StateCell::new(),
            generation: AtomicU32::new(0),
            storage: Cell::new(ptr::null_mut()),
            vtable: Cell::new(ptr::null()),
            joiner: Cell::new(ptr::null()),
            attributes: Cell::new(None),
            family: Family::new(),
            node: Node::new(),
        }
    }
    }

    /// Whether the task of this generation has not ended.
    pub fn is_live(&self, generation: u32) -> bool {
        // In this order: a slot's generation advances before it is used again.
        self.state.load_acquire().is_live() && self.generation.load(Ordering::Relaxed) == generation
    }

    pub fn attributes(&self) -> &'static Attributes {
        self.attributes.get().unwrap_or(Attributes::DEFAULT)
    }

    /// The functions of the task.
    ///
    /// # Safety
    ///
    /// The slot holds one, or is claimed: it is not free.
    #[inline(always)]
    pub unsafe fn vtable_of_task(&self) -> &'static Vtable {
        // SAFETY: the caller's promise: what `set_vtable` was given.
        unsafe { &*self.vtable.get() }
    }

    pub fn set_vtable(&self, vtable: &'static Vtable) {
        self.vtable.set(vtable);
    }
}
