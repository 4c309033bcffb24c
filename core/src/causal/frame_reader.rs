//! Reads frames from a stream that comes in pieces of any size.

use crate::causal::frame::{LENGTH, body_length};
use crate::causal::{Frame, FrameError};

/// Reads frames of up to `N` bytes each, the length's included, from pieces of a stream.
///
/// A frame that lies whole in a piece is given from there; the others are put together in the reader's `N`
/// bytes. How the stream is cut makes no difference to what is given.
///
/// After an error of [`read`](Self::read) the reader has stopped: where the next frame begins is unknown, so
/// each further call takes nothing and gives the same error, until [`reset`](Self::reset).
///
/// # Examples
///
/// ```
/// use trilane::causal::{Bloom, Chain, FrameReader, FrameWriter, Origin};
///
/// let mut buffer = [0; 38];
/// let mut writer = FrameWriter::new(&mut buffer)?;
/// writer.payload().copy_from_slice(b"on");
/// let sent = writer.seal(2, &mut Chain::new(Origin::new(7)), Bloom::EMPTY)?;
///
/// let mut reader: FrameReader<64> = FrameReader::new();
/// let (mut first, mut second) = sent.split_at(10);
/// assert!(reader.read(&mut first)?.is_none());
/// assert_eq!(reader.read(&mut second)?.unwrap().event().payload(), b"on");
/// reader.finish()?; // The stream did not end amid a frame.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameReader<const N: usize> {
    buffer: [u8; N],
    /// How many bytes of the buffer are a frame's that has begun. A frame that was given stays until the next
    /// call, as does a length that is an error.
    filled: usize,
}

impl<const N: usize> FrameReader<N> {
    /// The most that a frame's length may say.
    const LIMIT: usize = N - LENGTH;

    /// A reader before the first byte of a stream.
    pub const fn new() -> Self {
        const { assert!(N >= Frame::OVERHEAD, "a reader has room for a frame without payload") };
        Self { buffer: [0; N], filled: 0 }
    }

    /// Takes the next frame from the front of `input`, or all of `input` if that ends before the frame does:
    /// `None` then. Call it until it gives `None`. O(bytes taken).
    ///
    /// # Errors
    ///
    /// [`FrameError::TooShort`] or [`FrameError::TooLong`], as soon as the length has come; then nothing
    /// behind the length is taken.
    pub fn read<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        if self.is_whole()? {
            self.filled = 0;
        }
        if self.filled == 0
            && let Ok((frame, behind)) = Frame::split(input)
            && frame.bytes().len() <= N
        {
            *input = behind;
            return Ok(Some(frame));
        }
        self.fill(LENGTH, input);
        if let Some(total) = self.total()? {
            self.fill(total, input);
        }
        if !self.is_whole()? {
            return Ok(None);
        }
        let (frame, _) = Frame::split(self.filled())?;
        Ok(Some(frame))
    }

    /// Whether the stream may end here.
    ///
    /// # Errors
    ///
    /// [`FrameError::Truncated`] amid a frame, and the error at which the reader has stopped.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.filled == 0 || self.is_whole()? {
            return Ok(());
        }
        Err(FrameError::Truncated { missing: self.total()?.unwrap_or(LENGTH) - self.filled })
    }

    /// Forgets the frame that has begun, and the error: the next byte is the first of another stream.
    pub const fn reset(&mut self) {
        self.filled = 0;
    }

    /// The bytes of the frame that has begun.
    fn filled(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    /// How many bytes the frame has that has begun, once its length is there.
    fn total(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.filled().first_chunk() else { return Ok(None) };
        let length = body_length(*prefix)?;
        if length > Self::LIMIT {
            return Err(FrameError::TooLong { length, limit: Self::LIMIT });
        }
        Ok(Some(LENGTH + length))
    }

    fn is_whole(&self) -> Result<bool, FrameError> {
        Ok(self.total()? == Some(self.filled))
    }

    /// Moves bytes of `input` behind those that are there, until there are `end` or no more; nothing if there
    /// are more than that already.
    fn fill(&mut self, end: usize, input: &mut &[u8]) {
        let place = self.buffer.get_mut(self.filled..end).unwrap_or_default();
        let (taken, rest) = input.split_at(place.len().min(input.len()));
        place[..taken.len()].copy_from_slice(taken);
        self.filled += taken.len();
        *input = rest;
    }
}

impl<const N: usize> Default for FrameReader<N> {
    fn default() -> Self {
        Self::new()
    }
}
