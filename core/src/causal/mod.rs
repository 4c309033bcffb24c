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
//! | [`Bloom`] | the origins that an emitter had seen, in 64 bits |

mod bloom;
mod chain;
mod event;
mod identity;
mod link;

pub use bloom::Bloom;
pub use chain::{AppendError, Chain, Head, LinkError};
pub use event::{Event, NoLink};
pub use identity::{LinkHash, Origin, Sequence};
pub use link::Link;
