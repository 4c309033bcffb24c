//! What time changes by itself: slow start, reports that go stale, breakers; and clocks that jump.

use trilane::route::{
    Balancer, BreakerState, Endpoint, EndpointId, EndpointStats, Health, Metrics, Options, Request,
    RoundRobin, SelectError, Selector,
};
use trilane::time::{Duration, Instant};
use trilane_tests::leak;

type Router = Balancer<RoundRobin, 4, 4, 1>;
type Chooser = Selector<&'static Router, RoundRobin, 4, 4, 1, 1>;

const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400 * SECOND;
/// Long after any span that ticks can tell, as a host's clock is.
const HOST: u64 = 1_790_000_000 * SECOND;
/// One tick.
const TICK: u64 = 1_024;

fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

fn router(options: Options) -> (&'static Router, Chooser) {
    let balancer: &'static Router = leak(Balancer::new(RoundRobin, options));
    (balancer, Selector::new(balancer, 7).unwrap())
}

fn stats(balancer: &Router, id: EndpointId) -> EndpointStats {
    balancer.stats(id).unwrap()
}

/// Opens the breaker of the only endpoint, beside another, which goes again: the last one is never kept out.
fn trip(selector: &mut Chooser, now: Instant) {
    trip_later(selector, now, now);
}

/// The same by leases that were taken before.
fn trip_later(selector: &mut Chooser, taken: Instant, now: Instant) {
    let leases: Vec<_> = (0..5).map(|_| selector.select(&Request::ANY, taken).unwrap()).collect();
    let spare = selector.balancer().add(&Endpoint::new(u64::MAX), now).unwrap();
    leases.into_iter().for_each(|lease| lease.fail(Duration::ZERO, now));
    selector.balancer().remove(spare, now).unwrap();
}

/// 1,600 ticks: a step of slow start takes 100.
const SLOW: Options = Options::new().slow_start(Duration::from_micros(1_600 * TICK));

/// From `from` on the weight must rise by a sixteenth every 100 ticks, and be whole at the end.
fn rises(balancer: &Router, id: EndpointId, from: u64) {
    for step in 0..15 {
        for offset in [0, 1, 99 * TICK, 100 * TICK - TICK] {
            balancer.tick(at(from + step * 100 * TICK + offset));
            assert_eq!(
                stats(balancer, id).weight_left as u64,
                (step + 1) * 4,
                "step {step}, offset {offset}"
            );
        }
    }
    balancer.tick(at(from + 1_500 * TICK));
    assert_eq!(stats(balancer, id).weight_left, 64);
}

#[test]
fn an_added_endpoint_starts_slowly_whatever_the_clock_says() {
    for start in [0, TICK, 11 * DAY, 13 * DAY, 30 * DAY, (1 << 42) - 700 * TICK, HOST] {
        let (balancer, mut selector) = router(SLOW);
        let start = start / TICK * TICK + TICK;
        let id = balancer.add(&Endpoint::new(1), at(start)).unwrap();
        assert_eq!(stats(balancer, id).weight_left, 4);
        drop(selector.select(&Request::ANY, at(start)).unwrap());
        rises(balancer, id, start);
    }
}

#[test]
fn l10_recovery_by_health_starts_slowly_again_and_l11_ends_at_all_of_the_weight() {
    let (balancer, _) = router(SLOW);
    let id = balancer.add(&Endpoint::new(1).weight(7), at(TICK)).unwrap();
    balancer.tick(at(DAY));
    assert_eq!(stats(balancer, id).weight_left, 64);
    for now in [2 * DAY, 3 * DAY, 30 * DAY, HOST] {
        let now = now / TICK * TICK;
        balancer.set_health(id, Health::Unhealthy, at(now)).unwrap();
        balancer.set_health(id, Health::Healthy, at(now)).unwrap();
        assert_eq!(stats(balancer, id).weight_left, 4);
        rises(balancer, id, now);
        assert_eq!(balancer.endpoint(id).unwrap(), Endpoint::new(1).weight(7));
    }
}

#[test]
fn l10_a_recovery_by_way_of_unknown_starts_slowly_when_traffic_begins() {
    let (balancer, _) = router(SLOW);
    let id = balancer.add(&Endpoint::new(1).health(Health::Unknown), at(TICK)).unwrap();
    balancer.tick(at(DAY));
    balancer.set_health(id, Health::Healthy, at(TICK * 100_000_000)).unwrap();
    rises(balancer, id, TICK * 100_000_000);
    // Between two states that both get traffic there is nothing to recover from.
    balancer.set_health(id, Health::Degraded, at(2 * HOST)).unwrap();
    assert_eq!(stats(balancer, id).weight_left, 32);
    balancer.set_health(id, Health::Healthy, at(2 * HOST)).unwrap();
    assert_eq!(stats(balancer, id).weight_left, 64);
}

