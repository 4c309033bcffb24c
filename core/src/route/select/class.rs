//! What a selector keeps of a class of requests: the candidates, and how traffic is split between two groups
//! of them.
//!
//! A filter makes a row of *steps*, in order of preference: each tier, within it each preferred zone, then
//! the other zones. The first step that has a routable endpoint is the *primary* group. When too few of that
//! step's endpoints are routable, or the zone reports too much load, a share goes to the *other* group, a
//! step after it: see [`spill`](crate::route::select::spill). When all of both groups is at capacity, the
//! steps after the primary one serve, one by one.

use crate::route::load::report::{BankLoad, MeanLoad};
use crate::route::select::shares::Spill;
use crate::route::state::endpoints::Endpoints;
use crate::route::state::view::View;
use crate::route::strategies::candidates::{Candidates, CandidatesMut};
use crate::route::strategies::{Barred, Needs, Pool, Turn};
use crate::route::{Filter, Random, RoutingKey, Strategy};

/// A class of requests: valid while the epoch stands.
pub(in crate::route) struct ClassCache<C, const BANKS: usize, const PER_BANK: usize> {
    pub state: ClassState,
    primary: Group<C, BANKS, PER_BANK>,
    other: Group<C, BANKS, PER_BANK>,
}

/// What there is of a class whatever the strategy, and however many endpoints there may be.
pub(in crate::route) struct ClassState {
    pub filter: Filter,
    /// What a request of the class has to name: 0 for [`Filter::ANY`], else a number of its own.
    pub key: u32,
    pub epoch: u32,
    /// The epoch if traffic is usual, else one before it: what a select compares first.
    usual_epoch: u32,
    traffic: Traffic,
    /// Whether some leases are counted exactly: all of them, or those of endpoints that have a cap.
    pub counts: bool,
    /// Whether probes wait to be sent.
    pub probes: bool,
    /// The steps in which health is ignored, a bit each: too few are healthy there.
    pub panics: [u32; 2],
    /// The step that the primary group is, and how many endpoints match in it, as of a membership version.
    pub step: u8,
    pub matching: u32,
    pub matching_of: (u32, u8),
    /// The primary group is a preferred zone, which may spill by load.
    pub zoned: bool,
    pub spill: Spill,
}

/// Whether a select goes by the primary group, and needn't look for more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::route) enum Traffic {
    /// Nobody has looked yet.
    Unknown,
    /// A share goes elsewhere, or somebody waits for a probe.
    Special,
    /// It does.
    Usual,
    /// It does until a report comes.
    UsualByLoad,
}

/// The candidates of one group, and what the strategy keeps of them.
struct Group<C, const BANKS: usize, const PER_BANK: usize> {
    candidates: Candidates<BANKS, PER_BANK>,
    cache: C,
    load: MeanLoad,
    loads: [BankLoad; BANKS],
}

/// A group as whoever makes it anew has it.
pub(in crate::route) struct GroupMut<'a> {
    pub candidates: CandidatesMut<'a>,
    pub load: &'a mut MeanLoad,
    loads: &'a mut [BankLoad],
}

impl GroupMut<'_> {
    /// The mean score of its candidates.
    pub fn mean_load(&mut self, view: View<'_>) -> Option<u32> {
        self.load.get(self.loads, self.candidates.words(), || view)
    }
}

/// What a pick is for, beside its class.
pub(in crate::route) struct Ask<'a> {
    pub random: &'a mut Random,
    pub key: Option<RoutingKey>,
    pub tick: u32,
    pub attempt: u8,
    pub barred: &'a Barred,
}

