//! Whether an endpoint is routable: switched on, healthy, and let through by its breaker.
//!
//! The three are kept apart, and the bit that stands for all of them is changed by whoever changes one, so that no select
//! computes it.
//!
//! # Settled Invariant
//!
//! When nobody is inside [`settle`](Endpoints::settle) for a slot, its bits in `routable` and `half_open` are what its
//! health, its breaker and its bit in `enabled` say. Each context writes one of the three first, then changes the bit in
//! `routable`, then looks at the three again. The changes of that one word have an order, and each acquires the ones
//! before: so the last of them has seen what all contexts had written, and a bit that is wrong by then is mended by
//! that context. `half_open` may hold a bit too many for a moment; claiming the probe decides under the lock.
//!
//! # Weighed Invariant
//!
//! When nobody is inside [`set_health`](Endpoints::set_health) or the critical section, the factor of an endpoint that gets
//! anything is what its health and its slow start say. Who sets a health advances the epoch after that, then looks at
//! the factor; who sets a factor, inside the critical section, advances the epoch after that, then looks at the health. The
//! later of two such advances acquires the earlier, and its context sees to what the other has written.

use super::endpoints::{Endpoints, FULL};
use super::options::tick;
use super::{EndpointId, Health, breaker};
use crate::arena::Stale;
use crate::sync::{AtomicU32, Ordering, with_lock};
use crate::time::Instant;

/// The bits of a slot's word that hold its health.
const HEALTH: u32 = 3;

/// What a slot's word of health is: above it, the low bits of the generation whose health it is.
pub(super) const fn health_word(generation: u32, health: Health) -> u32 {
    generation << HEALTH.count_ones() | health as u32
}

