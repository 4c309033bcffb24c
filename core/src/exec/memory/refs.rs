//! References to executors and tasks.

use ::core::ops::Deref;
use ::core::ptr::{self, NonNull};
use ::core::task::Poll;

use super::bank::{BankHead, HEADERS};
use super::core::{BANKS_AT, BankRef, Clock, Core, ExecRef, Ops, Special, TaskRef};
use super::trace::TraceEvent;
use crate::bitmap;
use crate::exec::task::header::Header;
use crate::exec::task::id::TaskId;
use crate::exec::task::options::Miss;
use crate::exec::task::reason::Reason;
use crate::sched::{Lanes, Node, Nodes, Timers};
use crate::sync::{Cell, CriticalSection, Ordering};
use crate::time::{Duration, Instant};

impl Deref for ExecRef {
    type Target = Core;

    #[inline(always)]
    fn deref(&self) -> &Core {
        // SAFETY: the core is part of a static executor.
        unsafe { self.0.as_ref() }
    }
}

impl ExecRef {
    /// # Safety
    ///
    /// `core` points to the core of a static executor, with the provenance of the whole executor, whose `ops`
    /// and banks are set.
    #[inline(always)]
    pub const unsafe fn new(core: *const Core) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { NonNull::new_unchecked(core.cast_mut()) })
    }

    #[inline(always)]
    pub const fn as_ptr(self) -> *const Core {
        self.0.as_ptr()
    }

    #[inline(always)]
    pub fn ops(self) -> &'static Ops {
        // SAFETY: set once, before this reference was made.
        unsafe { &*self.ops.load(Ordering::Relaxed) }
    }

    #[inline(always)]
    pub fn special(self) -> Option<&'static Special> {
        // SAFETY: null, or a static table.
        unsafe { self.special.load(Ordering::Acquire).as_ref() }
    }

    /// From now on the executor sees to special tasks. Before the first one becomes so.
    #[inline(always)]
    pub fn see_to_special(self, special: &'static Special) {
        if self.special.load(Ordering::Relaxed).is_null() {
            self.special.store(ptr::from_ref(special).cast_mut(), Ordering::Release);
        }
    }

    /// Keys of a task have changed, or it was asked to stop. Under the lock.
    #[inline(always)]
    pub fn note_rekey(self) {
        self.rekeys.store(self.rekeys.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    // === the slots ===

    /// The bank that every executor has.
    #[inline(always)]
    pub fn first_bank(self) -> BankRef {
        // SAFETY: it exists, and lies there in executors of all sizes.
        unsafe { BankRef(self.0.byte_add(BANKS_AT).cast()) }
    }

    /// BankRef `number`, if the executor has it.
    pub fn bank(self, number: usize) -> Option<BankRef> {
        let ops = self.ops();
        let exists = number < usize::from(ops.banks);
        // SAFETY: it exists, and banks lie one behind the other.
        exists.then(|| unsafe {
            BankRef(self.0.byte_add(BANKS_AT + number * usize::from(ops.bank_stride)).cast())
        })
    }

    pub fn banks(self) -> impl Iterator<Item = BankRef> {
        (0..usize::from(self.ops().banks)).filter_map(move |number| self.bank(number))
    }

    /// The task in `slot`, if the executor has that slot.
    pub fn task(self, slot: u16) -> Option<TaskRef> {
        let (bank, index) = bitmap::split(slot);
        (index < u32::from(self.ops().per_bank)).then_some(())?;
        Some(self.bank(bank)?.task(index))
    }

    /// All slots, lowest first.
    pub fn tasks(self) -> impl Iterator<Item = TaskRef> {
        let per_bank = u32::from(self.ops().per_bank);
        self.banks().flat_map(move |bank| (0..per_bank).map(move |index| bank.task(index)))
    }

    // === what is under the lock ===

    /// Runs `f` under the executor's lock (Domain Invariant).
    #[inline(always)]
    pub fn locked<R>(self, f: impl FnOnce(CriticalSection<'_>) -> R) -> R {
        self.lock.with(f)
    }

    /// `f` doesn't come here again: it calls nothing but what it is given.
    #[inline(always)]
    pub fn with_clock<R>(self, cs: CriticalSection<'_>, f: impl FnOnce(&mut Clock) -> R) -> R {
        cs.check(&self.lock);
        // SAFETY: no closure in this crate reaches a clock again (Guarded Invariant).
        unsafe { self.clock.with(cs, f) }
    }

    /// As [`with_clock`](Self::with_clock).
    #[inline(always)]
    pub fn with_timers<R>(self, cs: CriticalSection<'_>, f: impl FnOnce(&mut Timers) -> R) -> R {
        cs.check(&self.lock);
        // SAFETY: no closure in this crate reaches the timers again (Guarded Invariant).
        unsafe { self.timers.with(cs, f) }
    }

    /// As [`with_clock`](Self::with_clock); keeps the count of what is queued.
    #[inline(always)]
    pub fn with_lanes<R>(self, cs: CriticalSection<'_>, f: impl FnOnce(&mut Lanes) -> R) -> R {
        cs.check(&self.lock);
        // SAFETY: lanes call nothing but `Nodes`, and no closure in this crate does more (Guarded Invariant).
        unsafe {
            self.lanes.with(cs, |lanes| {
                let result = f(lanes);
                let streak = if lanes.has_streak() { Core::STREAK } else { 0 };
                self.queued.store(lanes.len() as u32 | streak, Ordering::Relaxed);
                result
            })
        }
    }

    /// See [`Lanes::passes`], which changes nothing.
    #[inline(always)]
    pub fn passes_lanes(self, cs: CriticalSection<'_>, node: &Node) -> bool {
        cs.check(&self.lock);
        // SAFETY: as for `with_lanes`.
        unsafe { self.lanes.with(cs, |lanes| lanes.passes(&self, node)) }
    }

    /// As [`with_clock`](Self::with_clock).
    pub fn with_hook<R>(self, cs: CriticalSection<'_>, f: impl FnOnce(&mut Option<fn(&Miss)>) -> R) -> R {
        cs.check(&self.lock);
        // SAFETY: the hook is called outside of the lock (Guarded Invariant).
        unsafe { self.miss_hook.with(cs, f) }
    }

    /// The time of the latest pass.
    pub fn pass_time(self) -> Instant {
        self.locked(|cs| self.with_clock(cs, |clock| clock.now))
    }

    /// The time now: the platform's, unless the latest pass was later. A clock that has gone back counts as
    /// one that stands still.
    pub fn now(self) -> Instant {
        let read = self.read_clock();
        // Whoever learns of a pass otherwise has seen its time before.
        #[cfg(not(target_os = "none"))]
        return read.max(Instant::from_micros(self.pass_time.load(Ordering::Relaxed)));
        #[cfg(target_os = "none")]
        self.locked(|cs| self.not_before_pass(cs, read))
    }

    /// Changes the clock's `now`.
    #[inline(always)]
    pub fn set_pass_time(self, clock: &mut Clock, now: Instant) {
        clock.now = now;
        #[cfg(not(target_os = "none"))]
        self.pass_time.store(now.as_micros(), Ordering::Relaxed);
    }

    /// The time in `span` from now. Out of line, for the many places that a firmware sleeps at.
    #[inline(never)]
    pub fn after(self, span: Duration) -> Instant {
        self.now() + span
    }

    /// A reading of the platform's clock.
    #[inline(always)]
    pub fn read_clock(self) -> Instant {
        (self.ops().now)(self)
    }

    /// `read`, or the time of the latest pass if that is later: the clock may have gone back, or the caller
    /// have been interrupted since it read it.
    #[inline(always)]
    pub fn not_before_pass(self, cs: CriticalSection<'_>, read: Instant) -> Instant {
        self.with_clock(cs, |clock| clock.now.max(read))
    }

    // === the platform ===

    pub fn pend(self) {
        (self.ops().pend)(self);
    }

    pub fn trace(self, event: TraceEvent) {
        if let Some(trace) = self.ops().trace {
            trace(self, event);
        }
    }
}

impl Nodes for ExecRef {
    /// Lanes know a slot by where its header is: by its distance from the core in words of four bytes.
    #[inline(always)]
    fn node(&self, place: u16) -> &Node {
        // SAFETY: places come from `TaskRef::place`.
        unsafe { &self.0.byte_add(usize::from(place) * 4).cast::<Header>().as_ref().node }
    }

    #[inline(always)]
    fn heap(&self) -> &[Cell<u16>] {
        // SAFETY: set once, before this reference was made, to a part of the static executor.
        unsafe { &*self.heap.get() }
    }
}

impl Deref for BankRef {
    type Target = BankHead;

    #[inline(always)]
    fn deref(&self) -> &BankHead {
        // SAFETY: the bank is part of a static executor.
        unsafe { self.0.as_ref() }
    }
}

impl BankRef {
    #[inline(always)]
    pub fn exec(self) -> ExecRef {
        // SAFETY: the distance is that to the core of the bank's executor.
        unsafe { ExecRef(self.0.byte_sub(self.to_core.get() as usize).cast()) }
    }

    /// The same bank; the compiler doesn't know it, and so keeps the address in a register, where it would
    /// compute it from the executor's at each use.
    #[inline(always)]
    pub fn kept(self) -> Self {
        #[cfg(all(target_arch = "arm", not(miri)))]
        // SAFETY: there is no instruction.
        unsafe {
            let mut bank = self.0.as_ptr();
            ::core::arch::asm!("@ {0}", inout(reg) bank, options(pure, nomem, nostack, preserves_flags));
            Self(NonNull::new_unchecked(bank))
        }
        #[cfg(not(all(target_arch = "arm", not(miri))))]
        self
    }

    /// The slot of this index, which the bank has.
    #[inline(always)]
    pub fn task(self, index: u32) -> TaskRef {
        // SAFETY: a bank is larger than it has slots.
        TaskRef(unsafe { self.0.byte_add(index as usize) })
    }

    /// The lowest free slot, if there is one. Under the lock.
    #[inline(always)]
    pub fn free_task(self) -> TaskRef {
        self.task(self.free.bits().trailing_zeros())
    }

    /// The header of this index.
    #[inline(always)]
    pub fn header(self, index: u32) -> &'static Header {
        // SAFETY: the bank has a header of this index, and is part of a static executor.
        unsafe { self.0.byte_add(HEADERS + index as usize * size_of::<Header>()).cast().as_ref() }
    }

    /// The distance of two headers, as [`kept`](Self::kept).
    #[inline(always)]
    pub fn kept_stride() -> usize {
        #[cfg(all(target_arch = "arm", not(miri)))]
        // SAFETY: there is no instruction.
        unsafe {
            let mut stride = size_of::<Header>();
            ::core::arch::asm!("@ {0}", inout(reg) stride, options(pure, nomem, nostack, preserves_flags));
            stride
        }
        #[cfg(not(all(target_arch = "arm", not(miri))))]
        size_of::<Header>()
    }

    /// The header at this distance from the first.
    ///
    /// # Safety
    ///
    /// The bank has it.
    #[inline(always)]
    pub unsafe fn header_at(self, distance: usize) -> &'static Header {
        // SAFETY: the caller's promise; the bank is part of a static executor.
        unsafe { self.0.byte_add(HEADERS + distance).cast().as_ref() }
    }

    /// The slots of these bits, lowest first.
    pub fn tasks(self, bits: u32) -> impl Iterator<Item = TaskRef> {
        bitmap::Bits(bits).map(move |index| self.task(index))
    }
}

