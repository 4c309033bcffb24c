//! Readers on threads of their own beside a builder that never rests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use trilane::route::{HashTable, Member, Progress};

use super::{Members, build, hashes, in_slot, maglev, members, ring};

/// Three tables in turn, so that the two in a half are never the same one.
fn thirds() -> [Members; 3] {
    let shifted = |by: u16| {
        let mut members: Members = members((1..=8).map(|id| (id * 1000 + u64::from(by), 1)));
        members.iter_mut().for_each(|(slot, _)| *slot += by);
        members
    };
    [shifted(0), shifted(4), shifted(20)]
}

/// Every answer is what one of the two tables says of which one was active when the look-up began or ended.
fn answers_are_of_a_whole_table(table: &(impl HashTable + Sync), alone: &dyn HashTable) {
    let thirds = thirds();
    let probes: Vec<u32> = hashes(64).collect();
    let right: Vec<BTreeMap<u32, u16>> = thirds
        .iter()
        .map(|members| {
            build(alone, members);
            probes.iter().map(|hash| (*hash, alone.find(*hash).unwrap())).collect()
        })
        .collect();
    let over = AtomicBool::new(false);
    build(table, &thirds[0]);
    thread::scope(|scope| {
        let readers = [0, 1].map(|_| {
            scope.spawn(|| {
                let (mut found, mut missed) = (0u32, 0u32);
                while !over.load(Ordering::Relaxed) {
                    for hash in &probes {
                        match table.find(*hash) {
                            Some(slot) => {
                                assert!(right.iter().any(|of| of[hash] == slot), "{hash:#x} on {slot}");
                                found += 1;
                            }
                            None => missed += 1,
                        }
                    }
                }
                (found, missed)
            })
        });
        for turn in 1..3_000 {
            let of = in_slot(&thirds[turn % 3]);
            table.begin(32);
            while table.step(97, &|slot| of(slot).map(|member| Member { ..member })) == Progress::Pending {}
        }
        over.store(true, Ordering::Relaxed);
        for reader in readers {
            let (found, missed) = reader.join().unwrap();
            assert!(found > 1000 && missed < found / 100, "{found} found, {missed} missed");
        }
    });
}

#[test]
fn readers_beside_rebuilds_of_a_ring_find_what_one_whole_table_says() {
    answers_are_of_a_whole_table(&*ring::<64, 16>(), &*ring::<64, 16>());
}

#[test]
fn readers_beside_rebuilds_of_maglev_find_what_one_whole_table_says() {
    answers_are_of_a_whole_table(&*maglev::<31, 32>(), &*maglev::<31, 32>());
}
