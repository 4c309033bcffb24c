//! Members are made what a list says: beside a naive oracle, with leases out, and with several contexts at
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use trilane::route::*;
use trilane::time::{Duration, Instant};

const SLOTS: usize = 12;
type Router = Balancer<RoundRobin, 2, 6, 3>;

fn router() -> Router {
    Balancer::new(RoundRobin, Options::new().failures(2))
}

fn random_endpoint(random: &mut Random, number: u64) -> Endpoint {
    let mut below = |bound| random.below(bound);
    let endpoint = Endpoint::new(number)
        .weight(below(3) as u16)
        .zone(Zone::new(below(2) as u8).unwrap())
        .tier(Tier::new(below(2) as u8).unwrap())
        .tags(Tag::new(below(4) as u8).into_iter().collect())
        .enabled(below(5) > 0)
        .health(Health::ALL[below(4) as usize]);
    match below(40) {
        0 => endpoint.cap(0),
        cap @ 1..10 => endpoint.cap(cap),
        _ => endpoint,
    }
}

/// What is known of a member, and what must not change as long as it stays.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    id: EndpointId,
    described: Endpoint,
    stats: (usize, usize, usize, usize, u32, BreakerState, Option<u16>),
}

/// The members by number, as the balancer tells.
fn members(router: &Router) -> BTreeMap<u64, Kept> {
    let all = router.members().map(|id| {
        let stats = router.stats(id).unwrap();
        let EndpointStats { selected, succeeded, failed, released, in_flight, breaker, score, .. } = stats;
        let described = router.endpoint(id).unwrap();
        assert_eq!(stats.number, described.number());
        assert_eq!(router.number(id), Ok(described.number()));
        assert_eq!(router.find(described.number()), Some(id));
        let stats = (selected, succeeded, failed, released, in_flight, breaker, score);
        (described.number(), Kept { id, described, stats })
    });
    all.collect()
}

/// What a list is to come to, by a look at everything.
fn expected(
    before: &BTreeMap<u64, Kept>,
    draining: usize,
    list: &[Endpoint],
) -> Result<Synced, BTreeSet<&'static str>> {
    let numbers: BTreeSet<u64> = list.iter().map(Endpoint::number).collect();
    let new = numbers.iter().filter(|number| !before.contains_key(number)).count();
    let mut wrong = BTreeSet::new();
    if numbers.len() != list.len() {
        wrong.insert("duplicate");
    }
    if list.iter().any(|endpoint| endpoint.get_cap() == Some(0)) {
        wrong.insert("cap");
    }
    if new > SLOTS - before.len() - draining {
        wrong.insert("full");
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let updated = list.iter().filter(|endpoint| {
        before
            .get(&endpoint.number())
            .is_some_and(|kept| endpoint.health(Health::Healthy) != kept.described.health(Health::Healthy))
    });
    let removed = before.keys().filter(|number| !numbers.contains(number)).count();
    Ok(Synced { added: new as u32, updated: updated.count() as u32, removed: removed as u32 })
}

fn kind(error: SyncError) -> &'static str {
    match error {
        SyncError::Duplicate(_) => "duplicate",
        SyncError::ZeroCap(_) => "cap",
        SyncError::Full { new, free } => {
            assert!(new > free);
            "full"
        }
        _ => panic!("{error} is not expected"),
    }
}

