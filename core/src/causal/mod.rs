//! Causal events: each one carries a link that proves its place in its emitter's chain.
//!
//! An emitter, the *origin*, numbers its events without gaps, and each event names the hash of the one before
//! it. Whoever reads the chain needs 16 bytes an origin, a [`Head`], to tell at once that an event is
//! missing, came twice or is another than the one that was emitted. This module knows no tasks and no
//! routing.
//!
//! It detects corruption, mix-ups and chains that diverge, not attackers: who can change an event can compute
//! the hashes behind it, too. A keyed code belongs on the connection between machines.
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
mod words;

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
