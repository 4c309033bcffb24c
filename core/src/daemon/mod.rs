//! Daemons: state machines that take events one at a time and answer with outputs.
//!
//! A daemon sees no clock, no network and no memory but its own: what it does is a function of its state and
//! of the events that it was given, in their order. So several copies of it that are given the same events
//! are in the same state, and one can take another's place. [`group`](crate::group) is what runs the copies.

mod outbox;

use core::fmt;

pub use outbox::{Outbox, OutboxFull};

use crate::causal::{Event, Position};
use crate::time::Instant;

/// A deterministic state machine: state and event give the next state and the outputs.
///
/// # Examples
///
/// A daemon that adds up readings and gives out each hundredth:
///
/// ```
/// use trilane::daemon::{Daemon, Delivery, Outbox, ProcessError, StateError};
///
/// #[derive(Default)]
/// struct Sum {
///     count: u64,
///     sum: u64,
/// }
///
/// impl Daemon for Sum {
///     const MAX_OUTPUTS: usize = 1;
///     const MAX_OUTPUT_BYTES: usize = 8;
///
///     fn process(&mut self, delivery: &Delivery<'_>, outbox: &mut Outbox<'_>) -> Result<(), ProcessError> {
///         let Some(reading) = delivery.event.payload().first() else { return Err(ProcessError::Refuse) };
///         self.count += 1;
///         self.sum += u64::from(*reading);
///         if self.count % 100 == 0 {
///             outbox.send(&self.sum.to_le_bytes())?;
///         }
///         Ok(())
///     }
///
///     fn snapshot(&self, buffer: &mut [u8]) -> Result<usize, StateError> {
///         let place = buffer.first_chunk_mut().ok_or(StateError::NoRoom { needed: 16 })?;
///         *place = (u128::from(self.count) << 64 | u128::from(self.sum)).to_le_bytes();
///         Ok(place.len())
///     }
///
///     fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
///         let words = u128::from_le_bytes(state.try_into().map_err(|_| StateError::Invalid)?);
///         *self = Self { count: (words >> 64) as u64, sum: words as u64 };
///         Ok(())
///     }
/// }
/// ```
pub trait Daemon {
    /// The most outputs of one event. Room for them is reserved before [`process`](Self::process) is called.
    const MAX_OUTPUTS: usize;
    /// The most bytes that the outputs of one event have together.
    const MAX_OUTPUT_BYTES: usize;

    /// Takes one event. Its outputs go into `outbox`.
    ///
    /// What it does must be a function of its state and of `delivery`, or members diverge. A side effect
    /// outside of state and outbox happens once for each member, and again after a fail-over.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Refuse`] if the event is none that the daemon takes: the state must be unchanged, and
    /// what is in the outbox is dropped. [`ProcessError::Fault`] if the daemon can't go on: its member stops.
    fn process(&mut self, delivery: &Delivery<'_>, outbox: &mut Outbox<'_>) -> Result<(), ProcessError>;

    /// Writes the state to the front of `buffer`, and returns how many bytes it has. Equal states must have
    /// equal bytes, for members compare them.
    ///
    /// # Errors
    ///
    /// [`StateError::NoRoom`], or, as here, [`StateError::Stateless`] of a daemon that can't be copied: its
    /// members never catch up with a log whose start is gone.
    fn snapshot(&self, buffer: &mut [u8]) -> Result<usize, StateError> {
        let _ = buffer;
        Err(StateError::Stateless)
    }

    /// Takes over the state that another copy has written.
    ///
    /// # Errors
    ///
    /// [`StateError`], after which the daemon is in no state: it is not called again until a call of this
    /// function succeeds.
    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let _ = state;
        Err(StateError::Stateless)
    }
}

/// An event on its way into a daemon, with what was decided when it was accepted: the same for each copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Its place in the order of the group.
    pub position: Position,
    /// When it was accepted.
    pub time: Instant,
    /// Random bits that were drawn when it was accepted.
    pub seed: u64,
    /// Link and payload.
    pub event: Event<'a>,
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ProcessError {
    /// The daemon doesn't take this event, in this state. The state is unchanged; the event counts as done.
    Refuse,
    /// The daemon can't go on.
    Fault,
}

impl From<OutboxFull> for ProcessError {
    /// A daemon that has more outputs than it said is wrong.
    fn from(_: OutboxFull) -> Self {
        Self::Fault
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "the daemon does not take this event: nothing has changed",
            Self::Fault => "the daemon can't go on: start its member again",
        })
    }
}

impl core::error::Error for ProcessError {}

/// Why a state was not written or taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StateError {
    /// The daemon has no state that could be copied.
    Stateless,
    /// The buffer is too small.
    NoRoom {
        /// How many bytes the state has.
        needed: usize,
    },
    /// The bytes are no state of this daemon.
    Invalid,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stateless => {
                f.write_str("the daemon writes no snapshot: implement `snapshot` and `restore` for it")
            }
            Self::NoRoom { needed } => write!(f, "the state has {needed} bytes: give it a larger buffer"),
            Self::Invalid => f.write_str("the bytes are no state of this daemon: take a newer snapshot"),
        }
    }
}

impl core::error::Error for StateError {}
