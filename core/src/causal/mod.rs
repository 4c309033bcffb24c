//! Causal events: each one carries a link that proves its place in its emitter's chain.
//!
//! An emitter, the *origin*, numbers its events without gaps, and each event names the hash of the one before
//! it. Whoever reads the chain needs 16 bytes an origin, a [`Head`], to tell at once that an event is missing
//! or came twice, and, by the event behind it, that one is another than was emitted. This module knows no
//! tasks and no routing.
//!
//! It detects corruption, mix-ups and chains that diverge, not attackers: who can change an event can compute
//! the hashes behind it, too. A keyed code belongs on the connection between machines.
//!
//! # What `Ok` proves
//!
//! [`Chain::verify`] and [`Head::verify`] say `Ok` when the link fits: the origin's next event, behind the
//! one that we hold for its last. That proves the event *before*. This one's own payload, horizon and length
//! are proven by the next event, whose parent hash covers them; so nothing proves the newest one yet. To know
//! sooner, or for sure:
//!
//! * Have a checksum on the connection, as TCP, CAN and most radios do: then what comes is what was sent.
//! * Do nothing on the newest event that can't be undone, or do it one event late; and end a stream by an
//!   event without payload, which proves the last reading.
//!
//! # Recovering
//!
//! After [`LinkError::Parent`] either the event before was changed on the way, or this one's link. Which of
//! them, nobody can tell; so keep the head before the last event too, go back there, and read both again:
//!
//! ```
//! use trilane::causal::{Bloom, Chain, Frame, FrameWriter, Head, LinkError, Origin};
//!
//! const ORIGIN: Origin = Origin::new(7);
//! let mut chain = Chain::new(ORIGIN);
//! let sent: Vec<Vec<u8>> = (0..4_u8)
//!     .map(|number| {
//!         let mut buffer = [0; 40];
//!         let mut writer = FrameWriter::new(&mut buffer).unwrap();
//!         writer.payload()[0] = number;
//!         writer.seal(1, &mut chain, Bloom::EMPTY).unwrap().to_vec()
//!     })
//!     .collect();
//!
//! // The last two heads: behind the newest event, and before it.
//! let mut seen = Chain::new(ORIGIN);
//! let mut before = seen.head();
//! let (mut payloads, mut again) = (vec![], 0);
//! while seen.head() != chain.head() {
//!     let next = seen.head().sequence.get() as usize; // Ask for the event of this index.
//!     let mut bytes = sent[next].clone();
//!     if next == 1 && again == 0 {
//!         bytes[Frame::OVERHEAD] ^= 0x40; // A payload changes on the way, once.
//!     }
//!     let (frame, _) = Frame::split(&bytes)?;
//!     let head = seen.head();
//!     match seen.verify(frame.event()) {
//!         Ok(()) => {
//!             before = head;
//!             payloads.push(frame.event().payload()[0]);
//!         }
//!         Err(LinkError::Parent { .. }) if again < 3 => {
//!             again += 1;
//!             payloads.truncate(before.sequence.get() as usize); // The newest may be wrong.
//!             seen = Chain::resume(ORIGIN, before);
//!         }
//!         Err(error) => return Err(error.into()), // For good: another emitter, or one begun anew.
//!     }
//! }
//! assert_eq!((payloads, again), (vec![0, 1, 2, 3], 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What has changed in the length makes another frame of the bytes behind it: an error of the reader, or a
//! link that fits nowhere. Then open the stream again, from `before`.
//!
//! # What there is
//!
//! | type | what it is |
//! | --- | --- |
//! | [`Link`] | 32 bytes before each payload: origin, horizon, sequence, parent hash |
//! | [`Event`] | a link and its payload in one slice, hashed in one shot |
//! | [`Chain`], [`Head`] | where a chain ends: appends the next event, or verifies it |
//! | [`Frame`], [`Frames`] | an event with its length before it, and a slice of them |
//! | [`FrameWriter`], [`FrameReader`] | write a frame in place, read frames from a stream in pieces |
//! | [`Horizon`] | the highest sequence seen of each origin, exactly |
//! | [`OriginMap`] | one value an origin, sorted |
//! | [`RecordRing`] | a bounded log of frames |
//! | [`Snapshot`], [`SnapshotWriter`] | a state with all that says which state it is |
//! | [`Bloom`] | the origins that an emitter had seen, in 64 bits |

mod bloom;
mod chain;
mod event;
mod fork;
mod frame;
mod frame_reader;
mod frame_writer;
mod horizon;
mod identity;
mod link;
mod origin_map;
mod ring;
mod snapshot;
pub(crate) mod words;

pub use bloom::Bloom;
pub use chain::{AppendError, Chain, Head, LinkError};
pub use event::{Event, NoLink};
pub use fork::fork_sentinel;
pub use frame::{Frame, FrameError, Frames};
pub use frame_reader::FrameReader;
pub use frame_writer::{FrameWriter, SealError};
pub use horizon::Horizon;
pub use identity::{LinkHash, Origin, Sequence};
pub use link::Link;
pub use origin_map::{OriginMap, OriginsFull};
pub use ring::{PushError, Record, RecordRing, Reservation};
pub use snapshot::{
    Ordinal, Position, Progress, Snapshot, SnapshotError, SnapshotV2, SnapshotWriteError, SnapshotWriter,
};
