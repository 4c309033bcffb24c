//! `Fifo` against a list in arrival order.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::sched::{Fifo, Lanes, Node, Priority};
use trilane_tests::oracle::NaiveFifo;

const SLOTS: u16 = 40;

#[derive(Clone, Debug)]
enum Op {
    Push { slot: u16, priority: u8, front: bool },
    Pop,
    PushPop(u16, u8),
    Remove(u16),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Few priorities, so that most rings have several members, and the two ends of the range.
    let priority = prop_oneof![0u8..3, Just(30u8), Just(31u8)];
    let push_pop = (0..SLOTS, priority.clone());
    let push = (0..SLOTS, priority, prop::bool::weighted(0.2));
    let op = prop_oneof![
        3 => push.prop_map(|(slot, priority, front)| Op::Push { slot, priority, front }),
        1 => Just(Op::Pop),
        1 => push_pop.prop_map(|(slot, priority)| Op::PushPop(slot, priority)),
        1 => (0..SLOTS).prop_map(Op::Remove),
    ];
    vec(op, 0..200)
}

proptest! {
    #[test]
    fn a_fifo_pops_by_priority_then_arrival(ops in ops()) {
        let nodes: [Node; SLOTS as usize] = std::array::from_fn(|_| Node::new());
        let mut keys: Lanes<2, 32> = Lanes::new();
        let mut fifo = Fifo::new();
        let mut naive = NaiveFifo::default();
        for op in ops {
            match op {
                Op::Push { slot, priority, front } if !naive.contains(slot) => {
                    keys.set_priority(&nodes, slot, Priority::new(priority).unwrap());
                    fifo.push(&nodes, slot, front);
                    naive.push(slot, priority, front);
                }
                Op::Remove(slot) if naive.contains(slot) => {
                    fifo.remove(&nodes, slot);
                    naive.remove(slot);
                }
                Op::Pop => prop_assert_eq!(fifo.pop(&nodes), naive.pop()),
                Op::PushPop(slot, priority) if !naive.contains(slot) && !naive.is_empty() => {
                    keys.set_priority(&nodes, slot, Priority::new(priority).unwrap());
                    naive.push(slot, priority, false);
                    prop_assert_eq!(Some(fifo.push_pop(&nodes, slot)), naive.pop());
                }
                Op::Push { .. } | Op::PushPop(..) | Op::Remove(_) => {}
            }
            prop_assert_eq!(fifo.first(&nodes), naive.first());
            prop_assert_eq!(fifo.is_empty(), naive.is_empty());
        }
        while let Some(slot) = naive.pop() {
            prop_assert_eq!(fifo.pop(&nodes), Some(slot));
        }
        prop_assert_eq!(fifo.pop(&nodes), None);
    }
}
