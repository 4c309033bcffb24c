//! Headers and the words that describe them, side by side; and the core that all banks share.
//!
//! A waker holds a bank's address and an entry's number ([`Bell`]); a header's address gives both by arithmetic: no table, no
//! capacity in the waker's type.

use core::mem::offset_of;

use super::counters::{Tally, add};
use super::header::{Header, TaskId, state};
use super::options::Miss;
use super::platform::TraceEvent;
use crate::bitmap::{self, low_bits};
use crate::sched::{Priority, Timers};
use crate::sync::{AtomicBool, AtomicU32, CriticalSection, Guarded, Ordering, with_lock};
use crate::time::Instant;

/// The part of a bank that doesn't depend on its size.
#[repr(C)]
pub(super) struct BankHead {
    pub woken: bitmap::Bank,
    /// What a wake must do beside setting its bit: [`SUMMARY`], [`PEND`].
    announce: u32,
    pub free: bitmap::Bank,
    /// Distance in bytes back to the core.
    to_core: u32,
    number: u8,
}

/// A wake must cover its bank in the summary.
const SUMMARY: u32 = 1;
/// A wake must pend the platform.
const PEND: u32 = 2;

/// Aligned to 32, so that a bank's address has room for the number of an entry: see [`Bell`].
#[repr(C, align(32))]
pub(super) struct Bank<const PER_BANK: usize> {
    pub head: BankHead,
    pub headers: [Header; PER_BANK],
}

/// Where the headers begin in a bank; the same for every size, because the head's size is a multiple of their alignment.
const HEADERS: usize = offset_of!(Bank<1>, headers);

impl<const PER_BANK: usize> Bank<PER_BANK> {
    /// A bank of an executor with `banks` of them; [`BankHead::place`] tells it which.
    pub const fn new(banks: usize, pends: bool) -> Self {
        const { assert!(offset_of!(Self, headers) == HEADERS) }
        let mut headers = [const { Header::new(0) }; PER_BANK];
        let mut index = 0;
        while index < PER_BANK {
            headers[index].node.embedder_index = index as u8;
            index += 1;
        }
        let announce = if banks > 1 { SUMMARY } else { 0 } | if pends { PEND } else { 0 };
        Self {
            head: BankHead {
                woken: bitmap::Bank::new(0),
                announce,
                free: bitmap::Bank::new(low_bits(PER_BANK)),
                to_core: 0,
                number: 0,
            },
            headers,
        }
    }
}

/// What an executor is to code that doesn't know its size: its first field.
#[repr(C)]
pub(crate) struct Core {
    pub(super) ops: &'static Ops,
    /// Covers the banks' woken words when there is more than one bank.
    pub(super) summary: bitmap::Bank,
    pub(super) clock: Guarded<Clock>,
    pub(super) timers: Guarded<Timers>,
    pub(super) tally: Tally,
    /// The slot being polled, above it the polls left of the pass; [`NOT_RUNNING`] between passes.
    pub(super) running: AtomicU32,
    /// How many slots the lanes hold. Only the runner pushes and pops, so it may read this without the lock.
    pub(super) queued: AtomicU32,
    pub(super) started: AtomicBool,
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
    pub trace: Option<unsafe fn(*const Core, TraceEvent)>,
}

impl Core {
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
            banks: banks as u8,
            per_bank: PER_BANK as u8,
            banks_at: banks_at as u32,
            bank_stride: size_of::<Bank<PER_BANK>>() as u32,
            miss_hook: None,
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

    /// The time of the latest pass.
    pub fn pass_time(&self) -> Instant {
        // SAFETY: a copy is made, nothing is called (Guarded Invariant).
        with_lock(|cs| unsafe { self.clock.with(cs, |clock| clock.now) })
    }
}

impl BankHead {
    /// Tells a bank which it is, when the executor is made.
    pub const fn place(&mut self, number: usize, to_core: usize) {
        self.number = number as u8;
        self.to_core = to_core as u32;
    }

