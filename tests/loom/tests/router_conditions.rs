//! What makes an endpoint routable, and what is left of its weight, changed from two contexts at once.
#![cfg(trilane_loom)]

use std::sync::Arc;

use loom::thread;
use trilane::route::{
    Balancer, BreakerState, Class, Endpoint, EndpointId, Filter, Health, Lease, Options, Request,
    SelectError, Selector, Tag, Tags,
};
use trilane::time::{Duration, Instant};
use trilane_loom::{Lowest, check, check_with};

type Shared<const BANKS: usize> = Arc<Balancer<Lowest, BANKS, 1, 3>>;
type Select<const BANKS: usize> = Selector<Shared<BANKS>, Lowest, BANKS, 1, 3, 2>;

const NOW: Instant = Instant::from_millis(1_000);
/// Breakers open at the first failure, for 10 ms.
const OPTIONS: Options = Options::new().failures(1).open_for(Duration::from_millis(10));

fn selector<const BANKS: usize>(balancer: &Shared<BANKS>) -> Select<BANKS> {
    Selector::new(balancer.clone(), 1).unwrap()
}

fn select<const BANKS: usize>(
    selector: &mut Select<BANKS>,
    now: Instant,
) -> Result<Lease<Shared<BANKS>>, SelectError> {
    selector.select(&Request::new(Class::ANY), now)
}

/// A balancer with one endpoint of this health.
fn balancer<const BANKS: usize>(options: Options, health: Health) -> (Shared<BANKS>, EndpointId) {
    let balancer = Arc::new(Balancer::new(Lowest::new(), options));
    let id = balancer.add(&Endpoint::new(1).health(health), NOW).unwrap();
    (balancer, id)
}

/// Opens the breaker of the lowest endpoint, beside another, which goes again: the last is never kept out.
fn trip(balancer: &Shared<2>) {
    let spare = balancer.add(&Endpoint::new(9), NOW).unwrap();
    select(&mut selector(balancer), NOW).unwrap().fail(Duration::ZERO, NOW);
    balancer.remove(spare, NOW).unwrap();
}

/// Nobody is at it: what is kept of the conditions is what they say.
fn is_settled<const BANKS: usize>(balancer: &Shared<BANKS>, id: EndpointId) {
    let stats = balancer.stats(id).unwrap();
    let (left, healthy) = match stats.health {
        Health::Healthy => (64, true),
        Health::Degraded => (32, true),
        _ => (stats.weight_left, false),
    };
    assert_eq!(stats.weight_left, left, "{stats:?}");
    assert_eq!(stats.routable, healthy && stats.breaker == BreakerState::Closed, "{stats:?}");
    assert_eq!(select(&mut selector(balancer), NOW).is_ok(), stats.routable);
}

#[test]
fn of_two_healths_set_at_once_one_stays_with_all_that_follows() {
    use Health::{Degraded, Healthy, Unhealthy};
    for (before, one, other) in
        [(Healthy, Unhealthy, Degraded), (Unhealthy, Healthy, Degraded), (Degraded, Unhealthy, Healthy)]
    {
        check(move || {
            let (balancer, id) = balancer::<1>(Options::new(), before);
            let set = {
                let balancer = balancer.clone();
                thread::spawn(move || balancer.set_health(id, one, NOW).unwrap())
            };
            balancer.set_health(id, other, NOW).unwrap();
            set.join().unwrap();
            let stays = balancer.stats(id).unwrap().health;
            assert!(stays == one || stays == other);
            is_settled(&balancer, id);
        });
    }
}

#[test]
fn a_health_set_beside_an_update_is_what_the_weight_follows() {
    use Health::{Degraded, Healthy, Unhealthy};
    for set in [Healthy, Degraded] {
        check(move || {
            let (balancer, id) = balancer::<1>(Options::new(), set);
            // The factor stays what it was: nobody asks for it.
            balancer.set_health(id, Unhealthy, NOW).unwrap();
            let update = {
                let balancer = balancer.clone();
                thread::spawn(move || balancer.update(id, &Endpoint::new(1).weight(2), NOW).unwrap())
            };
            balancer.set_health(id, set, NOW).unwrap();
            update.join().unwrap();
            assert_eq!(balancer.stats(id).unwrap().health, set);
            is_settled(&balancer, id);
        });
    }
}

#[test]
fn a_health_set_beside_the_last_step_of_slow_start_is_what_the_weight_follows() {
    check(|| {
        let options = Options::new().slow_start(Duration::from_millis(100));
        let (balancer, id) = balancer::<1>(options, Health::Healthy);
        let end = NOW + Duration::from_millis(200);
        let set = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.set_health(id, Health::Degraded, end).unwrap())
        };
        balancer.tick(end);
        set.join().unwrap();
        is_settled(&balancer, id);
    });
}

#[test]
fn a_health_set_beside_a_breaker_that_opens_leaves_what_both_say() {
    use Health::{Healthy, Unhealthy};
    for (before, set) in [(Healthy, Unhealthy), (Unhealthy, Healthy)] {
        check(move || {
            let (balancer, id) = balancer::<2>(OPTIONS, Health::Healthy);
            let lease = select(&mut selector(&balancer), NOW).unwrap();
            // The last one is never kept out.
            let spare = balancer.add(&Endpoint::new(9), NOW).unwrap();
            balancer.set_health(id, before, NOW).unwrap();
            let failure = thread::spawn(move || lease.fail(Duration::ZERO, NOW));
            balancer.set_health(id, set, NOW).unwrap();
            failure.join().unwrap();
            assert_eq!(balancer.stats(id).unwrap().breaker, BreakerState::Open);
            balancer.remove(spare, NOW).unwrap();
            is_settled(&balancer, id);
        });
    }
}

