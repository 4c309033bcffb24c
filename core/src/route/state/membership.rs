//! Members come, change and go.

use crate::bitmap::{Bits, low_bits, slot};
use crate::id::Stale;
use crate::route::state::bank::{BankRecord, Sets};
use crate::route::state::record::FULL;
use crate::route::state::stripe::Counts;
use crate::route::state::view::{Slot, View};
use crate::route::{AddError, Endpoint, EndpointId, Health, TAGS, TIERS, UpdateError, ZONES};
use crate::sync::{CriticalSection, Ordering, fence, with_lock};
use crate::time::Instant;

/// What changes of members are to a strategy's table: linked with strategies that have one.
pub(in crate::route) struct Tables {
    /// The slot of a member with this number that has gone, but is on the table still.
    pub gone: fn(View<'_>, u64) -> Option<u16>,
    /// A member comes into the slot; what is to be told to `came`, when it is there.
    pub comes: fn(View<'_>, u16, &Endpoint, Option<u16>) -> Shown,
    pub came: fn(View<'_>, u16, Shown, Option<u16>),
    /// A member has gone from the slot, and stays on the table or not.
    pub went: fn(View<'_>, u16, bool),
}

/// How the table shows a slot into which a member comes: as the member, as another.
pub(in crate::route) struct Shown {
    pub fits: bool,
    pub other: bool,
}

impl View<'_> {
    #[inline(never)]
    pub(in crate::route) fn add(
        self,
        endpoint: &Endpoint,
        tables: Option<&'static Tables>,
        now: Instant,
    ) -> Result<EndpointId, AddError> {
        if endpoint.cap == Some(0) {
            return Err(AddError::ZeroCap);
        }
        loop {
            // The search takes O(N), so it is done outside of the critical section, and again if members have
            // changed.
            let version = self.membership.load(Ordering::Acquire);
            if let Some(slot) = self.search(endpoint.id) {
                let (id, at) = (self.handle(slot), self.at(slot));
                if self.find(id).is_ok() && at.number() == endpoint.id {
                    return Err(AddError::Exists(id));
                }
            }
            let before = tables.and_then(|tables| (tables.gone)(self, endpoint.id));
            self.sweep();
            let added = with_lock(|cs| {
                if version & 1 == 1 || self.membership.load(Ordering::Relaxed) != version {
                    return None;
                }
                let same =
                    before.filter(|&slot| self.free_bits(self.at(slot).bank) >> self.at(slot).index & 1 == 1);
                let Some(slot) = same.or_else(|| self.free_slot()) else { return Some(Err(AddError::Full)) };
                let at = self.at(slot);
                let shown = tables.map(|tables| (tables.comes)(self, slot, endpoint, same));
                self.change(|| {
                    at.write(Sets::gone, false);
                    self.forget(slot, cs);
                    at.healths().set(endpoint.health as u32);
                    self.write(slot, endpoint);
                    at.write(Sets::members, true);
                    // Part of the change: a member that came healthy is never seen without it.
                    self.begin_ramp(slot, now);
                    self.settle(slot);
                });
                if let (Some(tables), Some(shown)) = (tables, shown) {
                    (tables.came)(self, slot, shown, before);
                }
                Some(Ok(self.handle(slot)))
            });
            if let Some(result) = added {
                return result;
            }
        }
    }

    /// If the strategy looks at a table, an endpoint that is switched off `stays` there for a while.
    #[inline(never)]
    pub(in crate::route) fn update(
        self,
        id: EndpointId,
        endpoint: &Endpoint,
        stays: bool,
        now: Instant,
    ) -> Result<(), UpdateError> {
        if endpoint.cap == Some(0) {
            return Err(UpdateError::ZeroCap);
        }
        with_lock(|_| {
            let slot = self.find(id).map_err(|Stale| UpdateError::Stale)?;
            let at = self.at(slot);
            if at.number() != endpoint.id {
                return Err(UpdateError::OtherId);
            }
            let was_enabled = at.has(Sets::enabled);
            let (weight, was_shown) = (at.weight(), self.is_shown(at));
            self.change(|| {
                self.write(slot, endpoint);
                if at.has(Sets::enabled) && !was_enabled {
                    self.begin_ramp(slot, now);
                } else {
                    self.weigh(slot);
                }
                self.settle(slot);
            });
            let is_enabled = at.has(Sets::enabled);
            if was_shown && stays && at.weight() == weight {
                at.write(Sets::gone, !is_enabled);
                self.clear_gone();
            } else if is_enabled != was_enabled || was_enabled && at.weight() != weight {
                at.write(Sets::gone, false);
                self.note(slot);
            }
            Ok(())
        })
    }

    /// Whether the table, or the one that is being built, shows the member as it is; a table that is begun
    /// anew may show it no more.
    pub(in crate::route) fn is_shown(self, at: Slot<'_>) -> bool {
        (at.has(Sets::enabled) || at.has(Sets::gone)) && !at.has(Sets::noted)
    }

    /// Returns how many leases are still out: the slot comes back with the last. If the strategy looks at a
    /// table, it `stays` there for a while.
    #[inline(never)]
    pub(in crate::route) fn remove(
        self,
        id: EndpointId,
        stays: bool,
        tables: Option<&'static Tables>,
    ) -> Result<u32, Stale> {
        with_lock(|_| {
            let slot = self.find(id)?;
            let at = self.at(slot);
            let stays = stays && self.is_shown(at);
            self.change(|| {
                at.write(Sets::members, false);
                at.write(Sets::enabled, false);
                at.write(Sets::gone, stays);
                // Before the generation, whose new value says that the epoch has advanced: a select that
                // takes it for its handle looks at the epoch after that, and so gives no handle of an
                // endpoint that isn't there yet.
                self.touch();
                let generation = at.generations().get();
                at.healths().set(Health::Unhealthy as u32);
                at.generations().store(generation.wrapping_add(1), Ordering::Release);
                self.place(slot, self.kinds(slot), [0; 2]);
                at.write(Sets::timed, false);
                // In a new term: a probe that ends right now decides nothing.
                self.forget_breaker(slot);
            });
            if let Some(tables) = tables {
                (tables.went)(self, slot, stays);
            }
            self.settle(slot);
            let out = self.in_flight(slot);
            // A slot whose generations are used up is retired: an old handle must not come true again.
            if out != 0 || at.generations().get() == 0 {
                at.write(Sets::draining, true);
            }
            Ok(out)
        })
    }

    /// Gives back the slots of removed endpoints whose last lease has ended. O(banks), and O(stripes) a
    /// draining slot; one in each critical section.
    fn sweep(self) {
        for slot in self.slots(&|bank| bank.bits(Sets::draining)) {
            with_lock(|_| {
                let at = self.at(slot);
                if self.in_flight(slot) == 0 && at.generations().get() != 0 {
                    at.write(Sets::draining, false);
                }
            });
        }
    }

    /// How many slots are free. O(banks), and O(stripes) a draining slot.
    pub(in crate::route) fn free_slots(self) -> u32 {
        self.sweep();
        self.count(&|bank| self.free_bits(bank))
    }

    pub(in crate::route) fn free_bits(self, bank: &BankRecord) -> u32 {
        low_bits(self.per_bank()) & !bank.bits(Sets::members) & !bank.bits(Sets::draining)
    }

    /// One of those from which nobody has gone, if there is any.
    fn free_slot(self) -> Option<u16> {
        let best = self.next(0, &|bank| self.free_bits(bank) & !bank.bits(Sets::gone));
        best.or_else(|| self.next(0, &|bank| self.free_bits(bank)))
    }

    /// The handles of members, lowest slot first.
    pub(in crate::route) fn member_ids(self) -> impl Iterator<Item = EndpointId> {
        self.slots(&|bank| bank.bits(Sets::members)).map(move |slot| self.handle(slot))
    }

    /// The member with this number, if any. O(N).
    pub(in crate::route) fn search(self, id: u64) -> Option<u16> {
        self.search_in(Sets::members, id)
    }

    #[inline(never)]
    pub(in crate::route) fn search_in(self, set: Sets, id: u64) -> Option<u16> {
        for (number, bank) in self.all_banks().iter().enumerate() {
            for index in Bits(bank.bits(set)) {
                let slot = slot(number, index);
                if self.slot(slot).number() == id {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// The number of a member, or of one that was, as long as no other has its slot.
    #[inline(never)]
    pub(in crate::route) fn last_number(self, id: EndpointId) -> Result<u64, Stale> {
        let (slot, removed) = (id.slot(), id.key().generation().wrapping_add(1));
        self.consistently(|| {
            let at = self.at(slot);
            let left = || at.generations().load(Ordering::Acquire) == removed && !at.has(Sets::members);
            if self.find(id).is_ok() || left() { Ok(at.number()) } else { Err(Stale) }
        })
    }

    /// Does a membership change; the caller is in the critical section.
    fn change(self, change: impl FnOnce()) {
        let version = self.membership.load(Ordering::Relaxed);
        self.membership.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        change();
        // The epoch before the version: who sees that the change is over sees that it was.
        self.touch();
        self.membership.store(version.wrapping_add(2), Ordering::Release);
    }

    /// Everything that the slot's last endpoint has left behind. Counts stay: leases of it may still end.
    fn forget(self, slot: u16, cs: CriticalSection<'_>) {
        let at = self.at(slot);
        at.gauges.clear(cs);
        self.forget_breaker(slot);
        for word in [at.failures(), at.rates(), at.breaker_at(), at.stale_at(), at.ramp_from()] {
            word.set(0);
        }
        at.factors().set(FULL);
        at.latency.reset();
        at.put(Sets::full, false);
        at.write(Sets::partial, false);
        at.write(Sets::stale, false);
        self.counts(slot).for_each(Counts::begin);
    }

    /// The sets that the member is in by its tags, and those by zone and tier, a bit each.
    fn kinds(self, slot: u16) -> [u32; 2] {
        let at = self.slot(slot);
        let place = at.places().get() >> 16;
        [at.tag_bits().get(), 1 << (place % ZONES as u32) | 1 << (ZONES as u32 + (place >> 8) % TIERS as u32)]
    }

    /// Puts the slot into other sets by its tags, zone and tier than those it was in `before`. Sets that it
    /// stays in aren't touched, and it comes into the new ones before it leaves the old: who looks meanwhile
    /// doesn't miss it.
    #[inline(never)]
    fn place(self, slot: u16, before: [u32; 2], after: [u32; 2]) {
        let ([tags_before, places_before], [tags, places]) = (before, after);
        self.put_kinds(slot, 0, tags & !tags_before, true);
        self.put_kinds(slot, TAGS, places & !places_before, true);
        self.put_kinds(slot, 0, tags_before & !tags, false);
        self.put_kinds(slot, TAGS, places_before & !places, false);
    }

    #[inline(never)]
    fn put_kinds(self, slot: u16, first: usize, numbers: u32, comes: bool) {
        let at = self.at(slot);
        for number in Bits(numbers) {
            let number = first + number as usize;
            at.write_kind(number, comes);
            if let Some(tier) = number.checked_sub(TAGS + ZONES) {
                self.count_tier(tier, comes);
            }
        }
    }

    fn count_tier(self, tier: usize, more: bool) {
        let count = &self.tier_members[tier % TIERS];
        let now = count.load(Ordering::Relaxed).wrapping_add(if more { 1 } else { u32::MAX });
        count.store(now, Ordering::Relaxed);
        let used = self.tiers_used.load(Ordering::Relaxed) & !(1 << tier);
        self.tiers_used.store(used | ((now != 0) as u32) << tier, Ordering::Relaxed);
    }

    /// The tiers that have members, a bit each.
    #[inline(always)]
    pub(in crate::route) fn tiers_used(self) -> u32 {
        self.tiers_used.load(Ordering::Relaxed)
    }

    fn write(self, slot: u16, endpoint: &Endpoint) {
        let at = self.at(slot);
        at.ids_low().set(endpoint.id as u32);
        at.ids_high().set((endpoint.id >> 32) as u32);
        let place = endpoint.weight as u32
            | (endpoint.zone.number() as u32) << 16
            | (endpoint.tier.number() as u32) << 24
            | (!endpoint.enabled as u32) << 31;
        let before = if at.has(Sets::members) { self.kinds(slot) } else { [0; 2] };
        at.places().set(place);
        at.tag_bits().set(endpoint.tags.bits());
        self.set_cap(slot, endpoint.cap.unwrap_or(0));
        self.place(slot, before, self.kinds(slot));
        at.write(Sets::capped, endpoint.cap.is_some());
        at.write(Sets::enabled, endpoint.enabled && endpoint.weight > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Balancer;
    use crate::route::{Options, Request, RoundRobin, Selector};

    #[test]
    fn a_slot_whose_generations_are_used_up_is_retired() {
        let balancer: Balancer<RoundRobin, 1, 2> = Balancer::new(RoundRobin, Options::new());
        let mut selector: Selector<_, _, 1, 2, 1, 1> = Selector::new(&balancer, 1).unwrap();
        let now = Instant::ZERO;
        let first = balancer.add(&Endpoint::new(1), now).unwrap();
        balancer.endpoints.view().slot(0).generations().set(u32::MAX);
        assert!(balancer.stats(first).is_err());
        let last = balancer.find(1).unwrap();
        let lease = selector.select(&Request::ANY, now).unwrap();
        assert_eq!((lease.endpoint(), balancer.remove(last, now)), (last, Ok(1)));
        drop(lease);
        // The other slot is used again and again; this one isn't, and no old handle comes true.
        for id in 2..10 {
            let other = balancer.add(&Endpoint::new(id), now).unwrap();
            assert_eq!((other.slot(), balancer.add(&Endpoint::new(99), now)), (1, Err(AddError::Full)));
            assert!(balancer.stats(first).is_err() && balancer.stats(last).is_err());
            assert_eq!(selector.select(&Request::ANY, now).unwrap().endpoint(), other);
            assert_eq!(balancer.remove(other, now), Ok(0));
        }
    }
}
