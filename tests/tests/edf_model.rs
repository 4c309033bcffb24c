//! `Edf` against a list that is searched.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::sched::{Edf, Lanes, NodeArray, Priority};
use trilane_tests::oracle::NaiveEdf;

const SLOTS: u16 = 40;

#[derive(Clone, Debug)]
enum Op {
    Push(u16, u64, u8),
    Pop,
    PushPop(u16, u64, u8),
    Remove(u16),
    Rekey(u16, u64, u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Few values, so that ties are common; some differ in one half of 64 bits only.
    let deadline = prop_oneof![
        0u64..6,
        (0u64..4).prop_map(|high| high << 32),
        (0u64..4).prop_map(|high| high << 32 | 0xffff_ffff),
        Just(u64::MAX),
    ];
    let keys = (0..SLOTS, deadline, prop_oneof![0u8..3, Just(31)]);
    let op = prop_oneof![
        4 => keys.clone().prop_map(|(slot, deadline, priority)| Op::Push(slot, deadline, priority)),
        1 => Just(Op::Pop),
        2 => keys.clone().prop_map(|(slot, deadline, priority)| Op::PushPop(slot, deadline, priority)),
        1 => (0..SLOTS).prop_map(Op::Remove),
        2 => keys.prop_map(|(slot, deadline, priority)| Op::Rekey(slot, deadline, priority)),
    ];
    vec(op, 0..200)
}

/// Lanes that hold nothing: they set the keys of nodes.
struct Keys(Lanes);

impl Keys {
    fn set(&mut self, nodes: &NodeArray<{ SLOTS as usize }>, slot: u16, deadline: u64, priority: u8) {
        self.0.set_deadline(nodes, slot, Some(deadline));
        self.0.set_priority(nodes, slot, Priority::new(priority).unwrap());
    }
}

proptest! {
    #[test]
    fn an_edf_heap_pops_by_deadline_then_priority_then_arrival(ops in ops()) {
        let nodes = &NodeArray::new();
        let mut keys = Keys(Lanes::new());
        let mut edf = Edf::new();
        let mut naive = NaiveEdf::default();
        for op in ops {
            match op {
                Op::Push(slot, deadline, priority) if !naive.contains(slot) => {
                    keys.set(nodes, slot, deadline, priority);
                    edf.push(nodes, slot);
                    naive.push(slot, deadline, priority);
                }
                Op::Pop => prop_assert_eq!(edf.pop(nodes), naive.pop()),
                Op::PushPop(slot, deadline, priority) if !naive.contains(slot) && !naive.is_empty() => {
                    keys.set(nodes, slot, deadline, priority);
                    naive.push(slot, deadline, priority);
                    prop_assert_eq!(Some(edf.push_pop(nodes, slot)), naive.pop());
                }
                Op::Remove(slot) if naive.contains(slot) => {
                    edf.remove(nodes, slot);
                    naive.remove(slot);
                }
                Op::Rekey(slot, deadline, priority) if naive.contains(slot) => {
                    keys.set(nodes, slot, deadline, priority);
                    edf.rekey(nodes, slot);
                    naive.rekey(slot, deadline, priority);
                }
                _ => {}
            }
            prop_assert_eq!(edf.first(nodes), naive.first());
            prop_assert_eq!(edf.len(), naive.len());
            prop_assert_eq!(edf.is_empty(), naive.is_empty());
        }
        while let Some(slot) = naive.pop() {
            prop_assert_eq!(edf.pop(nodes), Some(slot));
        }
        prop_assert_eq!(edf.pop(nodes), None);
    }
}

#[test]
fn arrival_order_survives_the_wrap_of_its_stamp() {
    let nodes: &NodeArray<3> = &NodeArray::new();
    let mut edf = Edf::new();
    let mut oldest = 0;
    edf.push(nodes, 0);
    edf.push(nodes, 1);
    for _ in 0..70_000 {
        let newest = (oldest + 2) % 3;
        edf.push(nodes, newest);
        assert_eq!(edf.pop(nodes), Some(oldest));
        oldest = (oldest + 1) % 3;
    }
}
