//! Messages as bytes, for the ways between machines.
//!
//! | bytes | what; numbers of 64 bits, the little end first |
//! | --- | --- |
//! | 0..8 | which message it is |
//! | … | its numbers, in the order of its fields |
//! | … | an event, a frame or a slice, if it has one |
//! | last 8 | XXH3-64, seed 0, of all bytes before |
//!
//! The hash finds what was changed on the way: a link proves only the event before it. It is no protection
//! from an attacker; a keyed code on the connection is.

use core::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::causal::{Event, LinkHash, Ordinal, Position, Sequence, words};
use crate::daemon::Delivery;
use crate::group::arbiter::{ToIngress, ToMember, ToOutlet};
use crate::group::log::Record;
use crate::group::message::{
    Ack, Deliver, Fenced, Grant, Granted, IngressState, Joined, LowerTerm, Marked, Output, Passed, Through,
};
use crate::group::transfer::{Offer, Request, Slice};
use crate::group::{Cut, Cuts, Mark};
use crate::time::Instant;

/// Any message between ingress, members, outlet and arbiter.
///
/// # Examples
///
/// ```
/// use trilane::group::{Cuts, Message, message::Through};
/// use trilane::causal::Sequence;
///
/// let through = Message::<4>::Through(Through { term: 3, index: 17, sequence: Sequence::new(40) });
/// let mut buffer = [0; 64];
/// let bytes = through.encode(&mut buffer)?;
/// assert_eq!(Message::decode(bytes, &mut Cuts::new())?, through);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a, const CUTS: usize> {
    /// From the ingress to a member.
    Deliver(Deliver<'a>),
    /// From a member to the ingress.
    Ack(Ack),
    /// From the active to the outlet.
    Output(Output<'a>),
    /// From the active to the outlet.
    Through(Through),
    /// From a member to the outlet.
    Passed(Passed),
    /// From the outlet to all; to the arbiter also as the answer to having asked for a term.
    Marked(Marked<'a, CUTS>),
    /// From a member that begins a life to the outlet.
    Join {
        /// The life.
        nonce: u64,
    },
    /// The outlet's answer.
    Joined(Joined<'a, CUTS>),
    /// From the arbiter to the outlet.
    ToOutlet(ToOutlet),
    /// The outlet's answer to one who asks for a term that has ended.
    LowerTerm(LowerTerm),
    /// The outlet's answer: the new ingress is noted.
    IngressReplaced {
        /// The term.
        term: u64,
    },
    /// From the arbiter to a member.
    ToMember(ToMember<'a, CUTS>),
    /// The member's answer to a fence.
    Fenced(Fenced),
    /// The member's answer to a grant.
    Granted(Granted),
    /// From the arbiter to the ingress.
    ToIngress(ToIngress),
    /// The ingress's answer.
    Ingress(IngressState),
    /// From a member that wants a snapshot to another.
    AskOffer,
    /// The other's answer.
    Offer(Offer),
    /// From the receiver of a snapshot to its source.
    Request(Request),
    /// The source's answer.
    Slice(Slice<'a>),
}

/// Which message it is.
mod kind {
    pub const DELIVER: u64 = 1;
    pub const ACK: u64 = 2;
    pub const OUTPUT: u64 = 3;
    pub const THROUGH: u64 = 4;
    pub const PASSED: u64 = 5;
    pub const MARKED: u64 = 6;
    pub const JOIN: u64 = 7;
    pub const JOINED: u64 = 8;
    pub const RAISE: u64 = 9;
    pub const REPLACE_INGRESS: u64 = 10;
    pub const LOWER_TERM: u64 = 11;
    pub const INGRESS_REPLACED: u64 = 12;
    pub const FENCE: u64 = 13;
    pub const BEGIN: u64 = 14;
    pub const GRANT: u64 = 15;
    pub const FENCED: u64 = 16;
    pub const GRANTED: u64 = 17;
    pub const FENCE_INGRESS: u64 = 18;
    pub const CONFIRM: u64 = 19;
    pub const INGRESS: u64 = 20;
    pub const ASK_OFFER: u64 = 21;
    pub const OFFER: u64 = 22;
    pub const REQUEST: u64 = 23;
    pub const SLICE: u64 = 24;
}

/// The bytes of a hash.
const HASH: usize = 8;

// === Writing ===

struct Writer<'b> {
    buffer: &'b mut [u8],
    /// How many bytes there are, or would be.
    length: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(place) = self.buffer.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
        }
        self.length = end;
    }

    fn words<const N: usize>(&mut self, words: [u64; N]) {
        for word in words {
            self.bytes(&word.to_le_bytes());
        }
    }

    fn marked<const CUTS: usize>(&mut self, marked: &Marked<'_, CUTS>) {
        let Marked { term, mark, cuts, generation } = *marked;
        self.words([term, generation]);
        self.words(mark.to_words());
        self.words([cuts.term(), cuts.iter().count() as u64]);
        for cut in cuts.iter() {
            self.words(cut.to_words());
        }
    }
}

impl<'a, const CUTS: usize> Message<'a, CUTS> {
    /// Writes the message to the front of `buffer`, and returns its bytes. O(length), with one hash.
    ///
    /// # Errors
    ///
    /// [`WireError::NoRoom`]; what is in the buffer is no message then.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], WireError> {
        let mut writer = Writer { buffer, length: 0 };
        self.write(&mut writer);
        let Writer { buffer, length } = writer;
        let needed = length + HASH;
        let whole = buffer.get_mut(..needed).ok_or(WireError::NoRoom { needed })?;
        if let Some((content, hash)) = whole.split_last_chunk_mut() {
            *hash = xxh3_64(content).to_le_bytes();
        }
        Ok(whole)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match *self {
            Self::Deliver(deliver) => {
                let Deliver { term, generation, start, base, commit, incarnation, before, record } = deliver;
                writer.words([kind::DELIVER, term, generation, start, base, commit, incarnation]);
                writer.words([before.term, before.index, record.is_some().into()]);
                if let Some(Record { delivery: Delivery { position, time, seed, event }, hash }) = record {
                    writer.words([position.term, position.index, time.as_micros(), seed, hash.get()]);
                    writer.bytes(event.bytes());
                }
            }
            Self::Ack(Ack { incarnation, generation, held, applied, wants }) => {
                writer.words([kind::ACK, incarnation, generation, held, applied, wants]);
            }
            Self::Output(Output { term, frame, ordinal, is_last }) => {
                let flags = u64::from(ordinal.is_some()) << 1 | u64::from(is_last);
                let Ordinal { index, output } = ordinal.unwrap_or_default();
                writer.words([kind::OUTPUT, term, index, output.into(), flags]);
                writer.bytes(frame);
            }
            Self::Through(Through { term, index, sequence }) => {
                writer.words([kind::THROUGH, term, index, sequence.get()]);
            }
            Self::Passed(Passed { incarnation, term }) => writer.words([kind::PASSED, incarnation, term]),
            Self::Marked(marked) => {
                writer.words([kind::MARKED]);
                writer.marked(&marked);
            }
            Self::Join { nonce } => writer.words([kind::JOIN, nonce]),
            Self::Joined(Joined { nonce, incarnation, marked }) => {
                writer.words([kind::JOINED, nonce, incarnation]);
                writer.marked(&marked);
            }
            Self::ToOutlet(ToOutlet::Raise { from, nonce }) => writer.words([kind::RAISE, from, nonce]),
            Self::ToOutlet(ToOutlet::ReplaceIngress { term }) => {
                writer.words([kind::REPLACE_INGRESS, term]);
            }
            Self::LowerTerm(LowerTerm { term }) => writer.words([kind::LOWER_TERM, term]),
            Self::IngressReplaced { term } => writer.words([kind::INGRESS_REPLACED, term]),
            Self::ToMember(ToMember::Fence { term }) => writer.words([kind::FENCE, term]),
            Self::ToMember(ToMember::Begin { term, incarnation }) => {
                writer.words([kind::BEGIN, term, incarnation]);
            }
            Self::ToMember(ToMember::Grant(Grant { incarnation, marked })) => {
                writer.words([kind::GRANT, incarnation]);
                writer.marked(&marked);
            }
            Self::Fenced(fenced) => {
                let Fenced { term, incarnation, generation, held, applied, is_full, is_counted } = fenced;
                let flags = u64::from(is_full) << 1 | u64::from(is_counted);
                writer.words([kind::FENCED, term, incarnation, generation, held, applied, flags]);
            }
            Self::Granted(Granted { term, incarnation }) => {
                writer.words([kind::GRANTED, term, incarnation]);
            }
            Self::ToIngress(ToIngress::Fence { term }) => writer.words([kind::FENCE_INGRESS, term]),
            Self::ToIngress(ToIngress::Confirm { term, generation, successor }) => {
                writer.words([kind::CONFIRM, term, generation, successor as u64]);
            }
            Self::Ingress(IngressState { term, generation, base, is_confirmed }) => {
                writer.words([kind::INGRESS, term, generation, base, is_confirmed.into()]);
            }
            Self::AskOffer => writer.words([kind::ASK_OFFER]),
            Self::Offer(Offer { version, producers, bytes, hash, term, applied }) => {
                writer.words([kind::OFFER, version.into(), producers.into(), bytes.into(), hash]);
                writer.words([term, applied.term, applied.index]);
            }
            Self::Request(Request { hash, offset }) => writer.words([kind::REQUEST, hash, offset.into()]),
            Self::Slice(Slice { hash, offset, check, bytes }) => {
                writer.words([kind::SLICE, hash, offset.into(), check.into()]);
                writer.bytes(bytes);
            }
        }
    }

    // === Reading ===

    /// Reads the message that `bytes` are. It borrows from them, and from `cuts`, which takes the list of
    /// cuts that is in it. O(length), with one hash.
    ///
    /// # Errors
    ///
    /// [`WireError`]: the bytes are no message, or were changed on the way. That its numbers make sense, the
    /// receiver sees.
    pub fn decode(bytes: &'a [u8], cuts: &'a mut Cuts<CUTS>) -> Result<Self, WireError> {
        let Some((content, hash)) = bytes.split_last_chunk() else { return Err(WireError::Truncated) };
        if xxh3_64(content).to_le_bytes() != *hash {
            return Err(WireError::Hash);
        }
        let mut reader = Reader { rest: content };
        let message = Self::read(&mut reader, cuts)?;
        if reader.rest.is_empty() { Ok(message) } else { Err(WireError::Trailing) }
    }

    fn read(reader: &mut Reader<'a>, cuts: &'a mut Cuts<CUTS>) -> Result<Self, WireError> {
        let [kind] = reader.words()?;
        Ok(match kind {
            kind::DELIVER => {
                let [term, generation, start, base, commit, incarnation] = reader.words()?;
                let [before_term, before_index] = reader.words()?;
                let before = Position { term: before_term, index: before_index };
                let record = if reader.flag()? { Some(reader.record()?) } else { None };
                let head = Deliver { term, generation, start, base, commit, incarnation, before, record };
                Self::Deliver(head)
            }
            kind::ACK => {
                let [incarnation, generation, held, applied, wants] = reader.words()?;
                Self::Ack(Ack { incarnation, generation, held, applied, wants })
            }
            kind::OUTPUT => {
                let [term, index, output, flags] = reader.words()?;
                let [has_ordinal, is_last] = pair(flags)?;
                let output = u32::try_from(output).map_err(|_| WireError::Layout)?;
                let ordinal = has_ordinal.then_some(Ordinal { index, output });
                if !has_ordinal && (index, output) != (0, 0) {
                    return Err(WireError::Layout);
                }
                Self::Output(Output { term, frame: reader.all(), ordinal, is_last })
            }
            kind::THROUGH => {
                let [term, index, sequence] = reader.words()?;
                Self::Through(Through { term, index, sequence: Sequence::new(sequence) })
            }
            kind::PASSED => {
                let [incarnation, term] = reader.words()?;
                Self::Passed(Passed { incarnation, term })
            }
            kind::MARKED => Self::Marked(reader.marked(cuts)?),
            kind::JOIN => {
                let [nonce] = reader.words()?;
                Self::Join { nonce }
            }
            kind::JOINED => {
                let [nonce, incarnation] = reader.words()?;
                Self::Joined(Joined { nonce, incarnation, marked: reader.marked(cuts)? })
            }
            kind::RAISE => {
                let [from, nonce] = reader.words()?;
                Self::ToOutlet(ToOutlet::Raise { from, nonce })
            }
            kind::REPLACE_INGRESS => {
                let [term] = reader.words()?;
                Self::ToOutlet(ToOutlet::ReplaceIngress { term })
            }
            kind::LOWER_TERM => {
                let [term] = reader.words()?;
                Self::LowerTerm(LowerTerm { term })
            }
            kind::INGRESS_REPLACED => {
                let [term] = reader.words()?;
                Self::IngressReplaced { term }
            }
            kind::FENCE => {
                let [term] = reader.words()?;
                Self::ToMember(ToMember::Fence { term })
            }
            kind::BEGIN => {
                let [term, incarnation] = reader.words()?;
                Self::ToMember(ToMember::Begin { term, incarnation })
            }
            kind::GRANT => {
                let [incarnation] = reader.words()?;
                Self::ToMember(ToMember::Grant(Grant { incarnation, marked: reader.marked(cuts)? }))
            }
            kind::FENCED => {
                let [term, incarnation, generation, held, applied, flags] = reader.words()?;
                let [is_full, is_counted] = pair(flags)?;
                Self::Fenced(Fenced { term, incarnation, generation, held, applied, is_full, is_counted })
            }
            kind::GRANTED => {
                let [term, incarnation] = reader.words()?;
                Self::Granted(Granted { term, incarnation })
            }
            kind::FENCE_INGRESS => {
                let [term] = reader.words()?;
                Self::ToIngress(ToIngress::Fence { term })
            }
            kind::CONFIRM => {
                let [term, generation, successor] = reader.words()?;
                let successor = usize::try_from(successor).map_err(|_| WireError::Layout)?;
                Self::ToIngress(ToIngress::Confirm { term, generation, successor })
            }
            kind::INGRESS => {
                let [term, generation, base] = reader.words()?;
                Self::Ingress(IngressState { term, generation, base, is_confirmed: reader.flag()? })
            }
            kind::ASK_OFFER => Self::AskOffer,
            kind::OFFER => {
                let (version, producers, bytes) = (reader.small()?, reader.small()?, reader.small()?);
                let [hash, term, applied_term, index] = reader.words()?;
                let version = u8::try_from(version).map_err(|_| WireError::Layout)?;
                let applied = Position { term: applied_term, index };
                Self::Offer(Offer { version, producers, bytes, hash, term, applied })
            }
            kind::REQUEST => {
                let [hash] = reader.words()?;
                Self::Request(Request { hash, offset: reader.small()? })
            }
            kind::SLICE => {
                let [hash] = reader.words()?;
                let (offset, check) = (reader.small()?, reader.small()?);
                Self::Slice(Slice { hash, offset, check, bytes: reader.all() })
            }
            kind => return Err(WireError::Kind { kind }),
        })
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn words<const N: usize>(&mut self) -> Result<[u64; N], WireError> {
        let (bytes, rest) = self.rest.split_at_checked(8 * N).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(words::read(bytes))
    }

    /// A number of 32 bits.
    fn small(&mut self) -> Result<u32, WireError> {
        let [word] = self.words()?;
        u32::try_from(word).map_err(|_| WireError::Layout)
    }

    fn flag(&mut self) -> Result<bool, WireError> {
        let [word] = self.words()?;
        if word < 2 { Ok(word == 1) } else { Err(WireError::Layout) }
    }

    /// All that is left.
    fn all(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    fn record(&mut self) -> Result<Record<'a>, WireError> {
        let [term, index, time, seed, hash] = self.words()?;
        let event = Event::new(self.all()).map_err(|_| WireError::Truncated)?;
        let (position, time) = (Position { term, index }, Instant::from_micros(time));
        Ok(Record { delivery: Delivery { position, time, seed, event }, hash: LinkHash::new(hash) })
    }

    fn marked<const CUTS: usize>(&mut self, cuts: &'a mut Cuts<CUTS>) -> Result<Marked<'a, CUTS>, WireError> {
        let [term, generation] = self.words()?;
        let mark = Mark::from_words(self.words()?).ok_or(WireError::Layout)?;
        let [list, count] = self.words()?;
        let length = usize::try_from(count).ok().filter(|count| *count <= CUTS);
        let length = length.ok_or(WireError::TooManyCuts { limit: CUTS })? * 8 * Cut::WORDS;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        let (entries, _) = bytes.as_chunks::<{ 8 * Cut::WORDS }>();
        let entries = entries.iter().map(|bytes| words::read(bytes));
        cuts.restore(list, entries).ok_or(WireError::Layout)?;
        Ok(Marked { term, mark, cuts, generation })
    }
}

/// Two flags.
fn pair(flags: u64) -> Result<[bool; 2], WireError> {
    if flags < 4 { Ok([flags & 2 != 0, flags & 1 != 0]) } else { Err(WireError::Layout) }
}

/// Why bytes are no message, or a message was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WireError {
    /// The buffer is too small.
    NoRoom {
        /// How many bytes the message has.
        needed: usize,
    },
    /// The bytes end too early.
    Truncated,
    /// There are bytes behind the message.
    Trailing,
    /// The bytes were changed on the way.
    Hash,
    /// There is no such message.
    Kind {
        /// What it says that it is.
        kind: u64,
    },
    /// A number is larger than it can be.
    Layout,
    /// There are more cuts than there is room for.
    TooManyCuts {
        /// How many there may be.
        limit: usize,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom { needed } => write!(f, "the message has {needed} bytes: give it a larger buffer"),
            Self::Truncated => f.write_str("the bytes end amid the message: it will be sent again"),
            Self::Trailing => f.write_str("there are bytes behind the message: pass one at a time"),
            Self::Hash => f.write_str("the message was changed on the way: it will be sent again"),
            Self::Kind { kind } => write!(f, "there is no message {kind}: build both sides alike"),
            Self::Layout => f.write_str("a number is larger than it can be: build both sides alike"),
            Self::TooManyCuts { limit } => {
                write!(f, "there are more cuts than {limit}: give all of the group the same CUTS")
            }
        }
    }
}

impl core::error::Error for WireError {}
