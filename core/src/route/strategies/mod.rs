//! How an endpoint is chosen among those that may serve: one file a strategy.
//!
//! A new one is a type with [`Strategy::pick`], and a line in this module; what it keeps for each class of
//! requests is its [`Cache`](Strategy::Cache), what all selectors share stands in the type itself.
//! `round_robin.rs` is the shortest.

pub(in crate::route) mod candidates;

mod adaptive;
mod ahead;
mod any;
mod consistent_hash;
mod kind;
mod least_cost;
mod round_robin;
mod spread;
mod thinning;
mod unbarred;
mod uniform_random;
mod weighted;
mod weights;

pub use adaptive::Adaptive;
pub use any::AnyStrategy;
pub use consistent_hash::ConsistentHash;
pub use kind::{Kind, UnknownKind};
pub use least_cost::{LeastConnections, LeastCost, LeastLatency, LeastLoad, PowerOfTwo};
pub use round_robin::RoundRobin;
pub use uniform_random::UniformRandom;
pub use weighted::{WeightedRandom, WeightedRoundRobin};

use super::state::bank::Sets;
use super::{Candidates, Endpoints, Random, RoutingKey};
use crate::bitmap::split;

/// What a strategy has the balancer keep for it. All off: nothing is counted or kept that it doesn't use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// [`Candidates::nth`] and [`Candidates::as_slice`].
    pub lists: bool,
    /// [`Endpoints::exact_count`] of every endpoint.
    pub exact_counts: bool,
    /// The latencies that leases report ([`Endpoints::latency`]).
    pub latencies: bool,
    /// [`Turn::load`].
    pub mean_load: bool,
    /// [`Strategy::build`].
    pub builds: bool,
    /// The same, but not before [`Endpoints::want_build`] asks for it.
    pub on_demand: bool,
}

impl Needs {
    /// What either needs.
    pub const fn and(self, other: Self) -> Self {
        Self {
            lists: self.lists || other.lists,
            exact_counts: self.exact_counts || other.exact_counts,
            latencies: self.latencies || other.latencies,
            mean_load: self.mean_load || other.mean_load,
            builds: self.builds || other.builds,
            on_demand: self.on_demand || other.on_demand,
        }
    }
}

/// A rule by which one of the candidates is picked.
pub trait Strategy<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> {
    /// What a selector keeps for each class of requests.
    type Cache;

    /// The cache of a class without candidates. All zeros, it takes no flash.
    const EMPTY: Self::Cache;

    /// Whether it ever [builds](Needs::builds). A firmware whose strategy doesn't has no code for that.
    const BUILDS: bool = true;

    /// What the balancer has to keep. The answer never changes, except for strategies that are exchanged at
    /// run time.
    fn needs(&self) -> Needs;

    /// The candidates, a weight or a factor has changed. O(banks + candidates).
    fn refill(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        random: &mut Random,
    ) {
        let _ = (pool, cache, random);
    }

    /// One of the candidates; `None` if there are none, or if all that aren't barred are full: the selector
    /// then looks itself.
    ///
    /// Attempt 0 is the one step of a select; what comes after it in the same select must not step again, and
    /// should not give what is [barred](Barred): the selector looks itself after four attempts.
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        turn: &mut Turn<'_>,
    ) -> Option<u16>;

    /// Whether `slot`, which is no candidate now, would have the request with this key if it were one: its
    /// probe may be such a request alone. Only strategies that place by keys say no.
    fn owns(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &Self::Cache,
        key: RoutingKey,
        slot: u16,
    ) -> bool {
        let _ = (pool, cache, key, slot);
        true
    }

    /// Members or weights have changed: a build has to begin anew. Only with [`Needs::builds`]; the balancer
    /// sees to it that one context at a time begins or builds.
    fn begin(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) {
        let _ = endpoints;
    }

    /// Builds on for about `steps` bounded steps; returns whether the build is done.
    fn build(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>, steps: u32) -> bool {
        let _ = (endpoints, steps);
        true
    }
}

/// What a strategy picks from.
pub struct Pool<'a, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> {
    /// Those that may serve.
    pub candidates: &'a Candidates<BANKS, PER_BANK>,
    /// What is known of them.
    pub endpoints: &'a Endpoints<BANKS, PER_BANK, STRIPES>,
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Pool<'_, BANKS, PER_BANK, STRIPES> {
    /// Whether a candidate has another weight than 1. O(banks).
    pub(in crate::route) fn is_uneven(&self) -> bool {
        let (words, view) = (self.candidates.words(), self.endpoints.view());
        (0..BANKS).any(|bank| words[bank] & view.bits(Sets::uneven, bank) != 0)
    }
}

/// One attempt of one select.
pub struct Turn<'a> {
    /// The selector's generator.
    pub random: &'a mut Random,
    /// What the request is to be placed by, if anything.
    pub key: Option<RoutingKey>,
    /// 0 for the step of the select, then 1, 2, 3.
    pub attempt: u8,
    /// What must not be picked again.
    pub barred: &'a Barred,
    /// The tick, of 1,024 µs, in which the select is.
    pub tick: u32,
    /// The mean of the fresh scores of the candidates in permille, if there are any. Only with
    /// [`Needs::mean_load`].
    pub load: Option<u32>,
}

/// Slots that a select has found full, taken or tried before: at most a few.
#[derive(Clone, Copy, Debug)]
pub struct Barred {
    slots: [u16; Barred::MOST],
    count: u8,
}

impl Barred {
    /// The most it holds; more are left out.
    pub const MOST: usize = 12;

    pub(in crate::route) const NONE: Self = Self { slots: [0; Self::MOST], count: 0 };

    #[inline(never)]
    pub(in crate::route) fn add(&mut self, slot: u16) {
        if let Some(entry) = self.slots.get_mut(self.count as usize) {
            *entry = slot;
            self.count += 1;
        }
    }

    fn as_slice(&self) -> &[u16] {
        &self.slots[..(self.count as usize).min(Self::MOST)]
    }

    /// Whether `slot` is barred.
    #[inline(never)]
    pub fn contains(&self, slot: u16) -> bool {
        self.as_slice().contains(&slot)
    }

    /// Those in a bank, one bit each.
    pub fn bits(&self, bank: usize) -> u32 {
        let barred = self.iter().map(split);
        barred.filter(|&(of, _)| of == bank).fold(0, |bits, (_, index)| bits | 1 << index)
    }

    /// What is barred, in any order; a slot may come twice.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.as_slice().iter().copied()
    }

    /// Whether nothing is.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
