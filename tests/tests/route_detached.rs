//! Leases that outlive their owner, in a table.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;

use trilane::id::Stale;
use trilane::route::{
    Balancer, BreakerState, DetachedId, DetachedLeases, Endpoint, EndpointId, Lease, Options, Request,
    RoundRobin, Selector,
};
use trilane::time::{Duration, Instant};

type Router = Balancer<RoundRobin, 1, 8, 4>;
type Table = DetachedLeases<Arc<Router>, 2, 4>;
type Chooser = Selector<Arc<Router>, RoundRobin, 1, 8, 4, 1>;

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn router(options: Options) -> (Arc<Router>, Chooser, EndpointId) {
    let balancer = Arc::new(Router::new(RoundRobin, options));
    let id = balancer.add(&Endpoint::new(1), at(0)).unwrap();
    (balancer.clone(), Selector::new(balancer, 1).unwrap(), id)
}

fn lease(selector: &mut Chooser, now: Instant) -> Lease<Arc<Router>> {
    selector.select(&Request::ANY, now).unwrap()
}

#[test]
fn a_full_table_gives_the_lease_back_as_it_was() {
    let (balancer, mut selector, id) = router(Options::new());
    let table = Table::new();
    for _ in 0..8 {
        lease(&mut selector, at(0)).detach(&table, at(9)).unwrap();
    }
    assert_eq!((table.len(), table.is_empty()), (8, false));
    let error = lease(&mut selector, at(0)).detach(&table, at(9)).unwrap_err();
    assert!(!error.to_string().is_empty());
    let back = error.0;
    let stats = balancer.stats(id).unwrap();
    assert_eq!((stats.in_flight, stats.released, back.endpoint()), (9, 0, id));
    assert_eq!(table.expire(at(9)), 8);
    back.detach(&table, at(9)).unwrap();
    assert_eq!(balancer.stats(id).unwrap().in_flight, 1);
}

#[test]
fn a_detached_lease_ends_once_in_one_of_four_ways() {
    let (balancer, mut selector, id) = router(Options::new());
    let table = Table::new();
    let ids = [(); 4].map(|()| lease(&mut selector, at(0)).detach(&table, at(9)).unwrap());
    assert_eq!(table.succeed(ids[0], Duration::ZERO, at(1)), Ok(()));
    assert_eq!(table.fail(ids[1], Duration::ZERO, at(1)), Ok(()));
    assert_eq!(table.release(ids[2]), Ok(()));
    drop(table.attach(ids[3]).unwrap());
    let stats = balancer.stats(id).unwrap();
    assert_eq!((stats.succeeded, stats.failed, stats.released, stats.in_flight), (1, 1, 2, 0));
    // The slots have other leases by now: an old handle doesn't end one of those.
    let others = [(); 4].map(|()| lease(&mut selector, at(0)).detach(&table, at(9)).unwrap());
    for old in ids {
        assert_eq!(table.succeed(old, Duration::ZERO, at(1)), Err(Stale));
        assert_eq!(table.fail(old, Duration::ZERO, at(1)), Err(Stale));
        assert_eq!(table.release(old), Err(Stale));
        assert_eq!(table.attach(old).unwrap_err(), Stale);
    }
    assert_eq!((balancer.stats(id).unwrap().in_flight, table.len()), (4, 4));
    others.into_iter().for_each(|other| table.release(other).unwrap());
}

#[test]
fn an_expired_one_is_released_without_a_verdict_and_its_answer_comes_too_late() {
    let (balancer, mut selector, id) = router(Options::new().failures(1));
    let table = Table::new();
    let ids: Vec<_> =
        (1..=8).map(|end| lease(&mut selector, at(0)).detach(&table, at(end)).unwrap()).collect();
    assert_eq!(table.expire(at(0)), 0);
    assert_eq!(table.expire(at(3)), 3);
    // A clock that goes back expires nothing, and brings nothing back.
    assert_eq!(table.expire(at(1)), 0);
    for (end, &old) in (1..).zip(&ids) {
        assert_eq!(table.fail(old, Duration::ZERO, at(3)).is_ok(), end > 3);
    }
    let stats = balancer.stats(id).unwrap();
    assert_eq!((stats.released, stats.failed, stats.in_flight, table.len()), (3, 5, 0, 0));
    assert_eq!(table.expire(Instant::MAX), 0);
    let never = {
        balancer.add(&Endpoint::new(2), at(0)).unwrap();
        lease(&mut selector, at(4)).detach(&table, Instant::MAX).unwrap()
    };
    assert_eq!(table.expire(Instant::from_micros(u64::MAX - 1)), 0);
    assert_eq!(table.release(never), Ok(()));
}

#[test]
fn a_table_that_is_dropped_releases_what_it_holds() {
    let (balancer, mut selector, id) = router(Options::new());
    let table = Table::new();
    for _ in 0..5 {
        lease(&mut selector, at(0)).detach(&table, Instant::MAX).unwrap();
    }
    drop(table);
    assert_eq!((balancer.stats(id).unwrap().in_flight, balancer.stats(id).unwrap().released), (0, 5));
}

