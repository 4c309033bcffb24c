//! Whether an endpoint is routable: switched on, healthy, and let through by its breaker.
//!
//! The three are kept apart, and the bit that stands for all of them is changed by whoever changes one, so
//! that no select computes it.
//!
//! # Settled Invariant
//!
//! Outside of the critical section, a slot's bits in `routable` and `half_open` are what its health, its
//! breaker and its bit in `enabled` say, and the factor of an endpoint that gets anything is what its health
//! and its slow start say: they change inside it only, and whoever changes one of them
//! [settles](Endpoints::settle) the slot before it leaves. So when the call that has shut an endpoint out
//! returns, no other call that is under way lets it in again, not for a moment. `half_open` alone may lack a
//! bit: who takes the token takes it before it goes in.
//!
//! Without the section, a context that has looked at the conditions and is interrupted would write what it
//! saw over what was settled meanwhile, and its bit would be wrong until it runs again.

use crate::id::Stale;
use crate::route::health::breaker;
use crate::route::state::bank::Sets;
use crate::route::state::record::FULL;
use crate::route::state::view::View;
use crate::route::{EndpointId, Health, Source};
use crate::sync::{Ordering, with_lock};
use crate::time::Instant;

/// The steps in which a weight rises during slow start.
const RAMP_STEPS: u32 = 16;
/// What the inverses are of: the least common multiple of 1 to 16 times 64 and 93, which just fits.
const DIVIDED: u32 = 720_720 * 64 * 93;