#[test]
fn members_become_what_random_lists_say() {
    let mut seen = BTreeMap::<&str, u32>::new();
    for seed in 0..60 {
        let (router, mut random) = (router(), Random::new(seed));
        let mut selector = router.selector::<1>(seed).unwrap();
        let mut held = Vec::new();
        let mut now = Instant::from_secs(1);
        for _ in 0..60 {
            now += Duration::from_millis(10);
            // Leases come and go; some fail, and breakers open.
            for _ in 0..random.below(12) {
                if let Ok(lease) = selector.select(&Request::ANY, now) {
                    let number = router.number(lease.endpoint()).unwrap();
                    assert_eq!(lease.number(), Ok(number));
                    held.push((number, lease));
                }
            }
            while held.len() > random.below(10) as usize {
                let (number, lease) = held.swap_remove(random.below(held.len() as u32) as usize);
                // Also of those that have been removed meanwhile.
                assert_eq!(lease.number(), Ok(number));
                match random.below(3) {
                    0 => lease.fail(Duration::ZERO, now),
                    1 => lease.succeed(Duration::from_millis(1), now),
                    _ => drop(lease),
                }
            }
            for id in router.members() {
                if random.below(4) == 0 {
                    router.set_health(id, Health::ALL[random.below(4) as usize], now).unwrap();
                    let score = Metrics::from_score(random.below(1_001) as u16).unwrap();
                    router.report(id, score, now).unwrap();
                }
            }
            let before = members(&router);
            let (ids, busy): (BTreeSet<_>, BTreeSet<_>) = (
                before.values().map(|kept| kept.id).collect(),
                held.iter().map(|(_, lease)| lease.endpoint()).collect(),
            );
            let draining = busy.difference(&ids).count();

            // Of those that are members, most stay, some of them as they are.
            let mut list = Vec::new();
            for number in 0..24 {
                let stays = before.get(&number).filter(|_| random.below(2) == 0);
                if before.contains_key(&number) == (random.below(5) > 0) && random.below(8) > 1 {
                    list.push(
                        stays.map_or_else(|| random_endpoint(&mut random, number), |kept| kept.described),
                    );
                }
            }
            list.truncate(random.below(20) as usize);
            if random.below(8) == 0 && !list.is_empty() {
                let twice = list[random.below(list.len() as u32) as usize].number();
                list.push(random_endpoint(&mut random, twice));
            }
            let sort = |list: &mut Vec<Endpoint>| (0..list.len()).for_each(|at| list.swap(at, at / 2));
            sort(&mut list);

            let outcome = router.sync(&list, now);
            let after = members(&router);
            match (outcome, expected(&before, draining, &list)) {
                (Ok(synced), Ok(expected)) => {
                    assert_eq!(synced, expected);
                    assert_eq!(after.len(), list.len());
                    for endpoint in &list {
                        let now = &after[&endpoint.number()];
                        match before.get(&endpoint.number()) {
                            // Its health is what was set, whatever the list says.
                            Some(was) => {
                                assert_eq!((now.id, now.stats), (was.id, was.stats));
                                assert_eq!(now.described, endpoint.health(was.described.get_health()));
                            }
                            None => {
                                assert_eq!(now.described, *endpoint);
                                assert_eq!((now.stats.0, now.stats.4, now.stats.6), (0, 0, None));
                            }
                        }
                    }
                    for (_, was) in before.iter().filter(|(number, _)| !after.contains_key(number)) {
                        assert!(router.stats(was.id).is_err() && router.number(was.id).is_err());
                    }
                    *seen.entry("synced").or_default() += 1;
                    *seen.entry("kept").or_default() += (list.len() as u32) - synced.added;
                    *seen.entry("same").or_default() +=
                        (synced.updated + synced.added < list.len() as u32) as u32;
                    *seen.entry("draining").or_default() += (draining > 0) as u32;
                }
                (Err(error), Err(wrong)) => {
                    assert!(wrong.contains(kind(error)), "{error} of {wrong:?}");
                    assert_eq!(after, before, "{error}");
                    *seen.entry(kind(error)).or_default() += 1;
                }
                (outcome, expected) => panic!("{outcome:?} and not {expected:?} for {list:?}"),
            }
            // What a second call does.
            if outcome.is_ok() {
                assert_eq!(router.sync(&list, now), Ok(Synced::default()));
            }
        }
        drop(held);
        router.sync(None::<Endpoint>, now).unwrap();
        assert_eq!((router.totals().members, router.totals().routable), (0, 0));
    }
    for what in ["synced", "kept", "same", "draining", "duplicate", "cap", "full"] {
        assert!(seen.get(what).is_some_and(|&count| count > 30), "too little of {what}: {seen:?}");
    }
}

#[test]
fn an_endless_list_is_refused() {
    let router = router();
    let now = Instant::ZERO;
    let full = Err(SyncError::Full { new: SLOTS as u32 + 1, free: SLOTS as u32 });
    assert_eq!(router.sync((0..).map(Endpoint::new), now), full);
    assert_eq!(router.sync(std::iter::repeat(Endpoint::new(5)), now), Err(SyncError::Duplicate(5)));
    assert_eq!(router.totals().members, 0);
}

#[test]
fn a_slot_with_leases_out_is_not_counted_on() {
    let router = router();
    let now = Instant::ZERO;
    let mut selector = router.selector::<1>(1).unwrap();
    router.sync((0..SLOTS as u64).map(Endpoint::new), now).unwrap();
    let lease = selector.select(&Request::ANY, now).unwrap();
    let number = lease.number().unwrap();
    // Those that leave make room for the next call.
    let others = || (0..SLOTS as u64).filter(|&other| other != number).map(Endpoint::new);
    let with_new = others().chain([Endpoint::new(100)]);
    assert_eq!(router.sync(with_new.clone(), now), Err(SyncError::Full { new: 1, free: 0 }));
    assert_eq!(router.sync(others(), now), Ok(Synced { removed: 1, ..Synced::default() }));
    // But not while a lease is out.
    assert_eq!(router.sync(with_new.clone(), now), Err(SyncError::Full { new: 1, free: 0 }));
    assert_eq!(lease.number(), Ok(number));
    drop(lease);
    assert_eq!(router.sync(with_new, now), Ok(Synced { added: 1, ..Synced::default() }));
}

