//! The router's bench image: what selects, and the changes beside them, cost in instructions.
//!
//! An image of its own, so that neither its rows nor those of the other images change when code moves in the
//! other. Endpoints are 16, one bank of a small board's, and 256 where there is RAM for it. Everything is
//! measured as a program has it: balancer and selector behind references, eight leases out, which end in the
//! order in which they were taken.

#![no_std]
#![no_main]

use core::array;
use core::hint::black_box;

use board::println;
use trilane::route::{
    Adaptive, AnyStrategy, Balancer, ConsistentHash, Endpoint, Filter, Health, Kind, Lease, LeastConnections,
    LeastLatency, LeastLoad, Maglev, Metrics, Options, PowerOfTwo, Random, Request, Ring, RoundRobin,
    RoutingKey, Selector, Strategy, Tag, Tags, UniformRandom, WeightedRandom, WeightedRoundRobin, Zone,
};
use trilane::time::{Duration, Instant};

#[path = "../measure.rs"]
mod measure;

use measure::{Growth, MEASURED, MOST, Meter, Stats, WARM_UP, both, read};

/// The endpoints where there is RAM for many: a number of banks.
const BANKS: usize = 8;
/// The leases that are out at a time.
const OUT: usize = 8;

// Tables for 16 points or entries an endpoint and more.
type Ring16 = Ring<256, 32, 16>;
type Ring256 = Ring<8_192, 1_024, 16>;
type Maglev16 = Maglev<251, 16>;
type Maglev256 = Maglev<4_093, 256>;

/// In the measured time nothing is due.
const NOW: Instant = Instant::from_millis(5);
const LATENCY: Duration = Duration::from_millis(3);
const BOTH: Tags = Tags::NONE.with(Tag::of::<0>()).with(Tag::of::<1>());

board::entry!(main);

/// The rows of a strategy: select and release, at both sizes.
macro_rules! strategy {
    ($meter:expr, $op:literal, $strategy:expr) => {
        strategy!($meter, $op, $strategy, $strategy, 1)
    };
    ($meter:expr, $op:literal, $strategy:expr, $weights:literal) => {
        strategy!($meter, $op, $strategy, $strategy, $weights)
    };
    // With so many different weights.
    ($meter:expr, $op:literal, $small:expr, $large:expr, $weights:literal) => {{
        // Between one bank and several the code differs.
        let mut growth = Growth::logarithmic($op);
        growth.print(&selects::<_, 1, 16>($meter, $small, $weights), 16);
        if MOST >= 32 * BANKS {
            growth.print(&selects::<_, BANKS, 32>($meter, $large, $weights), 32 * BANKS);
        }
    }};
}

fn main() -> ! {
    println!("{{\"image\":\"trilane\"}}");
    let meter = Meter::start();

    strategy!(meter, "route_rr", RoundRobin);
    strategy!(meter, "route_random", UniformRandom);
    strategy!(meter, "route_rr_uneven", RoundRobin, 7);
    strategy!(meter, "route_random_uneven", UniformRandom, 7);
    strategy!(meter, "route_p2c", PowerOfTwo::new(), 7);
    strategy!(meter, "route_wrr", WeightedRoundRobin, 7);
    strategy!(meter, "route_wrandom", WeightedRandom, 7);
    strategy!(meter, "route_least", LeastConnections::new(), 7);
    strategy!(
        meter,
        "route_ring",
        ConsistentHash::new(Ring16::new()),
        ConsistentHash::new(Ring256::new()),
        7
    );
    strategy!(
        meter,
        "route_maglev",
        ConsistentHash::new(Maglev16::new()),
        ConsistentHash::new(Maglev256::new()),
        7
    );
    strategy!(meter, "route_latency", LeastLatency::new(), 7);
    strategy!(meter, "route_load", LeastLoad::new(), 7);
    // A small board's flash has no room for these beside the others.
    if MOST >= 32 * BANKS {
        strategy!(
            meter,
            "route_adaptive",
            Adaptive::new(ConsistentHash::new(Maglev16::new())),
            Adaptive::new(ConsistentHash::new(Maglev256::new())),
            7
        );
        strategy!(
            meter,
            "route_any",
            AnyStrategy::new(Kind::RoundRobin, ConsistentHash::new(Maglev16::new())),
            AnyStrategy::new(Kind::RoundRobin, ConsistentHash::new(Maglev256::new())),
            1
        );
    }

    operations::<1, 16>(meter);
    if MOST >= 32 * BANKS {
        operations::<BANKS, 32>(meter);
    }
    key(meter);
    board::exit(0)
}

