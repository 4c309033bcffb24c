//! The members of a balancer as columns of atomics: who they are, where they are and what is known of them.

use super::builds::Builds;
use super::changes::{EVERYWHERE, Log, Reports};
use super::column::{Column, Set, Words};
use super::filters::Filters;
use super::options::{MAX_TICKS, Options};
use super::stripe::Stripe;
use super::{Endpoint, EndpointId, Gauges, PeakEwma, TAGS, TIERS, Tag, Tags, Tier, ZONES, Zone};
use crate::bitmap::Bits;
use crate::id::{Key, Stale};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn, fence, with_lock};

/// A word with a cache line of its own where there are caches, so that two endpoints' counts don't slow each
/// other.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(super) struct Padded(pub AtomicU32);

/// What each select reads first: alone on its cache line, and written only when something changes.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(super) struct Signals {
    /// In which banks anything has changed that a class of requests keeps.
    pub changes: Log<16>,
    /// The tick at which the first time-driven change is due; already past while a table is being built.
    pub next_change: AtomicU32,
    /// The era of the time that was seen last.
    pub era: AtomicU32,
}

/// Everything a balancer knows that doesn't depend on its strategy.
///
/// # Membership Invariant
///
/// `members`, `draining`, the generations, numbers, places, tags and caps change inside the critical section
/// only, by whoever holds it. The membership version is odd while one of them changes, and advances by two in
/// all; so a reader outside who sees the same even version before and after has read one state.
pub struct Endpoints<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> {
    pub(super) signals: Signals,
    pub(super) reports: Reports,
    pub(super) filters: Filters,
    pub(super) options: Options,
    pub(super) membership: AtomicU32,

    // Which of them: a bit each.
    pub(super) members: Set<BANKS>,
    /// Removed, with leases out.
    pub(super) draining: Set<BANKS>,
    /// Not switched off, and of a weight above 0.
    pub(super) enabled: Set<BANKS>,
    pub(super) routable: Set<BANKS>,
    /// A probe may be sent: the bit is the token.
    pub(super) half_open: Set<BANKS>,
    /// Its breaker isn't closed.
    pub(super) broken: Set<BANKS>,
    /// Enabled, and healthy enough to get something.
    pub(super) fit: Set<BANKS>,
    /// Enabled, and gets something in panic mode.
    pub(super) tolerable: Set<BANKS>,
    /// Has less than its full weight, by its health or its slow start.
    pub(super) partial: Set<BANKS>,
    /// What is left of its weight isn't 1.
    pub(super) uneven: Set<BANKS>,
    /// Has a cap.
    pub(super) capped: Set<BANKS>,
    /// Has a cap and as many leases.
    pub(super) full: Set<BANKS>,
    /// Has a time-driven change ahead.
    pub(super) timed: Set<BANKS>,
    /// Has a report that is too old.
    pub(super) stale: Set<BANKS>,
    pub(super) tags: [Set<BANKS>; TAGS],
    pub(super) zones: [Set<BANKS>; ZONES],
    pub(super) tiers: [Set<BANKS>; TIERS],
    pub(super) tier_members: [AtomicU32; TIERS],
    /// The tiers that have members, a bit each.
    pub(super) tiers_used: AtomicU32,

    // What they are: a word each.
    pub(super) generations: Words<BANKS, PER_BANK>,
    pub(super) ids_low: Words<BANKS, PER_BANK>,
    pub(super) ids_high: Words<BANKS, PER_BANK>,
    /// Weight in the low half, zone, tier.
    pub(super) places: Words<BANKS, PER_BANK>,
    pub(super) tag_bits: Words<BANKS, PER_BANK>,
    pub(super) caps: Words<BANKS, PER_BANK>,
    pub(super) exact: Column<Padded, BANKS, PER_BANK>,
    /// What is left of the weight, in 64ths.
    pub(super) factors: Words<BANKS, PER_BANK>,
    /// Advances when a weight or a factor in the bank has changed.
    pub(super) weight_versions: [AtomicU32; BANKS],

    // How they are.
    pub(super) health: Words<BANKS, PER_BANK>,
    pub(super) breakers: Words<BANKS, PER_BANK>,
    pub(super) failures: Words<BANKS, PER_BANK>,
    pub(super) rates: Words<BANKS, PER_BANK>,
    /// The tick at which the present half-window of `rates` began.
    pub(super) rate_from: Words<BANKS, PER_BANK>,
    pub(super) breaker_at: Words<BANKS, PER_BANK>,
    pub(super) ramp_from: Words<BANKS, PER_BANK>,
    pub(super) stale_at: Words<BANKS, PER_BANK>,
    pub(super) gauges: Column<Gauges, BANKS, PER_BANK>,
    pub(super) latencies: Column<PeakEwma, BANKS, PER_BANK>,
    /// The tick of the first time-driven change in a bank, where there is one.
    pub(super) bank_due: [AtomicU32; BANKS],
    pub(super) opened: AtomicU32,
    pub(super) seen_low: AtomicU32,
    pub(super) seen_high: AtomicU32,
    /// By how many ticks the clock has gone back in all.
    pub(super) gone_back: AtomicU32,