    /// # Safety
    ///
    /// `bank` is derived from a pointer to its whole executor and holds more than `index` headers.
    #[inline(always)]
    pub unsafe fn header(bank: *const BankHead, index: u32) -> *const Header {
        // SAFETY: the caller's promise.
        unsafe { bank.byte_add(HEADERS + index as usize * size_of::<Header>()).cast() }
    }

    /// # Safety
    ///
    /// `bank` is derived from a pointer to its whole executor.
    pub unsafe fn core(bank: *const BankHead) -> *const Core {
        // SAFETY: the caller's promise, and `to_core` was computed from the layout.
        unsafe { bank.byte_sub((*bank).to_core as usize).cast() }
    }
}

impl Header {
    /// The bank that holds this header.
    ///
    /// # Safety
    ///
    /// `header` is derived from a pointer to its whole executor.
    #[inline(always)]
    pub unsafe fn bank(header: *const Header) -> *const BankHead {
        // SAFETY: the caller's promise.
        unsafe {
            let index = usize::from((*header).node.embedder_index);
            header.byte_sub(HEADERS + index * size_of::<Header>()).cast()
        }
    }

    /// The core of this header's executor.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn core(header: *const Header) -> *const Core {
        // SAFETY: the caller's promise.
        unsafe { BankHead::core(Self::bank(header)) }
    }

    /// The slot's number.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn slot(header: *const Header) -> u16 {
        // SAFETY: the caller's promise.
        unsafe {
            let bank = Self::bank(header);
            bitmap::slot(usize::from((*bank).number), u32::from((*header).node.embedder_index))
        }
    }

    /// The id of the slot's present task.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn id(header: *const Header) -> TaskId {
        // SAFETY: the caller's promise.
        unsafe {
            TaskId { slot: Self::slot(header), generation: (*header).generation.load(Ordering::Relaxed) }
        }
    }

    /// Makes the task runnable; see [`Bell::ring`].
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn wake(header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe { Bell::new(Self::bank(header), u32::from((*header).node.embedder_index)).ring() }
    }

    /// Whether a wake has not been taken yet.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`].
    pub unsafe fn is_woken(header: *const Header) -> bool {
        // SAFETY: the caller's promise.
        unsafe { (*Self::bank(header)).woken.bits() >> (*header).node.embedder_index & 1 == 1 }
    }

    /// Ends a task that has run to its end. The runner only.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`]; the header is live, its storage holds the output.
    #[inline(never)]
    pub unsafe fn complete(header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe {
            add(&(*Self::core(header)).tally.completions, 1);
            Self::finish(header, None);
        }
    }

    /// Ends a live task whose storage holds its output, or nothing when it was `cancelled` for a reason: transitions 7 and 8.
    /// The runner only.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`]; the header is live, and the caller is the runner.
    #[inline(never)]
    pub unsafe fn finish(header: *const Header, cancelled: Option<u32>) {
        let ending = match cancelled {
            None => state::DONE,
            Some(reason) => state::DONE | state::CANCELLED | reason << state::REASON,
        };
        // SAFETY: the caller's promise; Executor Invariant 3 until the exchange, 4 after it.
        unsafe {
            // Before the exchange, which may hand the header on: a wake that comes late must not poll what is over.
            (*header).vtable.retire();
            let mut now = (*header).state.load(Ordering::Relaxed);
            while now & state::HANDLE != 0 {
                let exchange = (*header).state.compare_exchange_weak(
                    now,
                    ending | state::HANDLE,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                match exchange {
                    Ok(_) => return super::join::notify(header),
                    Err(other) => now = other,
                }
            }
            if cancelled.is_none() {
                // The guard gives the slot back even if the output's `Drop` panics.
                let _release = Release(header);
                if let Some(vtable) = (*header).vtable.peek() {
                    (vtable.drop_output)((*header).storage.get());
                }
            } else {
                Self::release(header);
            }
        }
    }

    /// Gives storage and slot back: transitions 1', 7 and 9. A slot whose generations are used up is retired.
    ///
    /// # Safety
    ///
    /// As for [`Header::bank`]; the caller owns the header (claimed, or done and joined, or finished as the runner) and
    /// storage is empty.
    #[inline(never)]
    pub unsafe fn release(header: *const Header) {
        // SAFETY: the caller's promise.
        unsafe {
            // Under the lock, so that a dump sees one task or the other, and no join is left registered that ends with the task.
            let (vtable, retired) = with_lock(|_| {
                (*header).joiner.set(core::ptr::null());
                let generation = (*header).generation.load(Ordering::Relaxed);
                (*header).state.store(state::FREE, Ordering::Release);
                (*header).generation.store(generation.wrapping_add(1), Ordering::Release);
                ((*header).vtable.take(), generation == u32::MAX)
            });
            if let Some(vtable) = vtable {
                (vtable.release)((*header).storage.get(), (*header).node.embedder_word.get());
            }
            if !retired {
                (*Self::bank(header)).free.insert(u32::from((*header).node.embedder_index));
            }
        }
    }
}

