//! What a selector keeps of a class of requests: the candidates, and how traffic is split between two groups of them.
//!
//! A filter makes a row of *steps*, in order of preference: each tier, within it each preferred zone, then the other
//! zones. The first step that has a routable endpoint is the *primary* group. When too few of that step's endpoints are
//! routable, the share that it can't take goes to the *other* group, the steps after it; likewise when the zone reports
//! too much load, or all of the primary group is at capacity.
//!
//! The share follows Envoy's overprovisioning factor: a step whose routable share is *h* takes min(1, 1.4 *h*).

use super::candidates::Candidates;
use super::column::Set;
use super::endpoints::Endpoints;
use super::options::{PERMILLE, tick};
use super::strategies::{Barred, Pool, Turn};
use super::{EndpointId, Filter, Random, RoutingKey, SelectError, Strategy, TIERS, Tags, Tier, Zone};
use crate::bitmap::{Bits, slot, split};
use crate::sync::{Ordering, fence};
use crate::time::{Duration, Instant};

/// The candidates of one group, and what the strategy keeps of them.
struct Group<C, const BANKS: usize, const PER_BANK: usize> {
    candidates: Candidates<BANKS, PER_BANK>,
    cache: C,
    dirty: u32,
}

/// A class of requests: valid while the epoch stands.
pub(super) struct ClassCache<C, const BANKS: usize, const PER_BANK: usize> {
    pub filter: Filter,
    pub epoch: u32,
    /// All traffic goes to the primary group, and nobody waits for a probe.
    simple: bool,
    /// Some candidates have a cap.
    capped: bool,
    /// Whether probes wait to be sent.
    probes: bool,
    /// Health is ignored: too few are healthy.
    panic: bool,
    /// What share goes to the other group, in permille.
    spill: u16,
    /// What the primary group takes, in permille.
    taken: u16,
    /// Whether `other` is filled.
    other_ready: bool,
    /// The step that the primary group is, and how many endpoints match in it, as of a membership version.
    step: u8,
    /// The last step that the other group has, and how many endpoints match in its steps.
    last: u8,
    other_matching: u32,
    matching: u32,
    matching_of: (u32, u8),
    /// The preferred zone that the primary group is, if it is one and may spill by load.
    zone: Option<Zone>,
    primary: Group<C, BANKS, PER_BANK>,
    other: Group<C, BANKS, PER_BANK>,
}

/// One step: a tier, and a zone or the rest of the zones.
#[derive(Clone, Copy)]
struct Step {
    tier: Option<Tier>,
    zone: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Anywhere,
    In(Zone),
    Elsewhere,
}

impl<C, const BANKS: usize, const PER_BANK: usize> ClassCache<C, BANKS, PER_BANK> {
    pub fn new<S, const STRIPES: usize>(filter: Filter, strategy: &S) -> Self
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let group = || Group { candidates: Candidates::new(), cache: strategy.cache(), dirty: u32::MAX };
        Self {
            filter,
            epoch: 0,
            simple: false,
            capped: false,
            probes: false,
            panic: false,
            spill: 0,
            taken: PERMILLE as u16,
            other_ready: false,
            // No such step: everything is looked at first.
            step: u8::MAX,
            last: 0,
            other_matching: 0,
            matching: 0,
            matching_of: (1, 0),
            zone: None,
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

    /// Whether this select goes to the other group.
    #[inline(always)]
    pub fn draw<S, const STRIPES: usize>(
        &mut self,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        stripe: u8,
        random: &mut Random,
    ) -> bool
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let by_load = self.zone.map_or(0, |zone| endpoints.spill_by_load(zone));
        let share = by_load.max(self.spill as u32);
        if share == 0 {
            return false;
        }
        let drawn = random.below(PERMILLE);
        if drawn < share && !self.other_ready {
            self.fill_other(strategy, endpoints, stripe, random);
            // Less goes there than was thought, or nothing if nobody is there.
            return drawn < by_load.max(self.spill as u32) && !self.other.candidates.is_empty();
        }
        drawn < share
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
        if spilled && !self.other_ready {
            self.fill_other(strategy, endpoints, stripe, random);
        }
        let group = if spilled { &mut self.other } else { &mut self.primary };
        let pool = Pool { candidates: &group.candidates, endpoints, stripe };
        let mut turn = Turn { random, key, attempt, barred, dirty: &mut group.dirty };
        strategy.pick(&pool, &mut group.cache, &mut turn)
    }