#[test]
fn l10_a_breaker_that_closes_starts_slowly() {
    for start in [TICK, 20 * DAY / TICK * TICK, HOST / TICK * TICK] {
        let (balancer, mut selector) = router(SLOW);
        let id = balancer.add(&Endpoint::new(1), at(start)).unwrap();
        trip(&mut selector, at(start));
        let probed = start + 40_000 * TICK;
        let probe = selector.select(&Request::ANY, at(probed)).unwrap();
        // The answer takes so long that ticks can't tell: nobody has looked meanwhile, so it still counts.
        let closed = (probed + 33 * DAY) / TICK * TICK;
        probe.succeed(Duration::ZERO, at(closed));
        assert_eq!(stats(balancer, id).breaker, BreakerState::Closed);
        rises(balancer, id, closed);
    }
}

#[test]
fn l10_an_endpoint_that_is_switched_on_again_starts_slowly() {
    let (balancer, _) = router(SLOW);
    let endpoint = Endpoint::new(1).weight(7);
    let id = balancer.add(&endpoint, at(TICK)).unwrap();
    balancer.tick(at(DAY));
    let mut now = 2 * DAY / TICK * TICK;
    for out in [endpoint.enabled(false), endpoint.weight(0)] {
        balancer.update(id, &out, at(now)).unwrap();
        // Still out.
        balancer.update(id, &out.cap(9), at(now)).unwrap();
        now += DAY / TICK * TICK;
        balancer.update(id, &endpoint, at(now)).unwrap();
        assert_eq!(stats(balancer, id).weight_left, 4);
        rises(balancer, id, now);
        now += DAY / TICK * TICK;
    }
}

#[test]
fn slow_start_goes_by_health_too() {
    let (balancer, _) = router(SLOW);
    let id = balancer.add(&Endpoint::new(1).health(Health::Degraded), at(TICK)).unwrap();
    assert_eq!(stats(balancer, id).weight_left, 2);
    balancer.tick(at(TICK + 700 * TICK));
    assert_eq!(stats(balancer, id).weight_left, 16);
    balancer.update(id, &Endpoint::new(1).weight(9), at(TICK + 700 * TICK)).unwrap();
    assert_eq!(stats(balancer, id).weight_left, 16, "an update neither begins nor ends slow start");
    balancer.tick(at(DAY));
    assert_eq!(stats(balancer, id).weight_left, 32);
    balancer.set_health(id, Health::Healthy, at(DAY)).unwrap();
    assert_eq!(stats(balancer, id).weight_left, 64);
}

#[test]
fn a_report_goes_stale_after_its_span_and_is_fresh_again_with_the_next() {
    let (balancer, _) = router(Options::new().stale_after(Duration::from_micros(50 * TICK)));
    let metrics = Metrics::new(100, 0, 0, 0, 0).unwrap();
    for start in [0, 20 * DAY, 40 * DAY, 45 * DAY, HOST] {
        let start = start / TICK * TICK;
        let id = balancer.add(&Endpoint::new(start), at(start)).unwrap();
        balancer.tick(at(start + 10 * DAY));
        assert!(!stats(balancer, id).stale, "nothing was reported");
        let now = start + 10 * DAY / TICK * TICK;
        for from in [now, now + 100 * TICK, now + 130 * TICK, now + 30 * DAY / TICK * TICK] {
            balancer.report(id, metrics, at(from)).unwrap();
            assert!(!stats(balancer, id).stale);
            balancer.tick(at(from + 50 * TICK - 1));
            assert!(!stats(balancer, id).stale);
            balancer.report(id, metrics, at(from + 20 * TICK)).unwrap();
            balancer.tick(at(from + 70 * TICK - 1));
            assert!(!stats(balancer, id).stale);
            balancer.tick(at(from + 70 * TICK));
            assert!(stats(balancer, id).stale);
        }
        balancer.remove(id, at(now + 40 * DAY)).unwrap();
    }
}

