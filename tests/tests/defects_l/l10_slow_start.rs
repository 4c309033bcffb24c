//! L10 (envoy #23946): slow start was for new hosts alone, and not where zones are weighed. Here it begins
//! again with each recovery, by health or by breaker, and within a zone too.

use trilane::route::{
    Class, Endpoint, Filter, Health, Options, Request, WeightedRandom, WeightedRoundRobin, Zone,
};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::Routes;

/// 16 steps of 10 s.
const RAMP: Duration = Duration::from_secs(160);
const FIRST: Instant = Instant::from_secs(1_000);
/// It has been a member for longer than a ramp, and recovers.
const BACK: Instant = Instant::from_secs(2_000);

/// How much of its weight the endpoint has, so many seconds after it has recovered, in 16ths.
const DUE: [(u64, u64); 7] = [(0, 1), (11, 2), (41, 5), (81, 9), (141, 15), (161, 16), (500, 16)];

/// Whether the shares of a recovered endpoint, beside an equal one, are what is due.
fn is_slow(mut share: impl FnMut(Instant) -> f64) -> bool {
    DUE.iter().all(|&(after, sixteenths)| {
        let share = share(BACK + Duration::from_secs(after));
        let due = sixteenths as f64 / (sixteenths + 16) as f64;
        (share - due).abs() < 0.01
    })
}

#[test]
fn l10_the_check_catches_a_ramp_that_begins_when_a_host_is_added() {
    assert!(!is_slow(|now| {
        let steps = 1 + now.saturating_since(FIRST).as_micros() / (RAMP.as_micros() / 16);
        let weight = steps.min(16) as f64;
        weight / (weight + 16.0)
    }));
}

/// Two in zone 0 and two in zone 1, of which all have been there for long.
fn routes() -> (Routes<WeightedRoundRobin>, Class) {
    let options = Options::new().slow_start(RAMP).failures(1).max_ejected(1_000);
    let mut routes = Routes::new(WeightedRoundRobin, options, []);
    for id in 0..4 {
        routes.add(&Endpoint::new(id).zone(Zone::new(id as u8 / 2).unwrap()), FIRST);
    }
    let class = routes.selector.class(Filter::ANY.prefer(Zone::of::<0>()).unwrap()).unwrap();
    settle(&mut routes, Instant::from_secs(1_900));
    (routes, class)
}

/// Lets what is due by `now` happen.
fn settle(routes: &mut Routes<WeightedRoundRobin>, now: Instant) {
    (0..4).for_each(|_| routes.balancer.tick(now));
}

/// The share of endpoint 0 of what it and endpoint 1 get.
fn share(routes: &mut Routes<WeightedRoundRobin>, class: Class, now: Instant) -> f64 {
    settle(routes, now);
    let counts = routes.counts(&Request::new(class), now, 9_600);
    counts[0] as f64 / (counts[0] + counts[1]) as f64
}

#[test]
fn l10_slow_start_begins_when_an_endpoint_is_added() {
    let options = Options::new().slow_start(RAMP);
    let mut routes = Routes::new(WeightedRoundRobin, options, [Endpoint::new(1)]);
    settle(&mut routes, BACK);
    routes.add(&Endpoint::new(0), BACK);
    routes.ids.reverse();
    assert!(is_slow(|now| share(&mut routes, Class::ANY, now)));
}

#[test]
fn l10_slow_start_begins_again_when_health_recovers() {
    let (mut routes, _) = routes();
    assert_eq!(share(&mut routes, Class::ANY, Instant::from_secs(1_900)), 0.5);
    routes.set_health(0, Health::Unhealthy, Instant::from_secs(1_950));
    routes.set_health(0, Health::Healthy, BACK);
    assert!(is_slow(|now| share(&mut routes, Class::ANY, now)));
}

#[test]
fn l10_slow_start_begins_again_when_a_breaker_closes() {
    let (mut routes, _) = routes();
    let broke = Instant::from_secs(1_950);
    routes.lease_of(0, broke).fail(Duration::ZERO, broke);
    let (at, probe) = routes.select(&Request::ANY, BACK).unwrap();
    assert!(at == 0 && probe.is_probe());
    probe.succeed(Duration::ZERO, BACK);
    assert!(is_slow(|now| share(&mut routes, Class::ANY, now)));
}

#[test]
fn l10_slow_start_begins_again_within_a_zone() {
    for by_breaker in [false, true] {
        let (mut routes, class) = routes();
        let out = Instant::from_secs(1_950);
        if by_breaker {
            routes.lease_of(0, out).fail(Duration::ZERO, out);
            routes.select(&Request::new(class), BACK).unwrap().1.succeed(Duration::ZERO, BACK);
        } else {
            routes.set_health(0, Health::Unhealthy, out);
            // One of two is left: the zone keeps 700 permille, and spills the rest.
            let counts = routes.counts(&Request::new(class), out, 10_000);
            assert!(counts[0] == 0 && counts[1].abs_diff(7_000) < 250, "{counts:?}");
            routes.set_health(0, Health::Healthy, BACK);
        }
        assert!(is_slow(|now| share(&mut routes, class, now)), "by breaker: {by_breaker}");
        // All of it stays in the zone, slow as one of them may be.
        let counts = routes.counts(&Request::new(class), BACK + RAMP, 1_000);
        assert_eq!(counts[2..], [0, 0]);
    }
}

#[test]
fn l10_slow_start_begins_anew_with_each_recovery() {
    let (mut routes, _) = routes();
    for flap in 0..5 {
        let now = BACK + Duration::from_secs(30 * flap);
        routes.set_health(0, Health::Unhealthy, now);
        routes.set_health(0, Health::Healthy, now);
    }
    let last = BACK + Duration::from_secs(120);
    assert!(is_slow(|now| {
        let after = now.saturating_since(BACK);
        share(&mut routes, Class::ANY, last + after)
    }));
}

#[test]
fn l10_slow_start_is_for_all_who_weigh() {
    let options = Options::new().slow_start(RAMP);
    let mut routes = Routes::equal(WeightedRandom, options, 2);
    (0..4).for_each(|_| routes.balancer.tick(BACK));
    routes.set_health(0, Health::Unhealthy, BACK);
    routes.set_health(0, Health::Healthy, BACK);
    let counts = routes.counts(&Request::ANY, BACK, 10_000);
    assert!(counts[0].abs_diff(10_000 / 17) < 120, "{counts:?}");
}
