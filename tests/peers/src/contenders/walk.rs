//! What the reconstructed designs share: members behind `Arc`s, and choosing by a walk over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::contender::Strategy;
use crate::random::Xorshift;
use crate::world::{CAP, WANTED_TAGS, WANTED_ZONE, World};

/// An endpoint, shared by the balancer and its leases. Tags and zone are interned, as a design that cares has
/// them.
pub struct Member {
    pub index: usize,
    tags: u32,
    zone: u8,
    pub weight: u32,
    cap: Option<u32>,
    pub up: AtomicBool,
    pub connections: AtomicU32,
    pub load: AtomicU32,
    latency: AtomicU32,
}

/// The members of `world`, by index.
pub fn members(world: &World) -> Vec<Arc<Member>> {
    let member = |(index, traits): (usize, &crate::world::Traits)| {
        Arc::new(Member {
            index,
            tags: traits.tags,
            zone: traits.zone,
            weight: u32::from(traits.weight),
            cap: world.caps.then_some(CAP),
            up: AtomicBool::new(traits.up),
            connections: AtomicU32::new(0),
            load: AtomicU32::new(u32::from(traits.load)),
            latency: AtomicU32::new(traits.latency),
        })
    };
    world.endpoints.iter().enumerate().map(member).collect()
}

impl Member {
    /// Whether a request that is `filtered` may go to it.
    pub fn serves(&self, filtered: bool) -> bool {
        self.up.load(Relaxed)
            && (!filtered || (self.tags & WANTED_TAGS == WANTED_TAGS && self.zone == WANTED_ZONE))
    }

    /// Counts one connection more, unless the cap is reached.
    pub fn take(&self) -> bool {
        match self.cap {
            None => {
                self.connections.fetch_add(1, Relaxed);
                true
            }
            Some(cap) => {
                let within = self.connections.fetch_add(1, Relaxed) < cap;
                if !within {
                    self.connections.fetch_sub(1, Relaxed);
                }
                within
            }
        }
    }

    /// Counts one connection less.
    pub fn give_back(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }
}

/// The position of the one chosen among `members`, which isn't empty.
pub fn pick(
    strategy: Strategy,
    members: &[Arc<Member>],
    cursor: &AtomicUsize,
    random: &mut Xorshift,
) -> usize {
    let least = |key: fn(&Member) -> u32| {
        // `min_by_key` keeps the first of equals.
        let least = members.iter().enumerate().min_by_key(|(_, member)| key(member));
        least.map_or(0, |(position, _)| position)
    };
    match strategy {
        Strategy::RoundRobin => cursor.fetch_add(1, Relaxed) % members.len(),
        Strategy::Random => random.below(members.len()),
        Strategy::WeightedRoundRobin => by_weight(members, |total| cursor.fetch_add(1, Relaxed) % total),
        Strategy::WeightedRandom => by_weight(members, |total| random.below(total)),
        Strategy::LeastConnections => least(|member| member.connections.load(Relaxed)),
        Strategy::WeightedLeastConnections => {
            least(|member| (member.connections.load(Relaxed) << 8) / member.weight)
        }
        Strategy::LeastLatency => least(|member| member.latency.load(Relaxed)),
        Strategy::LeastLoad => least(|member| member.load.load(Relaxed)),
        Strategy::PowerOfTwo => two(members, random),
        Strategy::Adaptive => {
            let sum: u32 = members.iter().map(|member| member.load.load(Relaxed)).sum();
            let simpler = if sum > 700 * members.len() as u32 {
                Strategy::LeastConnections
            } else {
                Strategy::WeightedRoundRobin
            };
            pick(simpler, members, cursor, random)
        }
        Strategy::Ring | Strategy::Maglev => unreachable!("it takes a table to hash"),
    }
}

/// The one with fewer connections of two distinct ones.
pub fn two(members: &[Arc<Member>], random: &mut Xorshift) -> usize {
    if members.len() == 1 {
        return 0;
    }
    let one = random.below(members.len());
    let other = random.below(members.len() - 1);
    let other = other + usize::from(other >= one);
    let connections = |position: usize| members[position].connections.load(Relaxed);
    if connections(other) < connections(one) { other } else { one }
}

fn by_weight(members: &[Arc<Member>], choose: impl FnOnce(usize) -> usize) -> usize {
    let total: u32 = members.iter().map(|member| member.weight).sum();
    let mut left = choose(total as usize) as u32;
    for (position, member) in members.iter().enumerate() {
        if left < member.weight {
            return position;
        }
        left -= member.weight;
    }
    0
}
