//! Readers on threads of their own beside a builder that never rests.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
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
    build(table, &thirds[0]);
    let all = Barrier::new(3);
    thread::scope(|scope| {
        let readers = [0, 1].map(|_| {
            scope.spawn(|| {
                all.wait();
                let (mut found, mut missed) = (0u32, 0u32);
                while found < 200_000 {
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
        all.wait();
        for turn in (1..).take_while(|_| readers.iter().any(|reader| !reader.is_finished())) {
            let of = in_slot(&thirds[turn % 3]);
            table.begin(32);
            while table.step(97, &|slot| of(slot).map(|member| Member { ..member })) == Progress::Pending {}
        }
        for reader in readers {
            let (found, missed) = reader.join().unwrap();
            assert!(missed < found / 100, "{found} found, {missed} missed");
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

/// A table for each turn, of one member, in a slot that follows from the turn. What a reader finds is of a
/// turn that was active meanwhile, and never goes back.
fn answers_never_go_back(table: &(impl HashTable + Sync), slots: u16) {
    let [begun, active] = [0, 0].map(AtomicU32::new);
    let slot_of = |turn: u32| (turn % u32::from(slots)) as u16;
    let build_turn = |turn: u32| {
        let member = |slot| (slot == slot_of(turn)).then_some(Member { id: u64::from(slot), weight: 1 });
        begun.store(turn, Ordering::SeqCst);
        table.begin(slots);
        while table.step(1 << 20, &member) == Progress::Pending {}
        active.store(turn, Ordering::SeqCst);
    };
    build_turn(0);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut last, mut changes) = (0, 0u32);
            while changes < 2_000 {
                let from = active.load(Ordering::SeqCst);
                let Some(slot) = table.find(changes.wrapping_mul(0x9E37_79B1)) else { continue };
                let to = begun.load(Ordering::SeqCst);
                // A reader that slept for a whole round of slots can't tell which turn it saw.
                if to - from < u32::from(slots) {
                    let turn = (from..=to).find(|turn| slot_of(*turn) == slot);
                    let turn = turn.unwrap_or_else(|| panic!("slot {slot} in turns {from} to {to}"));
                    assert!(turn >= last, "turn {last}, then {turn}");
                    changes += u32::from(turn > last);
                    last = turn;
                }
            }
        });
        (1..).take_while(|_| !reader.is_finished()).for_each(build_turn);
    });
}

#[test]
fn what_a_reader_of_a_ring_finds_never_goes_back() {
    answers_never_go_back(&*ring::<2, 2>(), 64);
}

#[test]
fn what_a_reader_of_maglev_finds_never_goes_back() {
    answers_never_go_back(&*maglev::<2, 64>(), 64);
}
