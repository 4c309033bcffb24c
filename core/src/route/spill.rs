//! What share of a class's traffic goes past its primary group, and how that is split among the steps after
//! it.
//!
//! The rule is that of Envoy's priority levels
//! (<https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority>). A
//! step of whose endpoints the part *h* is routable can take min(1, 1.4 *h*) of the traffic. The primary
//! group takes what it can, the next step takes what it can of the rest, and so on, until nothing is left.
//! Where all steps together can't take everything, each gets in proportion to what it can. A primary group
//! that is a zone and reports too much load gives a share away too, if the other group has more room; the
//! greater of both shares counts.
//!
//! Mostly one step can take the rest, and is the other group. Where it takes several, the other group is each
//! of them by turns: for [`RUN`] selects that go there, then the next one's. So no class has candidates of
//! more than two groups, and no select but one of those makes them anew. Whose turn it is follows from a
//! sequence that visits all parts of the traffic evenly (Weyl's: multiples of an irrational number, here
//! nearly the golden ratio), so shares are close to the rule's after a few turns.

use super::class::{ClassCache, capacity, count, living_of};
use super::endpoints::Endpoints;
use super::options::PERMILLE;
use super::steps::Mask;
use super::strategies::Pool;
use super::{Random, Strategy};

/// Selects in a row that go to the same one of several steps.
const RUN: u8 = 8;
/// What a turn is ahead of the one before it, in permille of the traffic; it has no divisor in common with
/// 1,000.
const AHEAD: u32 = 617;

/// How a class's traffic is split; shares in permille.
pub(super) struct Spill {
    /// What goes to the other group.
    pub share: u16,
    /// What the primary group can take.
    taken: u16,
    /// Whether the other group is filled.
    pub ready: bool,
    /// How many selects more it is what it is; no end to it if one step can take all.
    run: u8,
    /// The last step that is needed.
    pub last: u8,
    /// What the steps up to that can take; everything if no steps are left.
    limit: u16,
    /// The step that the other group is, and how many endpoints match in it.
    step: u8,
    matching: u32,
    /// Where in the traffic the turn of the step lies.
    position: u16,
}

impl Spill {
    /// Nothing does.
    pub const NONE: Self = Self {
        share: 0,
        taken: PERMILLE as u16,
        ready: false,
        run: 0,
        last: 0,
        limit: 0,
        step: 0,
        matching: 0,
        position: 0,
    };

    /// The primary group is made anew.
    pub fn reset(&mut self) {
        *self = Self { position: self.position, ..Self::NONE };
    }

    /// The primary group can take `taken`. The steps after it get the rest if they can take it: that is seen
    /// when the first select goes there.
    pub fn begin(&mut self, taken: u32) {
        self.taken = taken as u16;
        self.share = (PERMILLE - taken) as u16;
    }

    /// The steps that are needed can take `more`, and there are some `left`.
    fn settle(&mut self, more: u32, left: bool) {
        self.limit = if left { more } else { PERMILLE } as u16;
        let all = self.taken as u32 + more;
        if self.share != 0 && !left && all < PERMILLE {
            self.share = (more * PERMILLE).checked_div(all).unwrap_or(0) as u16;
        }
    }
}

