//! What there is of each bank of 32 slots: sets of slots.

use crate::bitmap::{Bank, Bits};
use crate::route::{TAGS, TIERS, Tags, Tier, ZONES, Zone};
use crate::sync::{AtomicU32, array_of, const_fn};

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

/// The sets that a bank has, beside those of tags, zones and tiers.
#[derive(Clone, Copy)]
#[allow(non_camel_case_types, reason = "they are named as the words are")]
pub(in crate::route) enum Sets {
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
    /// Removed or switched off, but on the table still: its keys pass it by.
    gone,
}

/// The sets of those with a tag come after the named ones, then those of a zone, then those of a tier.
const WITH_TAG: usize = Sets::gone as usize + 1;
const IN_ZONE: usize = WITH_TAG + TAGS;
const IN_TIER: usize = IN_ZONE + ZONES;
const SETS: usize = IN_TIER + TIERS;
const KINDS: usize = SETS - WITH_TAG;

impl BankRecord {
    /// The members of the set, a bit each.
    #[inline(always)]
    pub fn bits(&self, set: Sets) -> u32 {
        self.sets[set as usize].bits()
    }

    #[inline(always)]
    pub fn set(&self, set: Sets) -> &Bank {
        &self.sets[set as usize]
    }

    /// The set of those with a tag, in a zone or in a tier, by number in this order.
    pub fn kind(&self, number: usize) -> &Bank {
        &self.sets[WITH_TAG + number % KINDS]
    }

    pub fn zone(&self, zone: Zone) -> u32 {
        self.sets[IN_ZONE + zone.index() % ZONES].bits()
    }

    pub fn tier(&self, tier: Tier) -> u32 {
        self.sets[IN_TIER + tier.index() % TIERS].bits()
    }

    /// Those that have all the tags.
    pub fn tagged(&self, tags: Tags) -> u32 {
        Bits(tags.bits()).fold(u32::MAX, |bits, tag| bits & self.sets[WITH_TAG + tag as usize % TAGS].bits())
    }
}
