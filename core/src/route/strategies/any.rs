//! The strategy that is chosen, and exchanged, while traffic flows.

use super::least_cost::{LeastConnections, LeastLatency, LeastLoad, PowerOfTwo};
use super::weighted::{WeightedRandom, WeightedRoundRobin};
use super::{Adaptive, ConsistentHash, Kind, Needs, Pool, RoundRobin, Strategy, Turn, UniformRandom};
use crate::route::{Endpoints, Random, RoutingKey, SizedTable};
use crate::sync::{AtomicU32, Ordering, const_fn};

/// Any of the ten strategies, chosen when it is made and exchanged by
/// [`Balancer::set_kind`](crate::route::Balancer::set_kind).
///
/// An exchange takes effect with the next select of each selector, or the next attempt of one under way. The
/// new strategy begins anew: at a random candidate, where it takes turns. What it goes by is there already,
/// since the balancer keeps for this strategy whatever any of the ten needs, all the time:
///
/// * The leases of each endpoint are counted exactly, whatever the strategy is when they are taken and when
///   they end. So least connections is right from its first select on. This costs two atomic operations a
///   lease, on a word that all selectors share: with a strategy that is chosen once and for all, and that
///   doesn't need them, there are none.
/// * Latencies are averaged.
/// * The hash table is the exception: it is built while consistent hash or adaptive is chosen, and brought up
///   to date when one of them is chosen again. Until that is done keys go where they belonged when the table
///   was built last.
///
/// A class takes as much memory as the largest of what the ten keep.
///
/// # Examples
///
/// ```
/// use trilane::route::*;
/// use trilane::time::Instant;
///
/// type Strategies = AnyStrategy<Ring<512, 128>>;
/// static BALANCER: Balancer<Strategies, 1, 4> = Balancer::new(
///     AnyStrategy::new(Kind::RoundRobin, ConsistentHash::new(Ring::new())),
///     Options::new(),
/// );
///
/// let now = Instant::ZERO;
/// let busy = BALANCER.add(&Endpoint::new(1), now)?;
/// let idle = BALANCER.add(&Endpoint::new(2), now)?;
/// BALANCER.report(busy, Metrics::new(900, 800, 100, 20, 0)?, now)?;
/// BALANCER.report(idle, Metrics::new(100, 300, 100, 20, 0)?, now)?;
/// let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&BALANCER, 42)?;
/// let first = selector.select(&Request::ANY, now)?.endpoint();
/// assert_ne!(selector.select(&Request::ANY, now)?.endpoint(), first);
///
/// assert_eq!(BALANCER.set_kind(Kind::LeastLoad, now), Kind::RoundRobin);
/// assert_eq!(selector.select(&Request::ANY, now)?.endpoint(), idle);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AnyStrategy<T> {
    kind: AtomicU32,
    // Has a part in three of them.
    adaptive: Adaptive<T>,
}

impl<T> AnyStrategy<T> {
    const_fn! {
    /// Begins as `kind`; `hash` is for consistent hash and adaptive.
    ///
    /// A static balancer that begins as [`Kind::RoundRobin`] is all zeros and takes no flash; for another
    /// kind there, [`set_kind`](crate::route::Balancer::set_kind) is called when the program runs.
    pub const fn new(kind: Kind, hash: ConsistentHash<T>) -> Self {
        Self {
            kind: AtomicU32::new(kind.number()),
            adaptive: Adaptive::new(hash),
        }
    }
    }

    /// Which one it is now.
    pub fn kind(&self) -> Kind {
        Kind::from_number(self.kind.load(Ordering::Relaxed))
    }

    /// The caller is in the critical section.
    pub(in crate::route) fn set_kind(&self, kind: Kind) {
        self.kind.store(kind.number(), Ordering::Relaxed);
    }
}

const LEAST_LATENCY: LeastLatency = LeastLatency::new();
const LEAST_LOAD: LeastLoad = LeastLoad::new();
const POWER_OF_TWO: PowerOfTwo = PowerOfTwo::new();

