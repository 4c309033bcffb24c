//! `Arena` against a map from keys to values.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use trilane::arena::{Arena, Key, Stale};

#[derive(Clone, Debug)]
enum Op {
    Insert(u32),
    /// Removes, or changes, what was once the n-th key; it may be stale by now.
    Remove(usize),
    Change(usize, u32),
    Clear,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => any::<u32>().prop_map(Op::Insert),
        6 => (0usize..100).prop_map(Op::Remove),
        3 => (0usize..100, any::<u32>()).prop_map(|(key, value)| Op::Change(key, value)),
        1 => Just(Op::Clear),
    ];
    vec(op, 0..120)
}

fn check<const BANKS: usize, const PER_BANK: usize>(ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut arena: Arena<u32, BANKS, PER_BANK> = Arena::new();
    let mut map: HashMap<Key, u32> = HashMap::new();
    let mut keys: Vec<Key> = Vec::new();
    for op in ops {
        match op {
            Op::Insert(value) => match arena.insert(value) {
                Ok(key) => {
                    prop_assert!(!keys.contains(&key), "a key was given out twice");
                    prop_assert!(
                        usize::from(key.slot()) / 32 < BANKS && usize::from(key.slot()) % 32 < PER_BANK
                    );
                    keys.push(key);
                    map.insert(key, value);
                }
                Err(rejected) => {
                    prop_assert_eq!(rejected, value);
                    prop_assert_eq!(map.len(), BANKS * PER_BANK);
                }
            },
            Op::Remove(number) => {
                if let Some(&key) = keys.get(number) {
                    prop_assert_eq!(arena.remove(key), map.remove(&key).ok_or(Stale));
                }
            }
            Op::Change(number, value) => {
                if let Some(&key) = keys.get(number) {
                    let changed = arena.get_mut(key).map(|old| std::mem::replace(old, value));
                    prop_assert_eq!(
                        changed,
                        map.get_mut(&key).map(|old| std::mem::replace(old, value)).ok_or(Stale)
                    );
                }
            }
            Op::Clear => {
                arena.clear();
                map.clear();
            }
        }
        prop_assert_eq!(arena.len(), map.len());
        prop_assert_eq!(arena.is_empty(), map.is_empty());
        prop_assert!(keys.iter().all(|&key| arena.get(key) == map.get(&key).ok_or(Stale)));
        let slots: Vec<u16> = arena.iter().map(|(key, _)| key.slot()).collect();
        prop_assert!(slots.is_sorted());
        prop_assert!(arena.iter().all(|(key, value)| map.get(&key) == Some(value)));
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_arena_of_one_bank_is_a_map(ops in ops()) {
        check::<1, 5>(ops)?;
    }

    #[test]
    fn an_arena_of_part_filled_banks_is_a_map(ops in ops()) {
        check::<3, 3>(ops)?;
    }

    #[test]
    fn a_made_up_key_is_at_worst_stale(slot: u16, generation: u32) {
        let mut arena: Arena<u8, 2, 5> = Arena::new();
        let kept = arena.insert(1).unwrap();
        let made_up = Key::new(slot, generation);
        prop_assume!(made_up != kept);
        prop_assert_eq!(arena.get(made_up), Err(Stale));
        prop_assert_eq!(arena.get_mut(made_up), Err(Stale));
        prop_assert_eq!(arena.remove(made_up), Err(Stale));
        prop_assert_eq!(arena.get(kept), Ok(&1));
    }
}
