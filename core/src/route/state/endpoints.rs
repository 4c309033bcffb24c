//! The members of a balancer: the memory for them, and what strategies read of it.

use core::mem::offset_of;

use crate::bitmap::{MAX_BANKS, MAX_PER_BANK, split};
use crate::route::config::options::Options;
use crate::route::state::bank::{BankRecord, Sets};
use crate::route::state::link::Table;
use crate::route::state::record::Record;
use crate::route::state::shared::Shared;
use crate::route::state::stripe::{Counts, Stripe};
use crate::route::state::view::{BANKS_AT, Layout, View};
use crate::sync::{Ordering, array_of, const_fn};
use crate::time::Instant;

/// Everything a balancer knows that doesn't depend on its strategy.
///
/// # Membership Invariant
///
/// Members, those that drain, the generations, numbers, places, tags and caps change inside the critical
/// section only, by whoever holds it. The membership version is odd while one of them changes, and advances
/// by two in all; so a reader outside who sees the same even version before and after has read one state.
/// In this order in memory, so that code for all sizes finds its way.
#[repr(C)]
pub struct Endpoints<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> {
    shared: Shared,
    banks: [BankRecord; BANKS],
    records: [[Record; PER_BANK]; BANKS],
    stripes: [Stripe; STRIPES],
    counts: [[[Counts; PER_BANK]; BANKS]; STRIPES],
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Endpoints<BANKS, PER_BANK, STRIPES> {
    const_fn! {
    pub(in crate::route) const fn new(options: &Options, rules: [Table; 2]) -> Self {
        const {
            assert!(BANKS >= 1 && BANKS <= MAX_BANKS, "a balancer has 1 to 32 banks");
            assert!(PER_BANK >= 1 && PER_BANK <= MAX_PER_BANK, "a bank holds 1 to 32 entries");
            assert!(STRIPES >= 1 && STRIPES <= 255, "a balancer has 1 to 255 stripes")
        }
        Self {
            shared: Shared::new(options, rules),
            banks: array_of![BankRecord::new(); BANKS],
            records: array_of![array_of![Record::new(); PER_BANK]; BANKS],
            stripes: array_of![Stripe::new(); STRIPES],
            counts: array_of![array_of![array_of![Counts::new(); PER_BANK]; BANKS]; STRIPES],
        }
    }
    }

    /// The same without its size in its type.
    #[inline(always)]
    pub(in crate::route) fn view(&self) -> View<'_> {
        // SAFETY: Layout Invariant: this is borrowed as long as the view lives, and all of it is pointed to.
        unsafe { View::new(core::ptr::from_ref(self).cast(), &Self::LAYOUT) }
    }

    const LAYOUT: Layout = {
        assert!(offset_of!(Self, shared) == 0 && offset_of!(Self, banks) == BANKS_AT);
        Layout {
            banks: BANKS as u16,
            slots: (BANKS * PER_BANK) as u16,
            per_bank: PER_BANK as u16,
            stripes: STRIPES as u16,
            missing: if BANKS == 1 { 0 } else { (MAX_PER_BANK - PER_BANK) as u16 },
            records_at: offset_of!(Self, records) as u32,
            stripes_at: offset_of!(Self, stripes) as u32,
            counts_at: offset_of!(Self, counts) as u32,
        }
    };

    // === What is on the path of every select ===
    //
    /// Where a slot's record is. To wrap around is one instruction, where the size admits it.
    #[inline(always)]
    fn place_of(slot: u16) -> (usize, usize) {
        let (bank, index) = split(slot);
        if BANKS.is_power_of_two() && PER_BANK.is_power_of_two() {
            (bank % BANKS, index as usize % PER_BANK)
        } else {
            (bank.min(BANKS - 1), (index as usize).min(PER_BANK - 1))
        }
    }

    /// The slot's record.
    #[inline(always)]
    pub(in crate::route) fn record(&self, slot: u16) -> &Record {
        let (bank, index) = Self::place_of(slot);
        &self.records[bank][index]
    }

    #[inline(always)]
    pub(in crate::route) fn counts_of(&self, stripe: u8, slot: u16) -> &Counts {
        let (bank, index) = Self::place_of(slot);
        &self.counts[(stripe as usize).min(STRIPES - 1)][bank][index]
    }

    /// A selector has taken a lease.
    #[inline(always)]
    pub(in crate::route) fn take(&self, stripe: u8, slot: u16) {
        self.counts_of(stripe, slot).take();
    }

