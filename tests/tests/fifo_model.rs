//! `Fifo` against a list in arrival order.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::sched::{Fifo, Lanes, NodeArray, Priority};
use trilane_tests::oracle::NaiveFifo;

const SLOTS: u16 = 40;

#[derive(Clone, Debug)]
enum Op {
    Push(u16, u8),
    Pop,
    Remove(u16),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Few priorities, so that most rings have several members, and the two ends of the range.
    let priority = prop_oneof![0u8..3, Just(30u8), Just(31u8)];
    let push = (0..SLOTS, priority);
    let op = prop_oneof![
        3 => push.prop_map(|(slot, priority)| Op::Push(slot, priority)),
        1 => Just(Op::Pop),
        1 => (0..SLOTS).prop_map(Op::Remove),
    ];
    vec(op, 0..200)
}

proptest! {
    #[test]
    fn a_fifo_pops_by_priority_then_arrival(ops in ops()) {
        let nodes: NodeArray<{ SLOTS as usize }> = NodeArray::new();
        let mut keys: Lanes = Lanes::new();
        let mut fifo = Fifo::new();
        let mut naive = NaiveFifo::default();
        for op in ops {
            match op {
                Op::Push(slot, priority) if !naive.contains(slot) => {
                    keys.set_priority(&nodes, slot, Priority::new(priority).unwrap());
                    fifo.push(&nodes, slot);
                    naive.push(slot, priority);
                }
                Op::Remove(slot) if naive.contains(slot) => {
                    fifo.remove(&nodes, slot);
                    naive.remove(slot);
                }
                Op::Pop => prop_assert_eq!(fifo.pop(&nodes), naive.pop()),
                Op::Push(..) | Op::Remove(_) => {}
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
