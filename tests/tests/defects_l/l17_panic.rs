//! L17 (envoy #4685): panic over all priorities sent everything to a priority without a living host. Here it
//! is judged per step, and none that is dead gets anything while another lives.

use trilane::route::{Endpoint, Health, Options, Request, RoundRobin, SelectError, Tier};
use trilane::time::Instant;
use trilane_tests::routing::Routes;

const NOW: Instant = Instant::ZERO;

/// So many in tier 0 and in tier 1, the first of each well.
fn tiers(options: Options, tiers: [(u64, u64); 2]) -> Routes<RoundRobin> {
    let [first, second] = tiers;
    let endpoint = |at: u64| {
        let (tier, at, well) = if at < first.0 {
            (Tier::of::<0>(), at, first.1)
        } else {
            (Tier::of::<1>(), at - first.0, second.1)
        };
        let health = if at < well { Health::Healthy } else { Health::Unhealthy };
        (tier, health)
    };
    let endpoints = (0..first.0 + second.0).map(|at| {
        let (tier, health) = endpoint(at);
        Endpoint::new(at).tier(tier).health(health)
    });
    Routes::new(RoundRobin, options, endpoints)
}

#[test]
fn l17_the_living_get_all_while_another_step_is_dead() {
    let mut routes = tiers(Options::new().panic_below(500), [(5, 0), (5, 2)]);
    let counts = routes.counts(&Request::ANY, NOW, 1_000);
    assert_eq!(counts, [0, 0, 0, 0, 0, 500, 500, 0, 0, 0]);
}

#[test]
fn l17_panic_has_a_least_number_of_hosts() {
    let options = Options::new().panic_below(500);
    let mut few = tiers(options, [(5, 1), (0, 0)]);
    assert_eq!(few.counts(&Request::ANY, NOW, 100), [100, 0, 0, 0, 0]);
    let mut few = tiers(options.panic_hosts(5), [(5, 1), (0, 0)]);
    assert_eq!(few.counts(&Request::ANY, NOW, 100), [20; 5]);
    let mut enough = tiers(options, [(6, 1), (0, 0)]);
    assert_eq!(enough.counts(&Request::ANY, NOW, 120), [20; 6]);
}

#[test]
fn l17_where_nobody_lives_all_are_tried_but_the_unknown() {
    let mut routes = tiers(Options::new().panic_below(500), [(8, 0), (0, 0)]);
    routes.set_health(3, Health::Unknown, NOW);
    let counts = routes.counts(&Request::ANY, NOW, 700);
    assert_eq!(counts, [100, 100, 100, 0, 100, 100, 100, 100]);
    let mut routes = tiers(Options::new(), [(8, 0), (0, 0)]);
    assert_eq!(routes.selector.select(&Request::ANY, NOW).unwrap_err(), SelectError::AllUnhealthy);
}
