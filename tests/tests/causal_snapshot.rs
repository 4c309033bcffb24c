//! Snapshots: version 2 as published, version 3 against a layout written down here, and each field that may
//! be wrong.

use proptest::prelude::*;
use trilane::causal::{
    Bloom, Chain, Head, Horizon, Link, LinkHash, Ordinal, Origin, OriginMap, Position, Progress, Sequence,
    Snapshot, SnapshotError, SnapshotV2, SnapshotWriteError, SnapshotWriter, fork_sentinel,
};
use xxhash_rust::xxh3::xxh3_64;

// === Version 2 ===

const V2: &str = "4344533102ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c\
    000000000000000090241165ba24e73d0000000000000000000000000000000000000000000000000807060504030201\
    05000000737461746500000000\
    00";

/// The origin of the published snapshot's entity.
const ENTITY: Origin = Origin::new(0x3de7_24ba_6511_2490);

fn v2() -> Vec<u8> {
    V2.as_bytes().chunks(2).map(|hex| u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap()).collect()
}

/// The published snapshot with other bytes from `at` on.
fn v2_with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut snapshot = v2();
    snapshot[at..at + bytes.len()].copy_from_slice(bytes);
    snapshot
}

#[test]
fn the_published_snapshot_of_version_2_is_read() {
    let bytes = v2();
    let snapshot = SnapshotV2::read(&bytes, ENTITY).unwrap();
    assert_eq!((bytes.len(), snapshot.entity[..2].to_vec()), (99, vec![0xea, 0x4a]));
    assert_eq!((snapshot.link, snapshot.created_at), (Link::genesis(ENTITY), 0x0102_0304_0506_0708));
    assert_eq!((snapshot.state, snapshot.bindings, snapshot.envelope), (&b"state"[..], &[][..], None));
}

#[test]
fn an_envelope_of_version_2_is_given_as_it_is() {
    let mut bytes = v2();
    *bytes.last_mut().unwrap() = 1;
    assert_eq!(SnapshotV2::read(&bytes, ENTITY), Err(SnapshotError::Truncated { missing: 209 }));
    bytes.extend([9; 209]);
    assert_eq!(SnapshotV2::read(&bytes, ENTITY).unwrap().envelope, Some(&[9; 209]));
    bytes.push(0);
    assert_eq!(SnapshotV2::read(&bytes, ENTITY), Err(SnapshotError::Trailing { bytes: 1 }));
}

#[test]
fn each_wrong_field_of_version_2_is_an_error_of_its_own() {
    let read = |bytes: &[u8]| SnapshotV2::read(bytes, ENTITY).map(|_| ());
    assert_eq!(read(&v2_with(0, b"CDS2")), Err(SnapshotError::NotASnapshot));
    for got in [0, 1, 3, 255] {
        assert_eq!(read(&v2_with(4, &[got])), Err(SnapshotError::Version { expected: 2, got }));
    }
    for got in [2, 255] {
        assert_eq!(read(&v2_with(98, &[got])), Err(SnapshotError::Flag { got }));
    }
    let (expected, got) = (Sequence::new(1), Sequence::GENESIS);
    assert_eq!(read(&v2_with(37, &[1])), Err(SnapshotError::Sequence { expected, got }));
    let other = SnapshotError::Origin { expected: Origin::new(5), got: ENTITY };
    assert_eq!(SnapshotV2::read(&v2(), Origin::new(5)), Err(other));
    assert_eq!(read(&[v2(), vec![0, 0]].concat()), Err(SnapshotError::Trailing { bytes: 2 }));
    // A length of the state, or of the bindings, beyond the end.
    assert_eq!(
        read(&v2_with(85, &[0xff; 4])),
        Err(SnapshotError::Truncated { missing: u32::MAX as usize - 10 })
    );
    assert_eq!(read(&v2_with(94, &[2])), Err(SnapshotError::Truncated { missing: 1 }));
    for end in 0..99 {
        assert!(matches!(read(&v2()[..end]), Err(SnapshotError::Truncated { .. })), "{end} bytes");
    }
}

