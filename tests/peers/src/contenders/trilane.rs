//! The router under test.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};

use trilane::id::Key;
use trilane::route::{
    Adaptive, Balancer, Class, ConsistentHash, Endpoint, EndpointId, Filter, Health, Lease, LeastConnections,
    LeastLatency, LeastLoad, Maglev, Metrics, Options, PowerOfTwo, Request, Ring, RoundRobin, RoutingKey,
    Selector, Strategy as Rule, Tag, Tags, UniformRandom, WeightedRandom, WeightedRoundRobin, Zone,
};
use trilane::time::{Duration, Instant};

use crate::contender::{Contender, Strategy, Worker};
use crate::side::{Of, Side};
use crate::world::{CAP, Traits, WANTED_TAGS, WANTED_ZONE, World};

const PER_BANK: usize = 32;
/// One for each worker.
const STRIPES: usize = 2;
/// The class of all, and the filter's.
const CLASSES: usize = 2;
/// The caller reads the clock where it has to; the peers aren't given one.
const NOW: Instant = Instant::from_secs(1);

/// A function that makes the side with a strategy, in a balancer of so many banks. The hash tables fit it:
/// 160 points an endpoint on the ring, a hundred entries in the Maglev table.
macro_rules! sized {
    ($name:ident, $banks:literal, ring $points:literal, $directory:literal, maglev $entries:literal) => {
        fn $name(strategy: Strategy, world: &World) -> Box<dyn Side> {
            match strategy {
                Strategy::RoundRobin => boxed::<_, $banks, false>(RoundRobin, strategy, world),
                Strategy::WeightedRoundRobin => {
                    boxed::<_, $banks, false>(WeightedRoundRobin, strategy, world)
                }
                Strategy::Random => boxed::<_, $banks, false>(UniformRandom, strategy, world),
                Strategy::WeightedRandom => boxed::<_, $banks, false>(WeightedRandom, strategy, world),
                Strategy::PowerOfTwo => boxed::<_, $banks, false>(PowerOfTwo::new(), strategy, world),
                Strategy::LeastConnections => {
                    boxed::<_, $banks, false>(LeastConnections::new(), strategy, world)
                }
                Strategy::WeightedLeastConnections => {
                    boxed::<_, $banks, false>(LeastConnections::new(), strategy, world)
                }
                Strategy::LeastLatency => boxed::<_, $banks, false>(LeastLatency::new(), strategy, world),
                Strategy::LeastLoad => boxed::<_, $banks, false>(LeastLoad::new(), strategy, world),
                Strategy::Ring => {
                    let table = Ring::<$points, $directory>::new();
                    boxed::<_, $banks, true>(ConsistentHash::new(table), strategy, world)
                }
                Strategy::Maglev => {
                    let table = Maglev::<$entries, { $banks * PER_BANK }>::new();
                    boxed::<_, $banks, true>(ConsistentHash::new(table), strategy, world)
                }
                // Without keys: it goes by weights, since the mean load is below 70 %.
                Strategy::Adaptive => {
                    let table = Maglev::<$entries, { $banks * PER_BANK }>::new();
                    let adaptive = Adaptive::new(ConsistentHash::new(table));
                    boxed::<_, $banks, false>(adaptive, strategy, world)
                }
            }
        }
    };
}

sized!(small, 1, ring 5_120, 1_024, maglev 4_093);
sized!(middle, 4, ring 20_480, 4_096, maglev 16_381);
sized!(large, 32, ring 163_840, 32_768, maglev 65_521);

/// The side with this strategy, in a balancer no larger than the world needs.
pub fn side(strategy: Strategy, world: &World) -> Box<dyn Side> {
    match world.endpoints.len() {
        0..=32 => small(strategy, world),
        33..=128 => middle(strategy, world),
        _ => large(strategy, world),
    }
}

fn boxed<S, const BANKS: usize, const KEYED: bool>(
    rule: S,
    strategy: Strategy,
    world: &World,
) -> Box<dyn Side>
where
    S: Rule<BANKS, PER_BANK, STRIPES, Cache: Send> + Send + Sync + 'static,
{
    let trilane = Trilane::<S, BANKS, KEYED>::new(rule, strategy, world);
    Box::new(Of::new(crate::OWN, Vec::new(), trilane, world))
}

/// `KEYED`: requests bring a key.
pub struct Trilane<S, const BANKS: usize, const KEYED: bool> {
    balancer: Balancer<S, BANKS, PER_BANK, STRIPES>,
    filter: Filter,
    endpoints: Vec<Endpoint>,
    /// Each endpoint's handle, which is another one when it comes back.
    handles: Vec<AtomicU64>,
    /// The endpoint in each slot.
    by_slot: Vec<AtomicU16>,
    /// How long each takes, where the strategy asks for that.
    latencies: Option<Vec<Duration>>,
}

