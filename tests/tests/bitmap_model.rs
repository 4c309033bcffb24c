//! `Bitmap` and `AtomicBitmap` against a sorted set.

use std::collections::BTreeSet;
use std::sync::Barrier;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::bitmap::{AtomicBitmap, Bank, Bitmap};

const BANKS: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Insert(u16),
    Remove(u16),
    PopFirst,
    Drain,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Some slots lie beyond the capacity, which is 96.
    let op = prop_oneof![
        4 => (0u16..110).prop_map(Op::Insert),
        2 => (0u16..110).prop_map(Op::Remove),
        1 => Just(Op::PopFirst),
        1 => Just(Op::Drain),
    ];
    vec(op, 0..200)
}

fn insert(set: &mut BTreeSet<u16>, slot: u16) -> bool {
    usize::from(slot) < BANKS * 32 && set.insert(slot)
}

proptest! {
    #[test]
    fn a_bitmap_is_a_sorted_set(ops in ops()) {
        let mut map: Bitmap<BANKS> = Bitmap::new();
        let mut set = BTreeSet::new();
        for op in ops {
            match op {
                Op::Insert(slot) => prop_assert_eq!(map.insert(slot), insert(&mut set, slot)),
                Op::Remove(slot) => prop_assert_eq!(map.remove(slot), set.remove(&slot)),
                Op::PopFirst => prop_assert_eq!(map.pop_first(), set.pop_first()),
                Op::Drain => (map, set) = Default::default(),
            }
            prop_assert_eq!(map.first(), set.first().copied());
            prop_assert_eq!(map.len(), set.len());
            prop_assert_eq!(map.is_empty(), set.is_empty());
            prop_assert!(map.iter().eq(set.iter().copied()));
            prop_assert!((0..110).all(|slot| map.contains(slot) == set.contains(&slot)));
        }
    }

    #[test]
    fn an_atomic_bitmap_is_a_sorted_set_that_drains_in_order(ops in ops()) {
        let map: AtomicBitmap<BANKS> = AtomicBitmap::new();
        let mut set = BTreeSet::new();
        for op in ops {
            match op {
                Op::Insert(slot) => {
                    let was = set.contains(&slot);
                    insert(&mut set, slot);
                    prop_assert_eq!(map.insert(slot), was);
                }
                Op::Remove(slot) => prop_assert_eq!(map.remove(slot), set.remove(&slot)),
                Op::PopFirst | Op::Drain => {
                    let mut drained = Vec::new();
                    map.drain(|slot| drained.push(slot));
                    prop_assert!(drained.into_iter().eq(std::mem::take(&mut set)));
                    prop_assert!(map.is_empty());
                }
            }
            prop_assert!((0..110).all(|slot| map.contains(slot) == set.contains(&slot)));
            prop_assert!(set.is_empty() || !map.is_empty());
        }
    }

    #[test]
    fn a_filled_bitmap_holds_the_first_entries_of_each_bank(per_bank in 0usize..40) {
        let map: Bitmap<BANKS> = Bitmap::filled(per_bank);
        let entries = (0..96).filter(|slot| slot % 32 < per_bank.min(32) as u16);
        prop_assert!(map.iter().eq(entries));
        prop_assert_eq!(map.is_empty(), per_bank == 0);
    }

    #[test]
    fn a_bank_is_claimed_lowest_first_until_it_is_empty(bits: u32) {
        let bank = Bank::new(bits);
        let claimed: Vec<u32> = std::iter::from_fn(|| bank.claim()).collect();
        prop_assert!(claimed.iter().copied().eq((0..32).filter(|index| bits >> index & 1 == 1)));
        prop_assert!(bank.is_empty());
    }
}

#[test]
fn two_threads_never_claim_the_same_bit() {
    let bank = Bank::new(u32::MAX);
    let both = Barrier::new(2);
    let claim = || {
        both.wait();
        std::iter::from_fn(|| bank.claim()).collect::<Vec<u32>>()
    };
    for _ in 0..200 {
        let mut all = std::thread::scope(|scope| {
            let other = scope.spawn(claim);
            let mut mine = claim();
            mine.extend(other.join().unwrap());
            mine
        });
        all.sort_unstable();
        assert!(all.into_iter().eq(0..32));
        (0..32).for_each(|index| assert!(!bank.insert(index)));
    }
}

#[test]
fn a_member_inserted_during_drains_is_drained_once() {
    static MAP: AtomicBitmap<BANKS> = AtomicBitmap::new();
    static BOTH: Barrier = Barrier::new(2);
    const ROUNDS: u32 = 2_000;
    let inserted = std::thread::spawn(|| {
        BOTH.wait();
        (0..ROUNDS).filter(|round| !MAP.insert((round % 96) as u16)).count()
    });
    BOTH.wait();
    let mut drained = 0;
    while !inserted.is_finished() {
        MAP.drain(|_| drained += 1);
    }
    MAP.drain(|_| drained += 1);
    assert_eq!(drained, inserted.join().unwrap());
    assert!(MAP.is_empty());
}
