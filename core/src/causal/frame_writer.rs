//! Writes a frame in place: the payload first, then the link and the length before it.

use core::fmt;

use crate::causal::frame::LENGTH;
use crate::causal::{AppendError, Bloom, Chain, Frame, Link};

/// A frame that is being written into a buffer, such as the room that a
/// [`RecordRing`](crate::causal::RecordRing) reserved.
///
/// # Examples
///
/// ```
/// use trilane::causal::{Bloom, Chain, FrameWriter, Origin};
///
/// let mut chain = Chain::new(Origin::new(7));
/// let mut buffer = [0; 64];
/// let mut writer = FrameWriter::new(&mut buffer)?;
/// writer.payload()[..4].copy_from_slice(&21.5_f32.to_le_bytes());
/// let frame = writer.seal(4, &mut chain, Bloom::EMPTY)?;
/// assert_eq!(frame.len(), 40);
/// # Ok::<(), trilane::causal::SealError>(())
/// ```
#[derive(Debug)]
pub struct FrameWriter<'a> {
    buffer: &'a mut [u8],
}

impl<'a> FrameWriter<'a> {
    /// Begins a frame at the start of `buffer`.
    ///
    /// # Errors
    ///
    /// [`SealError::NoRoom`] if not even a frame without payload fits.
    pub const fn new(buffer: &'a mut [u8]) -> Result<Self, SealError> {
        if buffer.len() < Frame::OVERHEAD {
            return Err(SealError::NoRoom { needed: Frame::OVERHEAD });
        }
        Ok(Self { buffer })
    }

    /// The place of the payload: all of the buffer that a frame's length and link leave.
    #[inline]
    pub fn payload(&mut self) -> &mut [u8] {
        self.buffer.get_mut(Frame::OVERHEAD..).unwrap_or_default()
    }

    /// Appends what [`payload`](Self::payload) begins with, `length` bytes, to `chain`, and gives the frame.
    /// O(length), by one hash.
    ///
    /// # Errors
    ///
    /// The buffer has no room for that many, they are more than a frame's length can say, or the chain has no
    /// sequence left. The chain and the payload are unchanged then.
    #[inline]
    pub fn seal(self, length: usize, chain: &mut Chain, horizon: Bloom) -> Result<&'a [u8], SealError> {
        let body_length = length.saturating_add(Link::LEN);
        let Ok(prefix) = u32::try_from(body_length) else { return Err(SealError::TooLong) };
        let needed = body_length.saturating_add(LENGTH);
        let frame = self.buffer.get_mut(..needed).ok_or(SealError::NoRoom { needed })?;
        let (place, body) = frame.split_first_chunk_mut().ok_or(SealError::NoRoom { needed })?;
        chain.append(horizon, body).map_err(|error| match error {
            AppendError::NoRoomForLink => SealError::NoRoom { needed },
            AppendError::SequenceOverflow => SealError::SequenceOverflow,
        })?;
        *place = prefix.to_le_bytes();
        Ok(frame)
    }
}

/// Why no frame was written. The chain has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SealError {
    /// The buffer is too small.
    NoRoom {
        /// How many bytes the frame has.
        needed: usize,
    },
    /// The payload has more bytes than a frame's length can say.
    TooLong,
    /// The chain has come to [`Sequence::MAX`](crate::causal::Sequence::MAX).
    SequenceOverflow,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom { needed } => write!(f, "the frame has {needed} bytes: give it a larger buffer"),
            Self::TooLong => {
                f.write_str("a frame has at most 2^32 - 1 bytes of link and payload: send pieces")
            }
            Self::SequenceOverflow => AppendError::SequenceOverflow.fmt(f),
        }
    }
}

impl core::error::Error for SealError {}
