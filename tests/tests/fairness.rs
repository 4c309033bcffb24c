//! The bound that `Fairness` documents, for any bounds and any arrivals.

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::sched::{Fairness, Lane, Lanes, Node};

const SLOTS: u16 = 24;

/// Between two dispatches: slots that arrive, each asked to stop or not; even slots have a deadline.
fn arrivals() -> impl Strategy<Value = Vec<Vec<(u16, bool)>>> {
    // At times nobody arrives, at times nearly everybody.
    let arrival = || (0..SLOTS, any::<bool>());
    vec(prop_oneof![vec(arrival(), 0..2), vec(arrival(), 0..12)], 1..200)
}

/// One dispatch: the lane it was from, and the lanes in which a slot waited before it.
struct Dispatch {
    from: Lane,
    cancel_waited: bool,
    timed_waited: bool,
    ready_waited: bool,
}

fn dispatches(fairness: Fairness, arrivals: Vec<Vec<(u16, bool)>>) -> Vec<Dispatch> {
    let nodes: [Node; SLOTS as usize] = std::array::from_fn(|_| Node::new());
    let mut lanes: Lanes<1, 32> = Lanes::new();
    lanes.set_fairness(fairness);
    for slot in (0..SLOTS).step_by(2) {
        lanes.set_deadline(&nodes, slot, Some(u64::from(slot)));
    }
    let mut dispatches = Vec::new();
    for arriving in arrivals {
        for (slot, asked_to_stop) in arriving {
            if asked_to_stop {
                lanes.promote(&nodes, slot);
            } else {
                lanes.push(&nodes, slot);
            }
        }
        let before: Vec<Option<Lane>> = nodes.iter().map(Node::lane).collect();
        let waited = |lane| before.contains(&Some(lane));
        if let Some(slot) = lanes.pop(&nodes) {
            let from = before[usize::from(slot)].expect("a slot that was popped was queued");
            dispatches.push(Dispatch {
                from,
                cancel_waited: waited(Lane::Cancel),
                timed_waited: waited(Lane::Timed),
                ready_waited: waited(Lane::Ready),
            });
        }
    }
    dispatches
}

/// The longest run of dispatches for each of which `waits` holds and that don't serve whom `waits` is about.
fn longest_wait(dispatches: &[Dispatch], waits: impl Fn(&Dispatch) -> bool) -> u32 {
    let (mut longest, mut run) = (0, 0);
    for dispatch in dispatches {
        run = if waits(dispatch) { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
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
        let lower = longest_wait(&dispatches, |it| (it.timed_waited || it.ready_waited) && it.from == Lane::Cancel);
        prop_assert!(lower < c + 1, "{lower} dispatches passed over the timed and ready lanes");
        let ready = longest_wait(&dispatches, |it| it.ready_waited && it.from != Lane::Ready);
        prop_assert!(ready < (c + 1) * (t + 1), "{ready} dispatches passed over the ready lane");
    }

    #[test]
    fn a_lower_lane_goes_first_only_when_a_streak_is_used_up(
        cancel_streak in 1u8..7,
        timed_streak in 1u8..7,
        arrivals in arrivals(),
    ) {
        let dispatches = dispatches(Fairness { cancel_streak, timed_streak }, arrivals);
        // Dispatches from the cancel lane in a row; those from the timed lane since the last from the ready lane.
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
        let nodes: [Node; SLOTS as usize] = std::array::from_fn(|_| Node::new());
        let mut lanes: Lanes<1, 32> = Lanes::new();
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
        let nodes: [Node; 3] = std::array::from_fn(|_| Node::new());
        let mut lanes: Lanes<1, 3> = Lanes::new();
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