// === Version 3 ===

/// All that a snapshot holds, in plain numbers.
#[derive(Clone, Debug)]
struct Content {
    /// Term, applied term and index, index of the last output's event.
    numbers: [u64; 4],
    output: u32,
    chain: [u64; 3],
    filter: Vec<[u64; 3]>,
    horizon: Vec<[u64; 2]>,
    state: Vec<u8>,
}

impl Content {
    fn of_nothing() -> Self {
        Self { numbers: [0; 4], output: 0, chain: [7, 0, 0], filter: vec![], horizon: vec![], state: vec![] }
    }

    /// Oracle: the layout in the docs.
    fn bytes(&self) -> Vec<u8> {
        let entries =
            self.chain.iter().chain(self.filter.iter().flatten()).chain(self.horizon.iter().flatten());
        let words: Vec<u8> = self.numbers.iter().chain(entries).flat_map(|word| word.to_le_bytes()).collect();
        let length = 24 + words.len() + self.state.len() + 8;
        let counts = [length, self.filter.len(), self.horizon.len(), self.output as usize];
        let counts: Vec<u8> = counts.iter().flat_map(|count| (*count as u32).to_le_bytes()).collect();
        signed([&b"CDS1\x03\0\0\0"[..], &counts, &words, &self.state].concat())
    }

    fn progress(&self) -> Progress {
        let [term, applied_term, applied_index, output_index] = self.numbers;
        let (origin, head) = producer(&self.chain);
        Progress {
            term,
            applied: Position { term: applied_term, index: applied_index },
            output: Ordinal { index: output_index, output: self.output },
            chain: Chain::resume(origin, head),
        }
    }

    /// Written by the core, into a buffer of `room` bytes.
    fn write(&self, room: usize) -> Result<Vec<u8>, SnapshotWriteError> {
        let mut filter: OriginMap<Head, 8> = OriginMap::new();
        for (origin, head) in self.filter.iter().map(producer) {
            filter.insert(origin, head).unwrap();
        }
        let mut horizon: Horizon<8> = Horizon::new();
        for (origin, sequence) in self.horizon.iter().map(seen) {
            horizon.observe(origin, sequence).unwrap();
        }
        let mut buffer = vec![0xee; room];
        let mut writer = SnapshotWriter::new(&self.progress(), &filter, &horizon, &mut buffer)?;
        for (place, byte) in writer.state().iter_mut().zip(&self.state) {
            *place = *byte;
        }
        writer.seal(self.state.len()).map(<[u8]>::to_vec)
    }
}

fn producer([origin, sequence, next_parent]: &[u64; 3]) -> (Origin, Head) {
    let head = Head { sequence: Sequence::new(*sequence), next_parent: LinkHash::new(*next_parent) };
    (Origin::new(*origin), head)
}

fn seen([origin, sequence]: &[u64; 2]) -> (Origin, Sequence) {
    (Origin::new(*origin), Sequence::new(*sequence))
}

/// The bytes and their hash.
fn signed(bytes: Vec<u8>) -> Vec<u8> {
    let hash = xxh3_64(&bytes).to_le_bytes();
    [bytes, hash.to_vec()].concat()
}

/// What is read of `content` with other bytes from `at` on and the hash that belongs to them.
fn read_changed(content: &Content, at: usize, bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut snapshot = content.bytes();
    snapshot.truncate(snapshot.len() - 8);
    snapshot[at..at + bytes.len()].copy_from_slice(bytes);
    Snapshot::read(&signed(snapshot)).map(|_| ())
}

