//! A bounded log: records of different lengths in order, each in one piece, found by a dense index.
//!
//! ```text
//!  bytes  [ 6 6 6 6 | free | 3 3 3 | 4 4 4 4 4 | 5 5 | unused ]
//!                          ^ oldest                  ^ record 6 did not fit here in one piece
//! ```
//!
//! A record that doesn't fit behind the newest goes to the start of the bytes; what it leaves unused is free
//! again once the record before is evicted. A ring without records begins at its start again, so it takes any
//! record of up to `BYTES`.
//!
//! Positions count from 0 to `2 × BYTES` and mean the byte `position % BYTES`: the newest record's end is
//! `BYTES` ahead of the oldest's start in a full ring and 0 in one without bytes, and neither takes a flag.

use core::fmt;
use core::ops::Range;

/// Up to `RECORDS` records of `BYTES` bytes together, numbered without gaps.
///
/// Records are added behind the newest, evicted from the oldest on, and truncated from the newest back.
/// Each takes `8 + size_of::<H>()` bytes beside its own. Every operation is O(1), but for copying the bytes.
///
/// A record of `n` bytes is taken for sure while at most `BYTES - 2n + 1` are in use: up to `n - 1` at the
/// end may be too few to hold it in one piece.
///
/// # Examples
///
/// ```
/// use trilane::causal::RecordRing;
///
/// let mut log: RecordRing<u32, 256, 8> = RecordRing::new(0);
/// log.clear(1); // The first record's index is 1.
/// let term = 3;
/// assert_eq!(log.push(term, b"on")?, 1);
/// assert_eq!(log.push(term, b"off")?, 2);
/// assert_eq!(log.get(2).unwrap().bytes, b"off");
///
/// log.evict_through(1);
/// assert_eq!((log.get(1), log.indices()), (None, 2..3));
/// # Ok::<(), trilane::causal::PushError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecordRing<H, const BYTES: usize, const RECORDS: usize> {
    bytes: [u8; BYTES],
    slots: [Slot<H>; RECORDS],
    /// The index of the oldest record, or of the next one if there is none.
    first: u64,
    /// The oldest record's place in `slots`.
    first_slot: usize,
    count: usize,
    /// The position behind the newest record. Of no meaning without records.
    end: usize,
}

/// Where a record is, and what the user keeps beside it.
#[derive(Clone, Copy, Debug)]
struct Slot<H> {
    /// The position of its first byte.
    start: u32,
    length: u32,
    header: H,
}

/// A record of a [`RecordRing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a, H> {
    /// What was given beside the bytes: term, time, seed.
    pub header: H,
    /// The bytes, in one piece.
    pub bytes: &'a [u8],
}

impl<H: Copy, const BYTES: usize, const RECORDS: usize> RecordRing<H, BYTES, RECORDS> {
    /// A ring without records, whose next index is 0. `filler` is what lies in the place of headers that are
    /// not there: with one of all zeros, a static ring takes no flash.
    pub const fn new(filler: H) -> Self {
        const {
            assert!(RECORDS >= 1, "a ring has room for a record");
            assert!(BYTES >= 1 && BYTES <= (u32::MAX / 4) as usize, "positions are numbers of 32 bits");
        }
        let slot = Slot { start: 0, length: 0, header: filler };
        Self { bytes: [0; BYTES], slots: [slot; RECORDS], first: 0, first_slot: 0, count: 0, end: 0 }
    }

    // === Reading ===

    /// The indices of the records that are there; the next record's is the end.
    #[inline]
    pub const fn indices(&self) -> Range<u64> {
        self.first..self.first + self.count as u64
    }