#[test]
fn each_call_makes_one_bank_s_changes_and_the_next_goes_on() {
    let (balancer, mut selector) = router(Options::new().failures(1).max_ejected(1_000));
    let ids: Vec<_> = (0..16).map(|id| balancer.add(&Endpoint::new(id), at(0)).unwrap()).collect();
    for _ in 0..16 {
        selector.select(&Request::ANY, at(0)).unwrap().fail(Duration::ZERO, at(0));
    }
    let half_open =
        || ids.iter().filter(|&&id| stats(balancer, id).breaker == BreakerState::HalfOpen).count();
    // The last one is never kept out.
    assert_eq!(balancer.totals().ejected, 15);
    let closed = ids.iter().position(|&id| stats(balancer, id).breaker == BreakerState::Closed).unwrap();
    balancer.tick(at(29 * SECOND));
    assert_eq!(half_open(), 0);
    for calls in 1..=5 {
        balancer.tick(at(31 * SECOND));
        let banks = calls.min(4);
        assert_eq!(half_open(), 4 * banks - (closed / 4 < banks) as usize);
    }
}

#[test]
fn a_bank_in_which_something_is_due_at_each_call_does_not_hold_up_the_others() {
    let options = Options::new().failures(1).max_ejected(1_000).open_for(Duration::from_secs(10));
    let (balancer, mut selector) = router(options.stale_after(Duration::from_secs(3)));
    let ids: Vec<_> = (0..5).map(|id| balancer.add(&Endpoint::new(id), at(0)).unwrap()).collect();
    assert_eq!(ids[4].slot(), 32, "in the second bank");
    for lease in [(); 5].map(|()| selector.select(&Request::ANY, at(0)).unwrap()) {
        if lease.endpoint() == ids[4] {
            lease.fail(Duration::ZERO, at(0));
        }
    }
    // Reports come each second, the looks are 5 s apart: at each, the reports known at the last one are
    // overdue.
    for second in 1..30 {
        balancer.report(ids[0], Metrics::default(), at(second * SECOND)).unwrap();
        if second % 5 == 0 {
            balancer.tick(at(second * SECOND));
        }
    }
    assert_eq!(stats(balancer, ids[4]).breaker, BreakerState::HalfOpen);
}

#[test]
fn nothing_is_lost_over_a_gap_of_any_length() {
    for start in [0, 9 * DAY, 12 * DAY, 24 * DAY, 49 * DAY, HOST] {
        for gap in [0, 1, 6, 11, 12, 13, 20, 25, 26, 30, 37, 40, 50, 51, 60, 76, 100, 3_650, 36_500] {
            let options = SLOW.stale_after(Duration::from_secs(5)).open_at_most(Duration::from_secs(30));
            let (balancer, mut selector) = router(options);
            let id = balancer.add(&Endpoint::new(1), at(start)).unwrap();
            trip(&mut selector, at(start));
            balancer.report(id, Metrics::new(1, 2, 3, 4, 5).unwrap(), at(start)).unwrap();
            assert!(selector.select(&Request::ANY, at(start + SECOND)).is_err());
            let end = start + 31 * SECOND + gap * DAY;
            let probe = selector.select(&Request::ANY, at(end)).unwrap();
            let stats = stats(balancer, id);
            assert!(probe.is_probe() && stats.stale && stats.weight_left == 64, "{gap} days: {stats:?}");
            // And nothing that has begun just now is taken for something from before the gap.
            probe.fail(Duration::ZERO, at(end));
            let error = selector.select(&Request::ANY, at(end + 29 * SECOND)).unwrap_err();
            let SelectError::AllBreakersOpen { retry_at } = error else { panic!("{error}") };
            assert!((end + 30 * SECOND..end + 30 * SECOND + 2 * TICK).contains(&retry_at.as_micros()));
        }
    }
}

#[test]
fn what_opens_after_a_long_silence_stays_open_for_its_span() {
    for start in [0, 10 * DAY, HOST] {
        for gap in [1, 13, 26, 40, 52, 400] {
            let (balancer, mut selector) = router(Options::new().open_for(Duration::from_secs(11 * 86_400)));
            balancer.add(&Endpoint::new(1), at(start)).unwrap();
            let end = start + gap * DAY;
            trip_later(&mut selector, at(start), at(end));
            for days in 0..11 {
                assert!(selector.select(&Request::ANY, at(end + days * DAY)).is_err(), "{gap} + {days} days");
            }
            assert!(selector.select(&Request::ANY, at(end + 11 * DAY + TICK)).unwrap().is_probe());
        }
    }
}