fn contents() -> impl Strategy<Value = Content> {
    let by_origin = || proptest::collection::btree_map(any::<u64>(), any::<[u64; 2]>(), 0..8);
    let state = proptest::collection::vec(any::<u8>(), 0..40);
    (any::<([u64; 4], u32, [u64; 3])>(), by_origin(), by_origin(), state).prop_map(
        |((numbers, output, chain), filter, horizon, state)| Content {
            numbers,
            output,
            chain,
            filter: filter.into_iter().map(|(origin, [a, b])| [origin, a, b]).collect(),
            horizon: horizon.into_iter().map(|(origin, [a, _])| [origin, a]).collect(),
            state,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_has_the_layout_of_the_docs_and_is_read_again(content in contents(), spare in 0..9_usize) {
        let bytes = content.bytes();
        let size = Snapshot::size(content.filter.len(), content.horizon.len(), content.state.len());
        prop_assert_eq!(size, bytes.len());
        prop_assert_eq!(content.write(size + spare), Ok(bytes.clone()));
        let short = content.write(size - 1);
        prop_assert_eq!(short, Err(SnapshotWriteError::NoRoom { needed: size }));

        let snapshot = Snapshot::read(&bytes).unwrap();
        prop_assert_eq!((snapshot.progress, snapshot.state), (content.progress(), &content.state[..]));
        prop_assert!(snapshot.filter().eq(content.filter.iter().map(producer)));
        prop_assert!(snapshot.horizon().eq(content.horizon.iter().map(seen)));
        prop_assert_eq!(snapshot.hash().to_le_bytes(), &bytes[bytes.len() - 8..]);
    }

    #[test]
    fn g19_every_bit_that_is_changed_and_every_byte_that_is_missing_is_noticed(content in contents()) {
        let mut bytes = content.bytes();
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Snapshot::read(&bytes).is_err(), "bit {}", bit);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for end in 0..bytes.len() {
            let is_truncated = matches!(Snapshot::read(&bytes[..end]), Err(SnapshotError::Truncated { .. }));
            prop_assert!(is_truncated);
        }
        bytes.push(0);
        prop_assert_eq!(Snapshot::read(&bytes), Err(SnapshotError::Trailing { bytes: 1 }));
    }

    #[test]
    fn random_bytes_with_a_hash_that_fits_are_an_error_or_a_snapshot_but_no_panic(
        bytes in proptest::collection::vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 12..200),
    ) {
        let mut bytes = [b"CDS1\x03\0\0\0", &bytes[..]].concat();
        let length = bytes.len() as u32 + 8;
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        if let Ok(snapshot) = Snapshot::read(&signed(bytes)) {
            let size = Snapshot::size(snapshot.filter().len(), snapshot.horizon().len(), snapshot.state.len());
            prop_assert_eq!(size, length as usize);
        }
    }
}

#[test]
fn each_wrong_field_of_version_3_is_an_error_of_its_own() {
    let content = Content {
        filter: vec![[3, 1, 1], [4, 1, 1]],
        horizon: vec![[5, 1], [6, 1]],
        ..Content::of_nothing()
    };
    let read = |at, bytes: &[u8]| read_changed(&content, at, bytes);
    assert_eq!(read(0, b"CDS1"), Ok(()));
    assert_eq!(read(0, b"cds1"), Err(SnapshotError::NotASnapshot));
    assert_eq!(read(4, &[2]), Err(SnapshotError::Version { expected: 3, got: 2 }));
    assert_eq!(read(7, &[1]), Err(SnapshotError::Layout));
    assert_eq!(read(8, &[169]), Err(SnapshotError::Truncated { missing: 1 }));
    assert_eq!(read(8, &[167]), Err(SnapshotError::Trailing { bytes: 1 }));
    // More producers or origins than there are bytes for.
    for at in [12, 16] {
        assert_eq!(read(at, &[5]), Err(SnapshotError::Layout));
        assert_eq!(read(at, &[0xff; 4]), Err(SnapshotError::Layout));
    }
    // The second producer, and the second origin of the horizon, are not above the first.
    for (at, first) in [(104, 3), (144, 5)] {
        assert_eq!(read(at, &[first]), Err(SnapshotError::Unsorted));
        assert_eq!(read(at, &[0]), Err(SnapshotError::Unsorted));
    }
    let mut changed = content.bytes();
    let last = changed.len() - 8;
    let expected = xxh3_64(&changed[..last]);
    changed[last] ^= 1;
    assert_eq!(Snapshot::read(&changed), Err(SnapshotError::Hash { expected, got: expected ^ 1 }));
}

