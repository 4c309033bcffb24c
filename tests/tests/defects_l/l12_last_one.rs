//! L12 (envoy #17504): outlier detection ejected the only host that there was. Here the last endpoint of a
//! class is never kept out, and what is kept out is counted by whom it keeps out now (L22).

use trilane::route::{
    BreakerState, Endpoint, Filter, Options, Request, RoundRobin, Strategy, Tag, Tags, Tier, Zone,
};
use trilane::time::{Duration, Instant};
use trilane_tests::for_each_strategy;
use trilane_tests::routing::Routes;

fn ms(at: u64) -> Instant {
    Instant::from_millis(at)
}

#[test]
fn l12_the_only_endpoint_serves_on_after_five_failures() {
    fn check<S: Strategy<1, 16, 4> + 'static>(name: &str, strategy: S) {
        let mut routes = Routes::equal(strategy, Options::new(), 1);
        (0..5).for_each(|_| routes.lease_of(0, ms(0)).fail(Duration::ZERO, ms(0)));
        for at in 1..=100 {
            let lease = routes.select(&Request::ANY, ms(10 * at));
            assert!(lease.is_ok(), "{name}: {lease:?} at {at}");
        }
    }
    for_each_strategy!(check);
}

#[test]
fn l12_the_last_one_of_a_filter_in_use_serves_on_and_of_one_that_was_freed_does_not() {
    let tag = Tags::NONE.with(Tag::of::<3>());
    let tagged = |id| Endpoint::new(id).tags(tag);
    let filters = [
        Filter::ANY.tags(tag),
        Filter::ANY.tier(Tier::of::<2>()),
        Filter::ANY.prefer(Zone::of::<5>()).unwrap().confined(),
    ];
    for filter in filters {
        let one = tagged(0).tier(Tier::of::<2>()).zone(Zone::of::<5>());
        let mut routes =
            Routes::new(RoundRobin, Options::new().failures(1), [one, Endpoint::new(1), Endpoint::new(2)]);
        let class = routes.selector.class(filter).unwrap();
        let fail = |routes: &mut Routes<RoundRobin>| {
            routes.lease_of(0, ms(0)).fail(Duration::ZERO, ms(0));
            routes.balancer.stats(routes.ids[0]).unwrap().breaker
        };
        assert_eq!(fail(&mut routes), BreakerState::Closed);
        assert!(routes.select(&Request::new(class), ms(1)).is_ok());
        routes.selector.free_class(class).unwrap();
        assert_eq!(fail(&mut routes), BreakerState::Open);
    }
}

/// L22: tier 1's two endpoints wait for probes that no traffic brings, and count as if they kept out anybody.
#[test]
fn l22_who_waits_for_a_probe_is_not_in_the_budget() {
    let tier = |id| if id < 2 { Tier::of::<0>() } else { Tier::of::<1>() };
    let endpoints = (0..4).map(|id| Endpoint::new(id).tier(tier(id)));
    let mut routes = Routes::new(RoundRobin, Options::new(), endpoints);
    let stats = |routes: &Routes<RoundRobin>, at: usize| routes.balancer.stats(routes.ids[at]).unwrap();
    for at in [2, 3] {
        (0..5).for_each(|_| routes.lease_of(at, ms(0)).fail(Duration::ZERO, ms(0)));
        assert_eq!(stats(&routes, at).breaker, BreakerState::Open);
    }
    assert_eq!(routes.balancer.totals().ejected, 2);
    let later = ms(31_000);
    for _ in 0..40 {
        let (at, lease) = routes.select(&Request::ANY, later).unwrap();
        if at == 0 { lease.fail(Duration::ZERO, later) } else { lease.succeed(Duration::ZERO, later) }
    }
    assert_eq!(stats(&routes, 0).breaker, BreakerState::Open);
    assert_eq!(routes.balancer.totals().ejected, 1);
}
