//! A balancer of a few endpoints and a selector: what it takes to show one thing about routing.

use trilane::route::{
    Balancer, Endpoint, EndpointId, ErrorCounts, Health, Lease, Options, Request, SelectError, Selector,
    Strategy,
};
use trilane::time::Instant;

use crate::leak;

/// Up to 16 endpoints, never freed.
pub type Router<S> = Balancer<S, 1, 16, 4>;
/// With room for four classes.
pub type Chooser<S> = Selector<&'static Router<S>, S, 1, 16, 4, 4>;

/// The counts in the order of [`SelectError::kind`].
pub fn by_kind(errors: ErrorCounts) -> [usize; SelectError::KINDS] {
    let mut counts = errors.iter().map(|(_, count)| count);
    std::array::from_fn(|_| counts.next().expect("one a kind"))
}

/// A balancer, its first selector, and its endpoints in the order in which they came.
pub struct Routes<S: Strategy<1, 16, 4> + 'static> {
    /// The balancer.
    pub balancer: &'static Router<S>,
    /// A selector of it.
    pub selector: Chooser<S>,
    /// Who is meant by 0, 1, 2.
    pub ids: Vec<EndpointId>,
}

impl<S: Strategy<1, 16, 4> + 'static> Routes<S> {
    /// With these endpoints, added at the beginning of time; a table is built.
    pub fn new(strategy: S, options: Options, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let balancer = leak(Balancer::new(strategy, options));
        let mut routes = Self { balancer, selector: chooser(balancer, 7), ids: Vec::new() };
        for endpoint in endpoints {
            routes.add(&endpoint, Instant::ZERO);
        }
        balancer.finish_build();
        routes
    }

    /// With `count` equal endpoints, numbered from 0.
    pub fn equal(strategy: S, options: Options, count: u64) -> Self {
        Self::new(strategy, options, (0..count).map(Endpoint::new))
    }

    /// One endpoint more; its index.
    pub fn add(&mut self, endpoint: &Endpoint, now: Instant) -> usize {
        let added = self.balancer.add(endpoint, now);
        self.ids.push(added.unwrap_or_else(|error| panic!("{error}")));
        self.ids.len() - 1
    }

    /// Sets the health of endpoint `at`.
    pub fn set_health(&self, at: usize, health: Health, now: Instant) {
        let set = self.balancer.set_health(self.ids[at], health, now);
        set.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Runs `trip`, in which breakers are to open, beside one endpoint more, the last, which goes after that:
    /// the last endpoint that is left is never kept out.
    pub fn beside_a_spare<T>(&mut self, now: Instant, trip: impl FnOnce(&mut Self) -> T) -> T {
        let spare = self.add(&Endpoint::new(u64::MAX), now);
        let result = trip(self);
        let removed = self.balancer.remove(self.ids.remove(spare), now);
        removed.unwrap_or_else(|error| panic!("{error}"));
        result
    }

    /// Changes endpoint `at` into `endpoint`.
    pub fn update(&self, at: usize, endpoint: &Endpoint, now: Instant) {
        let updated = self.balancer.update(self.ids[at], endpoint, now);
        updated.unwrap_or_else(|error| panic!("{error}"));
    }

    /// A lease, and whose it is.
    pub fn select(
        &mut self,
        request: &Request<'_>,
        now: Instant,
    ) -> Result<(usize, Lease<&'static Router<S>>), SelectError> {
        let lease = self.selector.select(request, now)?;
        let at = self.ids.iter().position(|&id| id == lease.endpoint());
        Ok((at.unwrap_or_else(|| panic!("{:?} is nobody", lease.endpoint())), lease))
    }

    /// Whom a request gets whose lease ends at once, without a verdict.
    pub fn pick(&mut self, request: &Request<'_>, now: Instant) -> usize {
        self.select(request, now).unwrap_or_else(|error| panic!("{error}")).0
    }

    /// A lease of endpoint `at`, by a request that has been everywhere else.
    pub fn lease_of(&mut self, at: usize, now: Instant) -> Lease<&'static Router<S>> {
        let mut others = self.ids.clone();
        others.remove(at);
        let lease = self.selector.select(&Request::ANY.excluding(&others), now);
        lease.unwrap_or_else(|error| panic!("{error}"))
    }

    /// How often each is picked in `selects` selects whose leases end at once.
    pub fn counts(&mut self, request: &Request<'_>, now: Instant, selects: u64) -> Vec<u64> {
        let mut counts = vec![0; self.ids.len()];
        for _ in 0..selects {
            counts[self.pick(request, now)] += 1;
        }
        counts
    }

    /// How many leases each has out.
    pub fn in_flight(&self) -> Vec<u32> {
        let in_flight = |&id| self.balancer.stats(id).map_or(0, |stats| stats.in_flight);
        self.ids.iter().map(in_flight).collect()
    }
}

/// Another selector of the balancer.
pub fn chooser<S: Strategy<1, 16, 4>>(balancer: &'static Router<S>, seed: u64) -> Chooser<S> {
    Selector::new(balancer, seed).unwrap_or_else(|error| panic!("{error}"))
}

/// Calls `check` with each strategy, and with its name.
#[macro_export]
macro_rules! for_each_strategy {
    ($check:ident) => {{
        use trilane::route;
        $check("round robin", route::RoundRobin);
        $check("weighted round robin", route::WeightedRoundRobin);
        $check("least connections", route::LeastConnections::new());
        $check("random", route::UniformRandom);
        $check("weighted random", route::WeightedRandom);
        $check("ring", route::ConsistentHash::new(route::Ring::<2_560, 512>::new()));
        let hash = || route::ConsistentHash::new(route::Maglev::<1_021, 32>::new());
        $check("adaptive", route::Adaptive::new(hash()));
        for kind in route::Kind::ALL {
            $check(kind.name(), route::AnyStrategy::new(kind, hash()));
        }
        $check("Maglev", hash());
        $check("least latency", route::LeastLatency::new());
        $check("least load", route::LeastLoad::new());
        $check("power of two", route::PowerOfTwo::new());
    }};
}
