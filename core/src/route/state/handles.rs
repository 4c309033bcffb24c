//! What is known of an endpoint, and whether it is still the one that a handle means.

use crate::id::Stale;
use crate::route::state::bank::Sets;
use crate::route::state::view::View;
use crate::route::{Endpoint, EndpointId, Tags, Tier, Zone};
use crate::sync::{Ordering, fence, with_lock};

impl View<'_> {
    /// How many leases the endpoint has, over all stripes. O(stripes).
    #[inline(never)]
    pub fn in_flight(self, slot: u16) -> u32 {
        self.counts(slot).fold(0u32, |sum, counts| sum.wrapping_add(counts.in_flight()))
    }

    /// The number that the caller gave it.
    pub fn number(self, slot: u16) -> u64 {
        self.slot(slot).number()
    }

    /// The endpoint as it would be added now; `health` is what was set last.
    pub fn describe(self, slot: u16) -> Endpoint {
        let at = self.at(slot);
        let place = at.places().get();
        let cap = at.caps().get();
        let zone = Zone::new((place >> 16) as u8).unwrap_or_default();
        let tier = Tier::new((place >> 24) as u8 & 0x7f).unwrap_or_default();
        let mut endpoint = Endpoint::new(at.number()).weight(place as u16).zone(zone).tier(tier);
        endpoint = endpoint.tags(Tags::from_bits(at.tag_bits().get()));
        endpoint = endpoint.enabled(place >> 31 == 0).health(at.health());
        if cap == 0 { endpoint } else { endpoint.cap(cap) }
    }

    // === Handles ===

    /// Whether the handle isn't stale.
    #[inline(always)]
    pub fn is_current(self, id: EndpointId) -> bool {
        self.slot(id.slot()).handle(id.slot()) == id && self.has(Sets::members, id.slot())
    }

    /// The slot, if the handle isn't stale.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn find(self, id: EndpointId) -> Result<u16, Stale> {
        if self.is_current(id) { Ok(id.slot()) } else { Err(Stale) }
    }

    pub fn handle(self, slot: u16) -> EndpointId {
        self.slot(slot).handle(slot)
    }

    /// Whether a membership change may be under way: then the sets are of before in part, and in part of
    /// after, and the epoch doesn't tell yet. Asked after an acquire fence, it is about all that was read
    /// before; if it says no and the epoch is what it was, asked after this, what was read stood together.
    #[inline(always)]
    pub fn is_changing(self) -> bool {
        self.membership.load(Ordering::Acquire) & 1 == 1
    }

    /// Runs `read` until no membership change came between.
    pub fn consistently<T>(self, mut read: impl FnMut() -> T) -> T {
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