impl<C, const BANKS: usize, const PER_BANK: usize> ClassCache<C, BANKS, PER_BANK> {
    /// Whether this select goes to the other group.
    #[inline(always)]
    pub fn draw<S, const STRIPES: usize>(
        &mut self,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        random: &mut Random,
    ) -> bool
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let mut by_load = self.share_by_load(endpoints);
        if by_load != 0 && !self.spill.ready {
            self.fill_other(by_load, strategy, endpoints, random);
            by_load = self.share_by_load(endpoints);
        }
        let share = by_load.max(self.spill.share as u32);
        if share == 0 {
            return false;
        }
        let drawn = random.below(PERMILLE);
        if drawn >= share {
            return false;
        }
        if !self.spill.ready || share > self.spill.limit as u32 || self.spill.run == 0 {
            self.fill_other(share, strategy, endpoints, random);
        }
        self.spill.run -= (self.spill.run != u8::MAX) as u8;
        // Less goes there than was thought if they can't take it, nothing if nobody is there.
        drawn < by_load.max(self.spill.share as u32) && !self.other.candidates.is_empty()
    }

    /// What goes to the other group for the zone's load, in permille: nothing unless that group has more
    /// room.
    #[inline]
    fn share_by_load<const STRIPES: usize>(
        &mut self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    ) -> u32 {
        if !self.zoned {
            return 0;
        }
        let from = endpoints.options.spill_from as u32;
        let load = self.primary.load.get(&self.primary.candidates, endpoints).unwrap_or(0);
        if load <= from {
            return 0;
        }
        let mut there = 0;
        if self.spill.ready {
            there = self.other.load.get(&self.other.candidates, endpoints).unwrap_or(0);
        }
        load.saturating_sub(there.max(from)) * PERMILLE / (PERMILLE - from).max(1)
    }

    /// The first step that gets nothing as long as those before it can.
    pub fn first_left(&self) -> u8 {
        1 + if self.spill.ready { self.spill.last } else { self.step }
    }

    // === Making it anew ===

    /// Fills the other group, for `share` permille of the traffic: with the step after the primary one if it
    /// can take that, else with the one whose turn it is, of as many as it takes.
    #[cold]
    pub(super) fn fill_other<S, const STRIPES: usize>(
        &mut self,
        share: u32,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        random: &mut Random,
    ) where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let factor = endpoints.options.overprovisioning as u32;
        // What they can take together, how many of them can, and who waits for probes.
        let (mut more, mut able, mut waiting) = (0, 0, 0);
        self.spill.last = self.step;
        while more < share
            && let Some((all, can)) = self.step_after(endpoints, self.spill.last)
        {
            self.spill.last += 1;
            waiting |= (0..BANKS).fold(0, |bits, bank| bits | all[bank] & endpoints.half_open.bits(bank));
            self.spill.matching = count(&all);
            let takes = capacity(living_of(endpoints, &can), self.spill.matching, factor);
            able += (takes != 0) as u32;
            more += takes;
        }
        // Whoever gets traffic gets its probes too.
        self.probes |= waiting != 0;
        self.simple &= waiting == 0;
        self.spill.position = ((self.spill.position as u32 + AHEAD) % PERMILLE) as u16;
        self.spill.run = if able > 1 { RUN } else { u8::MAX };

        // The step in which the turn lies; where none can take anything, the first that has anybody.
        let turn = self.spill.position as u32 * more.min(share) / PERMILLE;
        let before_fill = self.spill.ready.then_some(self.spill.step);
        let (mut before, mut changed) = (0, None);
        for step in self.step..self.spill.last {
            let Some((all, can)) = self.step_after(endpoints, step) else { break };
            before += capacity(living_of(endpoints, &can), count(&all), factor);
            if count(&can) != 0 && (turn < before || more == 0) {
                self.spill.matching = count(&all);
                self.spill.step = step + 1;
                changed = Some(self.other.candidates.refill(|bank| can[bank], strategy.needs().lists));
                break;
            }
        }
        let changed = changed.unwrap_or_else(|| {
            self.spill.step = self.spill.last;
            self.other.candidates.refill(|_| 0, strategy.needs().lists)
        });
        self.spill.ready = true;
        self.doubt(endpoints);
        let left = self.spill.last + 1 < self.steps(endpoints);
        self.spill.settle(more.min(PERMILLE), left);
        if !changed && before_fill == Some(self.spill.step) {
            return;
        }
        if before_fill != Some(self.spill.step) {
            // Going on where the last step's turn ended, it would favour some.
            self.other.cache = strategy.cache();
        }
        let pool = Pool { candidates: &self.other.candidates, endpoints };
        self.other.load.changed = u32::MAX;
        strategy.refill(&pool, &mut self.other.cache, random);
    }

    /// Those of the step after `step` that match, and those of them that may serve, a bit each.
    fn step_after<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        step: u8,
    ) -> Option<([u32; BANKS], [u32; BANKS])> {
        let mask = Mask::new(endpoints, &self.filter, self.step(endpoints, step + 1)?);
        let conditions = self.conditions(endpoints, step + 1);
        let all: [u32; BANKS] = core::array::from_fn(|bank| mask.bits(endpoints, bank));
        Some((all, core::array::from_fn(|bank| all[bank] & conditions.bits(bank))))
    }

    /// Looks at a bank of the other group, which is one step; false if a probe waits there.
    pub(super) fn patch_other<const STRIPES: usize>(
        &mut self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        bank: usize,
        listed: bool,
    ) -> bool {
        // It stays only if it is the step after the primary one, and is enough. Else it may take more or
        // fewer.
        self.spill.ready &= self.spill.last == self.step + 1;
        if !self.spill.ready {
            return true;
        }
        let Some(at) = self.step(endpoints, self.spill.last) else { return false };
        let matching = Mask::new(endpoints, &self.filter, at).bits(endpoints, bank);
        if matching & endpoints.half_open.bits(bank) != 0 {
            return false;
        }
        self.other.candidates.replace(bank, matching & endpoints.routable.bits(bank), listed);
        true
    }

    /// What the other group, of one step, can take by now.
    pub(super) fn share_with_other<const STRIPES: usize>(
        &mut self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    ) {
        if self.spill.ready && self.spill.last == self.step + 1 {
            let factor = endpoints.options.overprovisioning as u32;
            let more = capacity(self.other.candidates.len(), self.spill.matching, factor);
            let left = self.spill.last + 1 < self.steps(endpoints);
            self.spill.settle(more, left);
        }
    }
}
