//! Why tasks are asked to stop, and what they hear.

use core::fmt;

/// Why a task was asked to stop. Of several reasons the most severe is kept; the later variant is the more
/// severe one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Reason {
    /// Somebody asked for it.
    User = 1,
    /// It missed a deadline, and its options say that this ends it; or a wait with a time limit gave it up.
    Deadline = 2,
    /// Another task of its region failed, and the region's options say that this ends all.
    SiblingFailed = 3,
    /// It used up its polls.
    PollQuota = 4,
    /// Its region, or one above it, was closed or dropped.
    ParentClosed = 5,
    /// The executor shuts down.
    Shutdown = 6,
}

impl Reason {
    /// How many there are.
    pub(in crate::exec) const COUNT: usize = 6;

    pub(in crate::exec) const fn from_bits(bits: u32) -> Option<Self> {
        match bits & 7 {
            1 => Some(Self::User),
            2 => Some(Self::Deadline),
            3 => Some(Self::SiblingFailed),
            4 => Some(Self::PollQuota),
            5 => Some(Self::ParentClosed),
            6 => Some(Self::Shutdown),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "somebody asked for it",
            Self::Deadline => "a deadline was missed",
            Self::SiblingFailed => "another task of its region failed",
            Self::PollQuota => "the poll quota was used up",
            Self::ParentClosed => "its region was closed",
            Self::Shutdown => "the executor shuts down",
        })
    }
}

/// The task was asked to stop, so the wait was given up: clean up and return, `?` will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cancelled(
    /// Why.
    pub Reason,
);

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task was asked to stop: {}", self.0)
    }
}

impl core::error::Error for Cancelled {}