    /// How many records there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The record at `index`, if it is there. O(1).
    #[inline]
    pub fn get(&self, index: u64) -> Option<Record<'_, H>> {
        let nth = index.checked_sub(self.first).filter(|nth| *nth < self.count as u64)?;
        let slot = self.nth(nth as usize)?;
        let start = Self::byte(slot.start as usize);
        let bytes = self.bytes.get(start..start + slot.length as usize)?;
        Some(Record { header: slot.header, bytes })
    }

    /// The bytes of the record at `index`, to be changed in place. O(1).
    #[inline]
    pub fn get_mut(&mut self, index: u64) -> Option<&mut [u8]> {
        let nth = index.checked_sub(self.first).filter(|nth| *nth < self.count as u64)?;
        let &Slot { start, length, .. } = self.nth(nth as usize)?;
        let start = Self::byte(start as usize);
        self.bytes.get_mut(start..start + length as usize)
    }

    // === Adding ===

    /// Adds a record, and gives its index. O(length), for the copy.
    ///
    /// # Errors
    ///
    /// As of [`reserve`](Self::reserve); the ring is unchanged then.
    #[inline]
    pub fn push(&mut self, header: H, bytes: &[u8]) -> Result<u64, PushError> {
        let mut room = self.reserve(1, bytes.len())?;
        room.bytes().get_mut(..bytes.len()).ok_or(PushError::NoBytes)?.copy_from_slice(bytes);
        room.commit(header, bytes.len())
    }

    /// Room for up to `records` records of `length` bytes together, to be written in place: what is committed
    /// can't fail for want of room. O(1).
    ///
    /// # Errors
    ///
    /// There are not as many records, bytes in one piece, or indices left; the ring is unchanged then.
    ///
    /// # Examples
    ///
    /// ```
    /// use trilane::causal::{Bloom, Chain, Frame, FrameWriter, Origin, RecordRing};
    ///
    /// let mut outputs: RecordRing<(), 256, 8> = RecordRing::new(());
    /// let mut chain = Chain::new(Origin::new(7));
    /// let mut room = outputs.reserve(2, 2 * (Frame::OVERHEAD + 4))?;
    /// for value in [1_u32, 2] {
    ///     let mut writer = FrameWriter::new(room.bytes())?;
    ///     writer.payload()[..4].copy_from_slice(&value.to_le_bytes());
    ///     let length = writer.seal(4, &mut chain, Bloom::EMPTY)?.len();
    ///     room.commit((), length)?;
    /// }
    /// assert_eq!(outputs.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn reserve(
        &mut self,
        records: usize,
        length: usize,
    ) -> Result<Reservation<'_, H, BYTES, RECORDS>, PushError> {
        if length > BYTES {
            return Err(PushError::TooLong { length, limit: BYTES });
        }
        if records > RECORDS - self.count {
            return Err(PushError::NoRecords);
        }
        if self.indices().end.checked_add(records as u64).is_none() {
            return Err(PushError::IndexOverflow);
        }
        let start = self.room(length).ok_or(PushError::NoBytes)?;
        Ok(Reservation { ring: self, records, start, length })
    }

    // === Dropping ===

    /// Drops the oldest records, up to and with the one at `index`. O(1).
    #[inline]
    pub fn evict_through(&mut self, index: u64) {
        let Some(nth) = index.checked_sub(self.first) else { return };
        // At most `RECORDS`.
        let evicted = nth.saturating_add(1).min(self.count as u64) as usize;
        self.first += evicted as u64;
        self.first_slot = Self::slot(self.first_slot + evicted);
        self.count -= evicted;
    }

    /// Drops the newest records, back to and with the one at `index`, or all if that is older than the
    /// oldest. O(1).
    pub fn truncate_from(&mut self, index: u64) {
        self.count = index.saturating_sub(self.first).min(self.count as u64) as usize;
        if let Some(newest) = self.nth(self.count.wrapping_sub(1)) {
            self.end = Self::position((newest.start + newest.length) as usize);
        }
    }

    /// Drops all records; the next one's index is `next`. O(1).
    pub fn clear(&mut self, next: u64) {
        self.first = next;
        self.count = 0;
    }

    // === Positions ===

    /// The position of `length` bytes in one piece behind the newest record, if they are free.
    fn room(&self, length: usize) -> Option<usize> {
        let Some(oldest) = self.nth(0) else { return Some(0) };
        let end = self.end;
        let used = Self::position(end + 2 * BYTES - oldest.start as usize);
        let to_end = BYTES - Self::byte(end);
        let skipped = if length <= to_end { 0 } else { to_end };
        (used + skipped + length <= BYTES).then(|| Self::position(end + skipped))
    }

    /// A position that may have been counted around once.
    fn position(position: usize) -> usize {
        if position < 2 * BYTES { position } else { position - 2 * BYTES }
    }

    /// The byte at a position.
    fn byte(position: usize) -> usize {
        if position < BYTES { position } else { position - BYTES }
    }

    /// The place in `slots` that may have been counted around once.
    fn slot(place: usize) -> usize {
        if place < RECORDS { place } else { place - RECORDS }
    }

    /// Of the records that are there, the `nth` from the oldest.
    fn nth(&self, nth: usize) -> Option<&Slot<H>> {
        if nth >= self.count { None } else { self.slots.get(Self::slot(self.first_slot + nth)) }
    }
}

