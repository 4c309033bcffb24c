//! `Lanes` against a list of slots that is searched.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::sched::{Fairness, Lanes, NodeArray, Priority, Turn};
use trilane_tests::oracle::NaiveLanes;

const SLOTS: u16 = 40;

#[derive(Clone, Debug)]
enum Op {
    Push(u16),
    Pop,
    Next,
    PushNext(u16, bool, bool),
    Promote(u16),
    Remove(u16),
    SetDeadline(u16, Option<u64>),
    SetPriority(u16, u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let deadline = prop_oneof![
        3 => Just(None),
        6 => (0u64..5).prop_map(Some),
        2 => (0u64..3).prop_map(|high| Some(high << 32)),
        1 => Just(Some(u64::MAX)),
    ];
    let op = prop_oneof![
        5 => (0..SLOTS).prop_map(Op::Push),
        3 => Just(Op::Pop),
        2 => Just(Op::Next),
        4 => (0..SLOTS, any::<bool>(), any::<bool>()).prop_map(|(slot, cancel, others)| Op::PushNext(slot, cancel, others)),
        2 => (0..SLOTS).prop_map(Op::Promote),
        1 => (0..SLOTS).prop_map(Op::Remove),
        4 => (0..SLOTS, deadline).prop_map(|(slot, deadline)| Op::SetDeadline(slot, deadline)),
        3 => (0..SLOTS, 0u8..3).prop_map(|(slot, priority)| Op::SetPriority(slot, priority)),
    ];
    vec(op, 0..300)
}

fn fairness() -> impl Strategy<Value = Fairness> {
    let streaks = prop_oneof![Just((0u8, 0u8)), (0u8..4, 0u8..4), Just((16, 16))];
    streaks.prop_map(|(cancel_streak, timed_streak)| Fairness { cancel_streak, timed_streak })
}

proptest! {
    #[test]
    fn lanes_agree_with_a_list_that_is_searched(fairness in fairness(), ops in ops()) {
        let nodes: NodeArray<{ SLOTS as usize }> = NodeArray::new();
        let mut lanes = Lanes::new();
        lanes.set_fairness(fairness);
        let mut naive = NaiveLanes::new(SLOTS.into(), fairness);
        // The most that were queued between operations, and with those that a `push_next` may have queued on
        // their way.
        let (mut deepest, mut deepest_passing) = (0, 0);
        for op in ops {
            let passing = matches!(op, Op::PushNext(slot, ..) if naive.lane(slot).is_none());
            deepest_passing = deepest_passing.max(naive.len() + usize::from(passing));
            match op {
                Op::Push(slot) => prop_assert_eq!(lanes.push(&nodes, slot), naive.push(slot)),
                Op::Pop => prop_assert_eq!(lanes.pop(&nodes), naive.pop()),
                Op::Next => prop_assert_eq!(lanes.next(&nodes, true), naive.next(true)),
                // It is asked of slots in no lane.
                Op::PushNext(slot, ..) if naive.lane(slot).is_some() => {}
                Op::PushNext(slot, cancel, others) => {
                    if cancel { naive.promote(slot) } else { naive.push(slot) };
                    prop_assert_eq!(lanes.push_next(&nodes, slot, cancel, others), naive.next(others));
                }
                Op::Promote(slot) => {
                    prop_assert_eq!(lanes.promote(&nodes, slot), naive.promote(slot));
                }
                Op::Remove(slot) => prop_assert_eq!(lanes.remove(&nodes, slot), naive.remove(slot)),
                Op::SetDeadline(slot, deadline) => {
                    lanes.set_deadline(&nodes, slot, deadline);
                    naive.set_deadline(slot, deadline);
                }
                Op::SetPriority(slot, priority) => {
                    lanes.set_priority(&nodes, slot, Priority::new(priority).unwrap());
                    naive.set_priority(slot, priority);
                }
            }
            deepest = deepest.max(naive.len());
            deepest_passing = deepest_passing.max(deepest);
            prop_assert_eq!(lanes.len(), naive.len());
            prop_assert_eq!(lanes.is_empty(), naive.is_empty());
            prop_assert!((deepest..=deepest_passing).contains(&lanes.deepest()));
            for slot in 0..SLOTS {
                let node = &nodes[usize::from(slot)];
                prop_assert_eq!(node.lane(), naive.lane(slot));
                prop_assert_eq!(node.deadline(), naive.deadline(slot));
                prop_assert_eq!(node.priority().level(), naive.priority(slot));
            }
        }
        while let Some(slot) = naive.pop() {
            prop_assert_eq!(lanes.pop(&nodes), Some(slot));
        }
        prop_assert_eq!(lanes.pop(&nodes), None);
        prop_assert_eq!(lanes.next(&nodes, true), Some(Turn::Others));
    }

    #[test]
    fn a_slot_comes_out_once_however_often_it_was_pushed(pushes in vec(0..SLOTS, 0..100)) {
        let nodes: NodeArray<{ SLOTS as usize }> = NodeArray::new();
        let mut lanes = Lanes::new();
        for &slot in &pushes {
            lanes.push(&nodes, slot);
        }
        let mut popped: Vec<u16> = std::iter::from_fn(|| lanes.pop(&nodes)).collect();
        popped.sort_unstable();
        let mut distinct = pushes;
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(popped, distinct);
    }
}