    /// The candidates of a group, a bit each.
    pub fn words<S, const STRIPES: usize>(
        &mut self,
        spilled: bool,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        stripe: u8,
        random: &mut Random,
    ) -> &[u32; BANKS]
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        if spilled && !self.other_ready {
            self.fill_other(strategy, endpoints, stripe, random);
        }
        if spilled { self.other.candidates.words() } else { self.primary.candidates.words() }
    }

    /// Ranks have changed in these banks.
    pub fn soil(&mut self, banks: u32) {
        self.primary.dirty |= banks;
        self.other.dirty |= banks;
    }

    // === Making it anew ===

    /// Looks at what has changed: at the banks in which something has, if that is known and the groups stay what they are;
    /// else at everything. O(32) for one change, which is the usual case.
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
        self.simple = !self.probes && self.spill == 0 && self.zone.is_none();
        self.capped = !endpoints.capped.is_empty();
        let pool = Pool { candidates: &self.primary.candidates, endpoints, stripe };
        self.primary.dirty |= banks;
        strategy.refill(&pool, &mut self.primary.cache, random);
        if self.other_ready {
            let pool = Pool { candidates: &self.other.candidates, endpoints, stripe };
            self.other.dirty |= banks;
            strategy.refill(&pool, &mut self.other.cache, random);
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
            if self.other_ready {
                let later = (self.step + 1..=self.last).filter_map(|number| self.step(endpoints, number));
                let word = later.fold(0, |word, step| {
                    let matching = Mask::new(endpoints, &self.filter, step).bits(endpoints, bank);
                    word | matching & endpoints.routable.bits(bank)
                });
                self.other.candidates.replace(bank, word, listed);
            }
        }
        if self.primary.candidates.is_empty() {
            return false;
        }
        if self.step + 1 < self.steps(endpoints) {
            let enough = self.other_ready && self.last + 1 == self.steps(endpoints);
            self.share(endpoints, at);
            // The other group may need more steps than it has, or fewer.
            self.other_ready &= enough;
            self.share_with_other(endpoints);
        }
        true
    }

    /// Looks at everything anew. O(banks + candidates) for a filter without zones where there is one tier; each further
    /// step costs O(banks).
    fn refill<const STRIPES: usize>(
        &mut self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        listed: bool,
    ) {
        self.panic = self.panics(endpoints);
        (self.probes, self.spill, self.other_ready, self.zone, self.step) = (false, 0, false, None, 0);
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
        self.taken = capacity(self.primary.candidates.len(), self.matching, factor) as u16;
        // If the other group can take all of it; that is seen when the first select goes there.
        self.spill = PERMILLE as u16 - self.taken;
    }

    /// Fills the other group: the steps after the primary one, as many as it takes to serve what the primary can't, or all
    /// of them.
    #[cold]
    fn fill_other<S, const STRIPES: usize>(
        &mut self,
        strategy: &S,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        stripe: u8,
        random: &mut Random,
    ) where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        self.other_ready = true;
        self.last = self.step;
        let factor = endpoints.options.overprovisioning as u32;
        let (mut all, mut can) = ([0; BANKS], [0; BANKS]);
        while let Some(at) = self.step(endpoints, self.last + 1) {
            self.last += 1;
            let mask = Mask::new(endpoints, &self.filter, at);
            for bank in 0..BANKS {
                let matching = mask.bits(endpoints, bank);
                all[bank] |= matching;
                can[bank] |= if self.panic { matching } else { matching & endpoints.routable.bits(bank) };
            }
            self.other_matching = count(&all);
            if self.spill != 0 && capacity(count(&can), self.other_matching, factor) >= self.spill as u32 {
                break;
            }
        }
        self.other.candidates.refill(|bank| can[bank], strategy.needs().lists);
        self.share_with_other(endpoints);
        let pool = Pool { candidates: &self.other.candidates, endpoints, stripe };
        self.other.dirty = u32::MAX;
        strategy.refill(&pool, &mut self.other.cache, random);
    }

    /// The other group is filled, so it is known what share goes there: where both together can't take everything, each
    /// gets in proportion to what it can.
    fn share_with_other<const STRIPES: usize>(&mut self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) {
        if self.other_ready && self.spill != 0 {
            let factor = endpoints.options.overprovisioning as u32;
            let more = capacity(self.other.candidates.len(), self.other_matching, factor);
            let all = self.taken as u32 + more;
            if all < PERMILLE {
                self.spill = (more * PERMILLE).checked_div(all).unwrap_or(0) as u16;
            }
        }
    }

    /// Whether so few of those that match are routable that health is to be ignored.
    fn panics<const STRIPES: usize>(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) -> bool {
        let below = endpoints.options.panic_below as u32;
        if below == 0 {
            return false;
        }
        let mask = Mask::new(endpoints, &self.filter, Step { tier: self.filter.tier, zone: Place::Anywhere });
        let all: [u32; BANKS] = core::array::from_fn(|bank| mask.bits(endpoints, bank));
        let routable: [u32; BANKS] = core::array::from_fn(|bank| all[bank] & endpoints.routable.bits(bank));
        count(&routable) * PERMILLE < below * count(&all)
    }

    // === Steps ===

    /// How many steps the filter makes.
    fn steps<const STRIPES: usize>(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) -> u8 {
        (self.tiers(endpoints).count_ones() * self.places()) as u8
    }

    /// The tiers in question, a bit each.
    fn tiers<const STRIPES: usize>(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) -> u32 {
        match self.filter.tier {
            Some(tier) => 1 << tier.number(),
            None => endpoints.tiers_used().max(1),
        }
    }

    /// How many places each tier has: the zones that are preferred, then the rest.
    fn places(&self) -> u32 {
        let zones = self.filter.zones().len() as u32;
        if zones == 0 { 1 } else { zones + !self.filter.confined as u32 }
    }

    fn step<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        number: u8,
    ) -> Option<Step> {
        let tiers = self.tiers(endpoints);
        let (tier, place) = (number as u32 / self.places(), number as u32 % self.places());
        let tier = Bits(tiers).nth(tier as usize)?;
        // The only tier there is needs no mask, unless the filter names one.
        let masked = self.filter.tier.is_some() || tiers.count_ones() > 1;
        let tier = Tier::new(tier as u8 % TIERS as u8).ok().filter(|_| masked);
        let zone = match self.filter.zones().get(place as usize) {
            Some(&zone) => Place::In(zone),
            None if self.filter.zones().is_empty() => Place::Anywhere,
            None => Place::Elsewhere,
        };
        Some(Step { tier, zone })
    }

    // === One endpoint ===

    /// The handle of `slot` if it may serve a request of this class at an instant during this call.
    ///
    /// `probing`: its breaker need not be closed, since this request is its probe.
    pub fn eligible<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        at: u16,
        probing: bool,
    ) -> Option<EndpointId> {
        let (bank, index) = split(at);
        let mut answer = None;
        for _ in 0..4 {
            let epoch = endpoints.epoch();
            let id = endpoints.handle(at);
            let mut bits = endpoints.enabled.bits(bank) & endpoints.tagged(self.filter.tags, bank);
            if !probing && !self.panic {
                bits &= endpoints.routable.bits(bank);
            }
            if let Some(tier) = self.filter.tier {
                bits &= endpoints.tier(tier).bits(bank);
            }
            if self.filter.confined && !self.filter.zones().is_empty() {
                bits &= zones(endpoints, &self.filter, bank);
            }
            answer = (bits >> index & 1 == 1).then_some(id);
            // What was read stood together if the epoch still does. After four changes in a row, each of the bits stood
            // at some instant of this call, and the handle is of the one that the slot had.
            fence(Ordering::Acquire);
            if endpoints.epoch() == epoch {
                break;
            }
        }
        answer.filter(|id| endpoints.generation(at) == id.key().generation())
    }

    /// The first endpoint after `after` that matches and waits for a probe, in the steps up to the primary group's.
    pub fn next_probe<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        after: Option<u16>,
    ) -> Option<u16> {
        if !self.probes {
            return None;
        }
        let from = after.map_or(0, |slot| slot as u32 + 1);
        (from as usize / 32..BANKS).find_map(|bank| {
            let waiting = endpoints.half_open.bits(bank);
            let bits = if waiting == 0 {
                0
            } else {
                let steps = (0..=self.step).filter_map(|number| self.step(endpoints, number));
                waiting
                    & steps.fold(0, |bits, step| {
                        bits | Mask::new(endpoints, &self.filter, step).bits(endpoints, bank)
                    })
            };
            Bits(bits).map(|index| slot(bank, index)).find(|&slot| slot as u32 >= from)
        })
    }

    /// Why nobody can be had. O(banks), and O(open breakers) if it is they.
    pub fn diagnose<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        now: Instant,
        tried: &Barred,
    ) -> SelectError {
        let filter = &self.filter;
        let any = |bits: &dyn Fn(usize) -> u32| (0..BANKS).any(|bank| bits(bank) != 0);
        if endpoints.members.is_empty() {
            return SelectError::Empty;
        }
        let tagged = |bank| {
            let tier = filter.tier.map_or(u32::MAX, |tier| endpoints.tier(tier).bits(bank));
            endpoints.members.bits(bank) & endpoints.tagged(filter.tags, bank) & tier
        };
        if !any(&tagged) {
            return SelectError::NoTagMatch;
        }
        let confined = filter.confined && !filter.zones().is_empty();
        let here = |bank| if confined { tagged(bank) & zones(endpoints, filter, bank) } else { tagged(bank) };
        if !any(&here) {
            return SelectError::NoZoneMatch;
        }
        let may = |bank| {
            let condition =
                if self.panic { endpoints.enabled.bits(bank) } else { endpoints.routable.bits(bank) };
            here(bank) & condition
        };
        if any(&may) {
            let untried = (0..BANKS).flat_map(|bank| Bits(may(bank)).map(move |index| slot(bank, index)));
            let mut untried = untried.filter(|&slot| !tried.contains(slot));
            return if untried.next().is_some() { SelectError::AllAtCapacity } else { SelectError::AllTried };
        }
        let broken = (0..BANKS)
            .flat_map(|bank| {
                let bits = here(bank) & endpoints.enabled.bits(bank) & endpoints.broken.bits(bank);
                Bits(bits).map(move |index| slot(bank, index))
            })
            .filter(|&slot| endpoints.is_healthy(slot));
        let wait = broken.map(|slot| endpoints.breaker_wait(slot, tick(now))).min();
        match wait {
            Some(ticks) => {
                SelectError::AllBreakersOpen { retry_at: now + Duration::from_micros((ticks as u64) << 10) }
            }
            None => SelectError::AllUnhealthy,
        }
    }
}

