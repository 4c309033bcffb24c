//! Ranks that change against a select that orders by them.
#![cfg(trilane_loom)]

use std::sync::Arc;

use loom::thread;
use trilane::route::{Balancer, Endpoint, EndpointId, Lease, LeastLatency, Options, Request, Selector};
use trilane::time::{Duration, Instant};
use trilane_loom::check;

type Latencies = Balancer<LeastLatency, 1, 2, 1>;
type Chooser = Selector<Arc<Latencies>, LeastLatency, 1, 2, 1, 1>;

fn pick(chooser: &mut Chooser) -> Lease<Arc<Latencies>> {
    chooser.select(&Request::ANY, Instant::ZERO).unwrap()
}

fn end(lease: Lease<Arc<Latencies>>, ms: u64) {
    lease.succeed(Duration::from_millis(ms), Instant::ZERO);
}

/// A selector, and two endpoints of 10 and 20 ms.
fn measured() -> (Chooser, EndpointId, EndpointId) {
    let balancer = Arc::new(Latencies::new(LeastLatency::exploring(0), Options::new()));
    let [fast, slow] = [1, 2].map(|number| balancer.add(&Endpoint::new(number), Instant::ZERO).unwrap());
    let mut chooser = Chooser::new(balancer, 1).unwrap();
    for lease in [(); 2].map(|()| pick(&mut chooser)) {
        let ms = if lease.endpoint() == fast { 10 } else { 20 };
        end(lease, ms);
    }
    (chooser, fast, slow)
}

/// The change is noted in two steps; a select between them must not take the first for the whole.
#[test]
fn a_change_of_rank_is_not_lost_to_a_select_in_its_middle() {
    check(|| {
        let (mut chooser, fast, slow) = measured();
        let lease = pick(&mut chooser);
        assert_eq!(lease.endpoint(), fast);
        let writer = thread::spawn(move || end(lease, 30));
        drop(pick(&mut chooser));
        writer.join().unwrap();
        assert_eq!(pick(&mut chooser).endpoint(), slow);
    });
}

#[test]
fn two_changes_of_rank_are_both_seen() {
    check(|| {
        let (mut chooser, fast, slow) = measured();
        let leases = [(); 2].map(|()| pick(&mut chooser));
        let [first, second] = leases;
        end(first, 30);
        let other = pick(&mut chooser);
        assert_eq!(other.endpoint(), slow);
        let writers = [(second, 40), (other, 50)].map(|(lease, ms)| thread::spawn(move || end(lease, ms)));
        drop(pick(&mut chooser));
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(pick(&mut chooser).endpoint(), fast);
    });
}

/// What leaves an average as it is, or fails, stores it too: over a change that came meanwhile, which then
/// isn't there although a select has seen it.
#[test]
fn an_average_that_is_stored_over_a_change_is_not_ranked_by_it() {
    for fails in [false, true] {
        check(move || {
            let (mut chooser, fast, slow) = measured();
            let [first, second] = [(); 2].map(|()| pick(&mut chooser));
            assert_eq!((first.endpoint(), second.endpoint()), (fast, fast));
            let same = thread::spawn(move || {
                let later = Instant::from_secs(1);
                if fails { first.fail(Duration::ZERO, later) } else { first.succeed(Duration::from_millis(10), later) }
            });
            let peak = thread::spawn(move || end(second, 30));
            drop(pick(&mut chooser));
            same.join().unwrap();
            peak.join().unwrap();
            let [of_fast, of_slow] = [fast, slow].map(|id| chooser.balancer().stats(id).unwrap().latency);
            let least = if of_fast < of_slow { fast } else { slow };
            assert_eq!(pick(&mut chooser).endpoint(), least, "{of_fast:?} {of_slow:?}");
        });
    }
}
