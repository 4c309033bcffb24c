//! The outlet's record as bytes: what must outlive a restart.
//!
//! There are two copies, and the older one is overwritten: power that fails amid it leaves the other.

use core::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::machine::Outlet;
use crate::causal::{Frame, LinkHash, words};
use crate::group::rules::{Rule, lacks};
use crate::group::{Cut, GroupId, Mark};

const MAGIC: u64 = u64::from_le_bytes(*b"outlet 1");
/// Words before the incarnations.
const FIXED: usize = 15;

impl<const MEMBERS: usize, const CUTS: usize, const FRAME: usize> Outlet<MEMBERS, CUTS, FRAME> {
    /// How many bytes a copy of the record takes.
    pub const RECORD: usize = 8 * (FIXED + MEMBERS + Cut::WORDS * CUTS + 1) + FRAME;

    /// Writes the record into the older of two copies. O(record), with one hash.
    ///
    /// # Errors
    ///
    /// [`RecordError::Size`] if a copy is not [`RECORD`](Self::RECORD) bytes long; nothing was written then.
    pub fn write(&mut self, copies: [&mut [u8]; 2]) -> Result<(), RecordError> {
        for copy in &copies {
            Self::check_size(copy)?;
        }
        self.version = self.version.wrapping_add(1);
        let [even, odd] = copies;
        let is_odd = self.version % 2 == 1 && !lacks(Rule::TwoCopies);
        self.write_copy(if is_odd { odd } else { even });
        Ok(())
    }

    /// Writes what is in the record to a copy of its own.
    fn write_copy(&self, copy: &mut [u8]) {
        let [m0, m1, m2, m3, m4] = self.mark.to_words();
        let flags = u64::from(self.is_pending) << 32 | self.length as u64;
        let fixed: [u64; FIXED] = [
            MAGIC,
            self.version,
            self.group.get(),
            self.term,
            self.generation,
            self.arbiter,
            m0,
            m1,
            m2,
            m3,
            m4,
            self.hash.get(),
            flags,
            self.cuts.term(),
            self.cuts.iter().count() as u64,
        ];
        let mut words = fixed.into_iter().chain(self.incarnations);
        let mut cuts = self.cuts.iter().flat_map(|cut| cut.to_words());
        let (content, hash) = copy.split_at_mut(Self::RECORD - 8);
        let (numbers, frame) = content.split_at_mut(Self::RECORD - 8 - FRAME);
        for place in numbers.as_chunks_mut().0 {
            *place = words.next().or_else(|| cuts.next()).unwrap_or(0).to_le_bytes();
        }
        frame.copy_from_slice(&self.frame);
        hash.copy_from_slice(&xxh3_64(content).to_le_bytes());
    }

    fn check_size(copy: &[u8]) -> Result<(), RecordError> {
        if copy.len() == Self::RECORD {
            return Ok(());
        }
        Err(RecordError::Size { expected: Self::RECORD, got: copy.len() })
    }

    /// Goes on from the newer of two copies that is whole. The last link is [pending](Self::pending) again.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; the outlet is as it was then. Without a record it stays closed: outputs that were let
    /// out would be let out again.
    pub fn open(&mut self, group: GroupId, copies: [&[u8]; 2]) -> Result<(), RecordError> {
        let [even, odd] = copies.map(|copy| Self::read(group, copy));
        let newest = match (even, odd) {
            (Ok(even), Ok(odd)) if odd.version.wrapping_sub(even.version) == 1 => odd,
            (Ok(whole), _) | (Err(_), Ok(whole)) => whole,
            (Err(error), Err(_)) => return Err(error),
        };
        *self = newest;
        self.is_pending |= self.length > 0;
        self.is_pending &= !lacks(Rule::ReleaseAgain);
        Ok(())
    }

    fn read(group: GroupId, copy: &[u8]) -> Result<Self, RecordError> {
        Self::check_size(copy)?;
        let (content, hash) = copy.split_at(Self::RECORD - 8);
        if xxh3_64(content).to_le_bytes() != hash {
            return Err(RecordError::Hash);
        }
        let (numbers, frame) = content.split_at(Self::RECORD - 8 - FRAME);
        let fixed: [u64; FIXED] = words::read(numbers);
        let [magic, version, its, term, generation, arbiter, m0, m1, m2, m3, m4, hash, flags, list, count] =
            fixed;
        if magic != MAGIC || GroupId::new(its) != group {
            return Err(RecordError::Group);
        }
        let mut outlet = Self::new();
        (outlet.group, outlet.version, outlet.term) = (group, version, term);
        (outlet.generation, outlet.arbiter) = (generation, arbiter);
        outlet.origin = group.origin(term);
        outlet.mark = Mark::from_words([m0, m1, m2, m3, m4]).ok_or(RecordError::Group)?;
        outlet.hash = LinkHash::new(hash);
        outlet.is_pending = flags >> 32 == 1;
        outlet.length = (flags as u32 as usize).min(FRAME);
        outlet.frame.copy_from_slice(frame);
        let behind = numbers.get(8 * FIXED..).unwrap_or_default();
        outlet.incarnations = words::read(behind);
        let cuts = behind.get(8 * MEMBERS..).unwrap_or_default();
        let (cuts, _) = cuts.as_chunks::<{ 8 * Cut::WORDS }>();
        let entries = cuts.iter().take(count as usize).map(|bytes| words::read(bytes));
        outlet.cuts.restore(list, entries).ok_or(RecordError::Group)?;
        let is_frame =
            outlet.length == 0 || Frame::split(outlet.frame.get(..outlet.length).unwrap_or_default()).is_ok();
        if is_frame && term > 0 { Ok(outlet) } else { Err(RecordError::Group) }
    }
}

/// Why an outlet was not opened, or its record not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecordError {
    /// A copy has another length.
    Size {
        /// How many bytes it should have.
        expected: usize,
        /// How many it has.
        got: usize,
    },
    /// Neither copy is whole.
    Hash,
    /// It is the record of something else.
    Group,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { expected, got } => {
                write!(f, "a copy of the record has {expected} bytes, not {got}: keep its size")
            }
            Self::Hash => {
                f.write_str("neither copy of the record is whole: ask the consumer for its last link")
            }
            Self::Group => f.write_str("the record is of another group"),
        }
    }
}

impl core::error::Error for RecordError {}
