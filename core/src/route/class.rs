//! What a selector keeps of a class of requests: the candidates, and how traffic is split between two groups
//! of them.
//!
//! A filter makes a row of *steps*, in order of preference: each tier, within it each preferred zone, then
//! the other zones. The first step that has a routable endpoint is the *primary* group. When too few of that
//! step's endpoints are routable, or the zone reports too much load, a share goes to the *other* group, a
//! step after it: see [`spill`](super::spill). When all of both groups is at capacity, the steps after the
//! primary one serve, one by one.

use super::candidates::{Candidates, CandidatesMut};
use super::endpoints::Endpoints;
use super::options::PERMILLE;
use super::report::{BankLoad, MeanLoad};
use super::spill::Spill;
use super::steps::{Place, Step};
use super::strategies::{Barred, Needs, Pool, Turn};
use super::view::View;
use super::{Filter, Random, RoutingKey, Strategy};
use crate::sync::{Ordering, fence};

/// A class of requests: valid while the epoch stands.
pub(super) struct ClassCache<C, const BANKS: usize, const PER_BANK: usize> {
    pub state: ClassState,
    primary: Group<C, BANKS, PER_BANK>,
    other: Group<C, BANKS, PER_BANK>,
}

/// What there is of a class whatever the strategy, and however many endpoints there may be.
pub(super) struct ClassState {
    pub filter: Filter,
    /// What a request of the class has to name: 0 for [`Filter::ANY`], else a number of its own.
    pub key: u32,
    pub epoch: u32,
    /// All traffic goes to the primary group, and nobody waits for a probe.
    pub simple: bool,
    /// Some endpoints have a cap.
    pub capped: bool,
    /// Whether probes wait to be sent.
    pub probes: bool,
    /// The steps in which health is ignored, a bit each: too few are healthy there.
    pub panics: u64,
    /// The step that the primary group is, and how many endpoints match in it, as of a membership version.
    pub step: u8,
    matching: u32,
    matching_of: (u32, u8),
    /// The primary group is a preferred zone, which may spill by load.
    pub zoned: bool,
    pub spill: Spill,
}

/// The candidates of one group, and what the strategy keeps of them.
struct Group<C, const BANKS: usize, const PER_BANK: usize> {
    candidates: Candidates<BANKS, PER_BANK>,
    cache: C,
    load: MeanLoad,
    loads: [BankLoad; BANKS],
}

/// A group as whoever makes it anew has it.
pub(super) struct GroupMut<'a> {
    pub candidates: CandidatesMut<'a>,
    pub load: &'a mut MeanLoad,
    loads: &'a mut [BankLoad],
}

impl GroupMut<'_> {
    /// The mean score of its candidates.
    pub fn mean_load(&mut self, view: &View<'_>) -> Option<u32> {
        self.load.get(self.loads, self.candidates.words(), || *view)
    }
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
    fn new(cache: C) -> Self {
        let loads = [BankLoad::NONE; BANKS];
        Self { candidates: Candidates::new(), cache, load: MeanLoad::NONE, loads }
    }

    fn as_mut(&mut self) -> GroupMut<'_> {
        GroupMut { candidates: self.candidates.as_mut(), load: &mut self.load, loads: &mut self.loads }
    }

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
        let load = if strategy.needs().mean_load {
            self.load.get(&mut self.loads, self.candidates.words(), || endpoints.view())
        } else {
            None
        };
        let pool = Pool { candidates: &self.candidates, endpoints };
        let Ask { random, key, tick, attempt, barred, .. } = ask;
        strategy.pick(&pool, &mut self.cache, &mut Turn { random, key, tick, attempt, barred, load })
    }
}

impl<C, const BANKS: usize, const PER_BANK: usize> ClassCache<C, BANKS, PER_BANK> {
    pub fn new<S, const STRIPES: usize>(strategy: &S) -> Self
    where
        S: Strategy<BANKS, PER_BANK, STRIPES, Cache = C>,
    {
        let group = || Group::new(strategy.cache());
        Self { state: ClassState::new(), primary: group(), other: group() }
    }

