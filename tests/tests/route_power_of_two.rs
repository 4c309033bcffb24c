//! `PowerOfTwo` against the distribution that follows from its definition.

use trilane::route::{PowerOfTwo, Random, Request};
use trilane::time::Instant;
use trilane_tests::choosing::{Asks, World, assert_shares, count};

#[test]
fn of_two_different_random_candidates_the_less_busy_is_picked() {
    let mut random = Random::new(1);
    for round in 0..40 {
        let mut world = World::<_, 3, 20>::new(PowerOfTwo);
        for _ in 0..random.below(100) {
            world.change(&mut random);
        }
        let mut chooser = world.chooser(round);
        // Leases out, so that counts differ.
        let held: Vec<_> =
            (0..40).filter_map(|_| chooser.select(&Request::ANY, Instant::ZERO).ok()).collect();
        for asks in Asks::ALL {
            let request = Request::new(world.class(&mut chooser, asks));
            let those = world.eligible(asks);
            let out = |at: usize| held.iter().filter(|l| l.endpoint() == those[at].handle).count();
            let mut due = vec![0; those.len()];
            for first in 0..those.len() {
                for second in (0..those.len()).filter(|&second| second != first) {
                    due[if out(second) < out(first) { second } else { first }] += 1;
                }
            }
            let counts = count(&mut chooser, &request, &those, 200 * those.len() as u64 + 1);
            // The busiest one is never picked, unless it is the only one.
            let possible = |at: &usize| due[*at] != 0 || those.len() == 1;
            assert!((0..those.len()).all(|at| possible(&at) || counts[at] == 0), "{counts:?} for {due:?}");
            let seen: Vec<_> = (0..those.len()).filter(possible).map(|at| counts[at]).collect();
            due.retain(|&due| due != 0);
            if those.len() > 1 {
                assert_shares(&seen, &due);
            }
        }
    }
}

#[test]
fn while_nothing_is_out_all_have_the_same_chance() {
    let world = World::<_, 2, 32>::with(PowerOfTwo, &[1; 50]);
    let those = world.eligible(Asks::Anything);
    let mut chooser = world.chooser(3);
    assert_shares(&count(&mut chooser, &Request::ANY, &those, 50_000), &[1; 50]);
}

#[test]
fn one_endpoint_gets_all_and_two_get_half_each() {
    let mut world = World::<_, 1, 4>::with(PowerOfTwo, &[1]);
    let mut chooser = world.chooser(3);
    let those = world.eligible(Asks::Anything);
    assert_eq!(count(&mut chooser, &Request::ANY, &those, 100), [100]);
    world.add(1);
    // Leases that stay out: the counts never differ by more than one.
    let mut held = Vec::new();
    for step in 1..1_000usize {
        held.push(chooser.select(&Request::ANY, Instant::ZERO).unwrap());
        let first = held.iter().filter(|lease| lease.endpoint() == held[0].endpoint()).count();
        assert!(first.abs_diff(step - first) <= 1, "{first} of {step}");
    }
}

#[test]
fn the_busiest_endpoint_has_little_more_than_the_mean() {
    let world = World::<_, 32, 32>::with(PowerOfTwo, &[1; 1_000]);
    let mut chooser = world.chooser(3);
    let held: Vec<_> = (0..1_000).map(|_| chooser.select(&Request::ANY, Instant::ZERO).unwrap()).collect();
    let mut out = vec![0; 1_024];
    held.iter().for_each(|lease| out[lease.endpoint().slot() as usize] += 1);
    // log2(log2(1,000)) + O(1); one random choice has 5 or 6.
    assert!(out.iter().max() <= Some(&4), "{:?}", out.iter().max());
}

#[test]
fn what_was_tried_is_neither_of_the_two() {
    let world = World::<_, 2, 8>::with(PowerOfTwo, &[1; 6]);
    let those = world.eligible(Asks::Anything);
    let mut chooser = world.chooser(3);
    for left in (1..6).rev() {
        let tried: Vec<_> = those[left..].iter().map(|known| known.handle).collect();
        let counts = count(&mut chooser, &Request::ANY.excluding(&tried), &those[..left], 2_000);
        assert_shares(&counts, &vec![1; left]);
    }
}