impl<C, const BANKS: usize, const PER_BANK: usize> Group<C, BANKS, PER_BANK> {
    const fn new(cache: C) -> Self {
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
    /// No class yet, with empty caches.
    pub const fn new(primary: C, other: C) -> Self {
        Self { state: ClassState::NEW, primary: Group::new(primary), other: Group::new(other) }
    }

    /// Makes it the class of a filter; `key`: what a request of it has to name. Candidates are made anew from
    /// what they were.
    pub fn renew(&mut self, filter: Filter, key: u32, empty: [C; 2]) {
        self.state = ClassState { filter, key, ..ClassState::NEW };
        [self.primary.cache, self.other.cache] = empty;
    }

    /// 0 if the epoch stands and a select goes by the primary group, whatever is reported.
    #[inline(always)]
    pub fn departure(&self, view: View<'_>) -> u32 {
        self.state.usual_epoch ^ view.epoch()
    }

    /// Whether the epoch stands and a select goes by the primary group, as long as there are no new reports.
    #[inline(always)]
    pub fn is_usual_by_load(&self, view: View<'_>) -> bool {
        let ClassState { traffic, epoch, .. } = self.state;
        traffic == Traffic::UsualByLoad && epoch == view.epoch() && self.primary.load.is_of(view)
    }

    /// Whether nothing but a zone's load would send a select elsewhere, and doesn't.
    pub fn has_room(&mut self, view: View<'_>) -> bool {
        let state = &mut self.state;
        let usual = !state.probes
            && state.spill.share == 0
            && self.primary.as_mut().mean_load(view) <= Some(view.settings.spill_from());
        state.set_traffic(if usual { Traffic::UsualByLoad } else { Traffic::Special });
        usual
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
pub(in crate::route) trait Cached {
    /// The class.
    fn class(&mut self) -> &mut ClassState;
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
pub(in crate::route) struct OfStrategy<'a, S, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>
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
    fn class(&mut self) -> &mut ClassState {
        &mut self.class.state
    }

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
            group.cache = S::EMPTY;
        }
        let pool = Pool { candidates: &group.candidates, endpoints: self.endpoints };
        self.strategy.refill(&pool, &mut group.cache, random);
    }

    fn owns(&self, key: RoutingKey, slot: u16) -> bool {
        let pool = Pool { candidates: &self.class.primary.candidates, endpoints: self.endpoints };
        self.strategy.owns(&pool, &self.class.primary.cache, key, slot)
    }
}

impl ClassState {
    /// All zeros: of no epoch yet.
    const NEW: Self = Self {
        filter: Filter::ANY,
        key: 0,
        epoch: 0,
        usual_epoch: 0,
        traffic: Traffic::Unknown,
        counts: false,
        probes: false,
        panics: [0; 2],
        step: 0,
        matching: 0,
        matching_of: (0, 0),
        zoned: false,
        spill: Spill::NEW,
    };

    /// Whether its candidates are of another epoch than the view's.
    ///
    /// A new class is usual in epoch 0, and right in that: nobody has been added yet, and it has nobody. When
    /// epochs come to 0 again a select that has picked nobody asks here.
    pub fn is_outdated(&self, view: View<'_>) -> bool {
        self.traffic == Traffic::Unknown || self.epoch != view.epoch()
    }

    pub fn is_usual(&self) -> bool {
        self.traffic == Traffic::Usual
    }

    /// Sets it as of the class's epoch.
    pub fn set_traffic(&mut self, traffic: Traffic) {
        self.traffic = traffic;
        self.usual_epoch = self.epoch.wrapping_sub((traffic != Traffic::Usual) as u32);
    }
}

#[cfg(test)]
mod tests {
    use crate::route::{Balancer, Endpoint, Options, Request, RoundRobin, SelectError};
    use crate::sync::Ordering;
    use crate::time::Instant;

    #[test]
    fn a_new_class_is_filled_also_when_epochs_have_come_round() {
        let balancer: Balancer<RoundRobin, 1, 2> = Balancer::new(RoundRobin, Options::new());
        let mut selector = balancer.selector::<1>(1).unwrap();
        let now = Instant::ZERO;
        assert!(matches!(selector.select(&Request::ANY, now), Err(SelectError::Empty)));
        drop(selector);
        let epoch = &balancer.endpoints.view().signals.epoch;
        epoch.store(u32::MAX - 1, Ordering::Relaxed);
        let id = balancer.add(&Endpoint::new(1), now).unwrap();
        assert_eq!(epoch.load(Ordering::Relaxed), 0);
        let mut selector = balancer.selector::<1>(1).unwrap();
        assert_eq!(selector.select(&Request::ANY, now).unwrap().endpoint(), id);
    }
}
