//! Who is picked among equals, who comes new, who is full.

use std::collections::BTreeSet;

use trilane::route::{
    Endpoint, EndpointId, Filter, LeastConnections, Request, SelectError, Tag, Tags, WeightedLeastConnections,
};
use trilane::time::Instant;
use trilane_tests::choosing::assert_shares;

use super::{Least, Static, balancer, out, select};

const NOW: Instant = Instant::ZERO;

fn fill<S: Least<BANKS, PER_BANK>, const BANKS: usize, const PER_BANK: usize>(
    balancer: Static<S, BANKS, PER_BANK>,
    count: u64,
) -> Vec<EndpointId> {
    (0..count).map(|number| balancer.add(&Endpoint::new(number), NOW).unwrap()).collect()
}

#[test]
fn ties_are_broken_at_random() {
    // The last one is alone in its bank: choosing a bank first, or going on from a random place, would favour
    // it.
    let balancer = balancer::<LeastConnections<2>, 2, 32>();
    let ids = fill(balancer, 33);
    let mut selector = select(balancer, 1);
    let mut counts = vec![0; ids.len()];
    for _ in 0..66_000 {
        let lease = selector.select(&Request::ANY, NOW).unwrap();
        counts[ids.iter().position(|&id| id == lease.endpoint()).unwrap()] += 1;
    }
    assert_shares(&counts, &[1; 33]);
}

#[test]
fn ties_among_few_are_broken_at_random() {
    let balancer = balancer::<WeightedLeastConnections<4>, 4, 32>();
    let ids = fill(balancer, 128);
    let idle = [3, 4, 5, 40, 127];
    let mut selector = select(balancer, 2);
    let mut busy = Vec::new();
    while busy.len() < ids.len() - idle.len() {
        let lease = selector.select(&Request::ANY, NOW).unwrap();
        if idle.iter().all(|&at| ids[at] != lease.endpoint()) {
            busy.push(lease);
        }
    }
    let mut counts = [0; 5];
    for _ in 0..20_000 {
        let lease = selector.select(&Request::ANY, NOW).unwrap();
        counts[idle.iter().position(|&at| ids[at] == lease.endpoint()).expect("an idle one")] += 1;
    }
    assert_shares(&counts, &[1; 5]);
}

#[test]
fn ties_among_few_candidates_are_broken_at_random() {
    // Three of sixteen have the fewest: too few to be found by drawing from all.
    let balancer = balancer::<LeastConnections<2>, 2, 32>();
    let ids = fill(balancer, 64);
    let tagged = [0, 1, 2, 3, 4, 5, 6, 7, 30, 31, 32, 33, 40, 41, 62, 63];
    let tags = Tags::NONE.with(Tag::of::<0>());
    for at in tagged {
        balancer.update(ids[at], &Endpoint::new(at as u64).tags(tags), NOW).unwrap();
    }
    let idle = [1, 31, 63];
    let mut selector = select(balancer, 3);
    let class = selector.class(Filter::ANY.tags(tags)).unwrap();
    let mut busy = Vec::new();
    while busy.len() < 26 {
        let lease = selector.select(&Request::new(class), NOW).unwrap();
        let at = ids.iter().position(|&id| id == lease.endpoint()).unwrap();
        if !idle.contains(&at) || out(balancer, ids[at]) <= 1 {
            busy.push(lease);
        }
    }
    assert!(tagged.iter().all(|&at| (1..=2).contains(&out(balancer, ids[at]))));
    busy.retain(|lease| idle.iter().all(|&at| ids[at] != lease.endpoint()));
    let mut counts = [0; 3];
    for _ in 0..15_000 {
        let lease = selector.select(&Request::new(class), NOW).unwrap();
        counts[idle.iter().position(|&at| ids[at] == lease.endpoint()).expect("an idle one")] += 1;
    }
    assert_shares(&counts, &[1; 3]);
}

