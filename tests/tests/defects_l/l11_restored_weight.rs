//! L11 (traefik #2986): a server that came back from being unhealthy had weight 1 instead of its own. Here
//! its weight is what was last said of it, whatever happened meanwhile.

use trilane::route::{Endpoint, Health, Options, Request, WeightedRoundRobin};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::Routes;

const NOW: Instant = Instant::ZERO;
const WEIGHTS: [u16; 3] = [7, 3, 2];

/// Whether a cycle is by these weights.
fn is_restored(mut select: impl FnMut() -> usize) -> bool {
    let mut counts = [0; 3];
    (0..12).for_each(|_| counts[select()] += 1);
    counts == WEIGHTS
}

#[test]
fn l11_the_check_catches_a_server_that_is_added_again_without_its_weight() {
    let mut weights = WEIGHTS.to_vec();
    assert!(is_restored(by(&weights)));
    weights.remove(0);
    weights.insert(0, 1);
    assert!(!is_restored(by(&weights)));
}

/// One after the other, each as often as it weighs.
fn by(weights: &[u16]) -> impl FnMut() -> usize {
    let turns: Vec<_> =
        weights.iter().enumerate().flat_map(|(at, &weight)| (0..weight).map(move |_| at)).collect();
    let mut turns = turns.into_iter().cycle();
    move || turns.next().unwrap()
}

fn endpoint(at: usize) -> Endpoint {
    Endpoint::new(at as u64).weight(WEIGHTS[at])
}

fn routes(options: Options) -> Routes<WeightedRoundRobin> {
    Routes::new(WeightedRoundRobin, options, (0..3).map(endpoint))
}

fn assert_restored(routes: &mut Routes<WeightedRoundRobin>, now: Instant) {
    assert!(is_restored(|| routes.pick(&Request::ANY, now)));
    for at in 0..3 {
        assert_eq!(routes.balancer.endpoint(routes.ids[at]), Ok(endpoint(at)));
        assert_eq!(routes.balancer.stats(routes.ids[at]).unwrap().weight_left, 64);
    }
}

#[test]
fn l11_the_weight_is_restored_when_health_is() {
    let mut routes = routes(Options::new().route_unknown(true));
    assert_restored(&mut routes, NOW);
    for health in [Health::Unhealthy, Health::Degraded, Health::Unknown, Health::Unhealthy] {
        for at in 0..3 {
            routes.set_health(at, health, NOW);
            routes.pick(&Request::ANY, NOW);
            routes.set_health(at, Health::Healthy, NOW);
            assert_restored(&mut routes, NOW);
        }
    }
    // All at once.
    (0..3).for_each(|at| routes.set_health(at, Health::Unhealthy, NOW));
    assert!(routes.selector.select(&Request::ANY, NOW).is_err());
    (0..3).for_each(|at| routes.set_health(at, Health::Healthy, NOW));
    assert_restored(&mut routes, NOW);
}

#[test]
fn l11_the_weight_is_restored_when_a_breaker_closes() {
    let mut routes = routes(Options::new().failures(1));
    let later = NOW + Duration::from_secs(31);
    routes.lease_of(0, NOW).fail(Duration::ZERO, NOW);
    assert!(!is_restored(|| routes.pick(&Request::ANY, NOW)));
    let (at, probe) = routes.select(&Request::ANY, later).unwrap();
    assert!(at == 0 && probe.is_probe());
    probe.succeed(Duration::ZERO, later);
    assert_restored(&mut routes, later);
}

#[test]
fn l11_the_weight_is_restored_at_the_end_of_slow_start() {
    let mut routes = routes(Options::new().slow_start(Duration::from_secs(60)));
    let settled = Instant::from_secs(100);
    (0..3).for_each(|_| routes.balancer.tick(settled));
    assert_restored(&mut routes, settled);
    routes.set_health(0, Health::Unhealthy, settled);
    routes.set_health(0, Health::Healthy, settled);
    assert!(!is_restored(|| routes.pick(&Request::ANY, settled)));
    let after = settled + Duration::from_secs(61);
    (0..3).for_each(|_| routes.balancer.tick(after));
    assert_restored(&mut routes, after);
}

#[test]
fn l11_a_weight_that_was_changed_while_it_was_out_is_the_one_it_has() {
    let mut routes = routes(Options::new());
    routes.update(0, &Endpoint::new(0).weight(500), NOW);
    routes.set_health(0, Health::Unhealthy, NOW);
    routes.update(0, &endpoint(0), NOW);
    routes.set_health(0, Health::Healthy, NOW);
    assert_restored(&mut routes, NOW);
    // Drained, and switched off, and back.
    for away in [endpoint(0).weight(0), endpoint(0).enabled(false)] {
        routes.update(0, &away, NOW);
        assert_eq!(routes.counts(&Request::ANY, NOW, 10)[0], 0);
        routes.update(0, &endpoint(0), NOW);
        assert_restored(&mut routes, NOW);
    }
}