/// Releases a header when it goes out of scope.
pub(super) struct Release(pub *const Header);

impl Drop for Release {
    fn drop(&mut self) {
        // SAFETY: whoever makes a `Release` owns the header and has emptied its storage, or is emptying it right now.
        unsafe { Header::release(self.0) }
    }
}

/// What a waker holds: the address of a bank and, in its five low bits, the number of an entry.
///
/// So a wake finds the bank's word and its bit without a load: a wake through a header's address took six instructions more
/// on a Cortex-M3.
#[derive(Clone, Copy)]
pub(super) struct Bell(*const BankHead);

impl Bell {
    /// # Safety
    ///
    /// `bank` is derived from a pointer to its whole, static executor and has an entry `index`.
    #[inline(always)]
    pub unsafe fn new(bank: *const BankHead, index: u32) -> Self {
        Self(bank.wrapping_byte_add(index as usize))
    }

    /// The pointer to keep in a waker.
    #[inline(always)]
    pub const fn into_raw(self) -> *const () {
        self.0.cast()
    }

    /// # Safety
    ///
    /// `raw` comes from [`into_raw`](Self::into_raw).
    #[inline(always)]
    pub unsafe fn from_raw(raw: *const ()) -> Self {
        Self(raw.cast())
    }

    /// Makes the task runnable: one OR, then the summary and the platform where the executor has any need of them. Any
    /// context. O(1).
    ///
    /// The bank's bit is set before the summary's (Summary Invariant), and the platform is pended even when the bit was set
    /// already: the waker that set it may have been pre-empted before it could pend.
    #[inline(always)]
    pub fn ring(self) {
        let (bank, bit) = self.split();
        // SAFETY: as for `split`.
        unsafe {
            let coalesced = (*bank).woken.insert_bit(bit);
            if coalesced | (*bank).announce != 0 {
                Self::announce(bank, coalesced);
            }
        }
    }

    /// The bank and the bit. `new` was given a bank of a static executor, and banks are aligned to 32.
    #[inline(always)]
    fn split(self) -> (*const BankHead, u32) {
        let index = self.0.addr() % 32;
        (self.0.wrapping_byte_sub(index), 1 << index)
    }

    /// The rest of a wake that is more than its OR: counts one that found the bit set, covers the bank in the summary and
    /// pends the platform, where there is need.
    ///
    /// # Safety
    ///
    /// `bank` is derived from a pointer to its whole, static executor.
    #[cold]
    #[inline(never)]
    unsafe fn announce(bank: *const BankHead, coalesced: u32) {
        // SAFETY: the caller's promise; the operation is this executor's own.
        unsafe {
            let core = BankHead::core(bank);
            if coalesced != 0 {
                (*core).tally.coalesced.fetch_add(1, Ordering::Relaxed);
            }
            if (*bank).announce & SUMMARY != 0 {
                (*core).summary.insert(u32::from((*bank).number));
            }
            if (*bank).announce & PEND != 0 {
                ((*core).ops.pend)(core);
            }
        }
    }
}
