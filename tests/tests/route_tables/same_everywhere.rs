//! The same answers on every target and in every other program that follows the rules: 500 look-ups folded to
//! one number, computed by a program of a few lines in Python with its `xxhash` package (XXH3 by the C
//! library).

use trilane::route::{HashTable, Member, RoutingKey};

use super::{Members, build, equals, maglev, ring};

/// FNV-1a's step, of the slots of keys 0 to 499.
fn fold(table: &dyn HashTable, members: &Members) -> u32 {
    build(table, members);
    (0..500).fold(0x811C_9DC5, |fold: u32, key| {
        let slot = table.find(RoutingKey::from_id(key).place()).unwrap();
        (fold ^ u32::from(slot)).wrapping_mul(0x0100_0193)
    })
}

/// Every third slot, ids that are far apart, weights 0 to 4.
fn weighted() -> Members {
    (0..20u16)
        .map(|number| {
            let id = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (3 * number, Member { id, weight: u32::from(number) % 5 })
        })
        .collect()
}

#[test]
fn rings_answer_as_the_program_in_python() {
    for (members, folds) in [
        (equals(16), [0x3466_f34c, 0x5ed7_d168, 0x5ed7_d168]),
        (weighted(), [0xd07f_ba9b, 0x4b65_e2f0, 0x4b65_e2f0]),
    ] {
        assert_eq!(fold(&*ring::<2560, 512>(), &members), folds[0]);
        assert_eq!(fold(&*ring::<512, 64>(), &members), folds[1]);
        assert_eq!(fold(&*ring::<512, 4>(), &members), folds[2]);
    }
}

#[test]
fn maglev_answers_as_the_program_in_python() {
    for (members, folds) in
        [(equals(16), [0x01e6_77fc, 0x73df_1b8c]), (weighted(), [0xc3bb_78a1, 0x318d_8205])]
    {
        assert_eq!(fold(&*maglev::<1021, 64>(), &members), folds[0]);
        assert_eq!(fold(&*maglev::<251, 64>(), &members), folds[1]);
    }
}

#[test]
fn the_first_keys_lie_where_they_always_did() {
    let first = |table: &dyn HashTable| {
        build(table, &equals(16));
        [0, 1, 2, 3, 4, 5, 6, 7].map(|key| table.find(RoutingKey::from_id(key).place()).unwrap())
    };
    assert_eq!(first(&*ring::<2560, 512>()), [5, 15, 4, 6, 9, 10, 4, 0]);
    assert_eq!(first(&*maglev::<1021, 16>()), [13, 8, 6, 12, 14, 15, 9, 12]);
}