impl View<'_> {
    /// Whether an endpoint of this health gets anything.
    pub(in crate::route) fn admits(self, health: Health) -> bool {
        match health {
            Health::Healthy | Health::Degraded => true,
            Health::Unknown => self.settings.route_unknown(),
            Health::Unhealthy => false,
        }
    }

    /// Brings the bits to what the conditions say, and tells the classes; the caller is in the critical
    /// section, and has changed something of the slot: Settled Invariant.
    pub(in crate::route) fn settle(self, slot: u16) {
        let at = self.at(slot);
        let health = at.health();
        let enabled = at.has(Sets::enabled);
        let may = enabled && self.admits(health);
        at.write(Sets::fit, may);
        at.write(Sets::tolerable, enabled && (may || health == Health::Unhealthy));
        let breaker = breaker::State::of(at.breakers().get());
        at.write(Sets::routable, may && breaker == breaker::State::Closed);
        let half_open = may && breaker == breaker::State::HalfOpen;
        if half_open || at.has(Sets::half_open) {
            at.put(Sets::half_open, half_open);
        }
        self.touch();
    }

    #[inline(never)]
    pub(in crate::route) fn set_health(
        self,
        id: EndpointId,
        source: Source,
        health: Health,
        now: Instant,
    ) -> Result<Health, Stale> {
        with_lock(|_| {
            let slot = self.find(id)?;
            let at = self.at(slot);
            let (all, shift) = (at.healths().get(), 2 * source.number() as u32);
            let said = Health::worst(all >> shift & 3);
            if said == health {
                return Ok(said);
            }
            at.healths().set(all & !(3 << shift) | (health as u32) << shift);
            let (was, is) = (Health::worst(all), at.health());
            if was == is {
                return Ok(said);
            }
            if !self.admits(was) && self.admits(is) && self.settings.slow_start_ticks() != 0 {
                self.begin_ramp(slot, now);
            } else if !self.is_weighed(slot) {
                self.weigh(slot);
            }
            self.settle(slot);
            Ok(said)
        })
    }

    // === Weight ===

    /// Slow start begins, if there is one; the caller is in the critical section, and settles the slot after
    /// this.
    pub(in crate::route) fn begin_ramp(self, slot: u16, now: Instant) {
        if self.settings.slow_start_ticks() != 0 {
            self.ramp(slot, now);
        } else {
            self.weigh(slot);
        }
    }

    /// Only a sixteenth of the weight is left, which then rises.
    #[inline(never)]
    fn ramp(self, slot: u16, now: Instant) {
        self.schedule(slot, now, self.ramp_step());
        // 0 stands for "no ramp".
        self.at(slot).ramp_from().set(self.tick(now).max(1));
        self.put_factor(slot, 1);
    }

    /// A breaker should have opened and may not: a ramp begins, and again with each failure. The caller is in
    /// the critical section.
    pub(in crate::route) fn restrain(self, slot: u16, now: Instant) {
        let at = self.at(slot);
        let from = at.ramp_from();
        if from.get() != 0 && self.ramp_steps(slot, self.tick(now)) == Some(1) {
            // What is due for the ramp of before comes too early for this one, and then looks again.
            from.set(self.tick(now).max(1));
        } else {
            self.ramp(slot, now);
            self.settle(slot);
        }
    }

    /// A success after failures in a row: unless there is slow start, all of the weight is back.
    #[cold]
    #[inline(never)]
    pub(in crate::route) fn forgive(self, slot: u16) {
        let at = self.at(slot);
        at.failures().set(0);
        if at.ramp_from().get() != 0 && self.settings.slow_start_ticks() == 0 {
            with_lock(|_| {
                at.ramp_from().set(0);
                self.weigh(slot);
                self.settle(slot);
            });
        }
    }

    /// Ticks between two steps of a ramp: of slow start, or, if there is none, of the time that breakers are
    /// open.
    fn ramp_step(self) -> u32 {
        let span = match self.settings.slow_start_ticks() {
            0 => self.settings.open_ticks(),
            span => span,
        };
        (span / RAMP_STEPS).max(1)
    }

    /// How many of the steps are done at `tick`, at least one; `None`: all.
    fn ramp_steps(self, slot: u16, tick: u32) -> Option<u32> {
        let at = self.at(slot);
        let gone = tick.wrapping_sub(at.ramp_from().get());
        let steps = 1 + if (gone as i32) < 0 { 0 } else { gone / self.ramp_step() };
        (steps < RAMP_STEPS).then_some(steps)
    }

    /// The weight rises with time; returns when to look again. The caller is in the critical section.
    pub(in crate::route) fn advance_ramp(self, slot: u16, now_tick: u32, all_due: bool) -> Option<u32> {
        let at = self.at(slot);
        let from = at.ramp_from().get();
        if from == 0 {
            return None;
        }
        let steps = self.ramp_steps(slot, now_tick).filter(|_| !all_due);
        self.put_factor(slot, steps.unwrap_or(RAMP_STEPS));
        self.touch();
        if steps.is_none() {
            at.ramp_from().set(0);
        }
        steps.map(|steps| from.wrapping_add(steps * self.ramp_step()))
    }

    /// Recomputes what is left of the weight; the caller is in the critical section, and settles the slot
    /// after this.
    #[inline(never)]
    pub(in crate::route) fn weigh(self, slot: u16) {
        let at = self.at(slot);
        let ramp = at.ramp_from().get() != 0;
        let steps = if ramp { self.ramp_steps(slot, self.seen_tick()) } else { None };
        self.put_factor(slot, steps.unwrap_or(RAMP_STEPS));
    }

    /// Whether the factor is what the health says; of an endpoint that gets nothing, any is. The caller is in
    /// the critical section.
    fn is_weighed(self, slot: u16) -> bool {
        let at = self.at(slot);
        let quarters = at.health().quarters();
        quarters == 0 || at.ramp_from().get() == 0 && at.factors().get() == quarters * RAMP_STEPS
    }

    /// Sets how many steps of the weight are left; the caller is in the critical section, and touches the
    /// slot after this.
    #[inline(never)]
    fn put_factor(self, slot: u16, steps: u32) {
        let at = self.at(slot);
        let factor = steps * at.health().quarters();
        at.factors().set(factor);
        at.inverses().set(DIVIDED / at.weight_left());
        at.write(Sets::partial, factor != FULL);
        at.write(Sets::uneven, at.weight() * factor != FULL);
        let version = at.bank.weight_version.load(Ordering::Relaxed).wrapping_add(1);
        at.bank.weight_version.store(version, Ordering::Release);
    }

    // === Caps ===

    /// Sets the cap, 0 for none; the caller is in the critical section.
    pub(in crate::route) fn set_cap(self, slot: u16, cap: u32) {
        let at = self.at(slot);
        at.caps().set(cap);
        // Changes nothing, but gives the new cap its place among the leases that begin and end meanwhile:
        // those after it see the cap, those before it are seen here.
        at.exact().fetch_add(0, Ordering::AcqRel);
        self.settle_full(slot);
    }

    /// Counts a lease exactly; returns how many there were, or `None` if the endpoint is at its cap. Any
    /// context.
    ///
    /// The cap may be set meanwhile, also with the slot's next endpoint: whoever doesn't know that the
    /// endpoint is still the one that was picked asks [`is_within_cap`](Self::is_within_cap) besides.
    #[inline(never)]
    pub(in crate::route) fn reserve(self, slot: u16) -> Option<u32> {
        let at = self.at(slot);
        let cap = at.caps().get();
        let count = at.exact();
        let before = if cap == 0 {
            count.fetch_add(1, Ordering::AcqRel)
        } else {
            let mut taken = count.load(Ordering::Relaxed);
            loop {
                if taken >= cap {
                    return None;
                }
                match count.compare_exchange_weak(taken, taken + 1, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => break taken,
                    Err(now) => taken = now,
                }
            }
        };
        // The cap that there is now: see `set_cap`.
        if before.wrapping_add(1) == at.caps().get() {
            self.settle_full(slot);
        }
        Some(before)
    }

    /// Whether the cap that there is now admits a lease that was counted when there were so many.
    pub(in crate::route) fn is_within_cap(self, slot: u16, before: u32) -> bool {
        let at = self.at(slot);
        let cap = at.caps().get();
        cap == 0 || before < cap
    }

    /// An exactly counted lease has ended. Any context.
    #[inline(never)]
    pub(in crate::route) fn unreserve(self, slot: u16) {
        let at = self.at(slot);
        let before = at.exact().fetch_sub(1, Ordering::AcqRel);
        if before == at.caps().get() {
            self.settle_full(slot);
        }
    }

    /// Brings the bit in `full` to what cap and count say.
    ///
    /// Any context, and several at once: each has changed the count or the cap first, then changes the bit,
    /// then looks at the two again. The changes of that one word have an order, and each acquires the ones
    /// before: so the last of them has seen what all contexts had written. Meanwhile the bit may be wrong,
    /// which no lease relies on: [`reserve`](Self::reserve) decides.
    #[cold]
    #[inline(never)]
    pub(in crate::route) fn settle_full(self, slot: u16) {
        let at = self.at(slot);
        let is_at_cap = || {
            let cap = at.caps().get();
            cap != 0 && at.exact().get() >= cap
        };
        loop {
            let full = is_at_cap();
            at.put(Sets::full, full);
            if is_at_cap() == full {
                return;
            }
        }
    }
}
