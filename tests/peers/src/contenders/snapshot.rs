//! An `ArcSwap` snapshot of the candidates, rebuilt whenever something changes: round robin is a shared
//! cursor, a hash is a binary search of a ready ring, and what has to compare walks the snapshot. It stands
//! for the designs that make reading cheap and pay in every change. The one filter class that the benches use
//! is known to it beforehand.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::walk::{self, Member};
use crate::contender::{Contender, Strategy, Worker};
use crate::random::Xorshift;
use crate::world::World;

/// Points an endpoint, as many as trilane's ring has.
const POINTS: u64 = 160;

/// What a select reads.
#[derive(Default)]
struct Snapshot {
    candidates: Vec<Arc<Member>>,
    /// The sum of the weights up to and with each candidate.
    ends: Vec<u32>,
    /// Points in order, each with its candidate's position.
    ring: Vec<(u64, u16)>,
}

pub struct Snapshots {
    strategy: Strategy,
    filtered: bool,
    current: ArcSwap<Snapshot>,
    /// Whether each endpoint is a member now.
    present: Mutex<Vec<bool>>,
    all: Vec<Arc<Member>>,
    /// Each endpoint's points on the ring, hashed once.
    points: Vec<Vec<u64>>,
    cursor: AtomicUsize,
}

impl Snapshots {
    pub fn new(strategy: Strategy, world: &World) -> Self {
        let all = walk::members(world);
        let points_of = |member: &Arc<Member>| {
            (0..POINTS).map(|replica| xxh3_64_with_seed(&member.index.to_le_bytes(), replica)).collect()
        };
        let hashes = matches!(strategy, Strategy::Ring | Strategy::Maglev);
        let snapshots = Self {
            strategy,
            filtered: world.filtered,
            current: ArcSwap::default(),
            present: Mutex::new(vec![true; all.len()]),
            points: if hashes { all.iter().map(points_of).collect() } else { Vec::new() },
            all,
            cursor: AtomicUsize::new(0),
        };
        snapshots.change(|_| {});
        snapshots
    }

    /// Makes a change and the snapshot after it, one at a time.
    fn change(&self, change: impl FnOnce(&mut Vec<bool>)) {
        let mut present = self.present.lock().expect("nobody panics with it");
        change(&mut present);
        let here = self.all.iter().filter(|member| present[member.index] && member.serves(self.filtered));
        let candidates: Vec<Arc<Member>> = here.cloned().collect();
        let mut end = 0;
        let ends = candidates.iter().map(|member| {
            end += member.weight;
            end
        });
        let ends = ends.collect();
        let mut ring = Vec::new();
        if !self.points.is_empty() {
            let points = candidates.iter().zip(0..);
            ring = points
                .flat_map(|(member, position)| {
                    self.points[member.index].iter().map(move |&point| (point, position))
                })
                .collect();
            ring.sort_unstable();
        }
        self.current.store(Arc::new(Snapshot { candidates, ends, ring }));
    }
}

impl Contender for Snapshots {
    type Worker = Reader;

    fn worker(&'static self) -> Reader {
        Reader { balancer: self, random: Xorshift::new(7) }
    }

    fn set_up(&self, endpoint: usize, up: bool) {
        self.change(|_| self.all[endpoint].up.store(up, Relaxed));
    }

    fn report(&self, endpoint: usize, load: u16) {
        self.all[endpoint].load.store(u32::from(load), Relaxed);
    }

    fn remove(&self, endpoint: usize) {
        self.change(|present| present[endpoint] = false);
    }

    fn add(&self, endpoint: usize) {
        self.change(|present| present[endpoint] = true);
    }
}

pub struct Reader {
    balancer: &'static Snapshots,
    random: Xorshift,
}

impl Worker for Reader {
    type Lease = Arc<Member>;

    fn select(&mut self, key: u64) -> Arc<Member> {
        let Snapshots { strategy, current, cursor, .. } = self.balancer;
        let snapshot = current.load();
        let Snapshot { candidates, ends, ring } = &**snapshot;
        let mut position = match strategy {
            Strategy::Ring | Strategy::Maglev => {
                let hash = xxh3_64(&key.to_le_bytes());
                let found = ring.partition_point(|(point, _)| *point < hash);
                usize::from(ring[if found == ring.len() { 0 } else { found }].1)
            }
            // The prefix sums spare the walk.
            Strategy::WeightedRoundRobin | Strategy::WeightedRandom => {
                let total = ends[ends.len() - 1] as usize;
                let chosen = if *strategy == Strategy::WeightedRandom {
                    self.random.below(total)
                } else {
                    cursor.fetch_add(1, Relaxed) % total
                };
                ends.partition_point(|&end| end as usize <= chosen)
            }
            other => walk::pick(*other, candidates, cursor, &mut self.random),
        };
        loop {
            let member = &candidates[position];
            if member.take() {
                return Arc::clone(member);
            }
            position = (position + 1) % candidates.len();
        }
    }

    fn release(&mut self, lease: Arc<Member>) {
        lease.give_back();
    }

    fn finish(&mut self, lease: Arc<Member>) -> usize {
        lease.give_back();
        lease.index
    }
}
