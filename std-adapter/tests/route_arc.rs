//! A balancer larger than the stack of whoever makes it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use trilane::route::{
    AnyStrategy, Balancer, ConsistentHash, Endpoint, Kind, Maglev, Options, Request, RoundRobin, Selector,
};
use trilane::time::{Duration, Instant};
use trilane_std::route::arc;

type Fleet = Balancer<RoundRobin, 32, 32, 64>;
type Hashed = Balancer<AnyStrategy<Maglev<65_521, 1_024>>, 32, 32, 64>;

const STACK: usize = 128 * 1024;

fn on_a_small_stack<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    thread::Builder::new().stack_size(STACK).spawn(f).unwrap().join().unwrap()
}

#[test]
fn a_balancer_of_1024_is_made_where_the_stack_is_a_small_part_of_it() {
    const { assert!(size_of::<Fleet>() > 20 * STACK) }
    let fleet: Arc<Fleet> =
        on_a_small_stack(|| arc(|| Balancer::new(RoundRobin, Options::new().failures(9)))).unwrap();
    assert_eq!(fleet.options(), Options::new().failures(9));
    let now = Instant::ZERO;
    assert_eq!(fleet.sync((0..1_024).map(Endpoint::new), now).unwrap().added, 1_024);
    let mut selector: Selector<_, _, 32, 32, 64, 1> = Selector::new(fleet.clone(), 5).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1_024 {
        let lease = selector.select(&Request::ANY, now).unwrap();
        seen.insert(lease.number().unwrap());
        lease.succeed(Duration::ZERO, now);
    }
    assert_eq!(seen.len(), 1_024);
    drop(selector);
    assert_eq!(Arc::strong_count(&fleet), 1);
}

#[test]
fn one_with_a_table_too() {
    let strategy = || AnyStrategy::new(Kind::ConsistentHash, ConsistentHash::new(Maglev::new()));
    let fleet: Arc<Hashed> =
        on_a_small_stack(move || arc(|| Balancer::new(strategy(), Options::new()))).unwrap();
    assert_eq!(fleet.strategy().kind(), Kind::ConsistentHash);
}

#[test]
fn a_panic_comes_through() {
    let outcome = catch_unwind(AssertUnwindSafe(|| arc(|| -> u32 { panic!("no balancer today") })));
    assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"no balancer today"));
}

/// Where they don't, this process ends by an overflow.
#[test]
fn six_balancers_suffice_for_the_stack_so_there_is_room_to_spare() {
    let make = || {
        let strategy = AnyStrategy::new(Kind::ConsistentHash, ConsistentHash::new(Maglev::new()));
        let hashed: Arc<Hashed> = Arc::new(Balancer::new(strategy, Options::new()));
        let fleet: Arc<Fleet> = Arc::new(Balancer::new(RoundRobin, Options::new()));
        (hashed.totals().members, fleet.totals().members)
    };
    let stack = 6 * size_of::<Hashed>().max(size_of::<Fleet>()) + 256 * 1024;
    assert_eq!(thread::Builder::new().stack_size(stack).spawn(make).unwrap().join().unwrap(), (0, 0));
}
