//! What a selector keeps of a class of requests: the candidates, and how traffic is split between two groups
//! of them.
//!
//! A filter makes a row of *steps*, in order of preference: each tier, within it each preferred zone, then
//! the other zones. The first step that has a routable endpoint is the *primary* group. When too few of that
//! step's endpoints are routable, or the zone reports too much load, a share goes to the *other* group, a
//! step after it: see [`spill`](super::spill). When all of both groups is at capacity, the steps after the
//! primary one serve, one by one.

use super::candidates::Candidates;
use super::changes::Dirt;
use super::endpoints::Endpoints;
use super::options::PERMILLE;
use super::spill::Spill;
use super::steps::{Mask, Place, Step, zones};
use super::strategies::{Barred, Pool, Turn};
use super::{Filter, Random, RoutingKey, Strategy, Zone};
use crate::bitmap::Bits;
use crate::sync::{Ordering, fence};

/// The candidates of one group, and what the strategy keeps of them.
pub(super) struct Group<C, const BANKS: usize, const PER_BANK: usize> {
    pub candidates: Candidates<BANKS, PER_BANK>,
    pub cache: C,
    pub dirt: Dirt,
}

/// A class of requests: valid while the epoch stands.
pub(super) struct ClassCache<C, const BANKS: usize, const PER_BANK: usize> {
    pub filter: Filter,
    pub epoch: u32,
    /// All traffic goes to the primary group, and nobody waits for a probe.
    pub(super) simple: bool,
    /// Some candidates have a cap.
    capped: bool,
    /// Whether probes wait to be sent.
    pub(super) probes: bool,
    /// Health is ignored: too few are healthy.
    pub(super) panic: bool,
    /// The step that the primary group is, and how many endpoints match in it, as of a membership version.
    pub(super) step: u8,
    matching: u32,
    matching_of: (u32, u8),
    /// The preferred zone that the primary group is, if it is one and may spill by load.
    pub(super) zone: Option<Zone>,
    pub(super) spill: Spill,
    primary: Group<C, BANKS, PER_BANK>,
    pub(super) other: Group<C, BANKS, PER_BANK>,
}

impl<C, const BANKS: usize, const PER_BANK: usize> ClassCache<C, BANKS, PER_BANK> {
    pub fn new<S, const STRIPES: usize>(filter: Filter, strategy: &S) -> Self
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let group = || Group { candidates: Candidates::new(), cache: strategy.cache(), dirt: Dirt::ALL };
        Self {
            filter,
            epoch: 0,
            simple: false,
            capped: false,
            probes: false,
            panic: false,
            // No such step: everything is looked at first.
            step: u8::MAX,
            matching: 0,
            matching_of: (1, 0),
            zone: None,
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
        stripe: u8,
        random: &mut Random,
        key: Option<RoutingKey>,
    ) -> Option<u16>
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let group = &mut self.primary;
        let pool = Pool { candidates: &group.candidates, endpoints, stripe };
        let mut turn = Turn { random, key, attempt: 0, barred: &Barred::NONE, dirt: &mut group.dirt };
        strategy.pick(&pool, &mut group.cache, &mut turn)
    }

    /// The strategy's step, in the primary group or the other.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub fn pick<S, const STRIPES: usize>(
        &mut self,
        spilled: bool,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        stripe: u8,
        random: &mut Random,
        key: Option<RoutingKey>,
        attempt: u8,
        barred: &Barred,
    ) -> Option<u16>
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        if spilled && !self.spill.ready {
            self.fill_other(1, strategy, endpoints, stripe, random);
        }
        let group = if spilled { &mut self.other } else { &mut self.primary };
        let pool = Pool { candidates: &group.candidates, endpoints, stripe };
        let mut turn = Turn { random, key, attempt, barred, dirt: &mut group.dirt };
        strategy.pick(&pool, &mut group.cache, &mut turn)
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
        Some(core::array::from_fn(|bank| self.serving(endpoints, &mask, bank)))
    }

    /// Those of a bank that may serve.
    #[inline(always)]
    pub(super) fn serving<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        mask: &Mask<'_, BANKS>,
        bank: usize,
    ) -> u32 {
        let matching = mask.bits(endpoints, bank);
        if self.panic { matching } else { matching & endpoints.routable.bits(bank) }
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
        self.simple = !self.probes && self.spill.share == 0 && self.zone.is_none();
        self.capped = !endpoints.capped.is_empty();
        let pool = Pool { candidates: &self.primary.candidates, endpoints, stripe };
        self.primary.dirt.banks |= banks;
        strategy.refill(&pool, &mut self.primary.cache, random);
        if self.spill.ready {
            let pool = Pool { candidates: &self.other.candidates, endpoints, stripe };
            self.other.dirt.banks |= banks;
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
        self.panic = self.panics(endpoints);
        (self.probes, self.zone, self.step) = (false, None, 0);
        self.spill.reset();
        let steps = self.steps(endpoints);
        let mut step = 0;
        while let Some(at) = self.step(endpoints, step) {
            let mut waiting = 0;
            let (mask, panic) = (Mask::new(endpoints, &self.filter, at), self.panic);
            self.primary.candidates.refill(
                |bank| {
                    let matching = mask.bits(endpoints, bank);
                    waiting |= matching & endpoints.half_open.bits(bank);
                    if panic { matching } else { matching & endpoints.routable.bits(bank) }
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
        if let Place::In(zone) = at.zone {
            self.zone = Some(zone);
        }
        let factor = endpoints.options.overprovisioning as u32;
        self.spill.begin(capacity(self.primary.candidates.len(), self.matching, factor));
    }

    /// Whether so few of those that match are routable that health is to be ignored.
    fn panics<const STRIPES: usize>(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) -> bool {
        let below = endpoints.options.panic_below as u32;
        if below == 0 {
            return false;
        }
        let mask = Mask::new(endpoints, &self.filter, Step { tier: self.filter.tier, zone: Place::Anywhere });
        let confined = self.filter.confined && !self.filter.zones().is_empty();
        let places = |bank| if confined { zones(endpoints, &self.filter, bank) } else { u32::MAX };
        let all: [u32; BANKS] = core::array::from_fn(|bank| mask.bits(endpoints, bank) & places(bank));
        let routable: [u32; BANKS] = core::array::from_fn(|bank| all[bank] & endpoints.routable.bits(bank));
        count(&routable) * PERMILLE < below * count(&all)
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
