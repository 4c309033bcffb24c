//! Horizons and maps of origins, against an ordered map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use trilane::causal::{Bloom, Horizon, Origin, OriginMap, OriginsFull, Sequence};

fn horizon<const N: usize>(seen: &[(u64, u64)]) -> Horizon<N> {
    let mut horizon = Horizon::new();
    for (origin, sequence) in seen {
        horizon.observe(Origin::new(*origin), Sequence::new(*sequence)).unwrap();
    }
    horizon
}

fn bloom(origins: impl IntoIterator<Item = u64>) -> Bloom {
    origins.into_iter().map(|origin| Bloom::of(Origin::new(origin))).fold(Bloom::EMPTY, Bloom::union)
}

#[test]
fn the_bloom_of_a_horizon_is_the_published_one_of_its_origins() {
    let seen: Vec<_> = (0..8).map(|origin| (origin, 9)).collect();
    assert_eq!(horizon::<8>(&seen).bloom(), Bloom::from_bits(0x2982_c04f_0350_d108));
    assert_eq!(horizon::<8>(&[]).bloom(), Bloom::EMPTY);
}

#[test]
fn a_lower_sequence_changes_nothing() {
    let seen = horizon::<2>(&[(7, 5), (7, 3)]);
    assert_eq!(seen.highest(Origin::new(7)), Some(Sequence::new(5)));
    assert_eq!(seen, horizon::<2>(&[(7, 5)]));
}

#[test]
fn a_horizon_at_its_limit_refuses_a_new_origin_and_takes_the_old_ones() {
    let mut full = horizon::<2>(&[(7, 5), (8, 1)]);
    let before = full.clone();
    assert_eq!(full.observe(Origin::new(9), Sequence::new(1)), Err(OriginsFull { limit: 2 }));
    assert_eq!(full, before);
    full.observe(Origin::new(8), Sequence::new(2)).unwrap();
    assert_eq!(full, horizon::<2>(&[(7, 5), (8, 2)]));
}

#[test]
fn a_merge_that_does_not_fit_changes_nothing() {
    let mut small = horizon::<3>(&[(7, 5), (8, 1)]);
    let before = small.clone();
    let large = horizon::<8>(&[(8, 9), (9, 1), (10, 1)]);
    assert_eq!(small.merge(&large), Err(OriginsFull { limit: 3 }));
    assert_eq!(small, before);
    small.merge(&horizon::<8>(&[(8, 9), (9, 1)])).unwrap();
    assert_eq!(small, horizon::<3>(&[(7, 5), (8, 9), (9, 1)]));
}

#[test]
fn the_bloom_takes_an_absent_origin_for_a_present_one_as_often_as_the_docs_say() {
    for (origins, permille) in [(4, 7), (8, 34), (16, 156), (32, 480)] {
        let mut wrong = 0;
        let tries = 20_000;
        for n in 0..tries {
            let seen = bloom((0..origins).map(|i| 1 + n * 1000 + i));
            wrong += u64::from(seen.may_contain(Origin::new(n * 1000 + 999)));
        }
        let measured = wrong * 1000 / tries;
        assert!(measured.abs_diff(permille) <= 4 + permille / 10, "{origins} origins: {measured} permille");
    }
}

proptest! {
    #[test]
    fn horizons_answer_as_an_ordered_map_does(
        first in proptest::collection::vec((0_u64..12, 0_u64..20), 0..40),
        second in proptest::collection::vec((0_u64..12, 0_u64..20), 0..40),
    ) {
        const LIMIT: usize = 8;
        let mut merged: Horizon<LIMIT> = Horizon::new();
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        for (origin, sequence) in first {
            let fits = model.contains_key(&origin) || model.len() < LIMIT;
            prop_assert_eq!(merged.observe(Origin::new(origin), Sequence::new(sequence)).is_ok(), fits);
            if fits {
                let highest = model.entry(origin).or_default();
                *highest = sequence.max(*highest);
            }
        }
        let other: Horizon<12> = horizon(&second);
        let mut union = model.clone();
        for (origin, sequence) in &second {
            let highest = union.entry(*origin).or_default();
            *highest = (*sequence).max(*highest);
        }
        let fits = union.len() <= LIMIT;
        prop_assert_eq!(merged.merge(&other).is_ok(), fits);
        let model = if fits { union } else { model };

        let entries: Vec<_> = merged.iter().map(|(origin, sequence)| (origin.get(), sequence.get())).collect();
        prop_assert_eq!(entries, model.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(merged.bloom(), bloom(model.keys().copied()));
        prop_assert_eq!((merged.len(), merged.is_empty()), (model.len(), model.is_empty()));
        for origin in 0..12 {
            for sequence in 0..20 {
                let seen = model.get(&origin).is_some_and(|highest| sequence <= *highest);
                prop_assert_eq!(merged.contains(Origin::new(origin), Sequence::new(sequence)), seen);
            }
        }
    }

    #[test]
    fn maps_of_origins_do_as_an_ordered_map_does(
        steps in proptest::collection::vec((0_u64..8, proptest::option::of(any::<u8>())), 0..80),
    ) {
        let mut map: OriginMap<u8, 5> = OriginMap::new();
        let mut model = BTreeMap::new();
        for (origin, value) in steps {
            let key = Origin::new(origin);
            match value {
                None => prop_assert_eq!(map.remove(key), model.remove(&origin)),
                Some(value) if model.contains_key(&origin) || model.len() < 5 => {
                    prop_assert_eq!(map.insert(key, value), Ok(()));
                    model.insert(origin, value);
                }
                Some(value) => prop_assert_eq!(map.insert(key, value), Err(OriginsFull { limit: 5 })),
            }
            prop_assert_eq!(map.get(key), model.get(&origin));
            let entries: Vec<_> = map.iter().map(|(origin, value)| (origin.get(), value)).collect();
            prop_assert_eq!(entries, model.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
        }
        map.clear();
        prop_assert!(map.is_empty());
    }
}
