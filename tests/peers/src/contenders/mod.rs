//! The load balancers.

mod map_walk;
pub mod pingora;
mod ring_sort;
mod snapshot;
mod tower_p2c;
mod trilane;
mod walk;

use crate::contender::{Footnote, Strategy};
use crate::measure::Op;
use crate::side::{Of, Side};
use crate::world::World;

/// All contenders that can do something like `strategy`, over `world`, trilane first.
pub fn sides(strategy: Strategy, world: &World) -> Vec<Box<dyn Side>> {
    let mut sides: Vec<Box<dyn Side>> = vec![trilane::side(strategy, world)];
    pingora_sides(strategy, world, &mut sides);
    if strategy == Strategy::PowerOfTwo {
        const NAME: &str = "tower 0.5 p2c";
        let notes = notes(world, &[], Footnote::OneBalancerPerClass);
        let alone = Of::new(NAME, notes.clone(), tower_p2c::Tower::new(world), world);
        sides.push(Box::new(alone.only(|op| op != Op::Threads)));
        let shared = [notes, vec![Footnote::BehindAMutex]].concat();
        let shared = Of::new(NAME, shared, tower_p2c::Shared::new(world), world);
        sides.push(Box::new(shared.only(|op| op == Op::Threads)));
    }
    if strategy == Strategy::Ring {
        sides.push(Box::new(Of::new(
            "ring per request",
            vec![Footnote::SixteenPoints],
            ring_sort::RingSort::new(world),
            world,
        )));
    }
    if !matches!(strategy, Strategy::Ring | Strategy::Maglev) {
        let walk = map_walk::MapWalk::new(strategy, world);
        sides.push(Box::new(Of::new("map walk", reconstructed(strategy), walk, world)));
    }
    let mut notes = reconstructed(strategy);
    notes.extend(world.filtered.then_some(Footnote::ClassBuiltIn));
    let snapshot = snapshot::Snapshots::new(strategy, world);
    sides.push(Box::new(
        Of::new("snapshot", notes, snapshot, world)
            .rebuilds(|op| matches!(op, Op::HealthFirst | Op::MemberFirst)),
    ));
    sides
}

fn reconstructed(strategy: Strategy) -> Vec<Footnote> {
    match strategy {
        Strategy::Maglev => vec![Footnote::RingForMaglev],
        Strategy::LeastLatency => vec![Footnote::LatenciesAreGiven],
        _ => Vec::new(),
    }
}

fn notes(world: &World, always: &[Footnote], when_filtered: Footnote) -> Vec<Footnote> {
    let mut notes = always.to_vec();
    if world.filtered {
        notes.push(when_filtered);
    }
    if world.caps {
        notes.push(Footnote::WithoutCaps);
    }
    notes
}

fn pingora_sides(strategy: Strategy, world: &World, sides: &mut Vec<Box<dyn Side>>) {
    use pingora_load_balancing::selection::{Consistent, Random, RoundRobin};

    const NAME: &str = "pingora 0.9";
    let notes = |always| notes(world, always, Footnote::AcceptsByCallback);
    match strategy {
        Strategy::RoundRobin | Strategy::WeightedRoundRobin => sides.push(Box::new(
            Of::new(NAME, notes(&[]), pingora::Pingora::<RoundRobin>::new(world), world)
                .rebuilds(|op| op == Op::MemberFirst),
        )),
        Strategy::Random | Strategy::WeightedRandom => sides.push(Box::new(
            Of::new(NAME, notes(&[]), pingora::Pingora::<Random>::new(world), world)
                .rebuilds(|op| op == Op::MemberFirst),
        )),
        Strategy::Ring => sides.push(Box::new(
            Of::new(NAME, notes(&[]), pingora::Pingora::<Consistent>::new(world), world)
                .rebuilds(|op| op == Op::MemberFirst),
        )),
        Strategy::Maglev => sides.push(Box::new(
            Of::new(
                NAME,
                notes(&[Footnote::RingForMaglev]),
                pingora::Pingora::<Consistent>::new(world),
                world,
            )
            .rebuilds(|op| op == Op::MemberFirst),
        )),
        _ => {}
    }
}