/// Whatever differs from strategy to strategy, of a table of all: the name, the type, and where it stands in
/// `$any`.
macro_rules! strategies {
    ($any:ident: $($kind:ident($strategy:ty) at $place:expr,)*) => {
        /// What a class keeps for [`AnyStrategy`]: what the present strategy keeps.
        #[allow(missing_docs, reason = "each variant is for the kind that it is named after")]
        #[allow(clippy::large_enum_variant, reason = "there is no heap: a class has room for the largest")]
        pub enum AnyCache<T: SizedTable, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> {
            $($kind(<$strategy as Strategy<BANKS, PER_BANK, STRIPES>>::Cache),)*
        }

        impl<T: SizedTable, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>
            AnyCache<T, BANKS, PER_BANK, STRIPES>
        {
            fn new(kind: Kind) -> Self {
                match kind {
                    $(Kind::$kind => Self::$kind(<$strategy as Strategy<BANKS, PER_BANK, STRIPES>>::EMPTY),)*
                }
            }

            fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            fn refill(
                &mut self,
                $any: &AnyStrategy<T>,
                pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
                random: &mut Random,
            ) {
                match self {
                    $(Self::$kind(cache) => $place.refill(pool, cache, random),)*
                }
            }

            fn owns(
                &self,
                $any: &AnyStrategy<T>,
                pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
                key: RoutingKey,
                slot: u16,
            ) -> bool {
                match self {
                    $(Self::$kind(cache) => $place.owns(pool, cache, key, slot),)*
                }
            }

            #[inline(always)]
            fn pick(
                &mut self,
                $any: &AnyStrategy<T>,
                pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
                turn: &mut Turn<'_>,
            ) -> Option<u16> {
                match self {
                    $(Self::$kind(cache) => $place.pick(pool, cache, turn),)*
                }
            }
        }
    };
}

strategies! { any:
    RoundRobin(RoundRobin) at &RoundRobin,
    WeightedRoundRobin(WeightedRoundRobin) at &WeightedRoundRobin,
    LeastConnections(LeastConnections) at &any.adaptive.connections,
    Random(UniformRandom) at &UniformRandom,
    WeightedRandom(WeightedRandom) at &WeightedRandom,
    ConsistentHash(ConsistentHash<T>) at &any.adaptive.hash,
    LeastLatency(LeastLatency) at &LEAST_LATENCY,
    LeastLoad(LeastLoad) at &LEAST_LOAD,
    PowerOfTwo(PowerOfTwo) at &POWER_OF_TWO,
    Adaptive(Adaptive<T>) at &any.adaptive,
}

impl<T, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for AnyStrategy<T>
where
    T: SizedTable,
{
    type Cache = AnyCache<T, BANKS, PER_BANK, STRIPES>;
    const EMPTY: Self::Cache =
        AnyCache::RoundRobin(<RoundRobin as Strategy<BANKS, PER_BANK, STRIPES>>::EMPTY);

    #[inline(always)]
    fn needs(&self) -> Needs {
        let on_demand = self.kind() == Kind::Adaptive;
        let builds = on_demand || self.kind() == Kind::ConsistentHash;
        Needs { lists: true, exact_counts: true, latencies: true, mean_load: on_demand, builds, on_demand }
    }

    fn refill(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        random: &mut Random,
    ) {
        if cache.kind() != self.kind() {
            *cache = AnyCache::new(self.kind());
        }
        cache.refill(self, pool, random);
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        // By what the cache is of: the kind may be another since it was filled.
        cache.pick(self, pool, turn)
    }

    fn owns(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &Self::Cache,
        key: RoutingKey,
        slot: u16,
    ) -> bool {
        cache.owns(self, pool, key, slot)
    }

    fn begin(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) {
        self.adaptive.begin(endpoints);
    }

    fn build(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>, steps: u32) -> bool {
        self.adaptive.build(endpoints, steps)
    }
}