#[test]
fn few_are_compared_as_they_are() {
    // In steps of a quarter of an octave, weights of 50 and 53 would be equal most of the time.
    let balancer = balancer::<WeightedLeastConnections<1>, 1, 16>();
    let weights: Vec<u16> = (0..16).map(|at| 50 + 3 * at).collect();
    let add = |(number, &weight)| balancer.add(&Endpoint::new(number as u64).weight(weight), NOW).unwrap();
    let ids: Vec<_> = weights.iter().enumerate().map(add).collect();
    let mut selector = select(balancer, 1);
    let mut held = Vec::new();
    for _ in 0..5_000 {
        let load = |at: usize| out(balancer, ids[at]) as f64 / weights[at] as f64;
        let least = (0..16).map(load).fold(f64::MAX, f64::min);
        let lease = selector.select(&Request::ANY, NOW).unwrap();
        let at = ids.iter().position(|&id| id == lease.endpoint()).unwrap();
        let had = (out(balancer, ids[at]) - 1) as f64 / weights[at] as f64;
        assert!(had <= least * 257.0 / 256.0, "{had} where {least} is the least");
        held.push(lease);
    }
    let even = |at: usize| {
        (out(balancer, ids[at]) as f64 / weights[at] as f64 / (held.len() as f64 / 1160.0) - 1.0).abs()
    };
    assert!((0..16).all(|at| even(at) < 0.05));
}

#[test]
fn balancers_that_start_together_pick_different_ones() {
    let picks: BTreeSet<_> = (0..64)
        .map(|seed| {
            let balancer = balancer::<LeastConnections<1>, 1, 16>();
            fill(balancer, 16);
            select(balancer, seed).select(&Request::ANY, NOW).unwrap().endpoint()
        })
        .collect();
    assert!(picks.len() >= 12, "{picks:?}");
}

#[test]
fn a_new_endpoint_gets_the_next_requests_until_it_has_as_many() {
    let balancer = balancer::<LeastConnections<1>, 1, 16>();
    fill(balancer, 8);
    let mut selector = select(balancer, 1);
    let mut held: Vec<_> = (0..40).map(|_| selector.select(&Request::ANY, NOW).unwrap()).collect();
    let new = balancer.add(&Endpoint::new(99), NOW).unwrap();
    for _ in 0..5 {
        held.push(selector.select(&Request::ANY, NOW).unwrap());
        assert_eq!(held.last().unwrap().endpoint(), new);
    }
    assert!(balancer.members().all(|id| out(balancer, id) == 5));
}

#[test]
fn counts_are_of_all_selectors() {
    let balancer = balancer::<LeastConnections<2>, 2, 16>();
    fill(balancer, 32);
    let mut selectors: Vec<_> = (0..4).map(|seed| select(balancer, seed)).collect();
    let held: Vec<_> = (0..96).map(|at| selectors[at % 4].select(&Request::ANY, NOW).unwrap()).collect();
    assert!(balancer.members().all(|id| out(balancer, id) == 3));
    drop(held);
}

#[test]
fn an_endpoint_that_follows_another_in_its_slot_starts_idle() {
    let balancer = balancer::<LeastConnections<1>, 1, 2>();
    let ids = fill(balancer, 2);
    let mut selector = select(balancer, 1);
    let held: Vec<_> = (0..20).map(|_| selector.select(&Request::ANY, NOW).unwrap()).collect();
    balancer.remove(ids[0], NOW).unwrap();
    let (gone, held): (Vec<_>, Vec<_>) = held.into_iter().partition(|lease| lease.endpoint() == ids[0]);
    assert!(balancer.add(&Endpoint::new(7), NOW).is_err(), "its leases are out");
    drop(gone);
    let new = balancer.add(&Endpoint::new(7), NOW).unwrap();
    assert_eq!((new.slot(), balancer.strategy().standing(new.slot())), (ids[0].slot(), Some(0)));
    let next: Vec<_> = (0..10).map(|_| selector.select(&Request::ANY, NOW).unwrap()).collect();
    assert!(next.iter().all(|lease| lease.endpoint() == new));
    drop(held);
}

