//! Spawning into memory that comes with the executor's slots.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::future::Task;
use super::spawn::{Wishes, build_in, free_bank, free_bank_with, take_slot};
use super::spawn_error::{SpawnError, SpawnErrorKind};
use crate::exec::memory::core::{ExecRef, TaskRef};
use crate::exec::memory::cx::Cx;
use crate::exec::task::pool::{self, Cells};
use crate::exec::task::vtable::Vtable;

/// 64 bytes of memory for futures, aligned to that.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Line([MaybeUninit<u8>; 64]);

impl Line {
    /// Of any content.
    pub const UNINIT: Self = Self([MaybeUninit::uninit(); 64]);
}

/// Memory for as many futures as the executor has slots, one of the same size for each.
///
/// # Slot Memory Invariant
///
/// A slot's memory belongs to whoever has the slot (Executor Invariants 2 to 4): it has no free list of its
/// own.
#[derive(Clone, Copy)]
pub(in crate::exec) struct SlotMemory {
    first: *mut Line,
    /// Lines of each.
    lines: usize,
}

impl SlotMemory {
    /// Divides `memory` among the slots of an executor of `capacity`.
    pub fn new(memory: &'static mut [Line], capacity: usize) -> Self {
        Self { first: memory.as_mut_ptr(), lines: memory.len() / capacity }
    }

    /// The bytes of a slot.
    pub fn bytes(self) -> usize {
        self.lines * size_of::<Line>()
    }

    /// That of a slot.
    fn of(self, exec: ExecRef, slot: TaskRef) -> *mut () {
        // Slot numbers leave out those that a bank of less than 32 hasn't.
        let before = slot.bank().number.get() as usize * usize::from(exec.ops().per_bank);
        // SAFETY: the memory has room for each slot of the executor.
        unsafe { self.first.add((before + slot.index() as usize) * self.lines).cast() }
    }

    /// Whether the future and its output have room in a slot.
    pub fn fits<F: Future>(self) -> bool {
        let fits = |bytes, align| bytes <= self.bytes() && align <= align_of::<Line>();
        fits(size_of::<F>(), align_of::<F>()) && fits(size_of::<F::Output>(), align_of::<F::Output>())
    }
}

/// Where the memory comes from of futures that have no room in a slot.
///
/// # Safety
///
/// What [`allocate`](Self::allocate) returns is free memory of that layout, until it is
/// [released](Self::release).
pub unsafe trait Allocator: 'static {
    /// Memory of this layout, whose size isn't 0; `None` if there is none.
    fn allocate(layout: Layout) -> Option<NonNull<()>>;

    /// Takes memory back.
    ///
    /// # Safety
    ///
    /// It was allocated here with this layout, and nobody uses it.
    unsafe fn release(storage: *mut (), layout: Layout);
}

/// The layout of memory that has room for the future, and then for its output.
const fn layout<F: Future>() -> Layout {
    let (future, output) = (Layout::new::<F>(), Layout::new::<F::Output>());
    let size = if future.size() > output.size() { future.size() } else { output.size() };
    let align = if future.align() > output.align() { future.align() } else { output.align() };
    match Layout::from_size_align(if size == 0 { 1 } else { size }, align) {
        Ok(layout) => layout,
        Err(_) => panic!("a type is larger than memory can be"),
    }
}

/// As [`start`](super::spawn::start) for a task of no spawner: in the slot's own memory if the future
/// [fits](SlotMemory::fits), else in memory of `S`.
///
/// # Safety
///
/// As for [`start`](super::spawn::start); the memory is this executor's.
pub(in crate::exec) unsafe fn start_in_slot<S: Allocator, B, F>(
    exec: ExecRef,
    memory: SlotMemory,
    wishes: Option<Wishes>,
    build: B,
    handle: bool,
) -> Result<Cx, SpawnError<B>>
where
    B: FnOnce(Cx) -> F,
    F: Future + 'static,
    F::Output: 'static,
{
    let outside = if memory.fits::<F>() {
        None
    } else {
        let Some(storage) = S::allocate(layout::<F>()) else {
            return Err(SpawnError { kind: SpawnErrorKind::PoolFull, rejected: build });
        };
        Some(storage)
    };
    let claimed = exec.locked(|cs| {
        let bank = match &wishes {
            None => free_bank(exec)?,
            Some(wishes) => free_bank_with(exec, cs, None, &wishes.options)?,
        };
        let (address, vtable) = match outside {
            Some(storage) => (storage.as_ptr(), Outside::<F, S>::VTABLE),
            None => (memory.of(exec, bank.free_task()), Task::<F, 0, 0>::IN_SLOT),
        };
        Ok(take_slot(exec, bank, pool::Storage { address, number: 0 }, vtable))
    });
    let (task, header) = match claimed {
        Ok(claimed) => claimed,
        Err(kind) => {
            if let Some(storage) = outside {
                // SAFETY: allocated above, and nobody uses it.
                unsafe { S::release(storage.as_ptr(), layout::<F>()) };
            }
            return Err(SpawnError { kind, rejected: build });
        }
    };
    if let Some(trace_spawn) = exec.ops().trace_spawn {
        let attributes = wishes.as_ref().and_then(|wishes| wishes.options.attributes);
        trace_spawn(task, attributes.and_then(|attributes| attributes.name));
    }
    // SAFETY: it was claimed just now, and the future fits in the slot's memory, or in what was allocated for
    // it; the caller answers for `Send`.
    Ok(unsafe { build_in(task, header, wishes.as_ref(), build, handle) })
}

/// The functions for a future whose memory is `S`'s.
struct Outside<F, S>(PhantomData<(F, S)>);

impl<F: Future, S: Allocator> Outside<F, S> {
    const VTABLE: &'static Vtable =
        &Vtable { cells: Cells::outside(Self::release), ..*Task::<F, 0, 0>::IN_SLOT };

    unsafe fn release(storage: *mut ()) {
        // SAFETY: it was allocated by `start_in_slot`, and is empty.
        unsafe { S::release(storage, layout::<F>()) }
    }
}
