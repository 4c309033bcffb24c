//! L27: a static balancer with a ring of 5,120 points took 54 KB of flash for its memory, and a second
//! balancer of another size 26 KB. Here whatever a program has as a static is all zeros, so a linker keeps
//! nothing of it; what a second balancer costs is in the table of `cargo board size`.

use std::hint::black_box;

use trilane::route::{
    AnyStrategy, Balancer, Bounded, ConsistentHash, DetachedLeases, Gauges, Kind, LeastConnections,
    LeastLatency, LeastLoad, Maglev, Options, OptionsError, PeakEwma, PowerOfTwo, RetryBudget, Ring,
    RoundRobin, WeightedRandom, WeightedRoundRobin,
};
use trilane::time::{Duration, Instant};
use trilane_tests::statics::assert_statics;

type Rings = Ring<5_120, 1_024>;
type FewPoints = Ring<5_120, 1_024, 40>;
type Any = AnyStrategy<Bounded<Maglev<251, 16>, 1_250>>;

static ZERO_TURNS: Balancer<RoundRobin, 1, 16, 2> = Balancer::new(RoundRobin, Options::new());
static ZERO_MANY: Balancer<WeightedRoundRobin, 32> = Balancer::new(WeightedRoundRobin, Options::new());
static ZERO_CHANCE: Balancer<WeightedRandom, 1, 3> = Balancer::new(WeightedRandom, Options::new());
static ZERO_LEAST: Balancer<LeastConnections, 2, 7> = Balancer::new(LeastConnections::new(), Options::new());
static ZERO_LATENCY: Balancer<LeastLatency, 1> = Balancer::new(LeastLatency::new(), Options::new());
static ZERO_LOAD: Balancer<LeastLoad, 1> = Balancer::new(LeastLoad::new(), Options::new());
static ZERO_TWO: Balancer<PowerOfTwo, 1> = Balancer::new(PowerOfTwo::new(), Options::new());
static ZERO_RING: Balancer<ConsistentHash<Rings>, 1> =
    Balancer::new(ConsistentHash::new(Rings::new()), Options::new());
static ZERO_TABLE: Balancer<ConsistentHash<Maglev<4_093, 32>>, 1> =
    Balancer::new(ConsistentHash::new(Maglev::new()), Options::new());
static ZERO_ANY: Balancer<Any, 1, 16> = Balancer::new(
    Any::new(Kind::RoundRobin, ConsistentHash::new(Bounded::new(Maglev::new()))),
    Options::new(),
);
static ZERO_FEW_POINTS: Balancer<ConsistentHash<Bounded<FewPoints, 1_250>>, 1> =
    Balancer::new(ConsistentHash::new(Bounded::new(Ring::new())), Options::new());
static ZERO_DETACHED: DetachedLeases<&Balancer<RoundRobin, 1, 16, 2>, 4> = DetachedLeases::new();
static ZERO_GAUGES: Gauges = Gauges::new();
static ZERO_EWMA: PeakEwma = PeakEwma::new();
/// What shows that the test can tell.
static OTHER_OPTIONS: Balancer<RoundRobin, 1, 16> = Balancer::new(RoundRobin, Options::new().failures(3));
static OTHER_BUDGET: RetryBudget = RetryBudget::new(20, 1);

#[test]
fn l27_what_is_static_is_all_zeros() {
    black_box((&ZERO_TURNS, &ZERO_MANY, &ZERO_CHANCE, &ZERO_LEAST, &ZERO_LATENCY, &ZERO_LOAD, &ZERO_TWO));
    black_box((
        &ZERO_RING,
        &ZERO_FEW_POINTS,
        &ZERO_TABLE,
        &ZERO_ANY,
        &ZERO_DETACHED,
        &ZERO_GAUGES,
        &ZERO_EWMA,
    ));
    black_box((&OTHER_OPTIONS, &OTHER_BUDGET));
    assert_statics("l27_no_flash", "ZERO_", true, 14);
    assert_statics("l27_no_flash", "OTHER_", false, 2);
}

#[test]
fn l27_options_are_set_when_the_program_runs() {
    static BALANCER: Balancer<RoundRobin, 1, 4> = Balancer::new(RoundRobin, Options::new());
    let options = Options::new().failures(2).open_for(Duration::from_secs(1));
    assert_eq!(BALANCER.configure(options), Ok(Options::new()));
    assert_eq!(BALANCER.options(), options);
    // What is refused changes nothing.
    let refused = Options::new().probe_window(Duration::ZERO);
    assert_eq!(BALANCER.configure(refused), Err(OptionsError::ZeroProbeWindow));
    assert_eq!(BALANCER.options(), options);

    let now = Instant::ZERO;
    for number in 0..2 {
        BALANCER.add(&trilane::route::Endpoint::new(number), now).unwrap();
    }
    let mut selector = BALANCER.selector::<1>(1).unwrap();
    for _ in 0..4 {
        selector.select(&trilane::route::Request::ANY, now).unwrap().fail(Duration::ZERO, now);
    }
    assert_eq!(BALANCER.totals().ejected, 1, "after two failures of one; never the last one");
}
