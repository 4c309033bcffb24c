//! Spawning into memory that comes with the executor's slots.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::future::Task;
use super::on_drop::OnDrop;
use super::spawn::{
    SpawnError, SpawnErrorKind, Wishes, free_bank, publish, publish_with, take_slot, unclaim,
};
use crate::exec::memory::core::{ExecRef, Membership};
use crate::exec::memory::cx::Cx;
use crate::exec::task::pool::{self, Cells};
use crate::exec::task::state::State;
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
pub unsafe trait Storage: 'static {
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

/// As [`start`](super::spawn::start), in the slot's own memory, or in `storage` with the table that releases
/// it.
///
/// # Safety
///
/// As for [`start`](super::spawn::start); the memory is this executor's and `F` [fits](SlotMemory::fits), or
/// `storage` has room for it.
pub(in crate::exec) unsafe fn start_in_slot<B, F>(
    exec: ExecRef,
    memory: SlotMemory,
    storage: Option<(NonNull<()>, &'static Vtable)>,
    wishes: Option<Wishes>,
    build: B,
    handle: bool,
) -> Result<Cx, SpawnError<B>>
where
    B: FnOnce(Cx) -> F,
    F: Future + 'static,
    F::Output: 'static,
{
    let claimed = exec.locked(|cs| {
        let options = wishes.as_ref().map(|wishes| &wishes.options);
        let deadline = options.and_then(|options| options.deadline);
        if deadline.is_some_and(|deadline| deadline < exec.with_clock(cs, |clock| clock.now)) {
            return Err(SpawnErrorKind::DeadlinePassed);
        }
        let bank = free_bank(exec)?;
        let slot = bank.free_task();
        if let Some(region) = options.and_then(|options| options.region) {
            let scope = exec.scope.ok_or(SpawnErrorKind::RegionClosed)?;
            (scope.admit)(slot, cs, Membership::In(region))?;
        }
        let (address, vtable) = match storage {
            Some((storage, vtable)) => (storage.as_ptr(), vtable),
            None => {
                // Slot numbers leave out those that a bank of less than 32 hasn't.
                let before = bank.number.get() as usize * usize::from(exec.ops().per_bank);
                // SAFETY: the memory has room for each slot of the executor.
                let lines = unsafe { memory.first.add((before + slot.index() as usize) * memory.lines) };
                (lines.cast(), Task::<F, 0, 0>::IN_SLOT)
            }
        };
        Ok((take_slot(exec, bank, pool::Storage { address, number: 0 }, vtable), address))
    });
    let (task, storage) = match claimed {
        Ok(claimed) => claimed,
        Err(kind) => return Err(SpawnError { kind, rejected: build }),
    };
    if let Some(trace_spawn) = exec.ops().trace_spawn {
        let attributes = wishes.as_ref().and_then(|wishes| wishes.options.attributes);
        trace_spawn(task, attributes.and_then(|attributes| attributes.name));
    }
    let cx = Cx::new(task);
    let unwound = OnDrop::new(|| unclaim(task));
    let future = build(cx);
    unwound.defuse();
    // SAFETY: the slot is claimed, hence its storage ours (Slot Memory Invariant), and the future fits; the
    // caller answers for `Send`.
    unsafe {
        storage.cast::<F>().write(future);
        match &wishes {
            None => publish(task, State::live(handle)),
            Some(wishes) => publish_with(task, wishes, State::live(handle)),
        }
    }
    Ok(cx)
}

/// As [`start_in_slot`], in memory of `S`. `None` if it has none.
///
/// # Safety
///
/// As for [`start`](super::spawn::start).
pub(in crate::exec) unsafe fn start_in_storage<S: Storage, B, F>(
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
    let Some(storage) = S::allocate(layout::<F>()) else {
        return Err(SpawnError { kind: SpawnErrorKind::PoolFull, rejected: build });
    };
    // SAFETY: the caller's promise; the storage has room. It is released here only if no task has it.
    unsafe {
        let vtable = Outside::<F, S>::VTABLE;
        start_in_slot(exec, memory, Some((storage, vtable)), wishes, build, handle)
            .inspect_err(|_| S::release(storage.as_ptr(), layout::<F>()))
    }
}

/// The functions for a future whose memory is `S`'s.
struct Outside<F, S>(PhantomData<(F, S)>);

impl<F: Future, S: Storage> Outside<F, S> {
    const VTABLE: &'static Vtable =
        &Vtable { cells: Cells::outside(Self::release), ..*Task::<F, 0, 0>::IN_SLOT };

    unsafe fn release(storage: *mut ()) {
        // SAFETY: it was allocated by `start_in_storage`, and is empty.
        unsafe { S::release(storage, layout::<F>()) }
    }
}
