//! The chain: each event of an origin names the hash of the one before it, so a gap or a double shows at
//! once, and a change of an event at the next link.
//!
//! Neither end keeps an event. The emitter hashes what it appends and keeps the hash, and so does who
//! verifies: 16 bytes an origin, a [`Head`].

use core::fmt;

use crate::causal::{Bloom, Event, Link, LinkHash, NoLink, Origin, Sequence};

/// Where the chain of an origin ends: all that is needed to append the next event, or to verify it.
///
/// A plain value: [`verify`](Self::verify) gives the head behind an event and leaves this one, so that it
/// can change in the same step as whatever else the event changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// The place of the last event.
    pub sequence: Sequence,
    /// The hash of the last event: what the next one must have as its parent.
    pub next_parent: LinkHash,
}

impl Head {
    /// The head before the first event of `origin`: its genesis link, hashed without a payload.
    pub fn genesis(origin: Origin) -> Self {
        Self { sequence: Sequence::GENESIS, next_parent: LinkHash::of(&Link::genesis(origin).to_bytes()) }
    }

    /// Whether `link` is the next one of `origin`. O(1); hashes nothing.
    ///
    /// A sequence that isn't above the head's is of an event seen before, or of another that pretends to be:
    /// only whoever still has it can tell.
    ///
    /// # Errors
    ///
    /// The first that differs of origin, sequence and parent hash.
    #[inline]
    pub fn validate(self, origin: Origin, link: &Link) -> Result<(), LinkError> {
        if link.origin != origin {
            return Err(LinkError::Origin { expected: origin, got: link.origin });
        }
        let Some(expected) = self.sequence.next() else { return Err(LinkError::SequenceOverflow) };
        if link.sequence != expected {
            return Err(LinkError::Sequence { expected, got: link.sequence });
        }
        if link.parent != self.next_parent {
            return Err(LinkError::Parent { expected: self.next_parent, got: link.parent });
        }
        Ok(())
    }

    /// The head behind `event`, if its link is the next one of `origin`. O(length), by one hash.
    ///
    /// `Ok` means that the link fits. The event's payload, horizon and length are proven by the event behind
    /// it, whose parent is this head's: see [what `Ok` proves](crate::causal#what-ok-proves).
    ///
    /// # Errors
    ///
    /// As of [`validate`](Self::validate); then nothing has been hashed.
    #[inline]
    pub fn verify(self, origin: Origin, event: Event<'_>) -> Result<Self, LinkError> {
        let link = event.link();
        self.validate(origin, &link)?;
        Ok(Self { sequence: link.sequence, next_parent: event.hash() })
    }
}

/// An origin and where its chain ends: what an emitter appends to, or one origin's events are verified by.
///
/// # Examples
///
/// ```
/// use trilane::causal::{Bloom, Chain, Link, Origin};
///
/// let mut emitted = Chain::new(Origin::new(7));
/// let mut verified = emitted;
///
/// let mut buffer = [0; Link::LEN + 2];
/// buffer[Link::LEN..].copy_from_slice(b"on");
/// let event = emitted.append(Bloom::EMPTY, &mut buffer)?;
///
/// verified.verify(event)?;
/// assert_eq!(verified, emitted);
/// verified.verify(event).unwrap_err(); // It has been seen.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Chain {
    origin: Origin,
    head: Head,
}

impl Chain {
    /// The chain of a new origin, without events.
    pub fn new(origin: Origin) -> Self {
        Self::resume(origin, Head::genesis(origin))
    }

    /// The chain of `origin` that has come to `head`: one that a snapshot held, or one that begins where that
    /// of another origin was cut.
    pub const fn resume(origin: Origin, head: Head) -> Self {
        Self { origin, head }
    }

    /// Whose events these are.
    #[inline]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Where the chain ends.
    #[inline]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Appends an event: `buffer` is room for its link and, behind it, its payload, which is there already.
    /// O(length), by one hash.
    ///
    /// # Errors
    ///
    /// The buffer is shorter than a link, or there is no sequence left. Chain and buffer are unchanged then.
    #[inline]
    pub fn append<'a>(&mut self, horizon: Bloom, buffer: &'a mut [u8]) -> Result<Event<'a>, AppendError> {
        let Some(sequence) = self.head.sequence.next() else { return Err(AppendError::SequenceOverflow) };
        let link = Link { origin: self.origin, horizon, sequence, parent: self.head.next_parent };
        let event = Event::write(link, buffer).map_err(|NoLink| AppendError::NoRoomForLink)?;
        self.head = Head { sequence, next_parent: event.hash() };
        Ok(event)
    }

    /// Whether `link` is the next one. O(1); hashes nothing.
    ///
    /// # Errors
    ///
    /// As of [`Head::validate`].
    #[inline]
    pub fn validate(&self, link: &Link) -> Result<(), LinkError> {
        self.head.validate(self.origin, link)
    }

    /// Verifies that the event's link is the next one, and goes on behind it. O(length), by one hash.
    ///
    /// `Ok` means that the link fits. The event's payload, horizon and length are proven by the next event;
    /// until then they may be others than were emitted: see [what `Ok`
    /// proves](crate::causal#what-ok-proves), and [the way back](crate::causal#recovering).
    ///
    /// # Errors
    ///
    /// As of [`Head::verify`]; the chain is unchanged then.
    #[inline]
    pub fn verify(&mut self, event: Event<'_>) -> Result<(), LinkError> {
        self.head = self.head.verify(self.origin, event)?;
        Ok(())
    }
}

/// Why a link is not the next one of a chain. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LinkError {
    /// It is another origin's.
    Origin {
        /// Whose chain it is.
        expected: Origin,
        /// Whose link it is.
        got: Origin,
    },
    /// An event is missing before it, or it has been seen.
    Sequence {
        /// The place behind the last event.
        expected: Sequence,
        /// The link's place.
        got: Sequence,
    },
    /// The event before it was another than ours: that one was changed on the way, or this one's link. See
    /// [the way back](crate::causal#recovering).
    Parent {
        /// The hash of the last event.
        expected: LinkHash,
        /// What the link names.
        got: LinkHash,
    },
    /// The chain has come to [`Sequence::MAX`].
    SequenceOverflow,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin { expected, got } => write!(
                f,
                "the link is of origin {:#x}, the chain of {:#x}: find the chain by the link's origin",
                got.get(),
                expected.get()
            ),
            Self::Sequence { expected, got } if got < expected => write!(
                f,
                "event {} has been seen, {} is next: acknowledge it as the first time",
                got.get(),
                expected.get()
            ),
            Self::Sequence { expected, got } => {
                write!(f, "event {} came, {} is next: send again from there", got.get(), expected.get())
            }
            Self::Parent { expected, got } => write!(
                f,
                "the link's parent is {:#018x}, the last event's hash {:#018x}: the event before this one, \
                 or this one, was changed; go back to the head before that one and read both again",
                got.get(),
                expected.get()
            ),
            Self::SequenceOverflow => f.write_str(OVERFLOW),
        }
    }
}

impl core::error::Error for LinkError {}

/// Why an event was not appended. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AppendError {
    /// The buffer is shorter than a link.
    NoRoomForLink,
    /// The chain has come to [`Sequence::MAX`].
    SequenceOverflow,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoomForLink => "the buffer has no room for a link: leave 32 bytes before the payload",
            Self::SequenceOverflow => OVERFLOW,
        })
    }
}

impl core::error::Error for AppendError {}

const OVERFLOW: &str = "the chain's sequences are used up: go on with another origin";