impl Deref for TaskRef {
    type Target = Header;

    #[inline(always)]
    fn deref(&self) -> &Header {
        self.header()
    }
}

impl TaskRef {
    /// What is kept in a waker.
    #[inline(always)]
    pub const fn into_raw(self) -> *const () {
        self.0.as_ptr().cast_const().cast()
    }

    /// # Safety
    ///
    /// `raw` comes from [`into_raw`](Self::into_raw).
    #[inline(always)]
    pub const unsafe fn from_raw(raw: *const ()) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { NonNull::new_unchecked(raw.cast_mut().cast()) })
    }

    /// The task of a place in the lanes of `exec`, and its header.
    ///
    /// # Safety
    ///
    /// The place is one of that executor's.
    #[inline(always)]
    pub unsafe fn at_place(exec: ExecRef, place: u16) -> (Self, &'static Header) {
        // SAFETY: the caller's promise; the header's index was set when the slot was claimed.
        unsafe {
            let header = exec.0.byte_add(usize::from(place) * 4).cast::<Header>();
            let index = usize::from(header.as_ref().node.embedder_index.get());
            let bank = header.byte_sub(HEADERS + index * size_of::<Header>()).cast::<BankHead>();
            (Self(bank.byte_add(index)), header.as_ref())
        }
    }

    /// See [`Nodes::node`] of [`ExecRef`].
    #[inline(always)]
    pub fn place(self, exec: ExecRef) -> u16 {
        ((ptr::from_ref(self.header()).addr() - exec.as_ptr().addr()) / 4) as u16
    }

    #[inline(always)]
    fn header(self) -> &'static Header {
        self.bank().header(self.index())
    }

    #[inline(always)]
    pub fn bank(self) -> BankRef {
        // SAFETY: what is taken off was added to the bank's address.
        BankRef(unsafe { self.0.byte_sub(self.index() as usize) })
    }

    #[inline(always)]
    pub fn index(self) -> u32 {
        self.0.as_ptr().addr() as u32 % 32
    }

    #[inline(always)]
    pub fn bit(self) -> u32 {
        1 << self.index()
    }

    #[inline(always)]
    pub fn exec(self) -> ExecRef {
        self.bank().exec()
    }

    pub fn slot(self) -> u16 {
        bitmap::slot(self.bank().number.get() as usize, self.index())
    }

    /// The id of the slot's present task.
    pub fn id(self) -> TaskId {
        TaskId { slot: self.slot(), generation: self.generation.load(Ordering::Relaxed) }
    }

    /// What a wait of the task is refused with, if the task was asked to stop and isn't in a shield. A task
    /// that goes on waiting in the same poll would never return from it, and so could not be ended: its
    /// eighth wait is pending, and wakes the task.
    #[inline(always)]
    pub fn refusal(self) -> Option<Poll<Reason>> {
        if self.state.may_be_heard() { self.refuse() } else { None }
    }

    #[cold]
    #[inline(never)]
    fn refuse(self) -> Option<Poll<Reason>> {
        // Whoever asked has installed the table before.
        (self.exec().special()?.refuse)(self)
    }
}

// SAFETY: both lead to a static executor, whose shared fields are atomic or under its lock; what is its
// runner's alone is reached through the runner.
unsafe impl Send for ExecRef {}
// SAFETY: the same.
unsafe impl Sync for ExecRef {}
// SAFETY: the same.
unsafe impl Send for TaskRef {}
// SAFETY: the same.
unsafe impl Sync for TaskRef {}