#[test]
fn a_health_set_beside_a_breaker_that_closes_leaves_what_both_say() {
    check(|| {
        let (balancer, id) = balancer::<2>(OPTIONS, Health::Healthy);
        trip(&balancer);
        let later = NOW + Duration::from_millis(20);
        let probe = select(&mut selector(&balancer), later).unwrap();
        assert!(probe.is_probe());
        let set = {
            let balancer = balancer.clone();
            thread::spawn(move || {
                balancer.set_health(id, Health::Unhealthy, later).unwrap();
                balancer.set_health(id, Health::Healthy, later).unwrap();
            })
        };
        probe.succeed(Duration::ZERO, later);
        set.join().unwrap();
        let stats = balancer.stats(id).unwrap();
        assert_eq!((stats.breaker, stats.routable), (BreakerState::Closed, true));
        is_settled(&balancer, id);
    });
}

#[test]
fn a_health_that_was_set_beside_an_update_counts_at_once() {
    check_with(2, || {
        let (balancer, id) = balancer::<1>(Options::new(), Health::Healthy);
        let mut selector = selector(&balancer);
        let update = {
            let balancer = balancer.clone();
            thread::spawn(move || balancer.update(id, &Endpoint::new(1).weight(2), NOW).unwrap())
        };
        balancer.set_health(id, Health::Unhealthy, NOW).unwrap();
        assert!(select(&mut selector, NOW).is_err());
        update.join().unwrap();
    });
}

#[test]
fn a_health_that_was_set_after_another_counts_at_once() {
    use Health::{Degraded, Healthy, Unhealthy};
    for (before, other, set) in [(Unhealthy, Healthy, Unhealthy), (Degraded, Unhealthy, Healthy)] {
        check_with(2, move || {
            let (balancer, id) = balancer::<1>(Options::new(), before);
            let mut selector = selector(&balancer);
            let second = {
                let balancer = balancer.clone();
                thread::spawn(move || {
                    if balancer.set_health(id, set, NOW) == Ok(other) {
                        assert_eq!(select(&mut selector, NOW).is_ok(), set == Healthy);
                    }
                })
            };
            balancer.set_health(id, other, NOW).unwrap();
            second.join().unwrap();
        });
    }
}

#[test]
fn a_health_that_was_set_beside_a_breaker_that_closes_counts_at_once() {
    check_with(2, || {
        let (balancer, id) = balancer::<2>(OPTIONS, Health::Healthy);
        trip(&balancer);
        let later = NOW + Duration::from_millis(20);
        let mut selector = selector(&balancer);
        let probe = select(&mut selector, later).unwrap();
        let success = thread::spawn(move || probe.succeed(Duration::ZERO, later));
        balancer.set_health(id, Health::Unhealthy, later).unwrap();
        assert!(select(&mut selector, later).is_err());
        success.join().unwrap();
        is_settled(&balancer, id);
    });
}

#[test]
fn a_selector_that_looks_at_the_banks_it_is_told_of_misses_no_change() {
    use Health::{Healthy, Unhealthy};
    for healths in [[Unhealthy, Unhealthy], [Unhealthy, Healthy]] {
        check_with(2, move || {
            let balancer = Arc::new(Balancer::<_, 2, 1, 3>::new(Lowest::new(), Options::new()));
            let health = |health| if health == Healthy { Unhealthy } else { Healthy };
            let add = |number: usize| {
                balancer.add(&Endpoint::new(number as u64).health(health(healths[number])), NOW).unwrap()
            };
            let ids = [add(0), add(1)];
            assert_eq!(ids.map(EndpointId::slot), [0, 32]);
            let mut selector = selector(&balancer);
            // It knows all there is: from here on it looks at what has changed alone.
            drop(select(&mut selector, NOW));
            let set = |number: usize| {
                let balancer = balancer.clone();
                move || balancer.set_health(ids[number], healths[number], NOW).unwrap()
            };
            let first = thread::spawn(set(0));
            let second = thread::spawn(set(1));
            drop(select(&mut selector, NOW));
            first.join().unwrap();
            second.join().unwrap();
            let refills = balancer.totals().refills;
            let found = select(&mut selector, NOW).map(|lease| lease.endpoint()).ok();
            let best = ids.into_iter().zip(healths).find(|&(_, health)| health == Healthy);
            assert_eq!(found, best.map(|(id, _)| id));
            assert!(balancer.totals().refills <= refills + 1);
        });
    }
}

#[test]
fn a_class_that_is_made_while_two_conditions_change_holds_nobody_who_never_had_both() {
    const TAG: Tags = Tags::NONE.with(Tag::of::<0>());
    check_with(1, || {
        let balancer: Shared<1> = Arc::new(Balancer::new(Lowest::new(), Options::new()));
        let before = Endpoint::new(1).tags(TAG).health(Health::Unhealthy);
        let id = balancer.add(&before, NOW).unwrap();
        let mut selector = selector(&balancer);
        let class = selector.class(Filter::ANY.tags(TAG)).unwrap();
        let change = {
            let balancer = balancer.clone();
            thread::spawn(move || {
                balancer.update(id, &Endpoint::new(1).health(Health::Unhealthy), NOW).unwrap();
                balancer.set_health(id, Health::Healthy, NOW).unwrap();
            })
        };
        assert!(selector.select(&Request::new(class), NOW).is_err(), "with the tag it was unhealthy");
        change.join().unwrap();
    });
}