/// The steps in which a weight rises during slow start.
const RAMP_STEPS: u32 = 16;

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Endpoints<BANKS, PER_BANK, STRIPES> {
    /// Whether it would be routable, and half-open, by the three conditions.
    fn condition(&self, slot: u16) -> (bool, bool) {
        let may = self.enabled.contains(slot) && self.is_healthy(slot);
        let breaker = breaker::State::of(self.breakers.get(slot));
        (may && breaker == breaker::State::Closed, may && breaker == breaker::State::HalfOpen)
    }

    pub(super) fn is_healthy(&self, slot: u16) -> bool {
        self.admits(Health::from_bits(self.health.get(slot)))
    }

    /// Whether an endpoint of this health gets anything.
    pub(super) fn admits(&self, health: Health) -> bool {
        match health {
            Health::Healthy | Health::Degraded => true,
            Health::Unknown => self.options.route_unknown,
            Health::Unhealthy => false,
        }
    }

    /// Brings the bits to what the conditions say, and tells the classes.
    pub(super) fn settle(&self, slot: u16) {
        let mut wanted = self.condition(slot);
        loop {
            self.routable.put(slot, wanted.0);
            if wanted.1 || self.half_open.contains(slot) {
                self.half_open.put(slot, wanted.1);
            }
            let now = self.condition(slot);
            if now == wanted {
                break;
            }
            wanted = now;
        }
        self.touch(slot);
    }

    pub(super) fn set_health(&self, id: EndpointId, health: Health, now: Instant) -> Result<Health, Stale> {
        let slot = self.find(id)?;
        let mut word = self.health.get(slot);
        let was = loop {
            // The word is of the endpoint that has the slot: a handle that goes stale meanwhile changes no other's.
            if word ^ health_word(id.key().generation(), health) > HEALTH {
                return Err(Stale);
            }
            let was = Health::from_bits(word);
            if was == health {
                return Ok(was);
            }
            let new = health_word(id.key().generation(), health);
            match self.health.at(slot).compare_exchange_weak(word, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break was,
                Err(now) => word = now,
            }
        };
        if !self.admits(was) && self.admits(health) && self.options.slow_start_ticks != 0 {
            with_lock(|_| {
                if self.find(id).is_ok() {
                    self.begin_ramp(slot, now);
                }
            });
        }
        self.settle(slot);
        if !self.is_weighed(slot) {
            with_lock(|_| self.weigh(slot));
        }
        Ok(was)
    }

    // === Weight ===

    /// Slow start begins, if there is one; the caller is in the critical section.
    pub(super) fn begin_ramp(&self, slot: u16, now: Instant) {
        if self.options.slow_start_ticks != 0 {
            self.schedule(slot, now, self.ramp_step());
            // 0 stands for "no ramp".
            self.ramp_from.set(slot, tick(now).max(1));
            self.put_factor(slot, 1);
        } else {
            self.weigh(slot);
        }
    }

    /// Ticks between two steps of slow start.
    pub(super) fn ramp_step(&self) -> u32 {
        (self.options.slow_start_ticks / RAMP_STEPS).max(1)
    }

    /// How many of the steps are done at `tick`, at least one; `None`: all.
    fn ramp_steps(&self, slot: u16, tick: u32) -> Option<u32> {
        let gone = tick.wrapping_sub(self.ramp_from.get(slot));
        let steps = 1 + if (gone as i32) < 0 { 0 } else { gone / self.ramp_step() };
        (steps < RAMP_STEPS).then_some(steps)
    }

    /// The weight rises with time; returns when to look again. The caller is in the critical section.
    pub(super) fn advance_ramp(&self, slot: u16, now_tick: u32, all_due: bool) -> Option<u32> {
        let from = self.ramp_from.get(slot);
        if from == 0 {
            return None;
        }
        let steps = self.ramp_steps(slot, now_tick).filter(|_| !all_due);
        self.put_factor(slot, steps.unwrap_or(RAMP_STEPS));
        if steps.is_none() {
            self.ramp_from.set(slot, 0);
        }
        steps.map(|steps| from.wrapping_add(steps * self.ramp_step()))
    }

    /// Recomputes what is left of the weight; the caller is in the critical section.
    pub(super) fn weigh(&self, slot: u16) {
        let ramp = self.ramp_from.get(slot) != 0;
        let seen = self.seen_low.load(Ordering::Relaxed);
        self.put_factor(
            slot,
            if ramp { self.ramp_steps(slot, seen).unwrap_or(RAMP_STEPS) } else { RAMP_STEPS },
        );
    }

    /// Whether the factor is what the health says; of an endpoint that gets nothing, any is. Asked after the epoch was
    /// advanced: Weighed Invariant.
    fn is_weighed(&self, slot: u16) -> bool {
        let quarters = Health::from_bits(self.health.get(slot)).quarters();
        quarters == 0 || self.ramp_from.get(slot) == 0 && self.factors.get(slot) == quarters * RAMP_STEPS
    }

    /// Sets how many steps of the weight are left; the caller is in the critical section.
    fn put_factor(&self, slot: u16, steps: u32) {
        loop {
            let quarters = Health::from_bits(self.health.get(slot)).quarters();
            let factor = steps * quarters;
            self.factors.set(slot, factor);
            self.partial.put(slot, factor != FULL);
            bump(&self.weight_versions, slot);
            self.touch(slot);
            // Weighed Invariant: after the epoch.
            if Health::from_bits(self.health.get(slot)).quarters() == quarters {
                return;
            }
        }
    }

    // === Caps ===

    /// Sets the cap, 0 for none; the caller is in the critical section.
    pub(super) fn set_cap(&self, slot: u16, cap: u32) {
        self.caps.set(slot, cap);
        // Changes nothing, but gives the new cap its place among the leases that begin and end meanwhile: those after it
        // see the cap, those before it are seen here.
        self.exact.at(slot).0.fetch_add(0, Ordering::AcqRel);
        self.settle_full(slot);
    }

    /// Counts a lease exactly; false if the endpoint is at its cap. Any context.
    #[inline]
    pub(super) fn reserve(&self, slot: u16) -> bool {
        let cap = self.caps.get(slot);
        let count = &self.exact.at(slot).0;
        let before = if cap == 0 {
            count.fetch_add(1, Ordering::AcqRel)
        } else {
            let mut taken = count.load(Ordering::Relaxed);
            loop {
                if taken >= cap {
                    return false;
                }
                match count.compare_exchange_weak(taken, taken + 1, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => break taken,
                    Err(now) => taken = now,
                }
            }
        };
        // The cap that there is now: see `set_cap`.
        if before.wrapping_add(1) == self.caps.get(slot) {
            self.settle_full(slot);
        }
        true
    }

    /// An exactly counted lease has ended; returns how many there were with it. Any context.
    #[inline]
    pub(super) fn unreserve(&self, slot: u16) -> u32 {
        // Of the one order that strategies go by who look at their own words after it; it costs what AcqRel costs.
        let before = self.exact.at(slot).0.fetch_sub(1, Ordering::SeqCst);
        if before == self.caps.get(slot) {
            self.settle_full(slot);
        }
        before
    }

    /// Brings the bit in `full` to what cap and count say; the same reasoning as the Settled Invariant's.
    #[cold]
    fn settle_full(&self, slot: u16) {
        loop {
            let full = self.is_at_cap(slot);
            self.full.put(slot, full);
            if self.is_at_cap(slot) == full {
                self.ranks.0.note(slot);
                return;
            }
        }
    }

    fn is_at_cap(&self, slot: u16) -> bool {
        let cap = self.caps.get(slot);
        cap != 0 && self.exact_count(slot) >= cap
    }
}

fn bump<const BANKS: usize>(versions: &[AtomicU32; BANKS], slot: u16) {
    if let Some(version) = versions.get(crate::bitmap::split(slot).0) {
        version.fetch_add(1, Ordering::Release);
    }
}
