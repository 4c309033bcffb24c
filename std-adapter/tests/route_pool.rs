//! Selectors on loan: never two threads with one, nobody waits for ever, and no select allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
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

/// Polls once.
fn poll<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) -> Option<F::Output> {
    match future.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// How often it was woken.
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn woken() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken(AtomicU32::new(0)));
    (woken.clone(), woken.into())
}

#[test]
fn tasks_get_selectors_in_the_order_in_which_they_came() {
    let fleet = fleet();
    let pool = Pool::new(&fleet, 1, 1).unwrap();
    let mut first = Some(pool.get());
    let wakers: Vec<_> = (0..4).map(|_| woken()).collect();
    let mut waits: Vec<_> = (0..4).map(|_| Box::pin(pool.wait())).collect();
    for (wait, (_, waker)) in waits.iter_mut().zip(&wakers) {
        assert!(poll(wait, waker).is_none());
    }
    for turn in 0..4 {
        drop(first.take());
        let counts = || wakers.iter().map(|(woken, _)| woken.0.load(Ordering::Relaxed));
        assert!(counts().enumerate().all(|(at, count)| count == (at <= turn) as u32));
        // It is promised: nobody else gets it, neither who comes later nor who waits too.
        assert!(matches!(pool.try_get(), Err(AllInUse)));
        for (later, (_, waker)) in waits.iter_mut().zip(&wakers).skip(turn + 1) {
            assert!(poll(later, waker).is_none());
        }
        first = poll(&mut waits[turn], &wakers[turn].1);
        assert!(first.is_some());
    }
    drop(first);
    assert!(pool.try_get().is_ok());
}

#[test]
fn a_wait_that_is_dropped_passes_its_turn_on() {
    let fleet = fleet();
    let pool = Pool::new(&fleet, 1, 1).unwrap();
    let held = pool.get();
    let (count, waker) = woken();
    let mut waits: Vec<_> = (0..3).map(|_| Box::pin(pool.wait())).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait, &waker).is_none()));
    // One that leaves before its turn.
    drop(waits.remove(1));
    drop(held);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    // One whose turn it is.
    drop(waits.remove(0));
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    drop(poll(&mut waits[0], &waker).expect("its turn"));
    // The last one has its turn and is dropped: the selector is free.
    let held = pool.get();
    let mut last = Box::pin(pool.wait());
    assert!(poll(&mut last, &waker).is_none());
    drop(held);
    drop(last);
    assert!(pool.try_get().is_ok());
    // One that was never polled has no place.
    let (held, never) = (pool.get(), Box::pin(pool.wait()));
    drop((held, never));
    assert!(pool.try_get().is_ok());
}

#[test]
fn a_wait_wakes_whoever_polled_it_last_and_a_future_can_change_threads() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let fleet = fleet();
    let pool = Pool::new(&fleet, 1, 1).unwrap();
    let held = pool.get();
    let [(old, old_waker), (new, new_waker)] = [woken(), woken()];
    let mut wait = assert_send(Box::pin(pool.wait()));
    assert!(poll(&mut wait, &old_waker).is_none() && poll(&mut wait, &new_waker).is_none());
    drop(held);
    assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 1));
    thread::scope(|scope| {
        scope.spawn(|| drop(poll(&mut wait, &new_waker).expect("its turn")));
    });
}

#[test]
fn no_waker_is_cloned_called_or_dropped_inside_a_lock() {
    static FLEET: Fleet = Balancer::new(RoundRobin, Options::new());
    FLEET.sync((1..4).map(Endpoint::new), NOW).unwrap();
    let pool: &'static Pool<'static> = Box::leak(Box::new(Pool::new(&FLEET, 1, 1).unwrap()));
    /// Asks the pool, and so for the queue's lock, when it is called and when it is dropped.
    struct Meddler(&'static Pool<'static>);
    impl Meddler {
        fn meddle(&self) {
            let mut wait = Box::pin(self.0.wait());
            drop(poll(&mut wait, Waker::noop()));
        }
    }
    impl Wake for Meddler {
        fn wake(self: Arc<Self>) {
            self.meddle();
        }
    }
    impl Drop for Meddler {
        fn drop(&mut self) {
            self.meddle();
        }
    }
    let waker = || Waker::from(Arc::new(Meddler(pool)));
    let held = pool.get();
    let mut waits: Vec<_> = (0..3).map(|_| Box::pin(pool.wait())).collect();
    for _ in 0..2 {
        assert!(waits.iter_mut().all(|wait| poll(wait, &waker()).is_none()));
    }
    drop(waits.remove(1));
    drop(held);
    drop(waits.remove(0));
    drop(poll(&mut waits[0], &waker()).expect("its turn"));
    assert!(pool.try_get().is_ok());
}

/// Threads that block and tasks that wait, some of which give up, share one queue: nobody waits for ever.
#[test]
fn threads_and_tasks_wait_together() {
    const EACH: u32 = 5_000;
    let fleet = fleet();
    let pool = Pool::new(&fleet, 2, 1).unwrap();
    thread::scope(|scope| {
        for number in 0..6u32 {
            let pool = &pool;
            scope.spawn(move || {
                let unpark = Waker::from(Arc::new(Unpark(thread::current())));
                for turn in 0..EACH {
                    if number % 2 == 0 {
                        drop(pool.get().select(&Request::ANY, NOW).unwrap());
                        continue;
                    }
                    let mut wait = Box::pin(pool.wait());
                    let gives_up = turn % 7 == 0;
                    let selector = loop {
                        match poll(&mut wait, &unpark) {
                            Some(selector) => break Some(selector),
                            None if gives_up => break None,
                            None => thread::park(),
                        }
                    };
                    if let Some(mut selector) = selector {
                        drop(selector.select(&Request::ANY, NOW).unwrap());
                    }
                }
            });
        }
    });
    assert!(pool.try_get().is_ok());
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