/// Two contexts sync lists of disjoint and of common endpoints while two others select. In the end the last
/// list stands, no lease is lost, and endpoint 0, in all lists, has been there all the time.
#[test]
fn several_contexts_sync_while_others_select() {
    let router = router();
    let now = Instant::ZERO;
    let id = router.add(&Endpoint::new(0), now).unwrap();
    let over = AtomicBool::new(false);
    let (leases, full, done) = thread::scope(|scope| {
        let selecting: Vec<_> = (0..2)
            .map(|seed| {
                let (router, over) = (&router, &over);
                scope.spawn(move || {
                    let mut selector = router.selector::<1>(seed).unwrap();
                    let (mut leases, mut held) = (0u64, Vec::new());
                    while !over.load(Ordering::Relaxed) {
                        let lease = selector.select(&Request::ANY, now).expect("0 is there");
                        leases += 1;
                        held.push(lease);
                        if held.len() > 3 {
                            held.swap_remove(leases as usize % 3).succeed(Duration::ZERO, now);
                        }
                    }
                    leases
                })
            })
            .collect();
        let syncing: Vec<_> = (0..2u64)
            .map(|context| {
                let router = &router;
                scope.spawn(move || {
                    let (mut random, mut full, mut done) = (Random::new(context), 0u32, 0u32);
                    for _ in 0..20_000 {
                        let own = (1..=random.below(7) as u64).map(|number| number * (1 + context));
                        let list = own.map(|number| Endpoint::new(number).weight(1 + context as u16));
                        match router.sync(list.chain([Endpoint::new(0)]), now) {
                            Ok(_) => done += 1,
                            Err(SyncError::Full { .. }) => full += 1,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    (full, done)
                })
            })
            .collect();
        let synced: Vec<_> = syncing.into_iter().map(|thread| thread.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        let leases: u64 = selecting.into_iter().map(|thread| thread.join().unwrap()).sum();
        (leases, synced.iter().map(|(full, _)| full).sum::<u32>(), synced.iter().map(|(_, done)| done).sum())
    });
    let done: u32 = done;
    assert!(leases > 1_000 && done > 1_000, "{leases} leases, {done} synced, {full} refused");
    assert_eq!(router.find(0), Some(id));
    router.sync([Endpoint::new(0), Endpoint::new(77)], now).unwrap();
    assert_eq!(members(&router).keys().copied().collect::<Vec<_>>(), [0, 77]);
    // No lease is out: all slots but two are free again.
    let all = (0..SLOTS as u64 - 1).chain([77]).map(Endpoint::new);
    assert_eq!(router.sync(all, now).unwrap().added, SLOTS as u32 - 2);
    assert_eq!(router.totals().draining, 0);
}

/// Another context takes the slots in the middle of a sync: what was added by then goes, the others stay as
/// they were.
#[test]
fn who_loses_its_slots_to_another_context_leaves_the_members_as_they_were() {
    let router = router();
    let now = Instant::ZERO;
    let old = Endpoint::new(1).weight(2);
    router.add(&old, now).unwrap();
    let thieves = || (200..200 + SLOTS as u64 - 2).map(Endpoint::new);
    let stolen = std::cell::Cell::new(0);
    let list = [1, 2, 100, 101].into_iter().map(|number| {
        // As soon as the first two are there.
        if number == 101 && router.find(100).is_some() {
            stolen.set(stolen.get() + thieves().filter(|thief| router.add(thief, now).is_ok()).count());
        }
        Endpoint::new(number).weight(9)
    });
    assert_eq!(router.sync(list, now), Err(SyncError::Full { new: 1, free: 0 }));
    let after: Vec<_> = members(&router).into_values().map(|kept| kept.described).collect();
    // Of twelve slots, one is 1's, and two were taken by 2 and 100 and are free again.
    assert_eq!(stolen.get(), SLOTS - 3);
    assert_eq!(after[0], old);
    assert_eq!(after[1..], thieves().take(SLOTS - 3).collect::<Vec<_>>());
}
