//! Levels of load: picks that raise an endpoint against ends that move it down.
#![cfg(trilane_loom)]

use std::sync::Arc;

use loom::thread;
use trilane::route::{Balancer, Endpoint, Lease, LeastConnections, Options, Request, Selector};
use trilane::time::Instant;
use trilane_loom::check;

/// One endpoint a bank.
type Least<const BANKS: usize> = Balancer<LeastConnections<BANKS>, BANKS, 1, 2>;
type Chooser<const BANKS: usize> = Selector<Arc<Least<BANKS>>, LeastConnections<BANKS>, BANKS, 1, 2, 1>;
type Held<const BANKS: usize> = Lease<Arc<Least<BANKS>>>;

fn pick<const BANKS: usize>(chooser: &mut Chooser<BANKS>) -> Held<BANKS> {
    chooser.select(&Request::ANY, Instant::ZERO).unwrap()
}

/// Two selectors that know their candidates, and one endpoint, in the last bank, at level 2 with `leases`
/// out, of 3.
fn least<const BANKS: usize>(leases: usize) -> (Arc<Least<BANKS>>, [Chooser<BANKS>; 2], Vec<Held<BANKS>>) {
    let balancer = Arc::new(Least::new(LeastConnections::new(), Options::new()));
    for number in 0..BANKS as u64 {
        balancer.add(&Endpoint::new(number).enabled(number + 1 == BANKS as u64), Instant::ZERO).unwrap();
    }
    let mut choosers = [1, 2].map(|seed| Chooser::new(balancer.clone(), seed).unwrap());
    choosers.iter_mut().for_each(|chooser| drop(pick(chooser)));
    let mut held: Vec<_> = (0..3).map(|_| pick(&mut choosers[0])).collect();
    held.truncate(leases);
    assert_eq!(standing(&balancer), Some(2.min(leases as u32)));
    (balancer, choosers, held)
}

fn standing<const BANKS: usize>(balancer: &Least<BANKS>) -> Option<u32> {
    balancer.strategy().standing(32 * (BANKS - 1) as u16)
}

/// The pick finds it too low and raises it, while the load falls: whoever comes second sees to it.
#[test]
fn an_endpoint_does_not_stay_above_its_load() {
    check(|| {
        let (balancer, [mut first, second], mut held) = least::<1>(3);
        let falls = held.split_off(1);
        let faller = thread::spawn(move || drop((falls, second)));
        let lease = pick(&mut first);
        faller.join().unwrap();
        let at = standing(&balancer);
        assert!(at.is_some_and(|level| level <= 2), "{at:?} with 2 out");
        drop((lease, held));
        assert_eq!(standing(&balancer), Some(0));
    });
}

/// The pick finds level 1 empty and takes its cover away, while the endpoint moves there.
fn comes_to_an_empty_level<const BANKS: usize>() {
    check(|| {
        let (balancer, [mut first, second], mut held) = least::<BANKS>(2);
        let falls = held.split_off(1);
        let faller = thread::spawn(move || drop((falls, second)));
        let lease = pick(&mut first);
        faller.join().unwrap();
        assert!(standing(&balancer).is_some());
        drop((lease, held));
        assert_eq!(standing(&balancer), Some(0));
    });
}

#[test]
fn an_endpoint_that_comes_to_an_empty_level_is_covered() {
    comes_to_an_empty_level::<1>();
}

#[test]
fn its_bank_is_covered_too() {
    comes_to_an_empty_level::<2>();
}

/// Two ends at once, each of which may leave the level where it stands.
#[test]
fn two_ends_bring_it_down() {
    check(|| {
        let (balancer, choosers, mut held) = least::<1>(2);
        let falls = held.split_off(1);
        let faller = thread::spawn(move || drop(falls));
        drop(held);
        faller.join().unwrap();
        assert_eq!(standing(&balancer), Some(0));
        drop(choosers);
    });
}
