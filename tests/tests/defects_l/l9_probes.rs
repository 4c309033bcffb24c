//! L9 (smallrye #319): a half-open breaker let more requests through than were configured when they came at
//! once. Here there is one probe at a time, and as many as are configured in all, from however many threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use trilane::route::{BreakerState, Lease, Options, Request, RoundRobin, SelectError};
use trilane::time::{Duration, Instant};
use trilane_tests::routing::{Router, Routes, chooser};

const THREADS: usize = 3;
const PROBES: u8 = 3;
const ROUNDS: u64 = 60;

type Held = Lease<&'static Router<RoundRobin>>;

/// How many of `THREADS` requests are let through, all of which look before any of them has acted on it.
fn admitted(look: impl Fn() -> bool, act: impl Fn()) -> usize {
    let seen: Vec<_> = (0..THREADS).map(|_| look()).collect();
    seen.into_iter().filter(|&admitted| admitted).inspect(|_| act()).count()
}

#[test]
fn l9_the_check_catches_a_breaker_that_looks_before_it_acts() {
    let half_open = AtomicBool::new(true);
    let look = || half_open.load(Ordering::SeqCst);
    assert_eq!(admitted(look, || half_open.store(false, Ordering::SeqCst)), THREADS);
}

/// Lets `THREADS` selectors select at the same time, at `first` and then whenever `round` says, which gets
/// their leases.
fn at_once(
    balancer: &'static Router<RoundRobin>,
    first: Instant,
    mut round: impl FnMut(Instant, Vec<Held>) -> Option<Instant>,
) {
    let barrier = Barrier::new(THREADS + 1);
    let turn = Mutex::new(Some(first));
    let got: Mutex<Vec<Held>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for seed in 0..THREADS as u64 {
            let mut selector = chooser(balancer, seed);
            let (barrier, turn, got) = (&barrier, &turn, &got);
            scope.spawn(move || {
                loop {
                    barrier.wait();
                    let Some(now) = *turn.lock().unwrap() else { return };
                    barrier.wait();
                    match selector.select(&Request::ANY, now) {
                        Ok(lease) => got.lock().unwrap().push(lease),
                        Err(error) => {
                            assert!(matches!(error, SelectError::AllBreakersOpen { .. }), "{error}");
                        }
                    }
                    barrier.wait();
                }
            });
        }
        let mut next = Some(first);
        while let Some(now) = next {
            (0..3).for_each(|_| _ = barrier.wait());
            let leases = std::mem::take(&mut *got.lock().unwrap());
            next = round(now, leases);
            *turn.lock().unwrap() = next;
        }
        barrier.wait();
    });
}

fn state(balancer: &Router<RoundRobin>) -> BreakerState {
    balancer.stats(balancer.find(0).unwrap()).unwrap().breaker
}

const OPTIONS: Options = Options::new()
    .failures(1)
    .probes(PROBES)
    .open_for(Duration::from_secs(10))
    .open_at_most(Duration::from_secs(10))
    .probe_window(Duration::from_secs(20));

fn trip(routes: &mut Routes<RoundRobin>, now: Instant) {
    routes.beside_a_spare(now, |routes| routes.lease_of(0, now).fail(Duration::ZERO, now));
}

/// One endpoint, whose breaker is open, and when it admits a probe.
fn tripped() -> (Routes<RoundRobin>, Instant) {
    let mut routes = Routes::equal(RoundRobin, OPTIONS, 1);
    trip(&mut routes, Instant::ZERO);
    (routes, Instant::from_secs(11))
}

#[test]
fn l9_half_open_admits_one_at_a_time_and_as_many_as_are_configured() {
    let (mut routes, first) = tripped();
    let balancer = routes.balancer;
    let (mut probes, mut closed) = (0, 0);
    at_once(balancer, first, |now, mut leases| {
        assert_eq!(leases.len(), 1, "one probe at a time");
        let probe = leases.remove(0);
        assert!(probe.is_probe());
        probe.succeed(Duration::ZERO, now);
        probes += 1;
        if probes < PROBES {
            assert_eq!(state(balancer), BreakerState::HalfOpen);
            return Some(now);
        }
        assert_eq!(state(balancer), BreakerState::Closed);
        (probes, closed) = (0, closed + 1);
        trip(&mut routes, now);
        assert_eq!(state(balancer), BreakerState::Open);
        (closed < ROUNDS).then(|| now + Duration::from_secs(11))
    });
    assert_eq!(balancer.totals().breakers_opened as u64, ROUNDS + 1);
}

#[test]
fn l9_while_a_probe_is_out_there_is_no_other() {
    let (routes, first) = tripped();
    let mut probe: Option<Held> = None;
    let mut rounds = 0;
    at_once(routes.balancer, first, |now, mut leases| {
        rounds += 1;
        match probe.take() {
            None => {
                assert_eq!(leases.len(), 1);
                probe = leases.pop();
            }
            Some(out) => {
                assert!(leases.is_empty(), "{leases:?} beside {out:?}");
                // By turns it fails, or nobody says how it went: one more is admitted after the breaker's
                // time, or at once.
                let after = if rounds % 4 == 0 {
                    out.fail(Duration::ZERO, now);
                    BreakerState::Open
                } else {
                    drop(out);
                    BreakerState::HalfOpen
                };
                assert_eq!(state(routes.balancer), after);
                let wait = if let BreakerState::Open = after { 11 } else { 0 };
                return (rounds < ROUNDS).then(|| now + Duration::from_secs(wait));
            }
        }
        Some(now)
    });
    assert_eq!(rounds, ROUNDS);
}
