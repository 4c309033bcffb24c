//! `Timers` against a sorted multiset.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::ptr;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::sched::{TimerNode, Timers};

/// Timers and the nodes that they link.
///
/// **Model Invariant.** The nodes are boxed before any is armed, and dropped after the heap, so an armed node
/// is alive and doesn't move.
struct Armed {
    timers: Timers,
    nodes: Vec<Pin<Box<TimerNode>>>,
}

impl Armed {
    fn new(nodes: usize) -> Self {
        Self { timers: Timers::new(), nodes: (0..nodes).map(|_| Box::pin(TimerNode::new())).collect() }
    }

    fn node(&self, number: usize) -> *const TimerNode {
        &raw const *self.nodes[number]
    }

    fn insert(&mut self, number: usize, due: u64) -> bool {
        let node = self.node(number);
        // SAFETY: Model Invariant.
        unsafe { self.timers.insert(node, due) }
    }

    fn remove(&mut self, number: usize) {
        let node = self.node(number);
        // SAFETY: Model Invariant; there is one heap.
        unsafe { self.timers.remove(node) }
    }

    /// Which node was taken out, and when it was due.
    fn pop_due(&mut self, now: u64) -> Option<(u64, usize)> {
        let node = self.timers.pop_due(now)?;
        let number = (0..self.nodes.len()).find(|&number| ptr::eq(self.node(number), node))?;
        Some((self.nodes[number].due(), number))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(usize, u64),
    Remove(usize),
    PopDue(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        5 => (0usize..60, 0u64..50).prop_map(|(node, due)| Op::Insert(node, due)),
        3 => (0usize..60).prop_map(Op::Remove),
        2 => (0u64..50).prop_map(Op::PopDue),
    ];
    vec(op, 0..300)
}

proptest! {
    #[test]
    fn timers_are_a_sorted_multiset(ops in ops()) {
        let mut armed = Armed::new(60);
        let mut naive: BTreeSet<(u64, usize)> = BTreeSet::new();
        for op in ops {
            match op {
                Op::Insert(number, due) if !armed.nodes[number].is_armed() => {
                    let first = naive.first().is_none_or(|&(earliest, _)| due < earliest);
                    prop_assert_eq!(armed.insert(number, due), first);
                    naive.insert((due, number));
                    prop_assert_eq!(armed.nodes[number].due(), due);
                }
                Op::Insert(..) => {}
                Op::Remove(number) => {
                    armed.remove(number);
                    naive.retain(|&(_, other)| other != number);
                }
                Op::PopDue(now) => {
                    let earliest = naive.first().map(|&(due, _)| due).filter(|&due| due <= now);
                    // Among equal ones any may come.
                    let popped = armed.pop_due(now);
                    prop_assert_eq!(popped.map(|(due, _)| due), earliest);
                    prop_assert!(popped.is_none_or(|popped| naive.remove(&popped)));
                }
            }
            prop_assert_eq!(armed.timers.next_due(), naive.first().map(|&(due, _)| due));
            for number in 0..60 {
                prop_assert_eq!(
                    armed.nodes[number].is_armed(),
                    naive.iter().any(|&(_, other)| other == number)
                );
            }
        }
    }
}

/// Thousands of timers on the 256 KiB of a small stack: neither recursion nor a walk over a degenerate heap
/// gets through.
fn thousands(due: impl Fn(u64) -> u64 + Send + 'static) {
    const TIMERS: u64 = 20_000;
    let body = move || {
        let mut armed = Armed::new(TIMERS as usize);
        for number in 0..TIMERS {
            armed.insert(number as usize, due(number));
        }
        // Every third goes out of the middle, the rest in order.
        for number in (0..TIMERS).step_by(3) {
            armed.remove(number as usize);
        }
        let (mut left, mut latest) = (0, 0);
        while let Some(node) = armed.timers.pop_due(u64::MAX) {
            // SAFETY: Model Invariant.
            let due = unsafe { (*node).due() };
            assert!(latest <= due);
            latest = due;
            left += 1;
        }
        assert_eq!(left, TIMERS - TIMERS.div_ceil(3));
        assert!(armed.nodes.iter().all(|node| !node.is_armed()));
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(body).unwrap().join().unwrap();
}

#[test]
fn thousands_of_timers_come_and_go_in_ascending_order() {
    thousands(|number| number);
}

#[test]
fn thousands_of_timers_come_and_go_in_descending_order() {
    thousands(|number| u64::MAX - number);
}

#[test]
fn thousands_of_timers_come_and_go_in_random_order() {
    thousands(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
}

#[test]
fn thousands_of_timers_for_the_same_instant_come_and_go() {
    thousands(|_| 7);
}
