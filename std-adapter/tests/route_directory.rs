//! What is found for an endpoint is always its own, and never before the endpoint may be selected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use trilane::id::Key;
use trilane::route::{Balancer, Endpoint, EndpointId, Options, Random, Request, RoundRobin, SyncError};
use trilane::time::{Duration, Instant};
use trilane_std::route::Directory;

type Fleet = Balancer<RoundRobin, 2, 8, 3>;
const NOW: Instant = Instant::ZERO;

fn fleet() -> Fleet {
    Balancer::new(RoundRobin, Options::new())
}

#[test]
fn an_id_that_is_gone_finds_nothing() {
    let (fleet, directory) = (fleet(), Directory::new());
    let first = fleet.add(&Endpoint::new(1), NOW).unwrap();
    assert_eq!(directory.get(first), None);
    assert_eq!(directory.insert(first, Arc::new("first")), None);
    assert_eq!(directory.insert(first, Arc::new("again")), Some(Arc::new("first")));
    fleet.remove(first, NOW).unwrap();
    let second = fleet.add(&Endpoint::new(2), NOW).unwrap();
    assert_eq!(first.slot(), second.slot());
    assert_eq!(directory.get(second), None, "that is the first one's");
    assert_eq!(directory.remove(second), None);
    assert_eq!(directory.insert(second, Arc::new("second")), None);
    assert_eq!((directory.get(first), directory.remove(first)), (None, None));
    assert_eq!((directory.get(second), directory.len()), (Some(Arc::new("second")), 1));
    for slot in [8, 1_023, 1_024, u16::MAX] {
        assert_eq!(directory.get(EndpointId::from_key(Key::new(slot, 0))), None);
    }
    let nowhere = EndpointId::from_key(Key::new(1_024, 0));
    assert_eq!((directory.insert(nowhere, Arc::new("x")), directory.get(nowhere)), (None, None));
    assert_eq!(directory.remove(second), Some(Arc::new("second")));
    assert!(directory.is_empty());
}

