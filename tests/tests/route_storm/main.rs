//! Ten million selects, over all strategies, on two threads, while a third changes the members: no lease is
//! lost, none goes where it must not, and nothing allocates.
//!
//! What a pick must be is said at [`History`], which knows of each change when its call began and when it had
//! returned.
//!
//! What comes in the middle of a select on the same core, as from an interrupt, is in `route_interrupts.rs`.

use std::sync::Barrier;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use trilane::route::*;
use trilane::time::{Duration, Instant};
use trilane_tests::counting::{self, Counting};
use trilane_tests::routing::by_kind;

use storm::{BANKS, PER_BANK, Router, STRIPES, Storm};

mod members;
mod storm;
mod traffic;

/// Over all strategies.
const SELECTS: u32 = if cfg!(debug_assertions) { 260_000 } else { 10_000_000 };

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `body` allocated or freed, but for what the host's lock allocates once for each thread.
fn allocations(body: impl FnOnce()) -> u64 {
    critical_section::with(|_| ());
    counting::allocations(body)
}

/// What came of a storm.
struct Outcome {
    leases: usize,
    errors: [usize; SelectError::KINDS],
    /// Rounds of the thread that changes the members.
    changes: usize,
    /// Picks that could not be judged.
    forgotten: usize,
}

/// A storm over one strategy.
fn storm<S>(strategy: S, selects: u32, exchange: impl Fn(&Router<S>, Kind, Instant) + Sync) -> Outcome
where
    S: Strategy<BANKS, PER_BANK, STRIPES> + Sync + Send,
{
    let options = Options::new()
        .failures(3)
        .max_ejected(800)
        .open_for(Duration::from_millis(3))
        .probe_window(Duration::from_millis(5))
        .slow_start(Duration::from_millis(20))
        .stale_after(Duration::from_millis(4));
    let balancer = Box::new(Router::new(strategy, options));
    let storm = Storm::new(&balancer);
    let mut random = Random::new(7);
    let anchor = storm.add(storm.anchor(&mut random), true).unwrap();
    assert_eq!(anchor.slot(), 0);
    let all = Barrier::new(3);
    thread::scope(|scope| {
        let workers = [0, 1].map(|worker| {
            let (storm, all) = (&storm, &all);
            scope.spawn(move || {
                all.wait();
                allocations(|| storm.work(worker, selects / 2))
            })
        });
        let changes = scope.spawn(|| {
            all.wait();
            allocations(|| storm.change_members(&mut random, &exchange))
        });
        let allocated = workers.map(thread::ScopedJoinHandle::join);
        storm.over.store(true, SeqCst);
        for allocated in allocated.into_iter().chain([changes.join()]) {
            assert_eq!(allocated.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), 0, "allocations");
        }
    });
    let leases = storm.taken.load(SeqCst);
    let errors = storm.spoken_of.each_ref().map(|count| count.load(SeqCst));
    assert_eq!(by_kind(balancer.totals().errors), errors);
    assert_eq!(leases + errors.iter().sum::<usize>(), selects as usize);
    let forgotten = storm.forgotten.load(SeqCst);
    assert!(forgotten * 1_000 <= leases, "{forgotten} of {leases} picks could not be judged");
    storm.is_at_rest();
    Outcome { leases, errors, changes: storm.changes.load(SeqCst), forgotten }
}

#[test]
fn ten_million_selects_lose_no_lease_pick_nobody_ineligible_and_allocate_nothing() {
    let mut all_errors = [0; SelectError::KINDS];
    macro_rules! storms {
        ($($strategy:expr, $exchange:expr;)*) => {
            let count = [$(stringify!($strategy)),*].len() as u32;
            let selects = SELECTS.div_ceil(count).next_multiple_of(2);
            $(
                let began = std::time::Instant::now();
                let Outcome { leases, errors, changes, forgotten } = storm($strategy, selects, $exchange);
                println!(
                    "{}: {selects} selects, {leases} leases, {forgotten} of them not judged, {changes} rounds of changes, {:.1?}",
                    stringify!($strategy), began.elapsed()
                );
                assert!(leases * 2 > selects as usize, "too few leases");
                assert!(changes * 1_000 > selects as usize, "too few changes");
                for (sum, count) in all_errors.iter_mut().zip(errors) {
                    *sum += count;
                }
            )*
        };
    }
    type Rings = Ring<2_048, 512>;
    type Maglevs = Maglev<251, 96>;
    storms! {
        RoundRobin, |_, _, _| ();
        UniformRandom, |_, _, _| ();
        PowerOfTwo::new(), |_, _, _| ();
        WeightedRoundRobin, |_, _, _| ();
        WeightedRandom, |_, _, _| ();
        LeastConnections::new(), |_, _, _| ();
        LeastLatency::new(), |_, _, _| ();
        LeastLoad::new(), |_, _, _| ();
        ConsistentHash::new(Rings::new()), |_, _, _| ();
        ConsistentHash::new(Bounded::<_, 1_250>::new(Maglevs::new())), |_, _, _| ();
        Adaptive::new(ConsistentHash::new(Maglevs::new())), |_, _, _| ();
        AnyStrategy::new(Kind::RoundRobin, ConsistentHash::new(Rings::new())), |balancer, kind, now| {
            balancer.set_kind(kind, now);
        };
    }
    println!("errors by kind: {all_errors:?}");
    // There is always the anchor, so it is never empty, and no class is foreign; the others have all come up.
    assert!(all_errors[1..7].iter().all(|&count| count > 0), "{all_errors:?}");
}
