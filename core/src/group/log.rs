//! The records of a group in the order of their indices, as its ingress and its members hold them.

use crate::causal::{Event, Head, LinkHash, Position, PushError, RecordRing};
use crate::daemon::Delivery;
use crate::time::Instant;

/// An accepted event, and what was decided when it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The event with its place, time and seed.
    pub delivery: Delivery<'a>,
    /// The hash of the event, which was computed to verify it.
    pub hash: LinkHash,
}

impl Record<'_> {
    /// Where its producer's chain ends with it.
    pub fn head(&self) -> Head {
        Head { sequence: self.delivery.event.link().sequence, next_parent: self.hash }
    }
}

/// What a log keeps beside the bytes of an event.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    term: u64,
    time: Instant,
    seed: u64,
    hash: LinkHash,
}

/// The records from a base on, and the position of the one below.
#[derive(Clone, Debug)]
pub(super) struct Log<const BYTES: usize, const RECORDS: usize> {
    /// The record of index `i` is at `i - 1`.
    ring: RecordRing<Stamp, BYTES, RECORDS>,
    below: Position,
    /// The bytes of all records.
    used: usize,
}

impl<const BYTES: usize, const RECORDS: usize> Log<BYTES, RECORDS> {
    /// The longest event. A record that doesn't fit in one piece leaves less than that unused, wherever in
    /// the ring it comes to lie: so what fits one log of a group fits all of them.
    pub const LONGEST: usize = BYTES / 4;

    /// A log without records, behind index 0. All zeros.
    pub const fn new() -> Self {
        let none = Stamp { term: 0, time: Instant::ZERO, seed: 0, hash: LinkHash::NONE };
        Self { ring: RecordRing::new(none), below: Position { term: 0, index: 0 }, used: 0 }
    }

    /// Drops all records; the next one follows `below`.
    pub fn restart(&mut self, below: Position) {
        self.ring.clear(below.index);
        self.below = below;
        self.used = 0;
    }

    /// The index of the first record.
    #[inline]
    pub const fn base(&self) -> u64 {
        self.ring.indices().start + 1
    }

    /// The index of the last record; `base - 1` if there is none.
    #[inline]
    pub const fn end(&self) -> u64 {
        self.ring.indices().end
    }

    /// The position at `index`, from `base - 1` on.
    #[inline]
    pub fn position(&self, index: u64) -> Option<Position> {
        if index + 1 == self.base() {
            return Some(self.below);
        }
        let record = self.ring.get(index.checked_sub(1)?)?;
        Some(Position { term: record.header.term, index })
    }

    /// Whether this log has a record, or its base, at `position`.
    pub fn has(&self, position: Position) -> bool {
        self.position(position.index) == Some(position)
    }

    /// The record at `index`.
    #[inline]
    pub fn get(&self, index: u64) -> Option<Record<'_>> {
        let record = self.ring.get(index.checked_sub(1)?)?;
        let Stamp { term, time, seed, hash } = record.header;
        let event = Event::new(record.bytes).ok()?;
        Some(Record { delivery: Delivery { position: Position { term, index }, time, seed, event }, hash })
    }

    /// The records, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Record<'_>> {
        (self.base()..=self.end()).filter_map(|index| self.get(index))
    }

    /// Whether an event of `length` bytes fits, in this log and in any other that has the same records.
    #[inline]
    pub fn room(&self, length: usize) -> Result<(), PushError> {
        if length > Self::LONGEST {
            return Err(PushError::TooLong { length, limit: Self::LONGEST });
        }
        if self.ring.len() == RECORDS {
            return Err(PushError::NoRecords);
        }
        // One record more may lie across the end.
        if self.used + length > BYTES - Self::LONGEST { Err(PushError::NoBytes) } else { Ok(()) }
    }

    /// Appends a record, whose index is `end + 1`.
    #[inline]
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), PushError> {
        let Record { delivery: Delivery { position, time, seed, event }, hash } = *record;
        self.ring.push(Stamp { term: position.term, time, seed, hash }, event.bytes())?;
        self.used += event.bytes().len();
        Ok(())
    }

    /// Drops the records behind `index`. O(records dropped).
    pub fn truncate_behind(&mut self, index: u64) {
        for dropped in (index.max(self.ring.indices().start)..self.end()).rev() {
            self.used -= self.ring.get(dropped).map_or(0, |record| record.bytes.len());
        }
        self.ring.truncate_from(index);
    }

    /// Drops the records up to `index`, as far as there are any. O(records dropped).
    pub fn evict_through(&mut self, index: u64) {
        let index = index.min(self.end());
        let Some(below) = self.position(index) else { return };
        for dropped in self.ring.indices().start..index {
            self.used -= self.ring.get(dropped).map_or(0, |record| record.bytes.len());
        }
        if let Some(last) = index.checked_sub(1) {
            self.ring.evict_through(last);
        }
        self.below = below;
    }
}
