//! Carries a snapshot from one member to another, in slices: A.7.2 to A.7.4.
//!
//! The receiver asks for each slice, and asks again if it doesn't come. The source has written the snapshot
//! as a whole before it gives out the first slice, so it goes on applying meanwhile; the receiver keeps its
//! state until it has the whole and the hash is right.

use core::fmt;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::causal::{Position, Snapshot};
use crate::daemon::Daemon;
use crate::group::member::{Member, SnapshotFailed};
use crate::group::rules::{Rule, lacks};

/// The version of the snapshots that are transferred.
const VERSION: u8 = 3;

/// What a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Offer {
    /// The snapshot's version.
    pub version: u8,
    /// The producers that the source has room for.
    pub producers: u32,
    /// How many bytes the snapshot has.
    pub bytes: u32,
    /// Its hash.
    pub hash: u64,
    /// The term in which it was written.
    pub term: u64,
    /// The last event in it.
    pub applied: Position,
}

/// What a receiver wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request {
    /// The snapshot's hash.
    pub hash: u64,
    /// The first byte.
    pub offset: u32,
}

/// A piece of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice<'a> {
    /// The snapshot's hash.
    pub hash: u64,
    /// Where in the snapshot it begins.
    pub offset: u32,
    /// The low half of the XXH3-64 of `bytes`, with `offset` as its seed.
    pub check: u32,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl Slice<'_> {
    fn sum(offset: u32, bytes: &[u8]) -> u32 {
        xxh3_64_with_seed(bytes, offset.into()) as u32
    }
}

/// The second buffer of a member, of up to `N` bytes: for a snapshot that it gives out, or takes in.
#[derive(Debug)]
pub struct Transfer<const N: usize> {
    buffer: [u8; N],
    role: Role,
    /// How many ticks have passed without progress.
    idle: u32,
}

#[derive(Clone, Copy, Debug)]
enum Role {
    None,
    Source(Offer),
    Receiver { offer: Offer, received: u32 },
}

impl<const N: usize> Transfer<N> {
    /// No transfer. All zeros.
    pub const fn new() -> Self {
        Self { buffer: [0; N], role: Role::None, idle: 0 }
    }

    /// Ends whatever there is.
    pub const fn end(&mut self) {
        self.role = Role::None;
        self.idle = 0;
    }

    /// Counts a tick, and ends a transfer that has made no progress for `limit` of them. Returns whether it
    /// did: the other end is gone, or its snapshot is.
    pub fn tick(&mut self, limit: u32) -> bool {
        if matches!(self.role, Role::None) || lacks(Rule::TransferEnds) {
            return false;
        }
        self.idle = self.idle.saturating_add(1);
        let is_over = self.idle > limit;
        if is_over {
            self.end();
        }
        is_over
    }

    // === Source ===

    /// Writes a snapshot of `member` and offers it. One that is under way goes on: its offer is given again.
    ///
    /// # Errors
    ///
    /// [`TransferError::Busy`] if this member takes in one itself, or the snapshot can't be written.
    pub fn offer<D: Daemon, const B: usize, const R: usize, const P: usize, const C: usize>(
        &mut self,
        member: &Member<D, B, R, P, C>,
    ) -> Result<Offer, TransferError> {
        match self.role {
            Role::Source(offer) if offer.term == member.term() => return Ok(offer),
            Role::Receiver { .. } => return Err(TransferError::Busy),
            _ => self.end(),
        }
        let snapshot = member.snapshot(&mut self.buffer).map_err(TransferError::Source)?;
        let bytes = snapshot.len() as u32;
        let hash = snapshot.last_chunk().copied().map_or(0, u64::from_le_bytes);
        let (term, applied) = (member.term(), member.applied());
        let offer = Offer { version: VERSION, producers: P as u32, bytes, hash, term, applied };
        self.role = Role::Source(offer);
        Ok(offer)
    }