impl<S, const BANKS: usize, const KEYED: bool> Trilane<S, BANKS, KEYED>
where
    S: Rule<BANKS, PER_BANK, STRIPES>,
{
    fn new(rule: S, strategy: Strategy, world: &World) -> Self {
        let mut filter = Filter::ANY;
        if world.filtered {
            let zone = Zone::new(WANTED_ZONE).expect("there is such a zone");
            filter = filter.tags(tags(WANTED_TAGS)).prefer(zone).expect("it is the first").confined();
        }
        let latency = |traits: &Traits| Duration::from_micros(u64::from(traits.latency));
        let timed = strategy == Strategy::LeastLatency;
        let trilane = Self {
            balancer: Balancer::new(rule, Options::new()),
            filter,
            endpoints: world
                .endpoints
                .iter()
                .enumerate()
                .map(|(id, traits)| endpoint(id, traits, world))
                .collect(),
            handles: world.endpoints.iter().map(|_| AtomicU64::new(0)).collect(),
            by_slot: (0..BANKS * PER_BANK).map(|_| AtomicU16::new(0)).collect(),
            latencies: timed.then(|| world.endpoints.iter().map(latency).collect()),
        };
        for (endpoint, traits) in world.endpoints.iter().enumerate() {
            trilane.insert(endpoint);
            trilane.reported(endpoint, traits.load);
        }
        trilane
    }

    fn handle(&self, endpoint: usize) -> EndpointId {
        let bits = self.handles[endpoint].load(Relaxed);
        EndpointId::from_key(Key::new(bits as u16, (bits >> 32) as u32))
    }

    fn insert(&self, endpoint: usize) {
        let key = self.balancer.add(&self.endpoints[endpoint], NOW).expect("there is room").key();
        self.handles[endpoint].store(u64::from(key.generation()) << 32 | u64::from(key.slot()), Relaxed);
        self.by_slot[usize::from(key.slot())].store(endpoint as u16, Relaxed);
    }

    fn reported(&self, endpoint: usize, load: u16) {
        // The score is the load: its five parts have the same share.
        let metrics = Metrics::new(load, load, u32::from(load) * 10, u32::from(load), load);
        let metrics = metrics.expect("it is permille");
        self.balancer.report(self.handle(endpoint), metrics, NOW).expect("it is a member");
    }
}

fn tags(bits: u32) -> Tags {
    let tag = |number: u8| Tag::new(number).expect("there is such a tag");
    (0..32).filter(|number| bits >> number & 1 != 0).fold(Tags::NONE, |tags, number| tags.with(tag(number)))
}

fn endpoint(id: usize, traits: &Traits, world: &World) -> Endpoint {
    let zone = Zone::new(traits.zone).expect("there is such a zone");
    let health = if traits.up { Health::Healthy } else { Health::Unhealthy };
    let endpoint = Endpoint::new(id as u64).weight(traits.weight).zone(zone).tags(tags(traits.tags));
    let endpoint = endpoint.health(health);
    if world.caps { endpoint.cap(CAP) } else { endpoint }
}

impl<S, const BANKS: usize, const KEYED: bool> Contender for Trilane<S, BANKS, KEYED>
where
    S: Rule<BANKS, PER_BANK, STRIPES, Cache: Send> + Send + Sync + 'static,
{
    type Worker = Selecting<S, BANKS, KEYED>;

    fn worker(&'static self) -> Self::Worker {
        self.settle();
        let mut selector = Selector::new(&self.balancer, 7).expect("there is a stripe");
        let class = selector.class(self.filter).expect("there is a class");
        let mut selecting = Selecting { selector, class, trilane: self };
        // Until all have been measured a few times, where latencies count.
        for key in 0..self.latencies.as_ref().map_or(0, |latencies| latencies.len() as u64 * 4) {
            let lease = selecting.select(key);
            selecting.release(lease);
        }
        selecting
    }

    fn set_up(&self, endpoint: usize, up: bool) {
        let health = if up { Health::Healthy } else { Health::Unhealthy };
        self.balancer.set_health(self.handle(endpoint), health, NOW).expect("it is a member");
    }

    fn report(&self, endpoint: usize, load: u16) {
        self.reported(endpoint, load);
    }

    fn remove(&self, endpoint: usize) {
        self.balancer.remove(self.handle(endpoint), NOW).expect("it is a member");
    }

    fn add(&self, endpoint: usize) {
        self.insert(endpoint);
    }

    fn settle(&self) {
        assert!(self.balancer.finish_build(), "nobody else builds");
    }
}

pub struct Selecting<S, const BANKS: usize, const KEYED: bool>
where
    S: Rule<BANKS, PER_BANK, STRIPES> + 'static,
{
    selector: Selector<&'static Balancer<S, BANKS, PER_BANK, STRIPES>, S, BANKS, PER_BANK, STRIPES, CLASSES>,
    class: Class,
    trilane: &'static Trilane<S, BANKS, KEYED>,
}

impl<S, const BANKS: usize, const KEYED: bool> Worker for Selecting<S, BANKS, KEYED>
where
    S: Rule<BANKS, PER_BANK, STRIPES, Cache: Send> + Send + Sync + 'static,
{
    type Lease = Lease<&'static Balancer<S, BANKS, PER_BANK, STRIPES>>;

    #[inline]
    fn select(&mut self, key: u64) -> Self::Lease {
        let mut request = Request::new(self.class);
        if KEYED {
            request = request.key(RoutingKey::from_id(key));
        }
        self.selector.select(&request, NOW).expect("there are candidates")
    }

    #[inline]
    fn release(&mut self, lease: Self::Lease) {
        match &self.trilane.latencies {
            None => drop(lease),
            Some(latencies) => {
                let endpoint = self.trilane.by_slot[usize::from(lease.endpoint().slot())].load(Relaxed);
                lease.succeed(latencies[usize::from(endpoint)], NOW);
            }
        }
    }

    fn finish(&mut self, lease: Self::Lease) -> usize {
        usize::from(self.trilane.by_slot[usize::from(lease.endpoint().slot())].load(Relaxed))
    }
}