#[test]
fn a_clock_that_goes_back_delays_what_lies_ahead_and_loses_nothing() {
    for start in [12 * DAY, 26 * DAY, 51 * DAY, HOST] {
        for back in [1, SECOND, 15 * SECOND] {
            let (balancer, mut selector) = router(SLOW.stale_after(Duration::from_secs(60)));
            let id = balancer.add(&Endpoint::new(1), at(start - DAY)).unwrap();
            balancer.tick(at(start));
            balancer.report(id, Metrics::new(1, 2, 3, 4, 5).unwrap(), at(start)).unwrap();
            trip(&mut selector, at(start));
            let error = selector.select(&Request::ANY, at(start - back)).unwrap_err();
            let SelectError::AllBreakersOpen { retry_at } = error else { panic!("{error}") };
            assert!((start + 30 * SECOND..start + 30 * SECOND + 2 * TICK).contains(&retry_at.as_micros()));
            // Every other call with a time.
            balancer.set_health(id, Health::Unhealthy, at(start - back)).unwrap();
            balancer.set_health(id, Health::Healthy, at(start - back)).unwrap();
            balancer.update(id, &Endpoint::new(1).weight(2), at(start - back)).unwrap();
            balancer.tick(at(start - back));
            assert!(!stats(balancer, id).stale);
            let probe = selector.select(&Request::ANY, at(start + 31 * SECOND)).unwrap();
            probe.succeed(Duration::ZERO, at(start - back));
            balancer.tick(at(start + 61 * SECOND));
            assert!(stats(balancer, id).stale && stats(balancer, id).weight_left == 64);
        }
    }
}

#[test]
fn l25_a_clock_that_goes_back_far_counts_as_one_that_stood_still() {
    for start in [13 * DAY, 26 * DAY, 100 * DAY, HOST] {
        for right in [start - 11 * DAY, start - 3_600 * SECOND, start - 12 * DAY, 3 * DAY, 0] {
            let options = SLOW.stale_after(Duration::from_secs(60)).open_at_most(Duration::from_secs(30));
            let (balancer, mut selector) = router(options.open_for(Duration::from_secs(10)));
            let id = balancer.add(&Endpoint::new(1), at(start)).unwrap();
            balancer.report(id, Metrics::new(1, 2, 3, 4, 5).unwrap(), at(start)).unwrap();
            trip(&mut selector, at(start));
            // What lies ahead comes as late as it would have.
            for ahead in [0, 5, 9] {
                let refused = selector.select(&Request::ANY, at(right + ahead * SECOND));
                assert!(refused.is_err(), "{start} to {right}, {ahead} s");
            }
            let probe = selector.select(&Request::ANY, at(right + 10 * SECOND + 2 * TICK)).unwrap();
            assert!(probe.is_probe() && !stats(balancer, id).stale);
            // From here on it is the time; a silence of 30 days is noticed as ever.
            probe.fail(Duration::ZERO, at(right + 11 * SECOND));
            assert!(selector.select(&Request::ANY, at(right + 12 * SECOND)).is_err());
            balancer.tick(at(right + 61 * SECOND));
            assert!(stats(balancer, id).stale && stats(balancer, id).weight_left == 64);
            assert!(selector.select(&Request::ANY, at(right + 30 * DAY)).unwrap().is_probe());
        }
    }
}

#[test]
fn an_open_breaker_in_a_bank_that_is_not_looked_at_yet_says_now() {
    let (balancer, mut selector) = router(Options::new().failures(1).max_ejected(1_000));
    for id in 0..16 {
        balancer.add(&Endpoint::new(id), at(0)).unwrap();
    }
    let tagged = trilane::route::Tags::NONE.with(trilane::route::Tag::of::<0>());
    let last = balancer.find(15).unwrap();
    balancer.update(last, &Endpoint::new(15).tags(tagged), at(0)).unwrap();
    // The last one is never kept out, so the one with the tag is first, and one of the first bank is last:
    // its weight changes soon, for which its bank is looked at first.
    let mut ids: Vec<_> = balancer.members().collect();
    ids.reverse();
    for own in [vec![last], ids] {
        for id in own {
            let others: Vec<_> = balancer.members().filter(|&other| other != id).collect();
            if let Ok(lease) = selector.select(&Request::ANY.excluding(&others), at(0)) {
                lease.fail(Duration::ZERO, at(0));
            }
        }
    }
    drop(selector);
    let mut selector: Selector<_, _, 4, 4, 1, 2> = Selector::new(balancer, 1).unwrap();
    let class = selector.class(trilane::route::Filter::ANY.tags(tagged)).unwrap();
    for _ in 0..3 {
        let error = selector.select(&Request::new(class), at(31 * SECOND)).unwrap_err();
        assert_eq!(error, SelectError::AllBreakersOpen { retry_at: at(31 * SECOND) });
    }
    assert!(selector.select(&Request::new(class), at(31 * SECOND)).unwrap().is_probe());
}
