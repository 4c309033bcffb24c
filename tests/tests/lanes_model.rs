//! `Lanes` against a list of slots that is searched.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::sched::{Fairness, Lane, Lanes, Node, Priority};
use trilane_tests::oracle::NaiveLanes;

const SLOTS: u16 = 40;

#[derive(Clone, Debug)]
enum Op {
    Push(u16),
    Pop,
    PushPop(u16),
    PopReady,
    TakeTurns(u16),
    Passes(u16),
    Promote(u16),
    Remove(u16),
    SetDeadline(u16, Option<u64>),
    SetPriority(u16, u8),
    Park(u16),
    PopDue(u64),
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
        3 => (0..SLOTS).prop_map(Op::PushPop),
        1 => Just(Op::PopReady),
        2 => (0..SLOTS).prop_map(Op::TakeTurns),
        2 => (0..SLOTS).prop_map(Op::Passes),
        2 => (0..SLOTS).prop_map(Op::Promote),
        1 => (0..SLOTS).prop_map(Op::Remove),
        4 => (0..SLOTS, deadline).prop_map(|(slot, deadline)| Op::SetDeadline(slot, deadline)),
        3 => (0..SLOTS, 0u8..3).prop_map(|(slot, priority)| Op::SetPriority(slot, priority)),
    ];
    let now = prop_oneof![4 => 0u64..5, 1 => (0u64..3).prop_map(|high| high << 32), 1 => Just(u64::MAX)];
    let op = prop_oneof![
        4 => op,
        1 => (0..SLOTS).prop_map(Op::Park),
        1 => now.prop_map(Op::PopDue),
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
        let nodes: [Node; SLOTS as usize] = std::array::from_fn(|_| Node::new());
        let mut lanes: Lanes<2, 32> = Lanes::new();
        lanes.set_fairness(fairness);
        let mut naive = NaiveLanes::new(SLOTS.into(), fairness);
        // The most that were queued between operations, and with those that a `push_pop` may have queued on their way.
        let (mut deepest, mut deepest_passing) = (0, 0);
        for op in ops {
            let passing = match op {
                Op::PushPop(slot) | Op::TakeTurns(slot) | Op::Passes(slot) => {
                    naive.lane(slot).is_none() && !naive.is_parked(slot)
                }
                _ => false,
            };
            deepest_passing = deepest_passing.max(naive.len() + usize::from(passing));
            match op {
                // A slot that is set aside is promoted or removed.
                Op::Push(slot) | Op::PushPop(slot) | Op::TakeTurns(slot) | Op::Passes(slot)
                    if naive.is_parked(slot) => {}
                // And only one that is in no lane is set aside.
                Op::Park(slot) if naive.lane(slot).is_some() => {}
                Op::Park(slot) => {
                    lanes.park(&nodes, slot);
                    naive.park(slot);
                }
                Op::PopDue(now) => match lanes.pop_due(&nodes, now) {
                    Some(slot) => {
                        prop_assert!(naive.is_first_due(slot, now));
                        naive.remove(slot);
                    }
                    None => prop_assert!(naive.next_due().is_none_or(|due| due > now)),
                },
                Op::Push(slot) => prop_assert_eq!(lanes.push(&nodes, slot), naive.push(slot)),
                Op::Pop => prop_assert_eq!(lanes.pop(&nodes), naive.pop()),
                Op::PushPop(slot) => {
                    naive.push(slot);
                    prop_assert_eq!(lanes.push_pop(&nodes, slot), naive.pop());
                }
                Op::PopReady if naive.only() == Some(Lane::Ready) => {
                    prop_assert_eq!(lanes.pop_ready(&nodes), naive.pop());
                }
                Op::PopReady => prop_assert_eq!(lanes.pop_ready(&nodes), None),
                // These two are asked of slots in no lane.
                Op::TakeTurns(slot) | Op::Passes(slot) if naive.lane(slot).is_some() => {}
                Op::TakeTurns(slot) => {
                    let plain = naive.only() == Some(Lane::Ready) && naive.deadline(slot).is_none();
                    let expected = if plain {
                        naive.push(slot);
                        naive.pop()
                    } else {
                        None
                    };
                    prop_assert_eq!(lanes.take_turns(&nodes, slot), expected);
                }
                Op::Passes(slot) => {
                    if lanes.passes(&nodes, slot) {
                        naive.push(slot);
                        prop_assert_eq!(naive.pop(), Some(slot));
                    }
                }
                Op::Promote(slot) => {
                    lanes.promote(&nodes, slot);
                    naive.promote(slot);
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
            prop_assert_eq!(lanes.only(), naive.only());
            prop_assert_eq!(lanes.next_due(&nodes), naive.next_due());
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
        while let Some(due) = naive.next_due() {
            let slot = lanes.pop_due(&nodes, due);
            prop_assert!(slot.is_some_and(|slot| naive.is_first_due(slot, due)));
            naive.remove(slot.unwrap());
        }
        prop_assert_eq!(lanes.pop_due(&nodes, u64::MAX), None);
    }

    #[test]
    fn a_slot_comes_out_once_however_often_it_was_pushed(pushes in vec(0..SLOTS, 0..100)) {
        let nodes: [Node; SLOTS as usize] = std::array::from_fn(|_| Node::new());
        let mut lanes: Lanes<2, 32> = Lanes::new();
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