    /// Counts a lease exactly: [`View::reserve`].
    #[inline(always)]
    pub(in crate::route) fn reserve(&self, slot: u16) -> Option<u32> {
        let view = self.view();
        let record = self.record(slot);
        let cap = record.caps();
        if cap.load(Ordering::Relaxed) != 0 {
            return view.reserve(slot);
        }
        let before = record.exact().fetch_add(1, Ordering::AcqRel);
        // The cap that there is now: see `set_cap`.
        if before.wrapping_add(1) == cap.load(Ordering::Relaxed) {
            view.settle_full(slot);
        }
        Some(before)
    }

    /// An exactly counted lease has ended. Any context.
    #[inline(always)]
    pub(in crate::route) fn unreserve(&self, slot: u16) {
        let view = self.view();
        let record = self.record(slot);
        let before = record.exact().fetch_sub(1, Ordering::AcqRel);
        if before == record.caps().get() {
            view.settle_full(slot);
        }
    }

    /// An ordinary lease has succeeded.
    #[inline(always)]
    pub(in crate::route) fn count_success(&self, slot: u16, now: Instant) {
        let view = self.view();
        if self.record(slot).failures().get() != 0 {
            view.forgive(slot);
        }
        view.count_rated(slot, false, now);
    }

    /// The weight as it was given.
    #[inline(always)]
    pub fn weight(&self, slot: u16) -> u32 {
        self.record(slot).weight()
    }

    /// What is left of the weight, in 64ths: health, slow start and failures take from it.
    #[inline(always)]
    pub fn factor(&self, slot: u16) -> u32 {
        self.record(slot).factors().get()
    }

    /// What is left of the weight, in 64ths of the unit, 1 to 2^22: what a choice goes by. Of an endpoint
    /// that would get nothing, but is taken for want of others, all of the weight.
    #[inline(always)]
    pub fn weight_left(&self, slot: u16) -> u32 {
        self.record(slot).weight_left()
    }

    /// Those in the bank of which less than the full weight is left.
    #[inline(always)]
    pub fn partial(&self, bank: usize) -> u32 {
        self.view().bits(Sets::partial, bank)
    }

    /// A number that differs when a weight or a factor in the bank has changed. What is read of them after it
    /// is not older than it.
    #[inline(always)]
    pub fn weight_version(&self, bank: usize) -> u32 {
        self.view().bank(bank).map_or(0, |bank| bank.weight_version.load(Ordering::Acquire))
    }

    /// How many leases the endpoint has, counted exactly; 0 if neither its cap nor the strategy asks for
    /// that.
    #[inline(always)]
    pub fn exact_count(&self, slot: u16) -> u32 {
        self.record(slot).exact().get()
    }

    /// Whether the endpoint has as many leases as its cap admits. One load.
    #[inline(always)]
    pub fn is_full(&self, slot: u16) -> bool {
        self.view().has(Sets::full, slot)
    }

    /// How many leases the endpoint has, over all stripes. O(stripes).
    pub fn in_flight(&self, slot: u16) -> u32 {
        self.view().in_flight(slot)
    }

    /// The number that the caller gave it.
    #[inline(always)]
    pub fn number(&self, slot: u16) -> u64 {
        self.view().number(slot)
    }

    /// The peak-sensitive average of the latencies that its leases reported, in microseconds; 0 before the
    /// first.
    #[inline(always)]
    pub fn latency(&self, slot: u16) -> u32 {
        self.record(slot).latency.get()
    }

    /// The score of the endpoint's last report in permille, or `None` before the first.
    #[inline(always)]
    pub fn score(&self, slot: u16) -> Option<u16> {
        self.record(slot).gauges.score()
    }

    /// Whether its report is too old.
    #[inline(always)]
    pub fn is_stale(&self, slot: u16) -> bool {
        self.view().has(Sets::stale, slot)
    }

    /// The slots of a bank in which there is another member than when the last build was done, or one of
    /// another weight, a bit each: what [`Members::changed`](crate::route::Members::changed) asks for. For
    /// [`Strategy::build`](crate::route::Strategy::build).
    pub fn changed_since_build(&self, bank: usize) -> u32 {
        self.view().bank(bank).map_or(0, |bank| bank.building.load(Ordering::Relaxed))
    }

    /// Whether members have changed since the last build began. One load.
    #[inline(always)]
    pub fn is_build_outdated(&self) -> bool {
        self.shared.builds.is_outdated()
    }

    /// Has the selects that follow build what was put off: for strategies that build
    /// [on demand](crate::route::Needs::on_demand).
    #[cold]
    pub fn want_build(&self) {
        self.view().want_build();
    }
}
