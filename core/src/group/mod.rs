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
//! | [`message`] | what they tell each other |

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
