//! Writes a snapshot of version 3 in place: the state goes where it will lie.

use core::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::causal::snapshot::error::MAGIC;
use crate::causal::snapshot::v3::{HASH, PRODUCER, SEEN, VERSION};
use crate::causal::{Head, Horizon, Origin, OriginMap, Progress, Snapshot, words};

/// Where the length lies.
const LENGTH_AT: usize = 8;

/// A snapshot that is being written into a buffer.
///
/// # Examples
///
/// ```
/// use trilane::causal::{
///     Chain, Horizon, Ordinal, Origin, OriginMap, Position, Progress, Snapshot, SnapshotWriter,
/// };
///
/// let progress = Progress {
///     term: 2,
///     applied: Position { term: 1, index: 40 },
///     output: Ordinal { index: 39, output: 0 },
///     chain: Chain::new(Origin::new(7)),
/// };
/// let mut buffer = [0; Snapshot::size(0, 0, 16)];
/// let (filter, horizon) = (OriginMap::<_, 4>::new(), Horizon::<8>::new());
/// let mut writer = SnapshotWriter::new(&progress, &filter, &horizon, &mut buffer)?;
/// writer.state()[..3].copy_from_slice(b"sum");
/// let bytes = writer.seal(3)?;
///
/// let snapshot = Snapshot::read(bytes)?;
/// assert_eq!((snapshot.progress, snapshot.state), (progress, &b"sum"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SnapshotWriter<'a> {
    buffer: &'a mut [u8],
    /// Where the state begins.
    state: usize,
}

impl<'a> SnapshotWriter<'a> {
    /// Begins a snapshot at the start of `buffer`: all of it but the state. O(P + N).
    ///
    /// # Errors
    ///
    /// [`SnapshotWriteError::NoRoom`] if not even one without a state fits.
    pub fn new<const P: usize, const N: usize>(
        progress: &Progress,
        filter: &OriginMap<Head, P>,
        horizon: &Horizon<N>,
        buffer: &'a mut [u8],
    ) -> Result<Self, SnapshotWriteError> {
        let needed = Snapshot::size(filter.len(), horizon.len(), 0);
        if buffer.len() < needed {
            return Err(SnapshotWriteError::NoRoom { needed });
        }
        let mut rest = &mut *buffer;
        put(&mut rest, MAGIC);
        // The length is known when the state is.
        put(&mut rest, [VERSION, 0, 0, 0, 0, 0, 0, 0]);
        let Progress { term, applied, output, chain } = *progress;
        for number in [filter.len() as u32, horizon.len() as u32, output.output] {
            put(&mut rest, number.to_le_bytes());
        }
        let numbers: [u8; 32] = bytes([term, applied.term, applied.index, output.index]);
        put(&mut rest, numbers);
        put(&mut rest, producer(chain.origin(), chain.head()));
        for (origin, head) in filter.iter() {
            put(&mut rest, producer(origin, head));
        }
        for (origin, sequence) in horizon.iter() {
            let seen: [u8; SEEN] = bytes([origin.get(), sequence.get()]);
            put(&mut rest, seen);
        }
        Ok(Self { buffer, state: needed - HASH })
    }

    /// The place of the state: all of the buffer that the rest of the snapshot leaves.
    pub fn state(&mut self) -> &mut [u8] {
        let end = self.buffer.len().saturating_sub(HASH);
        self.buffer.get_mut(self.state..end).unwrap_or_default()
    }

    /// Ends the snapshot: the state is what [`state`](Self::state) begins with, `length` bytes. Gives the
    /// whole of it. O(all bytes), by one hash.
    ///
    /// # Errors
    ///
    /// The buffer has no room for that many, or they are more than a snapshot's length can say.
    pub fn seal(self, length: usize) -> Result<&'a [u8], SnapshotWriteError> {
        let content = self.state.saturating_add(length);
        let needed = content.saturating_add(HASH);
        let Ok(whole) = u32::try_from(needed) else { return Err(SnapshotWriteError::TooLong) };
        let snapshot = self.buffer.get_mut(..needed).ok_or(SnapshotWriteError::NoRoom { needed })?;
        let (front, mut hash) = snapshot.split_at_mut(content);
        if let Some(mut place) = front.get_mut(LENGTH_AT..) {
            put(&mut place, whole.to_le_bytes());
        }
        put(&mut hash, xxh3_64(front).to_le_bytes());
        Ok(snapshot)
    }
}

/// Moves `bytes` to the front of `rest`, which has room for them.
fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((place, behind)) = core::mem::take(rest).split_first_chunk_mut() {
        *place = bytes;
        *rest = behind;
    }
}

fn bytes<const N: usize, const WORDS: usize>(words: [u64; WORDS]) -> [u8; N] {
    let mut bytes = [0; N];
    words::write(words, &mut bytes);
    bytes
}

fn producer(origin: Origin, head: Head) -> [u8; PRODUCER] {
    bytes([origin.get(), head.sequence.get(), head.next_parent.get()])
}

/// Why no snapshot was written. What the buffer holds is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SnapshotWriteError {
    /// The buffer is too small.
    NoRoom {
        /// How many bytes the snapshot has, with as much state as was said.
        needed: usize,
    },
    /// The snapshot has more bytes than its length can say.
    TooLong,
}

impl fmt::Display for SnapshotWriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom { needed } => {
                write!(f, "the snapshot has {needed} bytes: give it a larger buffer")
            }
            Self::TooLong => f.write_str("a snapshot has at most 2^32 - 1 bytes: keep less state"),
        }
    }
}

impl core::error::Error for SnapshotWriteError {}
