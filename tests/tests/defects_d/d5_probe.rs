//! D5: any completion while a probe was out counted as the probe's outcome. Here only the probe's own lease
//! decides.

use trilane::route::{BreakerState, Lease, Options, Request, RoundRobin};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::{Router, Routes};

const OPTIONS: Options =
    Options::new().failures(2).open_for(Duration::from_secs(10)).probe_window(Duration::from_secs(20));
const START: Instant = Instant::ZERO;
/// The breaker admits a probe.
const LATER: Instant = Instant::from_secs(11);
const LATENCY: Duration = Duration::from_millis(1);

type Held = Lease<&'static Router<RoundRobin>>;

/// How a lease ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Success,
    Failure,
    Release,
}
use End::{Failure, Release, Success};

fn end(lease: Held, how: End, now: Instant) {
    match how {
        Success => lease.succeed(LATENCY, now),
        Failure => lease.fail(Duration::ZERO, now),
        Release => drop(lease),
    }
}

/// One endpoint with an open breaker, and two leases of it that were taken before it opened.
fn tripped(options: Options) -> (Routes<RoundRobin>, [Held; 2]) {
    let mut routes = Routes::equal(RoundRobin, options, 1);
    let old = routes.beside_a_spare(START, |routes| {
        let old = [0, 0].map(|at| routes.lease_of(at, START));
        (0..2).for_each(|_| routes.lease_of(0, START).fail(Duration::ZERO, START));
        old
    });
    assert_eq!(state(&routes), BreakerState::Open);
    (routes, old)
}

fn state(routes: &Routes<RoundRobin>) -> BreakerState {
    routes.balancer.stats(routes.ids[0]).unwrap().breaker
}

fn probe(routes: &mut Routes<RoundRobin>, now: Instant) -> Held {
    let lease = routes.selector.select(&Request::ANY, now).unwrap();
    assert!(lease.is_probe());
    lease
}

/// Whether a probe stays undecided, whatever becomes of a lease from before.
fn strangers_decide_nothing(after: impl Fn(End) -> BreakerState) -> bool {
    [Success, Failure, Release].into_iter().all(|how| after(how) == BreakerState::Probing)
}

#[test]
fn d5_the_check_catches_a_breaker_that_takes_any_outcome() {
    assert!(!strangers_decide_nothing(|how| match how {
        Success => BreakerState::Closed,
        Failure => BreakerState::Open,
        Release => BreakerState::Probing,
    }));
}

#[test]
fn d5_what_was_taken_before_the_breaker_opened_decides_nothing() {
    assert!(strangers_decide_nothing(|how| {
        let (mut routes, [old, other]) = tripped(OPTIONS);
        let _probe = probe(&mut routes, LATER);
        end(old, how, LATER);
        end(other, how, LATER);
        state(&routes)
    }));
}

#[test]
fn d5_the_probe_decides_after_all_of_them() {
    for old in [Success, Failure, Release] {
        for (how, then) in [
            (Success, BreakerState::Closed),
            (Failure, BreakerState::Open),
            // Nobody has said how it went: the next is admitted at once.
            (Release, BreakerState::HalfOpen),
        ] {
            let (mut routes, leases) = tripped(OPTIONS);
            let probe = probe(&mut routes, LATER);
            leases.into_iter().for_each(|lease| end(lease, old, LATER));
            end(probe, how, LATER);
            assert_eq!(state(&routes), then, "others: {old:?}, the probe: {how:?}");
        }
    }
}

#[test]
fn d5_of_a_probe_that_is_late_only_a_success_counts() {
    for how in [Success, Failure, Release] {
        let (mut routes, _old) = tripped(OPTIONS);
        let late = probe(&mut routes, LATER);
        let after = LATER + Duration::from_secs(21);
        let present = probe(&mut routes, after);
        end(late, how, after);
        let expected = if let Success = how { BreakerState::Closed } else { BreakerState::Probing };
        assert_eq!(state(&routes), expected);
        present.succeed(LATENCY, after);
        assert_eq!(state(&routes), BreakerState::Closed);
    }
}

#[test]
fn d5_outcomes_from_before_do_not_count_among_the_probes_that_it_takes() {
    let (mut routes, old) = tripped(OPTIONS.probes(3));
    let first = probe(&mut routes, LATER);
    old.into_iter().for_each(|lease| lease.succeed(LATENCY, LATER));
    first.succeed(LATENCY, LATER);
    assert_eq!(state(&routes), BreakerState::HalfOpen);
    probe(&mut routes, LATER).succeed(LATENCY, LATER);
    assert_eq!(state(&routes), BreakerState::HalfOpen);
    probe(&mut routes, LATER).succeed(LATENCY, LATER);
    assert_eq!(state(&routes), BreakerState::Closed);
}
