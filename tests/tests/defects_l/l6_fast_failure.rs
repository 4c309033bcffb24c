//! L6 (linkerd2-proxy #4537): an endpoint that refused at once had the least latency, and so got everything.
//! Here failing fast is not being fast.

use trilane::route::{BreakerState, LeastLatency, Options, Request};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::Routes;

const SELECTS: usize = 10_000;
const REFUSES: usize = 0;

fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

/// How many of the selects go to the one that answered in 50 ms and then refuses at once, beside two that
/// answer in 20 ms.
fn refused(mut select: impl FnMut(Instant) -> usize) -> usize {
    (0..SELECTS as u64).filter(|&number| select(Instant::ZERO + ms(10 * number)) == REFUSES).count()
}

/// One in 32 explores, and a third of these go there: three times as many would be too many.
const FEW: usize = SELECTS / 32;

#[test]
fn l6_the_check_catches_latencies_of_failures() {
    let mut latency = [50.0, 20.0, 20.0];
    let naive = refused(|now| {
        // It explores too.
        let number = now.as_millis() as usize / 10;
        let least = (0..3).min_by(|&a, &b| f64::total_cmp(&latency[a], &latency[b])).unwrap();
        let at = if number.is_multiple_of(32) { number / 32 % 3 } else { least };
        let took = if at == REFUSES { 1.0 } else { 20.0 };
        latency[at] = 0.7 * latency[at] + 0.3 * took;
        at
    });
    assert!(naive > SELECTS * 9 / 10, "{naive}");
}

/// No breaker helps.
fn routes() -> Routes<LeastLatency> {
    Routes::equal(LeastLatency::new(), Options::new().failures(0), 3)
}

fn refusing(routes: &mut Routes<LeastLatency>) -> usize {
    refused(|now| {
        let (at, lease) = routes.select(&Request::ANY, now).unwrap();
        if at == REFUSES {
            lease.fail(Duration::ZERO, now)
        } else {
            lease.succeed(ms(20), now)
        }
        at
    })
}

#[test]
fn l6_who_refuses_at_once_does_not_look_fast() {
    let mut routes = routes();
    for (at, latency) in [(REFUSES, 50), (1, 20), (2, 20)] {
        routes.lease_of(at, Instant::ZERO).succeed(ms(latency), Instant::ZERO);
    }
    let refused = refusing(&mut routes);
    assert!(refused <= FEW, "{refused}");
    let stats = |at: usize| routes.balancer.stats(routes.ids[at]).unwrap();
    assert!(stats(REFUSES).latency >= ms(50), "{:?}", stats(REFUSES).latency);
    assert_eq!(stats(REFUSES).failed, refused);
}

#[test]
fn l6_nor_does_who_has_never_answered() {
    let mut routes = routes();
    let refused = refusing(&mut routes);
    assert!(refused <= FEW, "{refused}");
    assert_eq!(routes.balancer.stats(routes.ids[REFUSES]).unwrap().latency, Duration::ZERO, "unmeasured");
}

#[test]
fn l6_who_was_the_fastest_and_refuses_is_the_breakers() {
    // It keeps the rank that its answers gave it: that it fails is what breakers are for.
    let mut routes = Routes::equal(LeastLatency::new(), Options::new(), 3);
    for (at, latency) in [(REFUSES, 5), (1, 20), (2, 20)] {
        routes.lease_of(at, Instant::ZERO).succeed(ms(latency), Instant::ZERO);
    }
    let refused = refusing(&mut routes);
    // 100 s: five failures, then a probe every 30 s.
    assert!(refused <= 5 + 4, "{refused}");
    assert_ne!(routes.balancer.stats(routes.ids[REFUSES]).unwrap().breaker, BreakerState::Closed);
}
