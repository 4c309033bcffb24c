//! What the structures of the core must do, written for the eye and not for speed.

mod breakers;
mod edf;
mod executor;
mod fifo;
mod history;
mod lanes;
mod router;
mod shares;

pub use breakers::{BreakerRules, Expected, NaiveBreakers, tick};
pub use edf::NaiveEdf;
pub use executor::{NaiveExecutor, Program, Step, Tally};
pub use fifo::NaiveFifo;
pub use history::{History, Pick, Site};
pub use lanes::NaiveLanes;
pub use router::{Asked, NaiveMember, NaiveRouter};
pub use shares::{Placed, ShareRules, shares};