#[test]
fn values_follow_the_members_through_random_lists() {
    let (fleet, directory) = (fleet(), Directory::new());
    let mut random = Random::new(3);
    let mut expected = BTreeMap::<u64, u32>::new();
    let (mut done, mut refused) = (0, 0);
    for round in 0..2_000 {
        let mut wanted: Vec<_> =
            (0..24).filter(|_| random.below(3) == 0).map(|number| (number, round)).collect();
        if random.below(6) == 0 && !wanted.is_empty() {
            wanted.push(wanted[0]);
        }
        let keep = random.below(2) == 0;
        let before: BTreeMap<_, _> = expected.keys().map(|&number| (number, fleet.find(number))).collect();
        let list = wanted.iter().map(|&(number, beside)| {
            (Endpoint::new(number).weight(random.below(3) as u16).enabled(random.below(3) > 0), beside)
        });
        let list: Vec<_> = list.collect();
        let outcome = directory.sync(&fleet, list.iter().copied(), NOW, |beside, current| {
            current.filter(|_| keep).unwrap_or_else(|| Arc::new(beside))
        });
        match outcome {
            Ok(synced) => {
                done += 1;
                let numbers = wanted.iter().map(|&(number, _)| number);
                let was = |number: &u64| keep.then(|| expected.get(number).copied()).flatten();
                let after: BTreeMap<_, _> = numbers.map(|n| (n, was(&n).unwrap_or(round))).collect();
                let new = after.keys().filter(|number| !expected.contains_key(number)).count();
                assert_eq!(synced.added as usize, new);
                assert_eq!(expected.len() + new - synced.removed as usize, after.len());
                expected = after;
                for (endpoint, _) in list {
                    let id = fleet.find(endpoint.number()).unwrap();
                    assert_eq!(fleet.endpoint(id), Ok(endpoint));
                }
            }
            Err(SyncError::Duplicate(_) | SyncError::Full { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(directory.len(), expected.len());
        assert_eq!(fleet.totals().members as usize, expected.len());
        for (number, value) in &expected {
            assert_eq!(directory.get(fleet.find(*number).unwrap()).as_deref(), Some(value));
        }
        for (number, id) in before {
            if let (false, Some(id)) = (expected.contains_key(&number), id) {
                assert_eq!(directory.get(id), None);
            }
        }
    }
    assert!(done > 500 && refused > 100, "{done} done, {refused} refused");
}

/// Whoever selects meanwhile finds the endpoint's own value, or none of one that has just been removed.
#[test]
fn a_lease_finds_the_value_of_its_endpoint_while_members_change() {
    let (fleet, directory) = (fleet(), Directory::<u64>::new());
    let over = AtomicBool::new(false);
    let sync = |numbers: Vec<u64>| {
        let wanted = numbers.into_iter().map(|number| (Endpoint::new(number), number));
        directory.sync(&fleet, wanted, NOW, |number, current| current.unwrap_or_else(|| Arc::new(number)))
    };
    sync(vec![0]).unwrap();
    let found = thread::scope(|scope| {
        let selecting = [1, 2].map(|seed| {
            let (fleet, directory, over) = (&fleet, &directory, &over);
            scope.spawn(move || {
                let mut selector = fleet.selector::<1>(seed).unwrap();
                let (mut found, mut gone) = (0u32, 0u32);
                while !over.load(Ordering::Relaxed) {
                    let lease = selector.select(&Request::ANY, NOW).expect("0 is there");
                    match directory.get(lease.endpoint()) {
                        Some(number) => {
                            assert_eq!(lease.number(), Ok(*number));
                            found += 1;
                        }
                        None => {
                            // It was there before it could be selected, so it has been removed.
                            assert!(fleet.number(lease.endpoint()).is_err(), "selected without a value");
                            gone += 1;
                        }
                    }
                    lease.succeed(Duration::ZERO, NOW);
                }
                (found, gone)
            })
        });
        let mut random = Random::new(8);
        for _ in 0..20_000 {
            let mut numbers = vec![0];
            numbers.extend((1..9).filter(|_| random.below(2) == 0));
            match sync(numbers) {
                Ok(_) | Err(SyncError::Full { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        over.store(true, Ordering::Relaxed);
        selecting.map(|thread| thread.join().unwrap())
    });
    assert!(found.iter().all(|(found, _)| *found > 1_000), "{found:?}");
}

#[test]
fn a_panic_while_values_are_made_changes_nothing() {
    let (fleet, directory) = (fleet(), Directory::<u32>::new());
    let wanted = [(Endpoint::new(1), 1), (Endpoint::new(2), 2)];
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        directory.sync(
            &fleet,
            wanted,
            NOW,
            |value, _| if value == 2 { panic!("no") } else { Arc::new(value) },
        )
    }));
    assert!(panicked.is_err());
    assert_eq!((fleet.totals().members, directory.len()), (0, 0));
    directory.sync(&fleet, wanted, NOW, |value, _| Arc::new(value)).unwrap();
    assert_eq!(directory.len(), 2);
}

#[test]
fn a_value_may_be_made_by_another_sync_of_the_same_directory() {
    static INNER: Balancer<RoundRobin, 1, 8> = Balancer::new(RoundRobin, Options::new());
    static OUTER: Balancer<RoundRobin, 1, 8> = Balancer::new(RoundRobin, Options::new());
    static DIRECTORY: Directory<u64> = Directory::new();
    let synced = DIRECTORY.sync(&OUTER, [(Endpoint::new(1), 10)], Instant::ZERO, |outer, _| {
        DIRECTORY.sync(&INNER, [(Endpoint::new(2), 20)], Instant::ZERO, |inner, _| Arc::new(inner)).unwrap();
        Arc::new(outer)
    });
    assert_eq!(synced.unwrap().added, 1);
    assert_eq!(DIRECTORY.get(OUTER.find(1).unwrap()).as_deref(), Some(&10));
}