    /// Whether some of the traffic may go to the other group now.
    #[inline(always)]
    pub fn may_spill<const STRIPES: usize>(
        &mut self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    ) -> bool {
        let Group { candidates, load, loads, .. } = &mut self.primary;
        self.state.spill.share != 0
            || self.state.zoned
                && load.get(loads, candidates.words(), || endpoints.view())
                    > Some(endpoints.view().settings.spill_from())
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
}

/// A class with its strategy, whatever the two are: what all code goes by that isn't on the path of every
/// select.
pub(super) trait Cached {
    /// The class, its primary group, and the other one.
    fn parts(&mut self) -> (&mut ClassState, GroupMut<'_>, GroupMut<'_>);
    /// What the strategy needs.
    fn needs(&self) -> Needs;
    /// The strategy's step, in the primary group or the other.
    fn pick(&mut self, spilled: bool, ask: Ask<'_>) -> Option<u16>;
    /// A group has changed; `anew`: it has others than before.
    fn renew(&mut self, spilled: bool, anew: bool, random: &mut Random);
    /// Whether `slot` would have the key in the primary group.
    fn owns(&self, key: RoutingKey, slot: u16) -> bool;
}

/// The one that there is.
pub(super) struct OfStrategy<'a, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>
where
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    pub class: &'a mut ClassCache<S::Cache, BANKS, PER_BANK>,
    pub strategy: &'a S,
    pub endpoints: &'a Endpoints<BANKS, PER_BANK, STRIPES>,
}

impl<S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Cached
    for OfStrategy<'_, S, BANKS, PER_BANK, STRIPES>
where
    S: Strategy<BANKS, PER_BANK, STRIPES>,
{
    fn parts(&mut self) -> (&mut ClassState, GroupMut<'_>, GroupMut<'_>) {
        (&mut self.class.state, self.class.primary.as_mut(), self.class.other.as_mut())
    }

    fn needs(&self) -> Needs {
        self.strategy.needs()
    }

    fn pick(&mut self, spilled: bool, ask: Ask<'_>) -> Option<u16> {
        let group = if spilled { &mut self.class.other } else { &mut self.class.primary };
        group.pick(self.strategy, self.endpoints, ask)
    }

    fn renew(&mut self, spilled: bool, anew: bool, random: &mut Random) {
        let group = if spilled { &mut self.class.other } else { &mut self.class.primary };
        if anew {
            group.cache = self.strategy.cache();
        }
        let pool = Pool { candidates: &group.candidates, endpoints: self.endpoints };
        self.strategy.refill(&pool, &mut group.cache, random);
    }

    fn owns(&self, key: RoutingKey, slot: u16) -> bool {
        let pool = Pool { candidates: &self.class.primary.candidates, endpoints: self.endpoints };
        self.strategy.owns(&pool, &self.class.primary.cache, key, slot)
    }
}

/// Makes the primary group anew; the other is, when a select goes there. O(banks), and O(candidates) if some
/// have come or gone.
#[cold]
#[inline(never)]
pub(super) fn refresh(cached: &mut dyn Cached, view: &View<'_>, stripe: u8, random: &mut Random) {
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
    fn new() -> Self {
        Self {
            filter: Filter::ANY,
            key: 0,
            epoch: u32::MAX,
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
        }
    }

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
pub(super) fn living_of(view: &View<'_>, many: u32, bits: &dyn Fn(usize) -> u32) -> u32 {
    match count(view, &|bank| bits(bank) & view.routable().bits(bank)) {
        0 => many,
        living => living,
    }
}

/// What `can` of `all` take, in permille of the traffic.
pub(super) fn capacity(can: u32, all: u32, factor: u32) -> u32 {
    (can * factor).checked_div(all).unwrap_or(0).min(PERMILLE)
}

/// How many bits are set in all banks.
#[inline(never)]
pub(super) fn count(view: &View<'_>, bits: &dyn Fn(usize) -> u32) -> u32 {
    (0..view.banks()).map(|bank| bits(bank).count_ones()).sum()
}
