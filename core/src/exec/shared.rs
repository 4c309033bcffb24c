//! What all banks of an executor share, and how it is reached without knowing the executor's size.

use super::bank::{Bank, BankHead, Bell};
use super::counters::Tally;
use super::header::{Header, state};
use super::members::Scope;
use super::options::Miss;
use super::regions::Entry;
use super::task::PollTask;
use super::trace::TraceEvent;
use crate::bitmap;
use crate::sched::{Priority, Timers};
use crate::sync::{AtomicBool, AtomicU32, CriticalSection, Guarded, Ordering, const_fn, with_lock};
use crate::time::Instant;

/// What an executor is to code that doesn't know its size: its first field.
#[repr(C)]
pub(crate) struct Core {
    pub(super) ops: &'static Ops,
    /// Covers the banks' woken words when there is more than one bank.
    pub(super) summary: bitmap::Bank,
    pub(super) clock: Guarded<Clock>,
    pub(super) timers: Guarded<Timers>,
    pub(super) tally: Tally,
    /// The slot being polled, above it the polls left of the pass after this one; [`NOT_RUNNING`] between passes.
    pub(super) running: AtomicU32,
    /// How many slots the lanes hold. Only the runner pushes and pops, so it may read this without the lock.
    pub(super) queued: AtomicU32,
    pub(super) started: AtomicBool,
    /// No more tasks and regions: the executor shuts down.
    pub(super) closing: AtomicBool,
    /// The number of the first region that waits for the runner; 0: none does. Changed under the critical section.
    pub(super) work: AtomicU32,
    /// Set if there is room for regions.
    pub(super) scope: Option<&'static Scope>,
    pub(super) regions: &'static [Entry],
    banks: u8,
    per_bank: u8,
    banks_at: u32,
    bank_stride: u32,
    pub(super) miss_hook: Option<fn(&Miss)>,
}

pub(super) const NOT_RUNNING: u32 = u32::MAX;

/// The executor's view of time.
pub(super) struct Clock {
    /// The latest `now` that was passed in.
    pub now: Instant,
    /// What the platform's alarm was last set to.
    pub alarm: Option<Instant>,
}

/// The operations that need the executor's full type.
pub(super) struct Ops {
    pub now: unsafe fn(*const Core) -> Instant,
    pub pend: unsafe fn(*const Core),
    pub set_deadline: unsafe fn(*const Core, CriticalSection<'_>, u16, Option<u64>),
    pub set_priority: unsafe fn(*const Core, CriticalSection<'_>, u16, Priority),
    /// Takes a task out of the lanes and gives it the end of its clean-up in place of a deadline.
    pub withdraw: unsafe fn(*const Core, CriticalSection<'_>, u16, u64),
    pub trace: Option<unsafe fn(*const Core, TraceEvent)>,
    /// Calls a table's `poll`, if the platform looks on at polls.
    pub observe: Option<unsafe fn(*const Core, *const Header, PollTask, Bell)>,
}

impl Core {
    const_fn! {
    pub const fn new<const PER_BANK: usize>(ops: &'static Ops, banks: usize, banks_at: usize) -> Self {
        Self {
            ops,
            summary: bitmap::Bank::new(0),
            clock: Guarded::new(Clock { now: Instant::ZERO, alarm: None }),
            timers: Guarded::new(Timers::new()),
            tally: Tally::new(),
            running: AtomicU32::new(NOT_RUNNING),
            queued: AtomicU32::new(0),
            started: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            work: AtomicU32::new(0),
            scope: None,
            regions: &[],
            banks: banks as u8,
            per_bank: PER_BANK as u8,
            banks_at: banks_at as u32,
            bank_stride: size_of::<Bank<PER_BANK>>() as u32,
            miss_hook: None,
        }
    }
    }

    /// Bank number `bank`.
    ///
    /// # Safety
    ///
    /// `core` points into a whole, static executor with more than `bank` banks.
    #[inline(always)]
    pub unsafe fn bank(core: *const Core, bank: usize) -> *const BankHead {
        // SAFETY: the caller's promise, and the offsets were computed from the executor's layout.
        unsafe { core.byte_add((*core).banks_at as usize + bank * (*core).bank_stride as usize).cast() }
    }

    /// The header of `slot`, if the executor has one.
    ///
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    pub unsafe fn header(core: *const Core, slot: u16) -> Option<*const Header> {
        let (bank, index) = bitmap::split(slot);
        // SAFETY: the caller's promise; both indices are checked against the executor's size.
        unsafe {
            (bank < usize::from((*core).banks) && index < u32::from((*core).per_bank))
                .then(|| BankHead::header(Self::bank(core, bank), index))
        }
    }

    /// All headers, lowest slot first.
    ///
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    pub unsafe fn headers(core: *const Core) -> impl Iterator<Item = *const Header> {
        // SAFETY: the caller's promise; the indices are below the executor's size.
        let (banks, per_bank) = unsafe { (usize::from((*core).banks), u32::from((*core).per_bank)) };
        (0..banks).flat_map(move |bank| {
            // SAFETY: as above.
            (0..per_bank).map(move |index| unsafe { BankHead::header(Self::bank(core, bank), index) })
        })
    }

    /// Claims the lowest free slot: transition 1. Any context. O(banks).
    ///
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    #[inline(never)]
    pub unsafe fn claim(core: *const Core) -> Option<*const Header> {
        // SAFETY: the caller's promise.
        unsafe {
            (0..usize::from((*core).banks)).find_map(|number| {
                let bank = Self::bank(core, number);
                let header = BankHead::header(bank, (*bank).free.claim()?);
                (*header).state.store(state::CLAIMED, Ordering::Relaxed);
                Some(header)
            })
        }
    }

    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    pub unsafe fn trace(core: *const Core, event: TraceEvent) {
        // SAFETY: the caller's promise; the operation is this executor's own.
        unsafe {
            if let Some(trace) = (*core).ops.trace {
                trace(core, event);
            }
        }
    }

    /// The slot that is being polled.
    pub fn running_slot(&self) -> Option<u16> {
        let running = self.running.load(Ordering::Relaxed);
        (running != NOT_RUNNING).then_some(running as u16)
    }

    /// Reads the platform's clock between passes' own readings. The runner only.
    ///
    /// # Safety
    ///
    /// `core` points into a whole, static executor.
    pub unsafe fn read_clock(core: *const Core) {
        // SAFETY: the caller's promise; numbers are compared and stored, nothing is called (Guarded Invariant).
        unsafe {
            let now = ((*core).ops.now)(core);
            with_lock(|cs| (*core).clock.with(cs, |clock| clock.now = clock.now.max(now)));
        }
    }

    /// The time of the latest pass.
    pub fn pass_time(&self) -> Instant {
        // SAFETY: a copy is made, nothing is called (Guarded Invariant).
        with_lock(|cs| unsafe { self.clock.with(cs, |clock| clock.now) })
    }
}
