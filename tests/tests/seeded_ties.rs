//! What a seed does: it reorders equals, the same way each time.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::exec::{Executor, Manual};
use trilane::sched::{Lanes, Node, Priority};
use trilane_tests::{Log, leak, pool, settle, us};

const SLOTS: u16 = 30;

/// Deadline and priority of each slot.
type Keys = Vec<(Option<u64>, u8)>;

fn keys() -> impl Strategy<Value = Keys> {
    vec((proptest::option::of(0u64..3), 0u8..3), usize::from(SLOTS))
}

fn order(keys: &Keys, seed: u32) -> Vec<u16> {
    let nodes: [Node; SLOTS as usize] = std::array::from_fn(|_| Node::new());
    let mut lanes: Lanes<1, 32> = Lanes::new();
    lanes.set_fairness(trilane::sched::Fairness::STRICT);
    lanes.set_seed(seed);
    for (slot, &(deadline, priority)) in (0..).zip(keys) {
        lanes.set_deadline(&nodes, slot, deadline);
        lanes.set_priority(&nodes, slot, Priority::new(priority).unwrap());
        lanes.push(&nodes, slot);
    }
    std::iter::from_fn(|| lanes.pop(&nodes)).collect()
}

proptest! {
    #[test]
    fn the_same_seed_gives_the_same_order(keys in keys(), seed: u32) {
        prop_assert_eq!(order(&keys, seed), order(&keys, seed));
    }

    #[test]
    fn a_seed_reorders_equals_only(keys in keys(), seed: u32) {
        // No deadline sorts behind every deadline.
        let rank = |&slot: &u16| {
            let (deadline, priority) = keys[usize::from(slot)];
            (deadline.unwrap_or(u64::MAX), Reverse(priority))
        };
        let order = order(&keys, seed);
        prop_assert!(order.is_sorted_by_key(rank));
        prop_assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), usize::from(SLOTS));
    }
}

#[test]
fn different_seeds_differ_before_long() {
    for keys in [vec![(None, 0); SLOTS.into()], vec![(Some(1), 0); SLOTS.into()]] {
        let orders: BTreeSet<Vec<u16>> = (0..20).map(|seed| order(&keys, seed)).collect();
        assert!(orders.len() > 15, "20 seeds gave {} orders", orders.len());
    }
}

#[test]
fn without_a_seed_equals_keep_their_arrival() {
    let keys = vec![(None, 0); SLOTS.into()];
    assert!(order(&keys, 0).into_iter().eq(0..SLOTS));
}

#[test]
fn an_executor_takes_the_seed() {
    let order = |seed| {
        let log: &Log<u16> = leak(Log::new());
        let executor = leak(Executor::<_, 1, 32>::new(Manual::new()).with_seed(seed));
        let mut runner = executor.start().unwrap();
        let pool = pool::<32>();
        for _ in 0..32 {
            drop(executor.spawn(pool, |cx| async move { log.push(cx.id().slot()) }).unwrap());
        }
        settle(&mut runner, us(0));
        log.take()
    };
    assert!(order(0).into_iter().eq(0..32));
    assert_eq!(order(7), order(7));
    assert_ne!(order(7), order(0));
    assert_ne!(order(7), order(8));
}