#[test]
fn those_at_their_cap_are_passed_over() {
    let balancer = balancer::<LeastConnections<1>, 1, 32>();
    for number in 0..20 {
        balancer.add(&Endpoint::new(number).cap(1 + (number > 15) as u32 * 4), NOW).unwrap();
    }
    let mut selector = select(balancer, 1);
    // 16 that take one, 4 that take five: in the end the latter are the least loaded that can be had.
    let held: Vec<_> = (0..36).map(|_| selector.select(&Request::ANY, NOW).unwrap()).collect();
    assert!(matches!(selector.select(&Request::ANY, NOW), Err(SelectError::AllAtCapacity)));
    drop(held);
    assert!(selector.select(&Request::ANY, NOW).is_ok());
}

#[test]
fn weights_share_what_is_out() {
    let balancer = balancer::<WeightedLeastConnections<1>, 1, 4>();
    let weights = [1, 3, 10, 200];
    for (number, weight) in weights.into_iter().enumerate() {
        balancer.add(&Endpoint::new(number as u64).weight(weight), NOW).unwrap();
    }
    let mut selector = select(balancer, 1);
    let held: Vec<_> = (0..21_400).map(|_| selector.select(&Request::ANY, NOW).unwrap()).collect();
    for (id, weight) in balancer.members().zip(weights) {
        let (seen, due) = (out(balancer, id) as f64, weight as f64 * 100.0);
        assert!((seen / due - 1.0).abs() < 0.25, "{seen} of {due}");
    }
    drop(held);
}

#[test]
fn a_weight_that_rises_is_seen_by_the_next_select() {
    let balancer = balancer::<WeightedLeastConnections<1>, 1, 2>();
    let ids = fill(balancer, 2);
    let mut selector = select(balancer, 1);
    let mut held: Vec<_> = (0..200).map(|_| selector.select(&Request::ANY, NOW).unwrap()).collect();
    balancer.update(ids[1], &Endpoint::new(1).weight(3), NOW).unwrap();
    for _ in 0..100 {
        held.push(selector.select(&Request::ANY, NOW).unwrap());
        assert_eq!(held.last().unwrap().endpoint(), ids[1]);
    }
}

#[test]
fn a_select_raises_a_bounded_number_of_those_that_stand_too_low() {
    let tags = Tags::NONE.with(Tag::of::<0>());
    let balancer = balancer::<LeastConnections<4>, 4, 32>();
    let endpoint = |number: u64| Endpoint::new(number).tags(if number < 64 { tags } else { Tags::NONE });
    let ids: Vec<_> = (0..128).map(|number| balancer.add(&endpoint(number), NOW).unwrap()).collect();
    let mut selector = select(balancer, 1);
    // A lease for each that has the tag. While the others are idle, nobody needs to look at them again.
    let mut held = Vec::new();
    while held.len() < 64 {
        let lease = selector.select(&Request::ANY, NOW).unwrap();
        if lease.endpoint().slot() < 64 {
            held.push(lease);
        }
    }
    let low = || ids[..64].iter().filter(|id| balancer.strategy().standing(id.slot()) == Some(0)).count();
    let before = low();
    assert!(before > 40, "{before}");
    let class = selector.class(Filter::ANY.tags(tags)).unwrap();
    held.push(selector.select(&Request::new(class), NOW).unwrap());
    assert!((before - 34..=before - 32).contains(&low()), "{before}, then {}", low());
    held.push(selector.select(&Request::new(class), NOW).unwrap());
    assert_eq!(low(), 0);
    held.extend((0..62).map(|_| selector.select(&Request::new(class), NOW).unwrap()));
    assert!(ids[..64].iter().all(|&id| out(balancer, id) == 2));
}
