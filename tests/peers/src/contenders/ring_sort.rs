//! A hash ring that every request collects from the endpoints that match, sorts and searches: always right,
//! with nothing to keep in step, and slow. It stands for the designs that put consistent hashing on top of a
//! list of endpoints.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, RwLock};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::walk::{self, Member};
use crate::contender::{Contender, Worker};
use crate::world::World;

/// Points an endpoint: the fewest that such designs are seen with.
const POINTS: u64 = 16;

pub struct RingSort {
    filtered: bool,
    members: RwLock<Vec<Arc<Member>>>,
    all: Vec<Arc<Member>>,
}

impl RingSort {
    pub fn new(world: &World) -> Self {
        let all = walk::members(world);
        Self { filtered: world.filtered, members: RwLock::new(all.clone()), all }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Arc<Member>>> {
        self.members.write().expect("nobody panics with it")
    }
}

impl Contender for RingSort {
    type Worker = &'static Self;

    fn worker(&'static self) -> &'static Self {
        self
    }

    fn set_up(&self, endpoint: usize, up: bool) {
        self.all[endpoint].up.store(up, Relaxed);
    }

    fn report(&self, endpoint: usize, load: u16) {
        self.all[endpoint].load.store(u32::from(load), Relaxed);
    }

    fn remove(&self, endpoint: usize) {
        self.write().retain(|member| member.index != endpoint);
    }

    fn add(&self, endpoint: usize) {
        self.write().push(Arc::clone(&self.all[endpoint]));
    }
}

impl Worker for &'static RingSort {
    type Lease = Arc<Member>;

    fn select(&mut self, key: u64) -> Arc<Member> {
        let members = self.members.read().expect("nobody panics with it");
        let mut ring: Vec<(u64, &Arc<Member>)> = members
            .iter()
            .filter(|member| member.serves(self.filtered))
            .flat_map(|member| {
                let point = |replica| xxh3_64_with_seed(&member.index.to_le_bytes(), replica);
                (0..POINTS).map(move |replica| (point(replica), member))
            })
            .collect();
        ring.sort_unstable_by_key(|(point, _)| *point);
        let hash = xxh3_64(&key.to_le_bytes());
        let mut position = ring.partition_point(|(point, _)| *point < hash);
        loop {
            let member = ring[position % ring.len()].1;
            if member.take() {
                return Arc::clone(member);
            }
            position += 1;
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
