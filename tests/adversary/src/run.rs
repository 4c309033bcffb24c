//! Runs a seed to its end, and says what was wrong with it.

#[path = "../../src/chains.rs"]
mod chains;

use trilane::group::Acks;

use crate::counter::Counter;
use crate::message::Node;
use crate::notes::{Note, Notes};
use crate::plan::Plan;
use crate::world::{Violation, World};

/// How many ticks a group has to come to its end once faults have ended.
pub const LIMIT: u64 = 4_000;

/// What came of a seed.
pub struct Outcome {
    /// What was wrong, if anything was.
    pub violation: Option<Violation>,
    /// The ticks that it took.
    pub ticks: u64,
    /// The terms.
    pub terms: u64,
    /// The deaths of members.
    pub deaths: u64,
    /// The outputs let out.
    pub outputs: usize,
    /// What has happened, if it was wanted.
    pub notes: Vec<Note>,
    /// What the independent checker said.
    pub complaint: Option<String>,
}

impl Plan {
    pub(crate) fn acks_count(&self) -> usize {
        match self.acks {
            Acks::One => 1,
            Acks::Members(count) => count.into(),
        }
    }
}

/// Runs a plan.
pub fn run(plan: &Plan, with_notes: bool) -> Outcome {
    match plan.members {
        2 => run_sized::<2>(plan, with_notes),
        3 => run_sized::<3>(plan, with_notes),
        _ => run_sized::<5>(plan, with_notes),
    }
}

fn run_sized<const N: usize>(plan: &Plan, with_notes: bool) -> Outcome {
    let mut world = World::<N>::new(plan);
    world.notes = with_notes.then(Notes::default);
    while world.violation.is_none() && world.now < plan.ticks {
        world.tick();
    }
    if world.violation.is_none() {
        world.heal();
    }
    let limit = world.now + LIMIT;
    while world.violation.is_none() && !world.is_done() {
        world.tick();
        if world.now > limit {
            world.violate(Violation::Stuck, Node::Arbiter);
        }
    }
    let mut complaint = None;
    if world.violation.is_none() {
        complaint = check(&mut world);
    }
    Outcome {
        violation: world.violation,
        ticks: world.now,
        terms: world.outlet.outlet.term(),
        deaths: world.deaths,
        outputs: world.receiver.outputs.len(),
        notes: world.notes.unwrap_or_default().list,
        complaint,
    }
}

/// The state of who is furthest has each event once; without faults it would have said what was let out.
fn check<const N: usize>(world: &mut World<N>) -> Option<String> {
    let furthest = world.members.iter().filter(|node| node.member.is_full() && node.alive);
    let furthest = furthest.max_by_key(|node| node.member.applied().index);
    let Some(state) = furthest.map(|node| node.member.daemon().clone()) else {
        world.violate(Violation::Stuck, Node::Arbiter);
        return None;
    };
    let events = world.producers.iter().flat_map(|producer| {
        producer.events.iter().zip(1..).map(|(event, sequence)| (producer.origin, sequence, event))
    });
    for (origin, sequence, event) in events {
        let payload = u64::from_le_bytes(event[32..40].try_into().unwrap());
        let times =
            state.seen.iter().filter(|seen| (seen.producer, seen.sequence) == (origin, sequence)).count();
        let expected = usize::from(payload % 16 != 15);
        if times != expected {
            let violation = if times < expected { Violation::EventLost } else { Violation::EventTwice };
            let complaint = format!("event {sequence} of {origin}");
            world.violate(violation, Node::Arbiter);
            return Some(complaint);
        }
    }
    let mut fresh = Counter::default();
    let expected: Vec<Vec<u8>> = state.seen.iter().filter_map(|seen| fresh.answer(*seen)).flatten().collect();
    let outputs = &world.receiver.outputs;
    if *outputs != expected {
        let is_in_order = outputs.iter().filter(|output| expected.contains(output)).count() == outputs.len();
        let violation = match outputs.len().cmp(&expected.len()) {
            _ if !is_in_order => Violation::OutputChanged,
            std::cmp::Ordering::Less => Violation::OutputLost,
            _ => Violation::OutputTwice,
        };
        world.violate(violation, Node::Outlet);
    }
    match chains::check_run(&world.receiver.frames) {
        Ok(_) => None,
        Err(complaint) => {
            world.violate(Violation::Diverged, Node::Outlet);
            Some(complaint)
        }
    }
}
