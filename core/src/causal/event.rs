//! An event: a link and the payload behind it, in one slice, so that one shot hashes both.

use core::fmt;

use crate::causal::{Link, LinkHash};

/// A link and the payload behind it, as they lie in a frame. Nothing is known yet of whether the link fits
/// its chain.
///
/// # Examples
///
/// ```
/// use trilane::causal::{Event, Link, Origin};
///
/// let mut bytes = [0; Link::LEN + 5];
/// bytes[..Link::LEN].copy_from_slice(&Link::genesis(Origin::new(0xabcd)).to_bytes());
/// bytes[Link::LEN..].copy_from_slice(b"hello");
///
/// let event = Event::new(&bytes)?;
/// assert_eq!(event.payload(), b"hello");
/// assert_eq!(event.hash().get(), 0x6155_5bdd_9c8c_9000);
/// # Ok::<(), trilane::causal::NoLink>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    link: &'a [u8; Link::LEN],
    /// The link again and the payload.
    bytes: &'a [u8],
}

impl<'a> Event<'a> {
    /// The event that these bytes are: a link and, for the rest, the payload. O(1).
    ///
    /// # Errors
    ///
    /// [`NoLink`] if there are fewer bytes than a link has.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Result<Self, NoLink> {
        match bytes.first_chunk() {
            Some(link) => Ok(Self { link, bytes }),
            None => Err(NoLink),
        }
    }

    /// Writes `link` into the first bytes of `buffer`, which has the payload behind them. O(1).
    ///
    /// # Errors
    ///
    /// [`NoLink`] if the buffer is shorter than a link; it is unchanged then.
    #[inline]
    pub fn write(link: Link, buffer: &'a mut [u8]) -> Result<Self, NoLink> {
        *buffer.first_chunk_mut().ok_or(NoLink)? = link.to_bytes();
        Self::new(buffer)
    }

    /// Its link.
    #[inline]
    pub fn link(self) -> Link {
        Link::from_bytes(self.link)
    }

    /// The bytes behind the link.
    #[inline]
    pub fn payload(self) -> &'a [u8] {
        self.bytes.get(Link::LEN..).unwrap_or_default()
    }

    /// Link and payload.
    #[inline]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The hash of both, which the next link has as its parent. O(length).
    #[inline]
    pub fn hash(self) -> LinkHash {
        LinkHash::of(self.bytes)
    }
}

/// There are fewer bytes than a link has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoLink;

impl fmt::Display for NoLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event begins with a link of 32 bytes: pass link and payload as one slice")
    }
}

impl core::error::Error for NoLink {}