    /// The slice that is asked for, of up to `most` bytes.
    ///
    /// # Errors
    ///
    /// [`TransferError::NotOffered`] or [`TransferError::OutOfRange`].
    pub fn slice(&mut self, request: Request, most: usize) -> Result<Slice<'_>, TransferError> {
        let Request { hash, offset } = request;
        let Role::Source(offer) = self.role else { return Err(TransferError::NotOffered) };
        if offer.hash != hash {
            return Err(TransferError::NotOffered);
        }
        let whole = self.buffer.get(..offer.bytes as usize).unwrap_or_default();
        let rest = whole.get(offset as usize..).ok_or(TransferError::OutOfRange { bytes: offer.bytes })?;
        self.idle = 0;
        let bytes = rest.get(..most).unwrap_or(rest);
        Ok(Slice { hash, offset, check: Slice::sum(offset, bytes), bytes })
    }

    // === Receiver ===

    /// Begins to take in what is offered. The same offer again changes nothing; a later one replaces it.
    ///
    /// # Errors
    ///
    /// The version or the capacity is another, it doesn't fit, or this member gives out one itself.
    pub fn accept(&mut self, offer: Offer, producers: usize) -> Result<(), TransferError> {
        if offer.version != VERSION {
            return Err(TransferError::Version { got: offer.version });
        }
        if offer.producers as usize != producers {
            return Err(TransferError::Capacity { ours: producers as u32, its: offer.producers });
        }
        if offer.bytes as usize > N || (offer.bytes as usize) < Snapshot::size(0, 0, 0) {
            return Err(TransferError::Size { bytes: offer.bytes, limit: N });
        }
        match self.role {
            Role::Source(_) => return Err(TransferError::Busy),
            Role::Receiver { offer: ours, .. }
                if (ours.term, ours.applied) >= (offer.term, offer.applied) => {}
            _ => {
                self.role = Role::Receiver { offer, received: 0 };
                self.idle = 0;
            }
        }
        Ok(())
    }

    /// What is to be asked for next.
    pub const fn request(&self) -> Option<Request> {
        match self.role {
            Role::Receiver { offer, received } => Some(Request { hash: offer.hash, offset: received }),
            _ => None,
        }
    }

    /// Takes the next slice. Returns the snapshot once it is whole; [`Member::install`] checks its hash. One
    /// that has come before changes nothing.
    ///
    /// # Errors
    ///
    /// The slice is of another snapshot, corrupt, or not the next one. What has come stays.
    pub fn take(&mut self, slice: &Slice<'_>) -> Result<Option<&[u8]>, TransferError> {
        let Role::Receiver { offer, received } = &mut self.role else {
            return Err(TransferError::NotOffered);
        };
        let offer = *offer;
        let Slice { hash, offset, check, bytes } = *slice;
        if hash != offer.hash {
            return Err(TransferError::NotOffered);
        }
        if check != Slice::sum(offset, bytes) && !lacks(Rule::WholeHash) {
            return Err(TransferError::Corrupt { offset });
        }
        if offset > *received {
            return Err(TransferError::Gap { expected: *received, got: offset });
        }
        if offset == *received {
            let end = offset as usize + bytes.len();
            if end > offer.bytes as usize {
                return Err(TransferError::OutOfRange { bytes: offer.bytes });
            }
            if let Some(place) = self.buffer.get_mut(offset as usize..end) {
                place.copy_from_slice(bytes);
            }
            *received = end as u32;
            self.idle = 0;
        }
        let is_whole = *received == offer.bytes;
        if is_whole && lacks(Rule::WholeHash) {
            self.make_hash_right(offer.bytes as usize);
        }
        Ok(if is_whole { self.buffer.get(..offer.bytes as usize) } else { None })
    }

    /// What a receiver that checks no hash would take for right.
    fn make_hash_right(&mut self, bytes: usize) {
        let whole = self.buffer.get_mut(..bytes).unwrap_or_default();
        if let Some((content, hash)) = whole.split_last_chunk_mut::<8>() {
            *hash = xxhash_rust::xxh3::xxh3_64(content).to_le_bytes();
        }
    }
}

impl<const N: usize> Default for Transfer<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a step of a transfer was not taken. The transfer is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TransferError {
    /// This member has a transfer the other way.
    Busy,
    /// The snapshot can't be written.
    Source(SnapshotFailed),
    /// There is no such snapshot here, or no longer.
    NotOffered,
    /// The snapshot does not reach so far.
    OutOfRange {
        /// How many bytes it has.
        bytes: u32,
    },
    /// A snapshot of a version that isn't read here.
    Version {
        /// The version.
        got: u8,
    },
    /// The members were built with room for different numbers of producers.
    Capacity {
        /// The receiver's.
        ours: u32,
        /// The source's.
        its: u32,
    },
    /// The snapshot does not fit the buffer, or is none.
    Size {
        /// How many bytes it has.
        bytes: u32,
        /// How many there is room for.
        limit: usize,
    },
    /// The slice was changed on the way.
    Corrupt {
        /// Where it begins.
        offset: u32,
    },
    /// A slice is missing.
    Gap {
        /// Where the next one begins.
        expected: u32,
        /// Where this one begins.
        got: u32,
    },
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("there is a transfer the other way: wait for its end"),
            Self::Source(error) => error.fmt(f),
            Self::NotOffered => f.write_str("there is no such snapshot, or no longer: ask for an offer"),
            Self::OutOfRange { bytes } => write!(f, "the snapshot has {bytes} bytes: ask for those"),
            Self::Version { got } => write!(f, "the snapshot is of version {got}, {VERSION} is read here"),
            Self::Capacity { ours, its } => {
                write!(f, "room for {its} producers there, for {ours} here: build all members alike")
            }
            Self::Size { bytes, limit } => {
                write!(f, "the snapshot has {bytes} bytes, the buffer {limit}: give it a larger one")
            }
            Self::Corrupt { offset } => write!(f, "the slice at {offset} was changed on the way: ask again"),
            Self::Gap { expected, got } => {
                write!(f, "the slice at {got} came, {expected} is next: ask for that")
            }
        }
    }
}

impl core::error::Error for TransferError {}
