//! Selectors on loan: never two threads with one, nobody waits for ever, and no select allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration as Real, Instant as Now};

use trilane::route::{Balancer, Endpoint, Filter, Options, Request, RoundRobin, TooManySelectors, Zone};
use trilane::time::{Duration, Instant};
use trilane_std::route::{AllInUse, SelectorPool};

type Fleet = Balancer<RoundRobin, 1, 4, 3>;
type Pool<'a> = SelectorPool<&'a Fleet, RoundRobin, 1, 4, 3, 2>;
const NOW: Instant = Instant::ZERO;

thread_local! {
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: all that is asked for is passed on to the system's allocator as it came; the count is a plain cell
// of the thread that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _too_late = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

fn fleet() -> Fleet {
    let fleet: Fleet = Balancer::new(RoundRobin, Options::new());
    fleet.sync((1..4).map(Endpoint::new), NOW).unwrap();
    fleet
}

#[test]
fn a_pool_takes_stripes_and_gives_them_back() {
    let fleet = fleet();
    assert_eq!(Pool::new(&fleet, 4, 1).err(), Some(TooManySelectors));
    let pool = Pool::new(&fleet, 2, 1).unwrap();
    assert_eq!(pool.selectors(), 2);
    assert_eq!(Pool::new(&fleet, 2, 1).err(), Some(TooManySelectors));
    assert_eq!(Pool::new(&fleet, 0, 1).unwrap().selectors(), 1);
    drop(pool);
    assert!(Pool::new(&fleet, 3, 1).is_ok());
}

#[test]
fn when_all_are_out_it_says_so_or_waits() {
    let fleet = fleet();
    let pool = Pool::new(&fleet, 2, 1).unwrap();
    let (one, two) = (pool.try_get().unwrap(), pool.get());
    assert!(matches!(pool.try_get(), Err(AllInUse)));
    let began = Now::now();
    assert!(matches!(pool.get_within(Real::from_millis(20)), Err(AllInUse)));
    assert!(began.elapsed() >= Real::from_millis(20));
    assert!(matches!(pool.get_within(Real::ZERO), Err(AllInUse)));
    let waited = thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.get().select(&Request::ANY, NOW).map(drop).is_ok());
        thread::sleep(Real::from_millis(10));
        assert!(!waiting.is_finished());
        drop(one);
        waiting.join().unwrap()
    });
    assert!(waited);
    drop(two);
    assert!(pool.get_within(Real::ZERO).is_ok());
}

#[test]
fn leases_outlive_the_loan() {
    let fleet = fleet();
    let pool = Pool::new(&fleet, 1, 1).unwrap();
    let near = Filter::ANY.prefer(Zone::of::<0>()).unwrap();
    let leases: Vec<_> = (0..3)
        .map(|_| {
            let mut selector = pool.try_get().expect("it is back");
            // The same class each time: there is room for one.
            let class = selector.class(near).unwrap();
            selector.select(&Request::new(class), NOW).unwrap()
        })
        .collect();
    drop(pool);
    let in_flight = || fleet.members().map(|id| fleet.stats(id).unwrap().in_flight).sum::<u32>();
    assert_eq!(in_flight(), 3);
    thread::scope(|scope| {
        scope.spawn(|| leases.into_iter().for_each(|lease| lease.succeed(Duration::ZERO, NOW)));
    });
    assert_eq!(in_flight(), 0);
}

/// Eight threads, two selectors, waiting and giving back all the time: each is served, no count is lost
/// (which it would be if two threads had one selector), and nothing is allocated.
#[test]
fn many_threads_share_few_selectors() {
    const THREADS: u32 = 8;
    const EACH: u32 = 20_000;
    let fleet = fleet();
    let pool = Pool::new(&fleet, 2, 1).unwrap();
    let (out, most, all) = (AtomicU32::new(0), AtomicU32::new(0), Barrier::new(THREADS as usize));
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (pool, out, most, all) = (&pool, &out, &most, &all);
            scope.spawn(move || {
                all.wait();
                // What a thread allocates once: where it begins to try.
                drop(pool.get());
                let before = ALLOCATIONS.get();
                for turn in 0..EACH {
                    let mut selector = if (turn + number) % 3 == 0 {
                        loop {
                            if let Ok(selector) = pool.get_within(Real::from_micros(50)) {
                                break selector;
                            }
                        }
                    } else {
                        pool.get()
                    };
                    most.fetch_max(out.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    let lease = selector.select(&Request::ANY, NOW).unwrap();
                    if turn % 64 == 0 {
                        thread::yield_now();
                    }
                    out.fetch_sub(1, Ordering::Relaxed);
                    drop(selector);
                    lease.succeed(Duration::ZERO, NOW);
                }
                assert_eq!(ALLOCATIONS.get(), before);
            });
        }
    });
    assert_eq!(most.into_inner(), 2);
    let stats: Vec<_> = fleet.members().map(|id| fleet.stats(id).unwrap()).collect();
    let sum = |of: fn(&trilane::route::EndpointStats) -> usize| stats.iter().map(of).sum::<usize>();
    assert_eq!(sum(|stats| stats.selected), (THREADS * EACH) as usize);
    assert_eq!(sum(|stats| stats.succeeded), (THREADS * EACH) as usize);
    assert_eq!(sum(|stats| stats.in_flight as usize), 0);
}
