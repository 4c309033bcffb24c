//! The bound that `Fairness` documents, for any bounds and any arrivals.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::sched::{Fairness, Lane, Lanes, Node, NodeArray};

const SLOTS: u16 = 24;

/// Between two dispatches: slots that arrive, each asked to stop or not; even slots have a deadline.
fn arrivals() -> impl Strategy<Value = Vec<Vec<(u16, bool)>>> {
    // At times nobody arrives, at times nearly everybody.
    let arrival = || (0..SLOTS, any::<bool>());
    vec(prop_oneof![vec(arrival(), 0..2), vec(arrival(), 0..12)], 1..200)
}

/// One dispatch.
struct Dispatch {
    from: Lane,
    cancel_waited: bool,
    timed_waited: bool,
    /// For how many dispatches, this one included, the timed or the ready lane has had a slot without a
    /// break.
    lower_waits: u32,
    /// The same of the ready lane.
    ready_waits: u32,
}

fn dispatches(fairness: Fairness, arrivals: Vec<Vec<(u16, bool)>>) -> Vec<Dispatch> {
    let nodes: NodeArray<{ SLOTS as usize }> = NodeArray::new();
    let mut lanes = Lanes::new();
    lanes.set_fairness(fairness);
    for slot in (0..SLOTS).step_by(2) {
        lanes.set_deadline(&nodes, slot, Some(u64::from(slot)));
    }
    let waited = |lane| nodes.iter().any(|node| node.lane() == Some(lane));
    let mut dispatches = Vec::new();
    let (mut lower_waits, mut ready_waits) = (0, 0);
    for arriving in arrivals {
        for (slot, asked_to_stop) in arriving {
            if asked_to_stop {
                lanes.promote(&nodes, slot);
            } else {
                lanes.push(&nodes, slot);
            }
            // Who leaves for the cancel lane ends the wait of its lane if it was the last there.
            ready_waits = if waited(Lane::Ready) { ready_waits } else { 0 };
            lower_waits = if waited(Lane::Timed) || waited(Lane::Ready) { lower_waits } else { 0 };
        }
        let before: Vec<Option<Lane>> = nodes.iter().map(Node::lane).collect();
        let (cancel_waited, timed_waited, ready_waited) =
            (waited(Lane::Cancel), waited(Lane::Timed), waited(Lane::Ready));
        let Some(slot) = lanes.pop(&nodes) else { continue };
        let from = before[usize::from(slot)].expect("a slot that was popped was queued");
        lower_waits = if timed_waited || ready_waited { lower_waits + 1 } else { 0 };
        ready_waits = if ready_waited { ready_waits + 1 } else { 0 };
        dispatches.push(Dispatch { from, cancel_waited, timed_waited, lower_waits, ready_waits });
        if from != Lane::Cancel {
            lower_waits = 0;
        }
        if from == Lane::Ready {
            ready_waits = 0;
        }
    }
    dispatches
}

proptest! {
    #[test]
    fn a_lower_lane_waits_no_longer_than_the_bound(
        cancel_streak in 1u8..7,
        timed_streak in 1u8..7,
        arrivals in arrivals(),
    ) {
        let dispatches = dispatches(Fairness { cancel_streak, timed_streak }, arrivals);
        let (c, t) = (u32::from(cancel_streak), u32::from(timed_streak));
        for it in &dispatches {
            prop_assert!(it.lower_waits <= c + 1, "{} dispatches passed over the lower lanes", it.lower_waits - 1);
            prop_assert!(
                it.ready_waits <= (c + 1) * (t + 1),
                "{} dispatches passed over the ready lane",
                it.ready_waits - 1
            );
        }
    }

    #[test]
    fn a_lower_lane_goes_first_only_when_a_streak_is_used_up(
        cancel_streak in 1u8..7,
        timed_streak in 1u8..7,
        arrivals in arrivals(),
    ) {
        let dispatches = dispatches(Fairness { cancel_streak, timed_streak }, arrivals);
        // Dispatches from the cancel lane in a row; those from the timed lane since the last from the ready
        // lane.
        let (mut cancels, mut timed) = (0, 0);
        for it in &dispatches {
            if it.from != Lane::Cancel && it.cancel_waited {
                prop_assert!(cancels >= u32::from(cancel_streak), "the cancel lane was overtaken after {cancels}");
            }
            if it.from == Lane::Ready && it.timed_waited {
                prop_assert!(timed >= u32::from(timed_streak), "the timed lane was overtaken after {timed}");
            }
            (cancels, timed) = match it.from {
                Lane::Cancel => (cancels + 1, timed),
                Lane::Timed => (0, timed + 1),
                Lane::Ready => (0, 0),
            };
        }
    }

    #[test]
    fn strict_lanes_never_let_a_lower_lane_go_first(arrivals in arrivals()) {
        let nodes: NodeArray<{ SLOTS as usize }> = NodeArray::new();
        let mut lanes = Lanes::new();
        lanes.set_fairness(Fairness::STRICT);
        for slot in (0..SLOTS).step_by(2) {
            lanes.set_deadline(&nodes, slot, Some(5));
        }
        for arriving in arrivals {
            for (slot, asked_to_stop) in arriving {
                if asked_to_stop {
                    lanes.promote(&nodes, slot);
                } else {
                    lanes.push(&nodes, slot);
                }
            }
            let highest = nodes.iter().filter_map(Node::lane).min();
            let before: Vec<Option<Lane>> = nodes.iter().map(Node::lane).collect();
            prop_assert_eq!(lanes.pop(&nodes).and_then(|slot| before[usize::from(slot)]), highest);
        }
    }
}

/// Every lane is refilled at once, so each streak is used up in full.
#[test]
fn the_bound_is_reached_when_every_lane_is_always_full() {
    for (cancel_streak, timed_streak) in [(1, 1), (3, 2), (16, 16), (255, 1), (2, 255)] {
        let nodes: NodeArray<3> = NodeArray::new();
        let mut lanes = Lanes::new();
        lanes.set_fairness(Fairness { cancel_streak, timed_streak });
        lanes.set_deadline(&nodes, 1, Some(9));
        lanes.promote(&nodes, 0);
        lanes.push(&nodes, 1);
        lanes.push(&nodes, 2);
        let (c, t) = (u32::from(cancel_streak), u32::from(timed_streak));
        let (mut since_ready, mut since_lower) = (0, 0);
        for _ in 0..3 * (c + 1) * (t + 1) {
            let slot = lanes.pop(&nodes).unwrap();
            since_ready += 1;
            since_lower += 1;
            if slot != 0 {
                assert_eq!(std::mem::take(&mut since_lower), c + 1);
            }
            if slot == 2 {
                assert_eq!(std::mem::take(&mut since_ready), (c + 1) * (t + 1));
            }
            if slot == 0 {
                lanes.promote(&nodes, 0);
            } else {
                lanes.push(&nodes, slot);
            }
        }
    }
}
