//! What a selector keeps of a class of requests: the candidates, and how traffic is split between two groups
//! of them.
//!
//! A filter makes a row of *steps*, in order of preference: each tier, within it each preferred zone, then
//! the other zones. The first step that has a routable endpoint is the *primary* group. When too few of that
//! step's endpoints are routable, or the zone reports too much load, a share goes to the *other* group, a
//! step after it: see [`spill`](super::spill). When all of both groups is at capacity, the steps after the
//! primary one serve, one by one.

use super::candidates::Candidates;
use super::column::Set;
use super::endpoints::Endpoints;
use super::options::PERMILLE;
use super::report::MeanLoad;
use super::spill::Spill;
use super::steps::{Mask, Place, Step};
use super::strategies::{Barred, Pool, Turn};
use super::{Filter, Random, RoutingKey, Strategy};
use crate::bitmap::Bits;
use crate::sync::{Ordering, fence};

/// The candidates of one group, and what the strategy keeps of them.
pub(super) struct Group<C, const BANKS: usize, const PER_BANK: usize> {
    pub candidates: Candidates<BANKS, PER_BANK>,
    pub cache: C,
    pub load: MeanLoad<BANKS>,
}

/// What a pick is for, beside its class.
pub(super) struct Ask<'a> {
    pub random: &'a mut Random,
    pub key: Option<RoutingKey>,
    pub tick: u32,
    pub attempt: u8,
    pub barred: &'a Barred,
}

impl<C, const BANKS: usize, const PER_BANK: usize> Group<C, BANKS, PER_BANK> {
    #[inline(always)]
    fn pick<S, const STRIPES: usize>(
        &mut self,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        ask: Ask<'_>,
    ) -> Option<u16>
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let load = if strategy.needs().mean_load { self.load.get(&self.candidates, endpoints) } else { None };
        let pool = Pool { candidates: &self.candidates, endpoints };
        let Ask { random, key, tick, attempt, barred, .. } = ask;
        strategy.pick(&pool, &mut self.cache, &mut Turn { random, key, tick, attempt, barred, load })
    }
}

/// A class of requests: valid while the epoch stands.
pub(super) struct ClassCache<C, const BANKS: usize, const PER_BANK: usize> {
    pub filter: Filter,
    /// How often another filter has had its place.
    pub generation: u8,
    pub epoch: u32,
    /// All traffic goes to the primary group, and nobody waits for a probe.
    pub(super) simple: bool,
    /// Some candidates have a cap.
    capped: bool,
    /// Whether probes wait to be sent.
    pub(super) probes: bool,
    /// The steps in which health is ignored, a bit each: too few are healthy there.
    pub(super) panics: u64,
    /// The step that the primary group is, and how many endpoints match in it, as of a membership version.
    pub(super) step: u8,
    matching: u32,
    matching_of: (u32, u8),
    /// The primary group is a preferred zone, which may spill by load.
    pub(super) zoned: bool,
    pub(super) spill: Spill,
    pub(super) primary: Group<C, BANKS, PER_BANK>,
    pub(super) other: Group<C, BANKS, PER_BANK>,
}