    pub(super) stripes: [Stripe<BANKS, PER_BANK>; STRIPES],

    // What few selects read comes last: a Cortex-M reaches the first 4 KB of a structure in one instruction.
    /// The tick of the first time-driven change of all: `next_change`, unless that is earlier for the sake of
    /// a build.
    pub(super) next_timed: AtomicU32,
    pub(super) builds: Builds<BANKS>,
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Endpoints<BANKS, PER_BANK, STRIPES> {
    const_fn! {
    pub(super) const fn new(options: Options) -> Self {
        const { assert!(STRIPES >= 1 && STRIPES <= 255, "a balancer has 1 to 255 stripes") }
        Self {
            signals: Signals {
                changes: Log::new(),
                next_change: AtomicU32::new(MAX_TICKS),
                era: AtomicU32::new(0),
            },
            reports: Reports(Log::new()),
            filters: Filters::new(),
            options,
            membership: AtomicU32::new(0),
            members: Set::new(),
            draining: Set::new(),
            enabled: Set::new(),
            routable: Set::new(),
            half_open: Set::new(),
            broken: Set::new(),
            fit: Set::new(),
            tolerable: Set::new(),
            partial: Set::new(),
            uneven: Set::new(),
            capped: Set::new(),
            full: Set::new(),
            timed: Set::new(),
            stale: Set::new(),
            tags: array_of![Set::new(); TAGS],
            zones: array_of![Set::new(); ZONES],
            tiers: array_of![Set::new(); TIERS],
            tier_members: array_of![AtomicU32::new(0); TIERS],
            tiers_used: AtomicU32::new(0),
            generations: Words::new(0),
            ids_low: Words::new(0),
            ids_high: Words::new(0),
            places: Words::new(0),
            tag_bits: Words::new(0),
            caps: Words::new(0),
            exact: Column::of(array_of![array_of![Padded(AtomicU32::new(0)); PER_BANK]; BANKS]),
            factors: Words::new(FULL),
            weight_versions: array_of![AtomicU32::new(0); BANKS],
            health: Words::new(0),
            breakers: Words::new(0),
            failures: Words::new(0),
            rates: Words::new(0),
            rate_from: Words::new(0),
            breaker_at: Words::new(0),
            ramp_from: Words::new(0),
            stale_at: Words::new(0),
            gauges: Column::of(array_of![array_of![Gauges::new(); PER_BANK]; BANKS]),
            latencies: Column::of(array_of![array_of![PeakEwma::new(); PER_BANK]; BANKS]),
            bank_due: array_of![AtomicU32::new(0); BANKS],
            opened: AtomicU32::new(0),
            seen_low: AtomicU32::new(0),
            seen_high: AtomicU32::new(0),
            gone_back: AtomicU32::new(0),
            stripes: array_of![Stripe::new(); STRIPES],
            next_timed: AtomicU32::new(MAX_TICKS),
            builds: Builds::new(),
        }
    }
    }

    // === What strategies read ===

    /// The weight as it was given.
    #[inline(always)]
    pub fn weight(&self, slot: u16) -> u32 {
        self.places.get(slot) & 0xffff
    }

    /// What is left of the weight, in 64ths: health and slow start take from it.
    #[inline(always)]
    pub fn factor(&self, slot: u16) -> u32 {
        self.factors.get(slot)
    }

    /// What is left of the weight, in 64ths of the unit, 1 to 2^22: what a choice goes by. Of an endpoint
    /// that would get nothing, but is taken for want of others, all of the weight.
    #[inline(always)]
    pub fn weight_left(&self, slot: u16) -> u32 {
        let factor = self.factors.get(slot);
        (self.weight(slot) * if factor == 0 { FULL } else { factor }).max(1)
    }

    /// Those in the bank of which less than the full weight is left.
    #[inline(always)]
    pub fn partial(&self, bank: usize) -> u32 {
        self.partial.bits(bank)
    }

    /// A number that differs when a weight or a factor in the bank has changed. What is read of them after it
    /// is not older than it.
    #[inline(always)]
    pub fn weight_version(&self, bank: usize) -> u32 {
        self.weight_versions.get(bank).map_or(0, |version| version.load(Ordering::Acquire))
    }

    /// How many leases the endpoint has, counted exactly; 0 if neither its cap nor the strategy asks for
    /// that.
    #[inline(always)]
    pub fn exact_count(&self, slot: u16) -> u32 {
        self.exact.at(slot).0.load(Ordering::Relaxed)
    }

    /// Whether the endpoint has as many leases as its cap admits. One load.
    #[inline(always)]
    pub fn is_full(&self, slot: u16) -> bool {
        self.full.contains(slot)
    }

    /// How many leases the endpoint has, over all stripes. O(stripes).
    pub fn in_flight(&self, slot: u16) -> u32 {
        self.stripes.iter().fold(0u32, |sum, stripe| sum.wrapping_add(stripe.in_flight(slot)))
    }

    /// The number that the caller gave it.
    #[inline(always)]
    pub fn number(&self, slot: u16) -> u64 {
        (self.ids_high.get(slot) as u64) << 32 | self.ids_low.get(slot) as u64
    }

    /// The peak-sensitive average of the latencies that its leases reported, in microseconds; 0 before the
    /// first.
    #[inline(always)]
    pub fn latency(&self, slot: u16) -> u32 {
        self.latencies.at(slot).get()
    }

    #[inline(always)]
    pub(super) fn stripe(&self, stripe: u8) -> &Stripe<BANKS, PER_BANK> {
        &self.stripes[(stripe as usize).min(STRIPES - 1)]
    }

    /// Whether its report is too old.
    #[inline(always)]
    pub fn is_stale(&self, slot: u16) -> bool {
        self.stale.contains(slot)
    }

    // === Handles ===

    #[inline(always)]
    pub(super) fn generation(&self, slot: u16) -> u32 {
        self.generations.at(slot).load(Ordering::Acquire)
    }

    /// The slot, if the handle isn't stale.
    #[inline(always)]
    pub(super) fn find(&self, id: EndpointId) -> Result<u16, Stale> {
        let slot = id.slot();
        let exists = (slot as usize) < BANKS * 32 && slot as usize % 32 < PER_BANK;
        if exists && self.generation(slot) == id.key().generation() && self.members.contains(slot) {
            Ok(slot)
        } else {
            Err(Stale)
        }
    }

    #[inline(always)]
    pub(super) fn handle(&self, slot: u16) -> EndpointId {
        EndpointId(Key::new(slot, self.generation(slot)))
    }

    /// The endpoint as it would be added now; `health` is what was set last.
    pub(super) fn describe(&self, slot: u16) -> Endpoint {
        let place = self.places.get(slot);
        let cap = self.caps.get(slot);
        let zone = Zone::new((place >> 16) as u8).unwrap_or_default();
        let tier = Tier::new((place >> 24) as u8 & 0x7f).unwrap_or_default();
        let mut endpoint = Endpoint::new(self.number(slot)).weight(place as u16).zone(zone).tier(tier);
        endpoint = endpoint.tags(Tags::from_bits(self.tag_bits.get(slot)));
        endpoint = endpoint.enabled(place >> 31 == 0).health(self.health(slot));
        if cap == 0 { endpoint } else { endpoint.cap(cap) }
    }

    /// Whether a membership change may be under way: then the sets are of before in part, and in part of
    /// after, and the epoch doesn't tell yet. Asked after an acquire fence, it is about all that was read
    /// before; if it says no and the epoch is what it was, asked after this, what was read stood together.
    #[inline(always)]
    pub(super) fn is_changing(&self) -> bool {
        self.membership.load(Ordering::Acquire) & 1 == 1
    }

    /// Runs `read` until no membership change came between.
    pub(super) fn consistently<T>(&self, mut read: impl FnMut() -> T) -> T {
        loop {
            let before = self.membership.load(Ordering::Acquire);
            let value = read();
            fence(Ordering::Acquire);
            if before & 1 == 0 && self.membership.load(Ordering::Relaxed) == before {
                return value;
            }
            // A writer on another core is at it, inside its critical section: taking one waits for it.
            with_lock(|_| ());
        }
    }

    // === What classes are made of ===

    /// Those in the bank that have all the tags.
    #[inline(always)]
    pub(super) fn tagged(&self, tags: Tags, bank: usize) -> u32 {
        Bits(tags.bits()).fold(u32::MAX, |bits, tag| bits & self.tags[tag as usize % TAGS].bits(bank))
    }

    pub(super) fn tag(&self, tag: Tag) -> &Set<BANKS> {
        &self.tags[tag.number() as usize % TAGS]
    }

    pub(super) fn zone(&self, zone: Zone) -> &Set<BANKS> {
        &self.zones[zone.index()]
    }

    pub(super) fn tier(&self, tier: Tier) -> &Set<BANKS> {
        &self.tiers[tier.index()]
    }

    /// Tells every class that something of the slot has changed; the caller is in the critical section.
    #[inline(always)]
    pub(super) fn touch(&self, slot: u16) {
        self.signals.changes.note(crate::bitmap::split(slot).0 as u16);
    }

    /// Tells every class to look at everything again; the caller is in the critical section.
    pub(super) fn touch_all(&self) {
        self.signals.changes.note(EVERYWHERE);
    }

    /// The banks, a bit each, in which anything has changed from epoch `from` to `to`; `None` if that isn't
    /// known.
    pub(super) fn changes(&self, from: u32, to: u32) -> Option<u32> {
        let mut banks = 0;
        self.signals.changes.since(from, to, |bank| banks |= 1 << bank)?;
        Some(banks)
    }

    #[inline(always)]
    pub(super) fn epoch(&self) -> u32 {
        self.signals.changes.epoch()
    }
}

/// All of the weight, in 64ths.
pub(super) const FULL: u32 = 64;
