//! What a balancer knows, whatever its size: records of slots and of banks, and a view of them.
//!
//! [`Endpoints`](crate::route::Endpoints) has the memory, of a size that is in its type. All code that is not
//! on the path of every select works on a [`View`] of it, a few slices: so it is compiled once, for balancers
//! of all sizes. Where the size is known, compilers reduce a view's accesses to what the size leaves of them.

use crate::bitmap::{Bank, Bits, MAX_PER_BANK, split};
use crate::route::state::shared::Shared;
use crate::route::state::stripe::{Counts, Stripe};
use crate::route::{Gauges, PeakEwma, TAGS, TIERS, Tags, Tier, ZONES, Zone};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn, fence};

/// All of the weight, in 64ths.
pub(in crate::route) const FULL: u32 = 64;

/// What there is of each slot. On hosts on cache lines of its own, so that two endpoints' counts don't slow
/// each other.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(in crate::route) struct Record {
    words: [AtomicU32; WORDS],
    pub gauges: Gauges,
    pub latency: PeakEwma,
}

impl Record {
    const_fn! {
    pub const fn new() -> Self {
        Self { words: array_of![AtomicU32::new(0); WORDS], gauges: Gauges::new(), latency: PeakEwma::new() }
    }
    }
}

impl Record {
    /// See [`View::weight_left`].
    #[inline(always)]
    pub fn weight_left(&self) -> u32 {
        let [factor, place] =
            [Words::factors, Words::places].map(|word| self.words[word as usize].load(Ordering::Relaxed));
        ((place & 0xffff) * if factor == 0 { FULL } else { factor }).max(1)
    }

    /// The exact count of leases, and the [inverse](View::inverses) of the weight.
    #[inline(always)]
    pub fn leases_and_inverse(&self) -> (u32, u32) {
        let [leases, inverse] =
            [Words::exact, Words::inverses].map(|word| self.words[word as usize].load(Ordering::Relaxed));
        (leases, inverse)
    }
}

/// The records of all slots.
#[derive(Clone, Copy)]
pub(in crate::route) struct Records<'a> {
    all: &'a [Record],
    first: &'a Record,
    /// Slots that each bank but the last lacks.
    missing: u32,
}

impl<'a> Records<'a> {
    #[inline(always)]
    pub fn new<const BANKS: usize, const PER_BANK: usize>(records: &'a [[Record; PER_BANK]; BANKS]) -> Self {
        let missing = if BANKS == 1 { 0 } else { (MAX_PER_BANK - PER_BANK) as u32 };
        Self { all: records.as_flattened(), first: &records[0][0], missing }
    }

    #[inline(always)]
    fn place_of(&self, slot: u16) -> usize {
        (slot as u32).wrapping_sub(split(slot).0 as u32 * self.missing) as usize
    }

    #[inline(always)]
    pub fn at(&self, slot: u16) -> &'a Record {
        self.all.get(self.place_of(slot)).unwrap_or(self.first)
    }
}

/// What there is of each bank of 32 slots.
pub(in crate::route) struct BankRecord {
    sets: [Bank; SETS],
    /// Advances when a weight or a factor in the bank has changed.
    pub weight_version: AtomicU32,
    /// The tick of the first time-driven change in the bank, where there is one.
    pub due: AtomicU32,
    /// The slots that the present build is about. The builder's.
    pub building: AtomicU32,
}

impl BankRecord {
    const_fn! {
    pub const fn new() -> Self {
        Self {
            sets: array_of![Bank::new(0); SETS],
            weight_version: AtomicU32::new(0),
            due: AtomicU32::new(0),
            building: AtomicU32::new(0),
        }
    }
    }
}

