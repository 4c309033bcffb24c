//! Snapshots of version 3, as they are read.

use xxhash_rust::xxh3::xxh3_64;

use crate::causal::snapshot::error::check_version;
use crate::causal::snapshot::fields::{Fields, Missing};
use crate::causal::{
    Chain, Head, LinkHash, Ordinal, Origin, Position, Progress, Sequence, SnapshotError, words,
};

/// The version.
pub const VERSION: u8 = 3;
/// The bytes before the filter.
const FIXED: usize = 80;
/// The bytes of a producer in the filter.
pub const PRODUCER: usize = 24;
/// The bytes of an origin in the horizon.
pub const SEEN: usize = 16;
/// The bytes of the hash.
pub const HASH: usize = 8;

/// A snapshot of version 3, which borrows from the bytes that were read.
///
/// | bytes | what; integers have their little end first |
/// | --- | --- |
/// | 0..4 | `CDS1` |
/// | 4 | 3, the version |
/// | 5..8 | zeros |
/// | 8..12 | length of the snapshot, the hash included |
/// | 12..16 | how many producers the filter has, *p* |
/// | 16..20 | how many origins the horizon has, *n* |
/// | 20..24 | last output: which of its event's |
/// | 24..32 | term |
/// | 32..48 | applied: term, index |
/// | 48..56 | last output: index of its event |
/// | 56..80 | chain of outputs: origin, sequence, next parent hash |
/// | next 24 × *p* | filter: origin, sequence, next parent hash, by ascending origin |
/// | next 16 × *n* | horizon: origin, sequence, by ascending origin |
/// | … | state |
/// | last 8 | XXH3-64, seed 0, of all bytes before |
///
/// Two members in the same state have the same snapshot, byte for byte, and so the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// How far the member had come.
    pub progress: Progress,
    /// The state.
    pub state: &'a [u8],
    filter: &'a [[u8; PRODUCER]],
    horizon: &'a [[u8; SEEN]],
    hash: u64,
}

impl<'a> Snapshot<'a> {
    /// How many bytes a snapshot has, its filter having `producers`, its horizon `origins`, and its state
    /// `state` bytes.
    pub const fn size(producers: usize, origins: usize, state: usize) -> usize {
        let entries = producers.saturating_mul(PRODUCER).saturating_add(origins.saturating_mul(SEEN));
        entries.saturating_add(state).saturating_add(FIXED + HASH)
    }

    /// Reads a snapshot. Its length and its hash are checked before anything else. O(length).
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]. A snapshot of version 2 is a [`SnapshotError::Version`]: read that by
    /// [`SnapshotV2`](crate::causal::SnapshotV2).
    pub fn read(bytes: &'a [u8]) -> Result<Self, SnapshotError> {
        let mut fields = Fields::new(bytes);
        check_version(&mut fields, VERSION)?;
        let reserved: [u8; 3] = *fields.array()?;
        let length = fields.u32()? as usize;
        if length > bytes.len() {
            return Err(SnapshotError::Truncated { missing: length - bytes.len() });
        }
        if length < bytes.len() {
            return Err(SnapshotError::Trailing { bytes: bytes.len() - length });
        }
        let Some((content, hash)) = bytes.split_last_chunk() else { return Err(SnapshotError::Layout) };
        let (expected, got) = (xxh3_64(content), u64::from_le_bytes(*hash));
        if got != expected {
            return Err(SnapshotError::Hash { expected, got });
        }
        if reserved != [0; 3] {
            return Err(SnapshotError::Layout);
        }
        // Its writer said so itself: fields that don't fit are its fault, not the way's.
        Self::fields(content, got).map_err(|Missing(_)| SnapshotError::Layout)?.sorted()
    }

    /// The fields of all bytes but the hash.
    fn fields(content: &'a [u8], hash: u64) -> Result<Self, Missing> {
        let mut fields = Fields::new(content);
        fields.bytes(12)?;
        let (producers, origins, output) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let term = fields.u64()?;
        let applied = Position { term: fields.u64()?, index: fields.u64()? };
        let output = Ordinal { index: fields.u64()?, output };
        let (origin, head) = producer(fields.array()?);
        let progress = Progress { term, applied, output, chain: Chain::resume(origin, head) };
        let filter = fields.bytes((producers as usize).saturating_mul(PRODUCER))?.as_chunks().0;
        let horizon = fields.bytes((origins as usize).saturating_mul(SEEN))?.as_chunks().0;
        let state = fields.bytes(fields.len())?;
        Ok(Self { progress, state, filter, horizon, hash })
    }

    fn sorted(self) -> Result<Self, SnapshotError> {
        let filter = self.filter().map(|(origin, _)| origin);
        let horizon = self.horizon().map(|(origin, _)| origin);
        // No origin twice.
        let ascends = |before: &Origin, origin: &Origin| before < origin;
        if filter.is_sorted_by(ascends) && horizon.is_sorted_by(ascends) {
            Ok(self)
        } else {
            Err(SnapshotError::Unsorted)
        }
    }

    /// Each producer and where its chain ended, by ascending origin: what makes up an
    /// [`OriginMap`](crate::causal::OriginMap).
    pub fn filter(&self) -> impl ExactSizeIterator<Item = (Origin, Head)> + use<'a> {
        self.filter.iter().map(producer)
    }

    /// Each origin that was seen and its highest sequence, by ascending origin: what makes up a
    /// [`Horizon`](crate::causal::Horizon).
    pub fn horizon(&self) -> impl ExactSizeIterator<Item = (Origin, Sequence)> + use<'a> {
        self.horizon.iter().map(|bytes| {
            let [origin, sequence] = words::read(bytes);
            (Origin::new(origin), Sequence::new(sequence))
        })
    }

    /// The hash of the whole, by which members compare their states.
    pub const fn hash(&self) -> u64 {
        self.hash
    }
}

/// An origin and its head.
fn producer(bytes: &[u8; PRODUCER]) -> (Origin, Head) {
    let [origin, sequence, next_parent] = words::read(bytes);
    let head = Head { sequence: Sequence::new(sequence), next_parent: LinkHash::new(next_parent) };
    (Origin::new(origin), head)
}
