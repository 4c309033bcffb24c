//! Making a class anew after something has changed: whom its primary group has, and what share of the traffic
//! it can take.

use crate::route::config::options::PERMILLE;
use crate::route::select::class::{Cached, ClassState, GroupMut, Traffic};
use crate::route::select::steps::{Place, Step, Survey};
use crate::route::state::bank::{BankRecord, Sets};
use crate::route::state::link::Table;
use crate::route::state::view::View;
use crate::route::{Options, Random};
use crate::sync::{Ordering, fence};

/// Makes the primary group anew; the other is, when a select goes there. O(banks), and O(candidates) if some
/// have come or gone.
#[cold]
#[inline(never)]
pub(in crate::route) fn refresh(cached: &mut dyn Cached, view: View<'_>, stripe: u8, random: &mut Random) {
    // Before anything is read: what changes after this is seen by the next select.
    let epoch = view.epoch();
    if let Some(stripe) = view.stripe(stripe) {
        stripe.refills.store(stripe.refills.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
    let needs = cached.needs();
    let (class, mut primary, other) = cached.parts();
    class.epoch = epoch;
    class.refill(view, &mut primary, needs.lists);
    class.doubt(view);
    let special = class.probes || class.spill.share != 0 || class.zoned;
    class.set_traffic(if special { Traffic::Special } else { Traffic::Usual });
    class.counts = needs.exact_counts || view.len(Sets::capped) != 0;
    (primary.load.changed, other.load.changed) = (u32::MAX, u32::MAX);
    cached.renew(false, false, random);
}

/// What panic mode goes by: linked where an option asks for it.
pub(in crate::route) struct PanicRules {
    panicking: fn(&ClassState, View<'_>) -> [u32; 2],
    /// Those of a bank that get something in a step in which health is ignored.
    pub serving: fn(&ClassState, View<'_>, &BankRecord) -> u32,
}

impl PanicRules {
    /// Those that the options ask for.
    #[inline(always)]
    pub const fn of(options: &Options) -> Table {
        const RULES: &PanicRules =
            &PanicRules { panicking: ClassState::panicking, serving: ClassState::serving_in_panic };
        if options.panic_below != 0 { Table::of(RULES) } else { Table::NONE }
    }
}

impl View<'_> {
    pub(in crate::route) fn panic_rules(self) -> Option<&'static PanicRules> {
        // SAFETY: `PanicRules::of` makes all that is set there.
        unsafe { self.settings.panic.get() }
    }
}

impl ClassState {
    /// All bits have been read. Whoever has seen one that was changed after the class's epoch sees a later
    /// epoch too, when it looks at that again; while members change, which have no later epoch yet, the class
    /// takes on a past one, so that the selector looks at whom it picks as if it were outdated.
    pub fn doubt(&mut self, view: View<'_>) {
        fence(Ordering::Acquire);
        if view.is_changing() {
            self.epoch = self.epoch.wrapping_sub(1);
        }
    }

    /// Looks at everything anew. O(banks + candidates) for a filter without zones where there is one tier;
    /// each further step costs O(banks).
    fn refill(&mut self, view: View<'_>, primary: &mut GroupMut<'_>, listed: bool) {
        self.panics = view.panic_rules().map_or([0; 2], |rules| (rules.panicking)(self, view));
        (self.probes, self.zoned, self.step) = (false, false, 0);
        self.spill.reset();
        let mut number = 0;
        while let Some(step) = self.step(view, number) {
            let mut waiting = 0;
            let mut bits = |bank| {
                let Some(bank) = view.bank(bank) else { return 0 };
                let matching = self.matching(step, bank);
                waiting |= matching & bank.bits(Sets::half_open);
                matching & bank.bits(step.admits())
            };
            primary.candidates.refill(&mut bits, listed);
            self.probes |= waiting != 0;
            self.step = number;
            number += 1;
            if !primary.candidates.is_empty() {
                if number < self.steps(view) {
                    self.share(view, primary, step);
                }
                break;
            }
        }
    }

    /// There are steps after the primary group's: what share do they get?
    fn share(&mut self, view: View<'_>, primary: &GroupMut<'_>, step: Step) {
        let membership = view.membership.load(Ordering::Relaxed);
        if self.matching_of != (membership, self.step) {
            self.matching = view.count(&|bank| self.matching(step, bank));
            self.matching_of = (membership, self.step);
        }
        self.zoned = matches!(step.zone, Place::In(_));
        let mut living = primary.candidates.len();
        if self.panics != [0; 2] {
            living = self.survey(view, step).living_or_all();
        }
        self.spill.begin(capacity(view, living, self.matching));
    }

    /// The steps in which so few are routable that health is to be ignored, a bit each. None that is dead, as
    /// long as another lives. O(steps * banks), without panic mode O(1).
    fn panicking(&self, view: View<'_>) -> [u32; 2] {
        let (below, hosts) = (view.settings.panic_below(), (view.settings.panic_hosts()).max(1));
        let (mut few, mut dead, mut lives) = ([0; 2], [0; 2], false);
        let mut number = 0;
        while below != 0
            && let Some(step) = self.step(view, number)
        {
            let Survey { matching, living, .. } = self.survey(view, step);
            lives |= living != 0;
            if matching >= hosts && living * PERMILLE < below * matching {
                let those = if living == 0 { &mut dead } else { &mut few };
                those[number as usize / 32 % 2] |= 1 << (number % 32);
            }
            number += 1;
        }
        if lives { few } else { dead }
    }
}

/// What `can` of `all` take, in permille of the traffic.
pub(in crate::route) fn capacity(view: View<'_>, can: u32, all: u32) -> u32 {
    (can * view.settings.overprovisioning()).checked_div(all).unwrap_or(0).min(PERMILLE)
}
