//! A concurrent map that every select walks, with a clone of each match: how a balancer looks that grew out
//! of a registry. It stands for the designs that keep the endpoints in a `DashMap` and choose from a fresh
//! `Vec`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;

use super::walk::{self, Member};
use crate::contender::{Contender, Strategy, Worker};
use crate::random::Xorshift;
use crate::world::World;

pub struct MapWalk {
    strategy: Strategy,
    filtered: bool,
    map: DashMap<usize, Arc<Member>>,
    /// Also those that are not in the map now.
    all: Vec<Arc<Member>>,
    cursor: AtomicUsize,
}

impl MapWalk {
    pub fn new(strategy: Strategy, world: &World) -> Self {
        let all = walk::members(world);
        let map = all.iter().map(|member| (member.index, Arc::clone(member))).collect();
        Self { strategy, filtered: world.filtered, map, all, cursor: AtomicUsize::new(0) }
    }
}

impl Contender for MapWalk {
    type Worker = Walker;

    fn worker(&'static self) -> Walker {
        Walker { balancer: self, random: Xorshift::new(7) }
    }

    fn set_up(&self, endpoint: usize, up: bool) {
        if let Some(member) = self.map.get(&endpoint) {
            member.up.store(up, Relaxed);
        }
    }

    fn report(&self, endpoint: usize, load: u16) {
        if let Some(member) = self.map.get(&endpoint) {
            member.load.store(u32::from(load), Relaxed);
        }
    }

    fn remove(&self, endpoint: usize) {
        self.map.remove(&endpoint);
    }

    fn add(&self, endpoint: usize) {
        self.map.insert(endpoint, Arc::clone(&self.all[endpoint]));
    }
}

pub struct Walker {
    balancer: &'static MapWalk,
    random: Xorshift,
}

impl Worker for Walker {
    type Lease = Arc<Member>;

    fn select(&mut self, _key: u64) -> Arc<Member> {
        let MapWalk { strategy, filtered, map, cursor, .. } = self.balancer;
        let matching = map.iter().filter(|entry| entry.serves(*filtered));
        let mut candidates: Vec<Arc<Member>> = matching.map(|entry| Arc::clone(&entry)).collect();
        loop {
            let position = walk::pick(*strategy, &candidates, cursor, &mut self.random);
            let member = candidates.swap_remove(position);
            if member.take() {
                return member;
            }
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
