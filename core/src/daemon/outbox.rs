//! Where a daemon's outputs go.

use core::fmt;

use crate::causal::{Frame, Link};

/// The outputs of one event, written one behind the other into room that was reserved for all of them.
///
/// Each lies as a frame whose link is still blank: who commits the event fills it in, and copies nothing.
#[derive(Debug)]
pub struct Outbox<'a> {
    buffer: &'a mut [u8],
    filled: usize,
    /// How many more outputs, and how many more bytes of payload.
    outputs: usize,
    bytes: usize,
    has_failed: bool,
}

impl<'a> Outbox<'a> {
    /// How much room `outputs` outputs of `bytes` bytes together take.
    pub const fn size(outputs: usize, bytes: usize) -> usize {
        outputs * Frame::OVERHEAD + bytes
    }

    /// An empty outbox for up to `outputs` outputs of `bytes` bytes together, in a buffer that has
    /// [`size`](Self::size) bytes at least; with less, it is full earlier.
    pub const fn new(buffer: &'a mut [u8], outputs: usize, bytes: usize) -> Self {
        Self { buffer, filled: 0, outputs, bytes, has_failed: false }
    }

    /// Adds an output. O(length), for the copy.
    ///
    /// # Errors
    ///
    /// [`OutboxFull`] if that is more than the daemon said it has. Nothing is added then, and the event is
    /// not committed: an output that is missing would be lost.
    #[inline]
    pub fn send(&mut self, payload: &[u8]) -> Result<(), OutboxFull> {
        self.write(payload.len())?.copy_from_slice(payload);
        Ok(())
    }

    /// Adds an output of `length` bytes, to be written in place. The bytes aren't cleared before.
    ///
    /// # Errors
    ///
    /// As of [`send`](Self::send).
    #[inline]
    pub fn write(&mut self, length: usize) -> Result<&mut [u8], OutboxFull> {
        let end = self.filled + Frame::OVERHEAD + length;
        if self.outputs == 0 || length > self.bytes || end > self.buffer.len() {
            self.has_failed = true;
            return Err(OutboxFull { outputs: self.outputs, bytes: self.bytes });
        }
        self.outputs -= 1;
        self.bytes -= length;
        let frame = self.buffer.get_mut(self.filled..end).unwrap_or_default();
        self.filled = end;
        if let Some(prefix) = frame.first_chunk_mut() {
            *prefix = ((Link::LEN + length) as u32).to_le_bytes();
        }
        Ok(frame.get_mut(Frame::OVERHEAD..).unwrap_or_default())
    }

    /// How many bytes the frames have.
    ///
    /// # Errors
    ///
    /// [`OutboxFull`] if an output was turned away, whether or not the daemon cared.
    #[inline]
    pub const fn finish(self) -> Result<usize, OutboxFull> {
        if self.has_failed {
            return Err(OutboxFull { outputs: self.outputs, bytes: self.bytes });
        }
        Ok(self.filled)
    }
}

/// An event has more outputs than its daemon said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutboxFull {
    /// How many more outputs there was room for.
    pub outputs: usize,
    /// How many more bytes of payload there was room for.
    pub bytes: usize,
}

impl fmt::Display for OutboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there is room for {} more outputs of {} bytes: raise the daemon's `MAX_OUTPUTS` or `MAX_OUTPUT_BYTES`",
            self.outputs, self.bytes
        )
    }
}

impl core::error::Error for OutboxFull {}
