//! Edges, and how long a build takes at most.

use std::cell::Cell;

use trilane::route::{HashTable, Member, Progress};

use super::{Members, build, build_in_slices, equals, hashes, in_slot, large_ring, maglev, members, ring};

fn each_kind(check: impl Fn(&dyn HashTable)) {
    check(&*ring::<640, 128>());
    check(&*maglev::<251, 64>());
}

#[test]
fn a_new_table_and_one_of_nobody_find_nothing() {
    each_kind(|table| {
        assert!(hashes(1000).all(|hash| table.find(hash).is_none()));
        assert_eq!(table.step(1, &|_| None), Progress::Done);
        build(table, &equals(3));
        assert!(hashes(1000).all(|hash| table.find(hash).is_some()));
        build(table, &Vec::new());
        assert!(hashes(1000).all(|hash| table.find(hash).is_none()));
        build(table, &members([(1, 0), (2, 0)]));
        assert!(hashes(1000).all(|hash| table.find(hash).is_none()));
    });
}

#[test]
fn a_lone_member_gets_all_and_one_of_weight_0_nothing() {
    each_kind(|table| {
        build(table, &vec![(37, Member { id: 9, weight: 5 }), (40, Member { id: 10, weight: 0 })]);
        assert!(hashes(10_000).all(|hash| table.find(hash) == Some(37)));
    });
}

#[test]
fn slots_beyond_the_table_s_are_not_looked_at() {
    each_kind(|table| {
        table.begin(u16::MAX);
        let least = |slot| {
            assert!(slot < 1024);
            Some(Member { id: u64::from(slot), weight: 1 })
        };
        while table.step(100, &least) == Progress::Pending {}
        assert!(hashes(1000).all(|hash| table.find(hash).is_some()));
    });
}

#[test]
fn more_members_than_points_or_entries_leave_the_others_right() {
    let ring = ring::<5, 4>();
    build(&*ring, &equals(20));
    assert!(hashes(1000).all(|hash| ring.find(hash).unwrap() < 5));
    let maglev = maglev::<5, 64>();
    build(&*maglev, &equals(20));
    assert!(hashes(1000).all(|hash| maglev.find(hash).unwrap() < 20));
}

#[test]
fn readers_have_the_old_table_until_the_last_step() {
    each_kind(|table| {
        build(table, &equals(3));
        let others: Members = vec![(50, Member { id: 77, weight: 1 })];
        table.begin(64);
        while table.step(1, &in_slot(&others)) == Progress::Pending {
            assert!(hashes(10).all(|hash| table.find(hash).unwrap() < 3));
        }
        assert!(hashes(10).all(|hash| table.find(hash) == Some(50)));
        // And nothing is left to do.
        assert_eq!(table.step(u32::MAX, &|_| unreachable!()), Progress::Done);
    });
}

#[test]
fn answers_that_contradict_each_other_give_a_table_of_those_who_were_members_at_some_time() {
    each_kind(|table| {
        for at in 0..200 {
            // The answers change after so many of them: from slots 0 to 7 to slots 4 to 11, with other
            // weights.
            let asked = Cell::new(0);
            let changing = |slot| {
                asked.set(asked.get() + 1);
                let (present, weight) = if asked.get() <= at { (0..8, 1) } else { (4..12, 3) };
                present.contains(&slot).then_some(Member { id: u64::from(slot), weight })
            };
            table.begin(16);
            while table.step(5, &changing) == Progress::Pending {}
            assert!(hashes(500).all(|hash| table.find(hash).unwrap() < 12), "change after {at}");
            // A table is of before or of after, never of both.
            let mut found: Vec<_> = hashes(5_000).map(|hash| table.find(hash).unwrap()).collect();
            found.sort_unstable();
            found.dedup();
            assert!(
                found == Vec::from_iter(0..8) || found == Vec::from_iter(4..12),
                "change after {at}: {found:?}"
            );
        }
    });
}

#[test]
fn a_build_takes_the_steps_that_the_docs_say() {
    // Slots, points, directory, and an insertion sort of 5 a directory's entry.
    let steps = build_in_slices(large_ring(), &equals(1000), 1);
    assert!(steps <= 3 * 1_000 + 2 * 160_000 + 3 * 32_768 + 160_000 + 160_000 * 5 / 2, "{steps}");
    println!("ring of 1,000: {steps} steps");
    let steps = build_in_slices(&*ring::<512, 128>(), &equals(16), 1);
    println!("ring of 16: {steps} steps");
    assert!(steps <= 3_000, "{steps}");
    let steps = build_in_slices(&*maglev::<1021, 16>(), &equals(16), 1);
    println!("Maglev of 16: {steps} steps");
    assert!(steps <= 2 * 16 + 1021 + 2 * 1021 + 1021 * 8, "{steps}");
    let steps = build_in_slices(&*maglev::<65521, 1000>(), &equals(1000), 1);
    println!("Maglev of 1,000: {steps} steps");
    assert!(steps <= 2 * 1_000 + 65_521 + 2 * 65_521 + 65_521 * 8, "{steps}");
    // One member among many slots is not a walk over the slots for each entry. Entries are cleared, taken at
    // the first look, and looked through for those that are left to the list.
    let lone = vec![(1023, Member { id: 1, weight: 1 })];
    let steps = build_in_slices(&*maglev::<65521, 1024>(), &lone, 1);
    assert!(steps <= 2 * 1_024 + 4 * 65_521 + 65_521, "{steps}");
}
