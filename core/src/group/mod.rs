//! Groups: several copies of a daemon, one of which speaks for all, so that the death of any loses nothing.
//!
//! An event is accepted once, applied once in the state, and its outputs are let out once.
//!
//! ```text
//!  producers --> Ingress --records--> Member 0, active --outputs--> Outlet --> consumer
//!                   ^      |--------> Member 1, standby               |
//!                   |      +--------> Member 2, standby               |
//!                   +------- the mark: how far it has let out --------+
//! ```
//!
//! [`Ingress`] gives each event its place in the order of the group. All members hold the records; the
//! active applies them and sends its outputs, the standbys follow up to what was let out. [`Outlet`] lets out
//! each output once, in order, and remembers only where it is. When the active is gone, or is thought to be,
//! [`Arbiter`] begins a new *term*: the outlet first refuses the old one and says where it was *cut*; ingress
//! and members say what they have; one member goes on behind the cut. Whoever still acts in an older term is
//! refused wherever it turns.
//!
//! Each of them is a pure state machine: no clock, no network, no allocation. Messages are plain values; they
//! may be lost, come late, twice, and out of order. `PROTOCOL.md` beside this file has the rules, whose
//! numbers (A.3.2) stand in the code; a model of them is searched exhaustively, and these machines run
//! against an adversary (`tests/protocol` and `tests/adversary`).
//!
//! | type | what it is |
//! | --- | --- |
//! | [`Member`] | one copy: log, state, chain of outputs |
//! | [`Ingress`], [`Outlet`], [`Arbiter`] | the parts around it |
//! | [`Transfer`] | a snapshot on its way from one member to another |
//! | [`Cut`], [`Cuts`], [`HandOver`] | where terms began |
//! | [`message`], [`Message`] | what they tell each other, and its bytes |
//!
//! # Examples
//!
//! A group of two in one program, where each message arrives at once and nobody dies:
//!
//! ```
//! use trilane::causal::{Bloom, Chain, Frame, Link, Origin};
//! use trilane::daemon::{Daemon, Delivery, Outbox, ProcessError};
//! use trilane::group::message::Grant;
//! use trilane::group::{Acks, GroupId, Ingress, Member, Outlet, Standby, Submitted, Taken};
//! use trilane::time::Instant;
//!
//! /// Adds up the first bytes of its events, and gives out each sum.
//! struct Sum(u8);
//!
//! impl Daemon for Sum {
//!     const MAX_OUTPUTS: usize = 1;
//!     const MAX_OUTPUT_BYTES: usize = 1;
//!
//!     fn process(&mut self, delivery: &Delivery<'_>, outbox: &mut Outbox<'_>) -> Result<(), ProcessError> {
//!         self.0 = self.0.wrapping_add(*delivery.event.payload().first().ok_or(ProcessError::Refuse)?);
//!         Ok(outbox.send(&[self.0])?)
//!     }
//! }
//!
//! const GROUP: GroupId = GroupId::new(7);
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let (mut outlet, mut ingress) = (Outlet::<2, 4, 128>::new(), Ingress::<2, 1024, 8, 4>::new());
//! outlet.found(GROUP);
//! ingress.found(Acks::Members(2));
//! let mut members = [Member::<Sum, 1024, 8, 4, 4>::new(Sum(0)), Member::new(Sum(0))];
//! for (number, member) in members.iter_mut().enumerate() {
//!     member.start(GROUP, Standby::Hot, 1);
//!     member.join(&outlet.join(number, 1)?);
//! }
//!
//! // What an `Arbiter` does, who waits for answers and picks by them: member 0 is active in term 2.
//! let marked = outlet.raise(1, 0)?;
//! ingress.fence(2)?;
//! let fenced = [members[0].fence(2)?, members[1].fence(2)?];
//! members[0].grant(&Grant { incarnation: fenced[0].unwrap_or_default().incarnation, marked })?;
//! ingress.confirm(2, marked.generation, 0)?;
//!
//! let mut producer = Chain::new(Origin::new(100));
//! let mut bytes = [5; Link::LEN + 1];
//! let event = producer.append(Bloom::EMPTY, &mut bytes)?;
//! assert_eq!(ingress.submit(event, Instant::ZERO, 0)?, Submitted::Pending { held: 0, needed: 2 });
//! for number in [0, 1, 0] {
//!     let Some(deliver) = ingress.deliver(number) else { continue };
//!     let Some(ack) = members[number].deliver(&deliver)? else { continue };
//!     ingress.ack(number, &ack);
//! }
//! assert_eq!(ingress.submit(event, Instant::ZERO, 0)?, Submitted::Acknowledged);
//!
//! members[0].apply()?;
//! let mut let_out = vec![];
//! members[0].outputs(|output| {
//!     if outlet.take(&output) == Ok(Taken::Next) {
//!         // Here its record is stored: `Outlet::write`.
//!         let_out.extend(outlet.pending().map(<[u8]>::to_vec));
//!         outlet.released();
//!     }
//! });
//! // A hand-over begins the term, and then there is the sum.
//! let (sum, _) = Frame::split(&let_out[1])?;
//! assert_eq!((let_out.len(), sum.event().payload()), (2, &[5][..]));
//! # Ok(())
//! # }
//! ```

mod acks;
mod arbiter;
mod cut;
mod filter;
mod ingress;
mod log;
mod member;
pub mod message;
mod outlet;
mod outputs;
mod rules;
mod transfer;
mod wire;

pub use acks::Acks;
pub use arbiter::{Arbiter, NotPicked, ToIngress, ToMember, ToOutlet};
pub use cut::{Cut, Cuts, CutsFull, GroupId, HandOver, Mark};
pub use ingress::{BeginError, ExcludeError, HighWater, Ingress, SubmitError, Submitted};
pub use log::Record;
pub use member::{Applied, Fault, InstallError, Member, SnapshotFailed, Standby};
pub use outlet::{Outlet, OutletError, RecordError, Taken};
#[cfg(trilane_rules)]
pub use rules::{RULES, Rule, lacks as lacks_rule, take_away};
pub use transfer::{Offer, Request, Slice, Transfer, TransferError};
pub use wire::{Message, WireError};