#[test]
fn a_detached_probe_decides_and_one_that_expires_does_not() {
    let (balancer, mut selector, id) = router(Options::new().failures(1));
    let table = Table::new();
    // The last one is never kept out.
    let spare = balancer.add(&Endpoint::new(9), at(0)).unwrap();
    selector.select(&Request::ANY.excluding(&[spare]), at(0)).unwrap().fail(Duration::ZERO, at(0));
    balancer.remove(spare, at(0)).unwrap();
    let probe = lease(&mut selector, at(31));
    assert!(probe.is_probe());
    let probe = probe.detach(&table, at(40)).unwrap();
    assert_eq!(table.expire(at(45)), 1);
    assert_eq!(table.succeed(probe, Duration::ZERO, at(45)), Err(Stale));
    assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::HalfOpen);
    let second = lease(&mut selector, at(45)).detach(&table, at(99)).unwrap();
    let back = table.attach(second).unwrap();
    assert!(back.is_probe());
    back.succeed(Duration::ZERO, at(63));
    assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Closed);
}

#[test]
fn a_detached_lease_outlives_its_endpoint_and_its_selector() {
    let (balancer, mut selector, id) = router(Options::new());
    let table = Table::new();
    let detached = lease(&mut selector, at(0)).detach(&table, at(9)).unwrap();
    drop(selector);
    assert_eq!(balancer.remove(id, at(0)), Ok(1));
    assert_eq!((balancer.totals().draining, balancer.totals().members), (1, 0));
    assert_eq!(table.succeed(detached, Duration::ZERO, at(1)), Ok(()));
    balancer.add(&Endpoint::new(2), at(1)).unwrap();
    assert_eq!(balancer.totals().draining, 0);
    assert_eq!(Arc::strong_count(&balancer), 1, "nothing holds the balancer any more");
}

#[test]
fn answers_and_expiry_from_several_threads_end_each_lease_once() {
    let (balancer, selector, id) = router(Options::new().failures(0));
    drop(selector);
    let table: Arc<Table> = Arc::new(Table::new());
    let ended: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..4u64)
            .map(|seed| {
                let (balancer, table) = (balancer.clone(), table.clone());
                scope.spawn(move || {
                    let mut selector: Chooser = Selector::new(balancer, seed).unwrap();
                    let mut ended = 0;
                    for turn in 0..5_000 {
                        match lease(&mut selector, at(turn)).detach(&table, at(turn)) {
                            Ok(id) if turn % 3 == 0 => {
                                ended += table.fail(id, Duration::ZERO, at(turn)).is_ok() as usize
                            }
                            Ok(id) if turn % 3 == 1 => {
                                ended += table.succeed(id, Duration::ZERO, at(turn)).is_ok() as usize
                            }
                            Ok(_) => ended += table.expire(at(turn)),
                            Err(full) => {
                                drop(full);
                                ended += 1;
                            }
                        }
                    }
                    ended
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let ended = ended + table.expire(Instant::MAX);
    let stats = balancer.stats(id).unwrap();
    assert_eq!((ended, stats.selected, stats.in_flight), (20_000, 20_000, 0));
    assert_eq!(stats.succeeded + stats.failed + stats.released, 20_000);
}

#[derive(Clone, Debug)]
enum Op {
    /// Detaches one that expires then.
    Detach(u64),
    /// Takes back what once was the n-th; it may be stale by now.
    Attach(usize),
    Expire(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0u64..100).prop_map(Op::Detach),
        6 => (0usize..100).prop_map(Op::Attach),
        1 => (0u64..100).prop_map(Op::Expire),
    ];
    vec(op, 0..120)
}

fn check<const BANKS: usize, const PER_BANK: usize>(ops: Vec<Op>) -> Result<(), TestCaseError> {
    let (balancer, mut selector, id) = router(Options::new());
    let table: DetachedLeases<Arc<Router>, BANKS, PER_BANK> = DetachedLeases::new();
    let mut map: HashMap<DetachedId, u64> = HashMap::new();
    let mut ids: Vec<DetachedId> = Vec::new();
    for op in ops {
        match op {
            Op::Detach(expires) => match lease(&mut selector, at(0)).detach(&table, at(expires)) {
                Ok(id) => {
                    prop_assert!(!ids.contains(&id), "an id was given out twice");
                    ids.push(id);
                    map.insert(id, expires);
                }
                Err(_) => prop_assert_eq!(map.len(), BANKS * PER_BANK),
            },
            Op::Attach(number) => {
                if let Some(&id) = ids.get(number) {
                    let back = table.attach(id).map(|lease| lease.endpoint());
                    prop_assert_eq!(back.is_ok(), map.remove(&id).is_some());
                }
            }
            Op::Expire(now) => {
                let before = map.len();
                map.retain(|_, &mut expires| expires > now);
                prop_assert_eq!(table.expire(at(now)), before - map.len());
            }
        }
        prop_assert_eq!(table.len(), map.len());
        prop_assert_eq!(table.is_empty(), map.is_empty());
        prop_assert_eq!(balancer.stats(id).unwrap().in_flight as usize, map.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_table_of_one_bank_is_a_map(ops in ops()) {
        check::<1, 5>(ops)?;
    }

    #[test]
    fn a_table_of_part_filled_banks_is_a_map(ops in ops()) {
        check::<3, 3>(ops)?;
    }
}