/// Adds as many endpoints as fit: in two zones, every other with two tags, with so many different weights,
/// and with loads that differ.
#[inline(never)]
fn fill<S, const BANKS: usize, const PER_BANK: usize>(balancer: &Balancer<S, BANKS, PER_BANK>, weights: u16)
where
    S: Strategy<BANKS, PER_BANK, 1>,
{
    for number in 0..(BANKS * PER_BANK) as u64 {
        let tags = if number % 2 == 0 { BOTH } else { Tags::NONE };
        let zone = Zone::new(number as u8 / 2 % 2).unwrap();
        let endpoint = Endpoint::new(number).weight(1 + number as u16 % weights).tags(tags).zone(zone);
        let id = balancer.add(&endpoint, NOW).unwrap();
        balancer.report(id, load(number as u16), NOW).unwrap();
    }
    assert!(balancer.finish_build(), "nobody else builds");
}

fn load(number: u16) -> Metrics {
    Metrics::new(number * 61 % 900, 300, 10, 20, 0).unwrap()
}

/// A selector with room for every class that is measured.
type Any<'a, S, const BANKS: usize, const PER_BANK: usize> =
    Selector<&'a Balancer<S, BANKS, PER_BANK>, S, BANKS, PER_BANK, 1, 2>;
/// A lease that is out, in memory, as one is that lives until its answer has come.
type Place<'a, S, const BANKS: usize, const PER_BANK: usize> =
    Option<Lease<&'a Balancer<S, BANKS, PER_BANK>>>;

/// What a select costs.
#[inline(always)]
fn select<'a, S, const BANKS: usize, const PER_BANK: usize>(
    meter: Meter,
    selector: &mut Any<'a, S, BANKS, PER_BANK>,
    request: &Request<'_>,
    place: &mut Place<'a, S, BANKS, PER_BANK>,
) -> u32
where
    S: Strategy<BANKS, PER_BANK, 1>,
{
    *place = None;
    let (request, now) = (black_box(request), black_box(NOW));
    let from = read();
    *place = selector.select(request, now).ok();
    let to = read();
    assert!(place.is_some(), "there is always somebody");
    meter.between(from, to)
}

/// What it costs to end the lease that is there, if one is.
#[inline(always)]
fn end<'a, S, const BANKS: usize, const PER_BANK: usize>(
    meter: Meter,
    place: &mut Place<'a, S, BANKS, PER_BANK>,
    by: impl FnOnce(Lease<&'a Balancer<S, BANKS, PER_BANK>>),
) -> u32
where
    S: Strategy<BANKS, PER_BANK, 1>,
{
    let Some(lease) = place.take() else { return 0 };
    let from = read();
    by(lease);
    let to = read();
    meter.between(from, to)
}

/// Each select is measured together with the release of the lease that was taken `OUT` selects ago.
#[inline(never)]
fn selects<S, const BANKS: usize, const PER_BANK: usize>(meter: Meter, strategy: S, weights: u16) -> Stats
where
    S: Strategy<BANKS, PER_BANK, 1>,
{
    let balancer: Balancer<S, BANKS, PER_BANK> = Balancer::new(strategy, Options::new());
    let balancer = black_box(&balancer);
    fill(balancer, weights);
    let mut selector: Any<'_, S, BANKS, PER_BANK> = Selector::new(balancer, 1).unwrap();
    let selector = black_box(&mut selector);
    let mut random = Random::new(2);
    let mut out = array::from_fn::<_, OUT, _>(|_| None);
    let mut stats = Stats::new(WARM_UP);
    while stats.count() < MEASURED {
        for place in &mut out {
            // The strategies that place by no key don't look at it.
            let request = Request::ANY.key(RoutingKey::from_hash(random.next().into()));
            stats.add(both(end(meter, place, drop), select(meter, selector, &request, place)));
        }
    }
    stats
}

