//! Making a class anew after something has changed: whom its primary group has, and what share of the traffic
//! it can take.

use crate::route::Random;
use crate::route::config::options::PERMILLE;
use crate::route::select::class::{Cached, ClassState, GroupMut};
use crate::route::select::steps::{Place, Step};
use crate::route::state::view::View;
use crate::sync::{Ordering, fence};

/// Makes the primary group anew; the other is, when a select goes there. O(banks), and O(candidates) if some
/// have come or gone.
#[cold]
#[inline(never)]
pub(in crate::route) fn refresh(cached: &mut dyn Cached, view: &View<'_>, stripe: u8, random: &mut Random) {
    // Before anything is read: what changes after this is seen by the next select.
    let epoch = view.epoch();
    if let Some(stripe) = view.stripes.get(stripe as usize) {
        stripe.refills.store(stripe.refills.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
    let listed = cached.needs().lists;
    let (class, mut primary, other) = cached.parts();
    class.epoch = epoch;
    class.refill(view, &mut primary, listed);
    class.doubt(view);
    class.simple = !class.probes && class.spill.share == 0 && !class.zoned;
    class.capped = !view.capped().is_empty();
    (primary.load.changed, other.load.changed) = (u32::MAX, u32::MAX);
    cached.renew(false, false, random);
}

impl ClassState {
    /// Those of a bank that get something although they aren't routable.
    pub fn tolerated(&self, view: &View<'_>, bank: usize) -> u32 {
        let steps = (0..u64::BITS - self.panics.leading_zeros()).filter(|step| self.panics >> step & 1 == 1);
        let steps = steps.filter_map(|step| self.step(view, step as u8));
        steps.fold(0, |bits, step| bits | self.matching(view, step, bank)) & view.tolerable().bits(bank)
    }

    /// All bits have been read. Whoever has seen one that was changed after the class's epoch sees a later
    /// epoch too, when it looks at that again; while members change, which have no later epoch yet, the class
    /// takes on a past one, so that the selector looks at whom it picks as if it were outdated.
    pub fn doubt(&mut self, view: &View<'_>) {
        fence(Ordering::Acquire);
        if view.is_changing() {
            self.epoch = self.epoch.wrapping_sub(1);
        }
    }

    /// Looks at everything anew. O(banks + candidates) for a filter without zones where there is one tier;
    /// each further step costs O(banks).
    fn refill(&mut self, view: &View<'_>, primary: &mut GroupMut<'_>, listed: bool) {
        self.panics = self.panicking(view);
        (self.probes, self.zoned, self.step) = (false, false, 0);
        self.spill.reset();
        let steps = self.steps(view);
        let mut step = 0;
        while let Some(at) = self.step(view, step) {
            let mut waiting = 0;
            let mut bits = |bank| {
                waiting |= self.matching(view, at, bank) & view.half_open().bits(bank);
                self.serving_in(view, step, at, bank)
            };
            primary.candidates.refill(&mut bits, listed);
            self.probes |= waiting != 0;
            self.step = step;
            if !primary.candidates.is_empty() {
                if step + 1 < steps {
                    self.share(view, primary, at);
                }
                break;
            }
            step += 1;
        }
    }

    /// There are steps after the primary group's: what share do they get?
    fn share(&mut self, view: &View<'_>, primary: &GroupMut<'_>, at: Step) {
        let membership = view.membership.load(Ordering::Relaxed);
        if self.matching_of != (membership, self.step) {
            self.matching = count(view, &|bank| self.matching(view, at, bank));
            self.matching_of = (membership, self.step);
        }
        self.zoned = matches!(at.zone, Place::In(_));
        let mut living = primary.candidates.len();
        if self.panics != 0 {
            living = living_of(view, living, &|bank| primary.candidates.word(bank));
        }
        let factor = view.settings.overprovisioning();
        self.spill.begin(capacity(living, self.matching, factor));
    }

    /// The steps in which so few are routable that health is to be ignored, a bit each. None that is dead, as
    /// long as another lives. O(steps * banks), without panic mode O(1).
    fn panicking(&self, view: &View<'_>) -> u64 {
        let (below, hosts) = (view.settings.panic_below(), (view.settings.panic_hosts()).max(1));
        let (mut few, mut dead, mut lives) = (0, 0, below == 0);
        for number in 0..if below == 0 { 0 } else { self.steps(view) } {
            let Some(step) = self.step(view, number) else { break };
            let all = count(view, &|bank| self.matching(view, step, bank));
            let living = count(view, &|bank| self.matching(view, step, bank) & view.routable().bits(bank));
            lives |= living != 0;
            if all >= hosts && living * PERMILLE < below * all {
                *if living == 0 { &mut dead } else { &mut few } |= 1u64 << (number % 64);
            }
        }
        if lives { few } else { dead }
    }
}

/// How many of so `many`, whose bits `bits` has, are routable; all of them, if none is.
pub(in crate::route) fn living_of(view: &View<'_>, many: u32, bits: &dyn Fn(usize) -> u32) -> u32 {
    match count(view, &|bank| bits(bank) & view.routable().bits(bank)) {
        0 => many,
        living => living,
    }
}

/// What `can` of `all` take, in permille of the traffic.
pub(in crate::route) fn capacity(can: u32, all: u32, factor: u32) -> u32 {
    (can * factor).checked_div(all).unwrap_or(0).min(PERMILLE)
}

/// How many bits are set in all banks.
#[inline(never)]
pub(in crate::route) fn count(view: &View<'_>, bits: &dyn Fn(usize) -> u32) -> u32 {
    (0..view.banks()).map(|bank| bits(bank).count_ones()).sum()
}
