//! L16 (resilience4j #935): a permission for a probe that was not used was lost until a time-out. Here a
//! probe that is dropped without a verdict is given back at once. L20 (Polly #223): failures of calls that
//! had begun before the circuit opened opened it again after it had closed.

use trilane::route::{BreakerState, Endpoint, Options, Request, RoundRobin};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::Routes;

const LATER: Instant = Instant::from_secs(2);

fn breaker(routes: &Routes<RoundRobin>) -> BreakerState {
    routes.balancer.stats(routes.ids[0]).unwrap().breaker
}

#[test]
fn l16_a_probe_that_is_dropped_is_sent_again_by_the_next_select() {
    let options = Options::new().failures(1).open_for(Duration::from_secs(1));
    let mut routes = Routes::equal(RoundRobin, options, 1);
    routes.beside_a_spare(Instant::ZERO, |routes| {
        routes.lease_of(0, Instant::ZERO).fail(Duration::ZERO, Instant::ZERO);
    });
    for _ in 0..5 {
        let (_, probe) = routes.select(&Request::ANY, LATER).unwrap();
        assert!(probe.is_probe());
        drop(probe);
        assert_eq!(breaker(&routes), BreakerState::HalfOpen);
    }
    routes.select(&Request::ANY, LATER).unwrap().1.succeed(Duration::ZERO, LATER);
    assert_eq!(breaker(&routes), BreakerState::Closed);
}

#[test]
fn l20_failures_of_leases_from_before_the_opening_open_nothing_after_it() {
    let options = Options::new().failures(3).open_for(Duration::from_secs(1));
    let mut routes = Routes::new(RoundRobin, options, (0..2).map(Endpoint::new));
    let mut leases: Vec<_> = (0..10).map(|_| routes.lease_of(0, Instant::ZERO)).collect();
    leases.drain(..3).for_each(|lease| lease.fail(Duration::ZERO, Instant::ZERO));
    assert_eq!(breaker(&routes), BreakerState::Open);
    let (_, probe) = routes.select(&Request::ANY, LATER).unwrap();
    assert!(probe.is_probe());
    probe.succeed(Duration::ZERO, LATER);
    assert_eq!(breaker(&routes), BreakerState::Closed);
    leases.drain(..5).for_each(|lease| lease.fail(Duration::ZERO, LATER));
    assert_eq!(breaker(&routes), BreakerState::Closed);
    // Nor do their successes forgive anything that has happened since.
    (0..2).for_each(|_| routes.lease_of(0, LATER).fail(Duration::ZERO, LATER));
    leases.drain(..).for_each(|lease| lease.succeed(Duration::ZERO, LATER));
    routes.lease_of(0, LATER).fail(Duration::ZERO, LATER);
    assert_eq!(breaker(&routes), BreakerState::Open);
}