/// What costs the same under every strategy that has no table.
fn operations<const BANKS: usize, const PER_BANK: usize>(meter: Meter) {
    let n = BANKS * PER_BANK;
    let balancer: Balancer<RoundRobin, BANKS, PER_BANK> = Balancer::new(RoundRobin, Options::new());
    let balancer = black_box(&balancer);
    fill(balancer, 1);
    let mut selector: Any<'_, RoundRobin, BANKS, PER_BANK> = Selector::new(balancer, 1).unwrap();
    let selector = black_box(&mut selector);
    let filter = Filter::ANY.tags(BOTH).prefer(Zone::of::<0>()).unwrap();
    let filtered = Request::new(selector.class(filter).unwrap());
    let place = &mut None;

    let [mut succeed, mut filter] = [Stats::new(WARM_UP); 2];
    for _ in 0..WARM_UP + MEASURED {
        let by = |lease: Lease<_>| lease.succeed(black_box(LATENCY), black_box(NOW));
        succeed.add(both(select(meter, selector, &Request::ANY, place), end(meter, place, by)));
        filter.add(both(select(meter, selector, &filtered, place), end(meter, place, drop)));
    }
    succeed.print("route_succeed", n);
    filter.print("route_filtered", n);

    // Up and down, one endpoint after another, each of which is in both classes or in the first alone.
    let [mut health, mut change, mut change_filtered] = [Stats::new(WARM_UP); 3];
    for turn in 0..(WARM_UP + MEASURED) as usize {
        let id = balancer.members().nth(turn / 2 % n).unwrap();
        let state = if turn % 2 == 0 { Health::Unhealthy } else { Health::Healthy };
        health.add(count(meter, || balancer.set_health(id, black_box(state), black_box(NOW)).is_ok()));
        change.add(both(select(meter, selector, &Request::ANY, place), end(meter, place, drop)));
        change_filtered.add(both(select(meter, selector, &filtered, place), end(meter, place, drop)));
    }
    health.print("route_health", n);
    change.print("route_change", n);
    change_filtered.print("route_change_filtered", n);

    let [mut report, mut remove, mut add] = [Stats::new(WARM_UP); 3];
    for turn in 0..(WARM_UP + MEASURED) as usize {
        let id = balancer.members().nth(turn % n).unwrap();
        let metrics = black_box(load(turn as u16));
        report.add(count(meter, || balancer.report(id, metrics, black_box(NOW)).is_ok()));
        let endpoint = balancer.endpoint(id).unwrap();
        remove.add(count(meter, || balancer.remove(id, black_box(NOW)).is_ok()));
        add.add(count(meter, || balancer.add(black_box(&endpoint), black_box(NOW)).is_ok()));
    }
    report.print("route_report", n);
    remove.print("route_remove", n);
    add.print("route_add", n);
}

/// What `operation` costs, which must come off.
#[inline(always)]
fn count(meter: Meter, operation: impl FnOnce() -> bool) -> u32 {
    let from = read();
    let done = black_box(operation());
    let to = read();
    assert!(done, "the endpoint is there");
    meter.between(from, to)
}

/// The key of eight bytes: what a request that is placed by one costs besides.
fn key(meter: Meter) {
    let mut stats = Stats::new(WARM_UP);
    for id in 0..u64::from(WARM_UP + MEASURED) {
        let from = read();
        black_box(RoutingKey::from_id(black_box(id)));
        let to = read();
        stats.add(meter.between(from, to));
    }
    stats.print("route_key", 1);
}