/// Numbers the sets that a bank has, or the words that a slot has, and gives each its name.
macro_rules! numbered {
    ($names:ident, $all:ident, $get:ident -> $kind:ident: $($(#[$doc:meta])* $name:ident,)*) => {
        #[allow(non_camel_case_types, reason = "the names are the functions' below")]
        enum $names { $($name,)* count }
        /// How many there are.
        const $all: usize = $names::count as usize;

        impl View<'_> {
            $(
                $(#[$doc])*
                #[inline(always)]
                pub fn $name(&self) -> $kind<'_> {
                    self.$get($names::$name as usize)
                }
            )*
        }
    };
}

numbered! { Sets, NAMED, set -> Set:
    members,
    /// Removed, with leases out.
    draining,
    /// Not switched off, and of a weight above 0.
    enabled,
    routable,
    /// A probe may be sent: the bit is the token.
    half_open,
    /// Its breaker isn't closed.
    broken,
    /// Enabled, and healthy enough to get something.
    fit,
    /// Enabled, and gets something in panic mode.
    tolerable,
    /// Has less than its full weight, by its health or its slow start.
    partial,
    /// What is left of its weight isn't 1.
    uneven,
    /// Has a cap.
    capped,
    /// Has a cap and as many leases.
    full,
    /// Has a time-driven change ahead.
    timed,
    /// Has a report that is too old.
    stale,
    /// Its table doesn't fit: it has another member, or one of another weight.
    noted,
    /// Removed, but on the table still: its keys pass it by.
    gone,
}

/// The sets of those with a tag come after the named ones, then those of a zone, then those of a tier.
const WITH_TAG: usize = NAMED;
const IN_ZONE: usize = WITH_TAG + TAGS;
const IN_TIER: usize = IN_ZONE + ZONES;
const SETS: usize = IN_TIER + TIERS;

numbered! { Words, WORDS, column -> Column:
    generations,
    breakers,
    /// Leases, counted exactly where a cap or the strategy asks for that.
    exact,
    /// What is left of the weight, in 64ths; 0: nothing.
    factors,
    /// 2^32 or so over what is left of the weight in 64ths of the unit: costs are multiples of it. The number
    /// that is divided has all divisors up to 16, so that endpoints of such weights may have equal costs.
    inverses,
    /// Weight in the low half, zone, tier, and whether it is switched off.
    places,
    ids_low,
    ids_high,
    tag_bits,
    caps,
    healths,
    failures,
    rates,
    /// The tick at which the present half-window of `rates` began.
    rate_from,
    breaker_at,
    ramp_from,
    stale_at,
}

/// A balancer's records.
///
/// # Slot Invariant
///
/// Slots come from the balancer's own sets, whose bits are set for existing slots alone. A slot that doesn't
/// exist is in no set, and reaches slot 0's record; it is never out of bounds.
#[derive(Clone, Copy)]
pub(in crate::route) struct View<'a> {
    pub shared: &'a Shared,
    banks: &'a [BankRecord],
    pub records: Records<'a>,
    pub stripes: &'a [Stripe],
    counts: &'a [Counts],
}

impl core::ops::Deref for View<'_> {
    type Target = Shared;

    #[inline(always)]
    fn deref(&self) -> &Shared {
        self.shared
    }
}

impl<'a> View<'a> {
    #[inline(always)]
    pub fn new<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        shared: &'a Shared,
        banks: &'a [BankRecord; BANKS],
        records: &'a [[Record; PER_BANK]; BANKS],
        stripes: &'a [Stripe; STRIPES],
        counts: &'a [[[Counts; PER_BANK]; BANKS]; STRIPES],
    ) -> Self {
        let records = Records::new(records);
        Self { shared, banks, records, stripes, counts: counts.as_flattened().as_flattened() }
    }

    // === Records ===

    /// How many banks there are.
    #[inline(always)]
    pub fn banks(&self) -> usize {
        self.banks.len()
    }

    #[inline(always)]
    pub fn bank(&self, bank: usize) -> Option<&'a BankRecord> {
        self.banks.get(bank)
    }

    /// How many slots a bank has.
    pub fn per_bank(&self) -> usize {
        self.records.all.len() / self.banks.len().max(1)
    }

    #[inline(always)]
    pub fn slot(&self, slot: u16) -> &'a Record {
        self.records.at(slot)
    }

    #[inline(always)]
    fn set(&self, number: usize) -> Set<'_> {
        Set { view: self, number }
    }

    #[inline(always)]
    fn column(&self, number: usize) -> Column<'_> {
        Column { view: self, number }
    }

    /// The sets of those with a tag, then those in a zone, then those in a tier, by number.
    #[inline(always)]
    pub fn kind_of(&self, number: usize) -> Set<'_> {
        self.set(WITH_TAG + number)
    }

    pub fn zone(&self, zone: Zone) -> Set<'_> {
        self.set(IN_ZONE + zone.index() % ZONES)
    }

    pub fn tier(&self, tier: Tier) -> Set<'_> {
        self.set(IN_TIER + tier.index() % TIERS)
    }

    /// Its counts, a stripe each.
    pub fn counts(&self, slot: u16) -> impl Iterator<Item = &'a Counts> {
        (0..self.stripes.len()).filter_map(move |stripe| self.count(stripe as u8, slot))
    }

    /// Its counts of one stripe.
    #[inline(always)]
    pub fn count(&self, stripe: u8, slot: u16) -> Option<&'a Counts> {
        self.counts.get(stripe as usize * self.records.all.len() + self.records.place_of(slot))
    }

    // === What classes are made of ===

    /// Those in the bank that have all the tags.
    #[inline(never)]
    pub fn tagged(&self, tags: Tags, bank: usize) -> u32 {
        Bits(tags.bits())
            .fold(u32::MAX, |bits, tag| bits & self.set(WITH_TAG + tag as usize % TAGS).bits(bank))
    }

    /// Tells every class to look again; the caller is in the critical section, and has made its change.
    pub fn touch(&self) {
        let epoch = self.signals.epoch.load(Ordering::Relaxed);
        self.signals.epoch.store(epoch.wrapping_add(1), Ordering::Release);
    }

    #[inline(always)]
    pub fn epoch(&self) -> u32 {
        self.signals.epoch.load(Ordering::Acquire)
    }
}

