//! Two threads that select and end beside changes of weight, health and membership.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;

use trilane::route::{
    Endpoint, Health, LeastConnections, Random, Request, SelectError, WeightedLeastConnections,
};
use trilane::time::Instant;

use super::{Held, Least, assert_rest, balancer, out, select};

const NOW: Instant = Instant::ZERO;
const SELECTS: u32 = if cfg!(miri) { 200 } else { 20_000 };

/// Caps of one to four, and of none: more than two threads hold at most, and fewer.
fn cap(slot: u16) -> Option<u32> {
    Some(slot as u32 % 5).filter(|&cap| cap != 0)
}

/// Each slot's leases, as the threads count them: one more after it was had, one less before it is given
/// back.
type Out = [AtomicU32; 64];

fn work<S: Least<2, 32> + Sync>(
    mut selector: super::Select<S, 2, 32>,
    seed: u64,
    counted: &Out,
) -> Vec<Held<S, 2, 32>> {
    let mut random = Random::new(seed);
    let mut held: Vec<Held<S, 2, 32>> = Vec::new();
    for _ in 0..SELECTS {
        match selector.select(&Request::ANY, NOW) {
            Ok(lease) => {
                let slot = lease.endpoint().slot();
                let count = counted[slot as usize].fetch_add(1, SeqCst) + 1;
                assert!(cap(slot).is_none_or(|cap| count <= cap), "{count} of {:?}", cap(slot));
                held.push(lease);
            }
            Err(error) => assert_eq!(error, SelectError::AllAtCapacity),
        }
        while held.len() as u32 > random.below(40) {
            let lease = held.swap_remove(random.below(held.len() as u32) as usize);
            counted[lease.endpoint().slot() as usize].fetch_sub(1, SeqCst);
        }
    }
    held
}

fn run<S: Least<2, 32> + Sync>(slots: std::ops::Range<u16>)
where
    S::Cache: Send,
{
    let balancer = balancer::<S, 2, 32>();
    let endpoint = |slot: u16, weight: u16| {
        let endpoint = Endpoint::new(slot as u64).weight(weight);
        cap(slot).map_or(endpoint, |cap| endpoint.cap(cap))
    };
    let ids: Vec<_> = slots.clone().map(|slot| balancer.add(&endpoint(slot, 1), NOW).unwrap()).collect();
    assert!(ids.iter().zip(slots).all(|(id, slot)| id.slot() == slot));
    let counted: Out = [const { AtomicU32::new(0) }; 64];
    let (done, all) = (AtomicBool::new(false), Barrier::new(3));
    let held: Vec<_> = thread::scope(|scope| {
        let workers = [1, 2].map(|seed| {
            let (selector, counted, all) = (select(balancer, seed), &counted, &all);
            scope.spawn(move || {
                all.wait();
                work(selector, seed, counted)
            })
        });
        let changes = scope.spawn(|| {
            all.wait();
            let mut random = Random::new(9);
            while !done.load(SeqCst) {
                let id = ids[random.below(ids.len() as u32) as usize];
                let weight = 1 + random.below(100) as u16;
                balancer.update(id, &endpoint(id.slot(), weight), NOW).unwrap();
                let health = if random.below(2) == 0 { Health::Healthy } else { Health::Degraded };
                balancer.set_health(id, health, NOW).unwrap();
                thread::yield_now();
            }
        });
        let held = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        done.store(true, SeqCst);
        changes.join().unwrap();
        held
    });
    // At rest with leases out. A select first: it sees to the weights that have changed since the last.
    drop(select(balancer, 3).select(&Request::ANY, NOW));
    assert_rest(
        balancer,
        ids.iter().map(|&id| {
            let left = balancer.stats(id).unwrap().weight_left as u32;
            let endpoint = balancer.endpoint(id).unwrap();
            let weight = (1..=100).find(|&weight| endpoint.weight(weight) == endpoint).unwrap();
            (id.slot(), S::naive(out(balancer, id), left * weight as u32))
        }),
    );
    drop(held);
    for &id in &ids {
        assert_eq!(out(balancer, id), 0);
    }
    assert_rest(balancer, (0..64).map(|slot| (slot, 0)));
}

#[test]
fn after_two_threads_every_endpoint_stands_where_it_belongs() {
    run::<LeastConnections<2>>(0..48);
    run::<LeastConnections<2>>(0..4);
}

#[test]
fn after_two_threads_and_changes_of_weight_every_endpoint_stands_where_it_belongs() {
    run::<WeightedLeastConnections<2>>(0..48);
    run::<WeightedLeastConnections<2>>(0..4);
}