/// Room in a [`RecordRing`] for the next records. What isn't committed goes back when it is dropped.
#[derive(Debug)]
pub struct Reservation<'a, H, const BYTES: usize, const RECORDS: usize> {
    ring: &'a mut RecordRing<H, BYTES, RECORDS>,
    /// How many more records.
    records: usize,
    /// The position of the next record.
    start: usize,
    /// How many more bytes.
    length: usize,
}

impl<H: Copy, const BYTES: usize, const RECORDS: usize> Reservation<'_, H, BYTES, RECORDS> {
    /// The bytes that are left; the next record's go to the front.
    #[inline]
    pub fn bytes(&mut self) -> &mut [u8] {
        let start = RecordRing::<H, BYTES, RECORDS>::byte(self.start);
        self.ring.bytes.get_mut(start..start + self.length).unwrap_or_default()
    }

    /// Adds the first `length` of [`bytes`](Self::bytes) as a record, and gives its index. O(1).
    ///
    /// # Errors
    ///
    /// [`PushError::NotReserved`] if that is more than is left of the reservation; nothing has changed then.
    #[inline]
    pub fn commit(&mut self, header: H, length: usize) -> Result<u64, PushError> {
        if self.records == 0 || length > self.length {
            return Err(PushError::NotReserved);
        }
        let ring = &mut *self.ring;
        let index = ring.indices().end;
        let place = RecordRing::<H, BYTES, RECORDS>::slot(ring.first_slot + ring.count);
        let slot = ring.slots.get_mut(place).ok_or(PushError::NoRecords)?;
        *slot = Slot { start: self.start as u32, length: length as u32, header };
        ring.count += 1;
        self.records -= 1;
        self.start = RecordRing::<H, BYTES, RECORDS>::position(self.start + length);
        ring.end = self.start;
        self.length -= length;
        Ok(index)
    }
}

/// Why a record was not added. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PushError {
    /// There are as many records as there may be.
    NoRecords,
    /// There are not as many bytes free in one piece.
    NoBytes,
    /// It would not fit an empty ring.
    TooLong {
        /// How many bytes were asked for.
        length: usize,
        /// How many there are.
        limit: usize,
    },
    /// The reservation has fewer records or bytes left.
    NotReserved,
    /// The indices are used up.
    IndexOverflow,
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecords => f.write_str("the ring holds as many records as it may: evict some first"),
            Self::NoBytes => f.write_str("the ring has not as many bytes in one piece: evict records first"),
            Self::TooLong { length, limit } => {
                write!(f, "a record of {length} bytes never fits a ring of {limit}: give it more bytes")
            }
            Self::NotReserved => f.write_str("less than that is reserved: reserve more at once"),
            Self::IndexOverflow => f.write_str("the indices are used up: begin anew"),
        }
    }
}

impl core::error::Error for PushError {}