impl<C, const BANKS: usize, const PER_BANK: usize> ClassCache<C, BANKS, PER_BANK> {
    pub fn new<S, const STRIPES: usize>(filter: Filter, strategy: &S) -> Self
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let group = || Group { candidates: Candidates::new(), cache: strategy.cache(), load: MeanLoad::NONE };
        Self {
            filter,
            generation: 0,
            epoch: 0,
            simple: false,
            capped: false,
            probes: false,
            panics: 0,
            // No such step: everything is looked at first.
            step: u8::MAX,
            matching: 0,
            matching_of: (1, 0),
            zoned: false,
            spill: Spill::NONE,
            primary: group(),
            other: group(),
        }
    }

    /// Whether all traffic goes to the primary group, and nobody waits for a probe.
    #[inline(always)]
    pub fn is_simple(&self) -> bool {
        self.simple
    }

    /// Whether probes wait to be sent.
    pub fn has_probes(&self) -> bool {
        self.probes
    }

    /// Whether the slot's leases are to be counted exactly for its cap.
    #[inline(always)]
    pub fn is_capped<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        slot: u16,
    ) -> bool {
        self.capped && endpoints.capped.contains(slot)
    }

    /// The strategy's first step of a select, in the primary group.
    #[inline(always)]
    pub fn pick_primary<S, const STRIPES: usize>(
        &mut self,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        ask: Ask<'_>,
    ) -> Option<u16>
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        self.primary.pick(strategy, endpoints, ask)
    }

    /// The strategy's step, in the primary group or the other.
    #[inline(always)]
    pub fn pick<S, const STRIPES: usize>(
        &mut self,
        spilled: bool,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        ask: Ask<'_>,
    ) -> Option<u16>
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        if spilled && !self.spill.ready {
            self.fill_other(1, strategy, endpoints, ask.random);
        }
        let group = if spilled { &mut self.other } else { &mut self.primary };
        group.pick(strategy, endpoints, ask)
    }

    /// Whether `slot` would have the key in the primary group.
    pub fn owns<S, const STRIPES: usize>(
        &self,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        key: RoutingKey,
        slot: u16,
    ) -> bool
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let pool = Pool { candidates: &self.primary.candidates, endpoints };
        strategy.owns(&pool, &self.primary.cache, key, slot)
    }

    /// The candidates of the primary group or of the other, as it is, a bit each.
    pub fn words(&self, spilled: bool) -> &[u32; BANKS] {
        if spilled { self.other.candidates.words() } else { self.primary.candidates.words() }
    }

    /// Those of a step that may serve, a bit each; `None` if there is no such step.
    pub fn step_words<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        step: u8,
    ) -> Option<[u32; BANKS]> {
        let mask = Mask::new(endpoints, &self.filter, self.step(endpoints, step)?);
        Some(core::array::from_fn(|bank| {
            mask.bits(endpoints, bank) & self.conditions(endpoints, step).bits(bank)
        }))
    }

    /// Who gets something in a step: those that are routable, or all that aren't hopeless.
    #[inline(always)]
    pub(super) fn conditions<'a, const STRIPES: usize>(
        &self,
        endpoints: &'a Endpoints<BANKS, PER_BANK, STRIPES>,
        step: u8,
    ) -> &'a Set<BANKS> {
        if self.panics >> (step % 64) & 1 == 1 { &endpoints.tolerable } else { &endpoints.routable }
    }

    /// Those of a bank that get something although they aren't routable.
    pub(super) fn tolerated<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        bank: usize,
    ) -> u32 {
        let steps = (0..u64::BITS - self.panics.leading_zeros()).filter(|step| self.panics >> step & 1 == 1);
        let steps = steps.filter_map(|step| self.step(endpoints, step as u8));
        steps.fold(0, |bits, step| bits | Mask::new(endpoints, &self.filter, step).bits(endpoints, bank))
            & endpoints.tolerable.bits(bank)
    }

    // === Making it anew ===

    /// Looks at what has changed: at the banks in which something has, if that is known and the groups stay
    /// what they are; else at everything. O(32) for one change, which is the usual case.
    #[cold]
    pub fn refresh<S, const STRIPES: usize>(
        &mut self,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        stripe: u8,
        random: &mut Random,
    ) where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        // Before anything is read: what changes after this is seen by the next select.
        let epoch = endpoints.epoch();
        let refills = &endpoints.stripe(stripe).refills;
        refills.store(refills.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let known = endpoints
            .changes(self.epoch, epoch)
            .filter(|_| !self.probes && endpoints.options.panic_below == 0);
        self.epoch = epoch;
        let banks = match known {
            Some(banks) if self.patch(endpoints, banks, strategy.needs().lists) => banks,
            _ => {
                self.refill(endpoints, strategy.needs().lists);
                u32::MAX
            }
        };
        self.doubt(endpoints);
        self.simple = !self.probes && self.spill.share == 0 && !self.zoned;
        self.capped = !endpoints.capped.is_empty();
        let pool = Pool { candidates: &self.primary.candidates, endpoints };
        self.primary.load.changed |= banks;
        strategy.refill(&pool, &mut self.primary.cache, random);
        if self.spill.ready {
            let pool = Pool { candidates: &self.other.candidates, endpoints };
            self.other.load.changed |= banks;
            strategy.refill(&pool, &mut self.other.cache, random);
        }
    }

    /// All bits have been read. Whoever has seen one that was changed after the class's epoch sees a later
    /// epoch too, when it looks at that again; while members change, which have no later epoch yet, the class
    /// takes on a past one, so that the selector looks at whom it picks as if it were outdated.
    pub(super) fn doubt<const STRIPES: usize>(&mut self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) {
        fence(Ordering::Acquire);
        if endpoints.is_changing() {
            self.epoch = self.epoch.wrapping_sub(1);
        }
    }

    /// Looks at `banks` alone; false if the groups don't stay what they are.
    fn patch<const STRIPES: usize>(
        &mut self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        banks: u32,
        listed: bool,
    ) -> bool {
        let Some(at) = self.step(endpoints, self.step) else { return false };
        let mask = Mask::new(endpoints, &self.filter, at);
        for bank in Bits(banks).map(|bank| bank as usize) {
            let matching = mask.bits(endpoints, bank);
            if matching & endpoints.half_open.bits(bank) != 0 {
                return false;
            }
            self.primary.candidates.replace(bank, matching & endpoints.routable.bits(bank), listed);
            for earlier in (0..self.step).filter_map(|number| self.step(endpoints, number)) {
                let matching = Mask::new(endpoints, &self.filter, earlier).bits(endpoints, bank);
                if matching & (endpoints.routable.bits(bank) | endpoints.half_open.bits(bank)) != 0 {
                    return false;
                }
            }
        }
        if !Bits(banks).all(|bank| self.patch_other(endpoints, bank as usize, listed)) {
            return false;
        }
        if self.primary.candidates.is_empty() {
            return false;
        }
        if self.step + 1 < self.steps(endpoints) {
            self.share(endpoints, at);
            self.share_with_other(endpoints);
        }
        true
    }

    /// Looks at everything anew. O(banks + candidates) for a filter without zones where there is one tier;
    /// each further step costs O(banks).
    fn refill<const STRIPES: usize>(
        &mut self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        listed: bool,
    ) {
        self.panics = self.panicking(endpoints);
        (self.probes, self.zoned, self.step) = (false, false, 0);
        self.spill.reset();
        let steps = self.steps(endpoints);
        let mut step = 0;
        while let Some(at) = self.step(endpoints, step) {
            let mut waiting = 0;
            let mask = Mask::new(endpoints, &self.filter, at);
            let conditions = self.conditions(endpoints, step);
            self.primary.candidates.refill(
                |bank| {
                    let matching = mask.bits(endpoints, bank);
                    waiting |= matching & endpoints.half_open.bits(bank);
                    matching & conditions.bits(bank)
                },
                listed,
            );
            self.probes |= waiting != 0;
            self.step = step;
            if !self.primary.candidates.is_empty() {
                if step + 1 < steps {
                    self.share(endpoints, at);
                }
                break;
            }
            step += 1;
        }
    }

    /// There are steps after the primary group's: what share do they get?
    fn share<const STRIPES: usize>(&mut self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>, at: Step) {
        let membership = endpoints.membership.load(Ordering::Relaxed);
        if self.matching_of != (membership, self.step) {
            let mask = Mask::new(endpoints, &self.filter, at);
            self.matching = count(&core::array::from_fn::<_, BANKS, _>(|bank| mask.bits(endpoints, bank)));
            self.matching_of = (membership, self.step);
        }
        self.zoned = matches!(at.zone, Place::In(_));
        let mut living = self.primary.candidates.len();
        if self.panics != 0 {
            living = living_of(endpoints, self.primary.candidates.words());
        }
        let factor = endpoints.options.overprovisioning as u32;
        self.spill.begin(capacity(living, self.matching, factor));
    }

    /// The steps in which so few are routable that health is to be ignored, a bit each. None that is dead, as
    /// long as another lives. O(steps * banks), without panic mode O(1).
    fn panicking<const STRIPES: usize>(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) -> u64 {
        let (below, hosts) =
            (endpoints.options.panic_below as u32, (endpoints.options.panic_hosts as u32).max(1));
        let (mut few, mut dead, mut lives) = (0, 0, below == 0);
        for number in 0..if below == 0 { 0 } else { self.steps(endpoints) } {
            let Some(step) = self.step(endpoints, number) else { break };
            let mask = Mask::new(endpoints, &self.filter, step);
            let all: [u32; BANKS] = core::array::from_fn(|bank| mask.bits(endpoints, bank));
            let living =
                count(&core::array::from_fn::<_, BANKS, _>(|bank| all[bank] & endpoints.routable.bits(bank)));
            lives |= living != 0;
            if count(&all) >= hosts && living * PERMILLE < below * count(&all) {
                *if living == 0 { &mut dead } else { &mut few } |= 1u64 << (number % 64);
            }
        }
        if lives { few } else { dead }
    }
}

/// How many of those in `words` are routable; all of them, if none is.
pub(super) fn living_of<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    words: &[u32; BANKS],
) -> u32 {
    match count(&core::array::from_fn::<_, BANKS, _>(|bank| words[bank] & endpoints.routable.bits(bank))) {
        0 => count(words),
        living => living,
    }
}

/// What `can` of `all` take, in permille of the traffic.
pub(super) fn capacity(can: u32, all: u32, factor: u32) -> u32 {
    (can * factor).checked_div(all).unwrap_or(0).min(PERMILLE)
}

/// How many bits are set. Over an array, since compilers make vectors of that.
pub(super) fn count<const BANKS: usize>(words: &[u32; BANKS]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}