#[test]
fn a_snapshot_that_is_too_short_for_its_fixed_part_is_an_error_even_with_a_hash_that_fits() {
    for length in 12..80_usize {
        let mut bytes = Content::of_nothing().bytes();
        bytes.truncate(length);
        bytes[8..12].copy_from_slice(&(length as u32 + 8).to_le_bytes());
        assert_eq!(Snapshot::read(&signed(bytes)), Err(SnapshotError::Layout), "{length} bytes");
    }
    for length in 12..20_usize {
        let mut bytes = Content::of_nothing().bytes();
        bytes.truncate(length);
        bytes[8..12].copy_from_slice(&(length as u32).to_le_bytes());
        assert!(Snapshot::read(&bytes).is_err(), "{length} bytes");
    }
}

#[test]
fn a_buffer_too_small_for_a_snapshot_without_state_is_refused_at_once() {
    let (filter, horizon) = (OriginMap::<_, 1>::new(), Horizon::<1>::new());
    let begin = |buffer: &mut [u8]| {
        SnapshotWriter::new(&Content::of_nothing().progress(), &filter, &horizon, buffer).map(|_| ())
    };
    assert_eq!(begin(&mut [0; 88]), Ok(()));
    assert_eq!(begin(&mut [0; 87]), Err(SnapshotWriteError::NoRoom { needed: 88 }));
    assert_eq!(begin(&mut []), Err(SnapshotWriteError::NoRoom { needed: 88 }));
}

#[test]
fn a_state_that_is_too_large_is_an_error_that_says_the_size_needed() {
    let write = |length| {
        let mut buffer = [0; 100];
        let content = Content::of_nothing();
        let (filter, horizon) = (OriginMap::<_, 1>::new(), Horizon::<1>::new());
        let mut writer = SnapshotWriter::new(&content.progress(), &filter, &horizon, &mut buffer).unwrap();
        assert_eq!(writer.state().len(), 12);
        writer.seal(length).map(<[u8]>::len)
    };
    assert_eq!(write(12), Ok(100));
    assert_eq!(write(13), Err(SnapshotWriteError::NoRoom { needed: 101 }));
    assert_eq!(write(usize::MAX), Err(SnapshotWriteError::TooLong));
}

#[test]
fn d8_a_chain_goes_on_from_a_snapshot_as_if_it_had_never_stopped() {
    let mut chain = Chain::new(Origin::new(7));
    let mut verifier = chain;
    let mut buffer = [1; 40];
    verifier.verify(chain.append(Bloom::EMPTY, &mut buffer).unwrap()).unwrap();

    let head = chain.head();
    let content =
        Content { chain: [7, head.sequence.get(), head.next_parent.get()], ..Content::of_nothing() };
    let mut restored = Snapshot::read(&content.write(200).unwrap()).unwrap().progress.chain;
    verifier.verify(restored.append(Bloom::EMPTY, &mut buffer).unwrap()).unwrap();
    assert_eq!(restored, verifier);
}

// === Forks ===

#[test]
fn the_sentinel_of_a_fork_is_the_published_one() {
    let sentinel = fork_sentinel(Origin::new(0xaaaa), Sequence::new(42));
    assert_eq!(sentinel, LinkHash::new(0x41c3_e0f2_a06e_1228));
    assert_ne!(sentinel, fork_sentinel(Origin::new(0xaaaa), Sequence::new(43)));
}
