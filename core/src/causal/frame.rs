//! Frames: events with their length before them, as they travel and as they are kept.
//!
//! `[length, 32 bits, little end first][link, 32 bytes][payload]`, where the length counts link and payload.
//! So the two lie one behind the other and are hashed in one shot, where the frame is written and where it is
//! read; neither side copies a payload to hash it.

use core::fmt;

use crate::causal::{Event, Link};

/// The bytes of the length.
pub(super) const LENGTH: usize = size_of::<u32>();

/// A whole frame in one slice. Nothing is known yet of whether its link fits the chain.
///
/// # Examples
///
/// ```
/// use trilane::causal::{Bloom, Chain, Frame, FrameWriter, Origin};
///
/// let mut buffer = [0; 64];
/// let mut writer = FrameWriter::new(&mut buffer)?;
/// writer.payload()[..2].copy_from_slice(b"on");
/// let sent = writer.seal(2, &mut Chain::new(Origin::new(7)), Bloom::EMPTY)?;
///
/// let (frame, behind) = Frame::split(sent)?;
/// assert_eq!((frame.event().payload(), behind), (&b"on"[..], &[][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    event: Event<'a>,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The bytes before a payload: length and link.
    pub const OVERHEAD: usize = LENGTH + Link::LEN;

    /// The first frame of `bytes`, and the bytes behind it. O(1).
    ///
    /// # Errors
    ///
    /// [`FrameError::TooShort`] or [`FrameError::Truncated`].
    #[inline]
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), FrameError> {
        let Some((prefix, body)) = bytes.split_first_chunk() else {
            return Err(FrameError::Truncated { missing: LENGTH - bytes.len() });
        };
        let length = body_length(*prefix)?;
        let Some((body, behind)) = body.split_at_checked(length) else {
            return Err(FrameError::Truncated { missing: length - body.len() });
        };
        let event = Event::new(body).map_err(|_| FrameError::TooShort { length })?;
        let bytes = bytes.get(..LENGTH + length).unwrap_or_default();
        Ok((Self { event, bytes }, behind))
    }

    /// Its link and payload.
    #[inline]
    pub const fn event(self) -> Event<'a> {
        self.event
    }

    /// All its bytes, the length's included.
    #[inline]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

/// How long link and payload are, by the bytes before them.
pub(super) fn body_length(prefix: [u8; LENGTH]) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(prefix) as usize;
    if length < Link::LEN { Err(FrameError::TooShort { length }) } else { Ok(length) }
}

/// The frames of a slice, one behind the other.
///
/// After an error there is no other frame, for nothing says where it would begin; [`rest`](Self::rest) begins
/// with the bytes that are none. So frames that were given are whole, and the slice is read to its end iff
/// the last item is not an error.
///
/// # Examples
///
/// ```
/// use trilane::causal::{FrameError, Frames};
///
/// let mut frames = Frames::new(&[31, 0, 0, 0, 9]);
/// assert_eq!(frames.next(), Some(Err(FrameError::TooShort { length: 31 })));
/// assert_eq!((frames.next(), frames.rest().len()), (None, 5));
/// ```
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    has_failed: bool,
}

impl<'a> Frames<'a> {
    /// The frames of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, has_failed: false }
    }

    /// The bytes behind the last frame that was given.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.has_failed {
            return None;
        }
        let split = Frame::split(self.rest);
        self.has_failed = split.is_err();
        Some(split.map(|(frame, behind)| {
            self.rest = behind;
            frame
        }))
    }
}

impl core::iter::FusedIterator for Frames<'_> {}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// The length is less than a link's.
    TooShort {
        /// What it says.
        length: usize,
    },
    /// The length is more than the reader has room for.
    TooLong {
        /// What it says.
        length: usize,
        /// The most that there is room for.
        limit: usize,
    },
    /// The bytes end amid the frame.
    Truncated {
        /// How many are missing at least: of the frame, or of its length.
        missing: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { length } => write!(
                f,
                "a frame's length is {length}, less than the 32 of a link: the stream is not of frames, or \
                 lost bytes; open it again"
            ),
            Self::TooLong { length, limit } => write!(
                f,
                "a frame's length is {length}, the reader takes {limit}: give it more room, or open the \
                 stream again if bytes were lost"
            ),
            Self::Truncated { missing } => {
                write!(f, "the bytes end amid a frame, {missing} are missing at least: read on, or ask again")
            }
        }
    }
}

impl core::error::Error for FrameError {}
