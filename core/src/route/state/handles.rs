//! What is known of an endpoint, and whether it is still the one that a handle means.

use crate::id::{Key, Stale};
use crate::route::state::view::View;
use crate::route::{Endpoint, EndpointId, Tags, Tier, Zone};
use crate::sync::{Ordering, fence, with_lock};

impl View<'_> {
    /// The weight as it was given.
    #[inline(always)]
    pub fn weight(&self, slot: u16) -> u32 {
        self.places().get(slot) & 0xffff
    }

    /// What is left of the weight, in 64ths of the unit, 1 to 2^22: what a choice goes by. Of an endpoint
    /// that would get nothing, but is taken for want of others, all of the weight.
    #[inline(always)]
    pub fn weight_left(&self, slot: u16) -> u32 {
        self.slot(slot).weight_left()
    }

    /// How many leases the endpoint has, over all stripes. O(stripes).
    pub fn in_flight(&self, slot: u16) -> u32 {
        self.counts(slot).fold(0u32, |sum, counts| sum.wrapping_add(counts.in_flight()))
    }

    /// The number that the caller gave it.
    pub fn number(&self, slot: u16) -> u64 {
        (self.ids_high().get(slot) as u64) << 32 | self.ids_low().get(slot) as u64
    }

    /// The endpoint as it would be added now; `health` is what was set last.
    pub fn describe(&self, slot: u16) -> Endpoint {
        let place = self.places().get(slot);
        let cap = self.caps().get(slot);
        let zone = Zone::new((place >> 16) as u8).unwrap_or_default();
        let tier = Tier::new((place >> 24) as u8 & 0x7f).unwrap_or_default();
        let mut endpoint = Endpoint::new(self.number(slot)).weight(place as u16).zone(zone).tier(tier);
        endpoint = endpoint.tags(Tags::from_bits(self.tag_bits().get(slot)));
        endpoint = endpoint.enabled(place >> 31 == 0).health(self.health(slot));
        if cap == 0 { endpoint } else { endpoint.cap(cap) }
    }

    // === Handles ===

    #[inline(always)]
    pub fn generation(&self, slot: u16) -> u32 {
        self.generations().at(slot).load(Ordering::Acquire)
    }

    /// The slot, if the handle isn't stale.
    #[inline(always)]
    pub fn find(&self, id: EndpointId) -> Result<u16, Stale> {
        let slot = id.slot();
        if self.generation(slot) == id.key().generation() && self.members().contains(slot) {
            Ok(slot)
        } else {
            Err(Stale)
        }
    }

    #[inline(always)]
    pub fn handle(&self, slot: u16) -> EndpointId {
        EndpointId(Key::new(slot, self.generation(slot)))
    }

    /// Whether a membership change may be under way: then the sets are of before in part, and in part of
    /// after, and the epoch doesn't tell yet. Asked after an acquire fence, it is about all that was read
    /// before; if it says no and the epoch is what it was, asked after this, what was read stood together.
    #[inline(always)]
    pub fn is_changing(&self) -> bool {
        self.membership.load(Ordering::Acquire) & 1 == 1
    }

    /// Runs `read` until no membership change came between.
    pub fn consistently<T>(&self, mut read: impl FnMut() -> T) -> T {
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
}