/// The sets whose intersection a step is.
///
/// The usual ones stand in an array of fixed length, in which `enabled` fills the empty places: a bank's word is then a
/// few loads in a row without a branch.
struct Mask<'a, const BANKS: usize> {
    sets: [&'a Set<BANKS>; 5],
    /// The tags that found no place.
    more: Tags,
    /// The zones to be left out.
    without: &'a [Zone],
}

impl<'a, const BANKS: usize> Mask<'a, BANKS> {
    fn new<const PER_BANK: usize, const STRIPES: usize>(
        endpoints: &'a Endpoints<BANKS, PER_BANK, STRIPES>,
        filter: &'a Filter,
        step: Step,
    ) -> Self {
        let mut sets = [&endpoints.enabled; 5];
        let mut more = filter.tags;
        for place in &mut sets[1..3] {
            if let Some(tag) = more.pop() {
                *place = endpoints.tag(tag);
            }
        }
        if let Some(tier) = step.tier {
            sets[3] = endpoints.tier(tier);
        }
        let mut without: &[Zone] = &[];
        match step.zone {
            Place::Anywhere => {}
            Place::In(zone) => sets[4] = endpoints.zone(zone),
            Place::Elsewhere => without = filter.zones(),
        }
        Self { sets, more, without }
    }

    /// Those in a bank that match: members that aren't switched off, whatever their health.
    #[inline(always)]
    fn bits<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        bank: usize,
    ) -> u32 {
        let mut bits = self.sets.iter().fold(u32::MAX, |bits, set| bits & set.bits(bank));
        if self.more != Tags::NONE {
            bits &= endpoints.tagged(self.more, bank);
        }
        self.without.iter().fold(bits, |bits, &zone| bits & !endpoints.zone(zone).bits(bank))
    }
}

/// Those in a bank that are in one of the filter's zones.
fn zones<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    filter: &Filter,
    bank: usize,
) -> u32 {
    filter.zones().iter().fold(0, |bits, &zone| bits | endpoints.zone(zone).bits(bank))
}

/// What `can` of `all` take, in permille of the traffic.
fn capacity(can: u32, all: u32, factor: u32) -> u32 {
    (can * factor).checked_div(all).unwrap_or(0).min(PERMILLE)
}

/// How many bits are set. Over an array, since compilers make vectors of that.
fn count<const BANKS: usize>(words: &[u32; BANKS]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}