/// A set of slots that any context changes and any reads: a word a bank.
///
/// Each change acquires what the changes before it released, so a context that changes a bit and then looks
/// at what the bit stands for sees what the contexts before it had seen to.
#[derive(Clone, Copy)]
pub(in crate::route) struct Set<'a> {
    view: &'a View<'a>,
    number: usize,
}

impl<'a> Set<'a> {
    #[inline(always)]
    pub fn bank(self, bank: usize) -> Option<&'a Bank> {
        self.view.banks.get(bank).and_then(|record| record.sets.get(self.number))
    }

    /// Adds the slot; returns whether it was a member.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub fn insert(self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        let was = self.bank(bank).is_some_and(|bank| bank.insert(index));
        fence(Ordering::Acquire);
        was
    }

    /// Removes the slot; returns whether it was a member.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub fn remove(self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.bank(bank).is_some_and(|bank| bank.remove(index))
    }

    /// Adds the slot or removes it.
    #[inline(never)]
    pub fn put(self, slot: u16, member: bool) {
        if member {
            self.insert(slot);
        } else {
            self.remove(slot);
        }
    }

    /// The same for a set that the holder of the critical section alone changes: no atomic operation, which
    /// on the host takes 3 ns.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub fn write(self, slot: u16, member: bool) {
        let (bank, index) = split(slot);
        if let Some(bank) = self.bank(bank) {
            bank.write(index, member);
        }
    }

    #[inline(always)]
    pub fn contains(self, slot: u16) -> bool {
        let (bank, index) = split(slot);
        self.bank(bank).is_some_and(|bank| bank.bits() >> index & 1 == 1)
    }

    /// The members in a bank, one bit each.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub fn bits(self, bank: usize) -> u32 {
        self.bank(bank).map_or(0, Bank::bits)
    }

    /// Removes the members in a bank; returns them, one bit each.
    #[inline(never)]
    pub fn take(self, bank: usize) -> u32 {
        self.bank(bank).map_or(0, Bank::take)
    }

    #[inline(never)]
    pub fn len(self) -> u32 {
        (0..self.view.banks.len()).map(|bank| self.bits(bank).count_ones()).sum()
    }

    #[inline(never)]
    pub fn is_empty(self) -> bool {
        (0..self.view.banks.len()).all(|bank| self.bits(bank) == 0)
    }
}

/// A word of each slot.
#[derive(Clone, Copy)]
pub(in crate::route) struct Column<'a> {
    view: &'a View<'a>,
    number: usize,
}

impl<'a> Column<'a> {
    #[inline(always)]
    pub fn at(self, slot: u16) -> &'a AtomicU32 {
        &self.view.slot(slot).words[self.number.min(WORDS - 1)]
    }

    #[inline(always)]
    pub fn get(self, slot: u16) -> u32 {
        self.at(slot).load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub fn set(self, slot: u16, value: u32) {
        self.at(slot).store(value, Ordering::Relaxed);
    }
}
