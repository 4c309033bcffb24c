//! Keys and the re-hash against vectors of other implementations.
//!
//! The XXH3 vectors are those of the C library (`xxhash` 3.x for Python, `xxh3_64_intdigest`); places and
//! re-hashes were computed from them in Python's integers.

use std::collections::BTreeSet;

use trilane::route::{Keys, RoutingKey, rehash};

#[test]
fn the_key_of_bytes_is_xxh3_of_them_at_every_class_of_length() {
    let bytes: Vec<u8> = (0..300).map(|i: u32| i as u8).collect();
    let vectors: [(&[u8], u64); 7] = [
        (b"", 0x2d06_8005_38d3_94c2),
        (b"a", 0xe6c6_32b6_1e96_4e1f),
        (b"trilane", 0x07c4_fdee_675a_51b3),
        (b"device 4711", 0xa8cc_1252_97a8_4ef9),
        (&bytes[..17], 0x9ef3_41a9_9de3_7328),
        (&bytes[..129], 0xec76_42b4_31ba_3e5a),
        (&bytes, 0xd440_52f5_a348_5425),
    ];
    for (input, hash) in vectors {
        assert_eq!(RoutingKey::new(input).hash(), hash, "{} bytes", input.len());
    }
}

#[test]
fn the_key_of_a_number_is_that_of_its_bytes_and_lies_where_it_lies_on_every_target() {
    let vectors = [
        (0, 0xc77b_3abb_6f87_acd9, 0x4764_d45e),
        (1, 0x2fbc_5935_64db_792e, 0xa08c_08ce),
        (7, 0x8167_1e58_d6b5_96af, 0x780d_60ff),
        (u64::MAX, 0x5111_c7e4_7d78_4413, 0x595a_3915),
    ];
    for (id, hash, place) in vectors {
        let key = RoutingKey::from_id(id);
        assert_eq!(key, RoutingKey::new(&id.to_le_bytes()));
        assert_eq!(key, RoutingKey::from_hash(hash));
        assert_eq!(key.place(), place);
    }
}

#[test]
fn hashes_which_are_plain_counters_are_spread_evenly() {
    // In the low half, in the high half, and in both.
    for scale in [1, 1 << 32, (1 << 32) + 1] {
        let mut shares = [0u32; 16];
        for count in 0..16_000u64 {
            shares[(RoutingKey::from_hash(count * scale).place() >> 28) as usize] += 1;
        }
        // Five standard deviations of a sixteenth of 16,000 at random.
        assert!(shares.iter().all(|share| share.abs_diff(1_000) < 150), "{scale:#x}: {shares:?}");
    }
}

#[test]
fn the_routing_key_counts_before_the_session_before_the_request() {
    let [routing, session, request] = [1, 2, 3].map(|id| Some(RoutingKey::from_id(id)));
    assert_eq!(Keys { routing, session, request }.key(), routing);
    assert_eq!(Keys { routing: None, session, request }.key(), session);
    assert_eq!(Keys { routing: None, session: None, request }.key(), request);
    assert_eq!(Keys { routing, session: None, request }.key(), routing);
    assert_eq!(Keys::default().key(), None);
    assert_eq!(Keys::from(RoutingKey::from_id(4)).key(), Some(RoutingKey::from_id(4)));
}

#[test]
fn a_rehash_is_a_bijection_of_places_that_spreads_neighbours() {
    assert_eq!(rehash(7, 1), 0x3fd9_abdb);
    assert_eq!(rehash(0, 0), 0);
    for attempt in 1..8 {
        let places: BTreeSet<u32> = (0..100_000).map(|place| rehash(place, attempt)).collect();
        assert_eq!(places.len(), 100_000);
        let mut shares = [0u32; 16];
        places.iter().for_each(|place| shares[(place >> 28) as usize] += 1);
        assert!(shares.iter().all(|share| share.abs_diff(6_250) < 400), "try {attempt}: {shares:?}");
    }
}
