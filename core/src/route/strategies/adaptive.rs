//! As busy as the endpoints are, so it chooses.

use super::consistent_hash::ConsistentHash;
use super::least_cost::LeastConnections;
use super::weighted::WeightedRoundRobin;
use super::{Needs, Pool, Strategy, Turn};
use crate::route::{Endpoints, Random, RoutingKey, SizedTable};
use crate::sync::const_fn;

/// Above this mean load, in permille, the fewest leases decide.
const BUSY: u32 = 700;

/// Adaptive: by what the moment asks for.
///
/// 1. While the mean of the candidates' fresh [scores](crate::route::Metrics::score) is above 700 ‰: the
///    fewest leases out ([`LeastConnections`]), so that nobody is pushed over the edge.
/// 2. Else, for a request with a key: the endpoint that the key belongs to ([`ConsistentHash`]).
/// 3. Else: in proportion to weights ([`WeightedRoundRobin`]).
///
/// Each select takes one step of one of the three, whose turns go on where they were when it is used again;
/// the further attempts of a select are the same one's. Without reports the mean is 0.
///
/// After a change of members the table is built anew when the next request with a key is placed by it, not
/// before: where there are none, it costs nothing.
///
/// # Examples
///
/// ```
/// use trilane::route::{
///     Adaptive, Balancer, ConsistentHash, Endpoint, Maglev, Options, Request, RoutingKey, Selector,
/// };
/// use trilane::time::Instant;
///
/// type Table = Maglev<251, 32>;
/// static BALANCER: Balancer<Adaptive<Table>, 1, 4> =
///     Balancer::new(Adaptive::new(ConsistentHash::new(Table::new())), Options::new());
///
/// let now = Instant::ZERO;
/// for id in 0..4 {
///     BALANCER.add(&Endpoint::new(id), now)?;
/// }
/// BALANCER.finish_build();
/// let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&BALANCER, 42)?;
/// let request = Request::ANY.key(RoutingKey::new(b"device 4711"));
/// let home = selector.select(&request, now)?.endpoint();
/// assert_eq!(selector.select(&request, now)?.endpoint(), home);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Adaptive<T> {
    pub(super) connections: LeastConnections,
    pub(super) hash: ConsistentHash<T>,
}

/// What a class keeps for [`Adaptive`]: what its three parts keep, and which of them the select under way is
/// for.
pub struct Parts<L, H, W> {
    least: L,
    hash: H,
    turns: W,
    part: Part,
}

#[derive(Clone, Copy)]
enum Part {
    Turns,
    Hash,
    Least,
}

impl<T> Adaptive<T> {
    const_fn! {
    /// With this hash for requests with keys.
    pub const fn new(hash: ConsistentHash<T>) -> Self {
        Self { connections: LeastConnections::new(), hash }
    }
    }
}

impl<T, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for Adaptive<T>
where
    T: SizedTable,
{
    type Cache = Parts<
        <LeastConnections as Strategy<BANKS, PER_BANK, STRIPES>>::Cache,
        <ConsistentHash<T> as Strategy<BANKS, PER_BANK, STRIPES>>::Cache,
        <WeightedRoundRobin as Strategy<BANKS, PER_BANK, STRIPES>>::Cache,
    >;
    const EMPTY: Self::Cache = Parts {
        least: <LeastConnections as Strategy<BANKS, PER_BANK, STRIPES>>::EMPTY,
        hash: <ConsistentHash<T> as Strategy<BANKS, PER_BANK, STRIPES>>::EMPTY,
        turns: <WeightedRoundRobin as Strategy<BANKS, PER_BANK, STRIPES>>::EMPTY,
        part: Part::Turns,
    };

    #[inline(always)]
    fn needs(&self) -> Needs {
        let connections = Strategy::<BANKS, PER_BANK, STRIPES>::needs(&self.connections);
        let hash = Strategy::<BANKS, PER_BANK, STRIPES>::needs(&self.hash);
        let needs =
            connections.and(hash).and(Strategy::<BANKS, PER_BANK, STRIPES>::needs(&WeightedRoundRobin));
        Needs { on_demand: true, mean_load: true, ..needs }
    }

    fn refill(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        random: &mut Random,
    ) {
        self.connections.refill(pool, &mut cache.least, random);
        self.hash.refill(pool, &mut cache.hash, random);
        WeightedRoundRobin.refill(pool, &mut cache.turns, random);
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        if turn.attempt == 0 {
            cache.part = if turn.load.is_some_and(|load| load > BUSY) {
                Part::Least
            } else if turn.key.is_some() {
                if pool.endpoints.is_build_outdated() {
                    pool.endpoints.want_build();
                }
                Part::Hash
            } else {
                Part::Turns
            };
        }
        match cache.part {
            Part::Least => self.connections.pick(pool, &mut cache.least, turn),
            Part::Hash => self.hash.pick(pool, &mut cache.hash, turn),
            Part::Turns => WeightedRoundRobin.pick(pool, &mut cache.turns, turn),
        }
    }

    fn owns(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &Self::Cache,
        key: RoutingKey,
        slot: u16,
    ) -> bool {
        matches!(cache.part, Part::Least) || self.hash.owns(pool, &cache.hash, key, slot)
    }

    fn begin(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) {
        self.hash.begin(endpoints);
    }

    fn build(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>, steps: u32) -> bool {
        self.hash.build(endpoints, steps)
    }
}
