//! Why bytes are no snapshot.

use core::fmt;

use crate::causal::snapshot::fields::{Fields, Missing};
use crate::causal::{Origin, Sequence};

/// What every snapshot begins with.
pub const MAGIC: [u8; 4] = *b"CDS1";

/// Takes magic and version from the front.
pub fn check_version(fields: &mut Fields<'_>, version: u8) -> Result<(), SnapshotError> {
    if *fields.array()? != MAGIC {
        return Err(SnapshotError::NotASnapshot);
    }
    match fields.u8()? {
        got if got == version => Ok(()),
        got => Err(SnapshotError::Version { expected: version, got }),
    }
}

/// Why bytes are no snapshot. Nothing of them has been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SnapshotError {
    /// They don't begin with `CDS1`.
    NotASnapshot,
    /// It is of another version.
    Version {
        /// What this reader takes.
        expected: u8,
        /// What it is.
        got: u8,
    },
    /// Bytes are missing at the end.
    Truncated {
        /// How many, at least.
        missing: usize,
    },
    /// Bytes are left over at the end.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The hash at the end is not that of the bytes.
    Hash {
        /// The bytes'.
        expected: u64,
        /// What stands there.
        got: u64,
    },
    /// Bytes that are zero in this version are not, or the numbers of entries and the length don't agree.
    Layout,
    /// The origins of filter or horizon don't ascend.
    Unsorted,
    /// The byte that says whether an envelope follows is neither 0 nor 1.
    Flag {
        /// What it is.
        got: u8,
    },
    /// The link is of another event than the snapshot ends with.
    Sequence {
        /// The event that the snapshot ends with.
        expected: Sequence,
        /// The link's.
        got: Sequence,
    },
    /// The link is of another origin than the entity's.
    Origin {
        /// The entity's.
        expected: Origin,
        /// The link's.
        got: Origin,
    },
}

impl From<Missing> for SnapshotError {
    fn from(Missing(missing): Missing) -> Self {
        Self::Truncated { missing }
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASnapshot => f.write_str("the bytes don't begin with CDS1: they are no snapshot"),
            Self::Version { expected, got } => {
                write!(f, "the snapshot is of version {got}, this reader is for {expected}: use that one's")
            }
            Self::Truncated { missing } => {
                write!(f, "{missing} bytes of the snapshot are missing at least: ask for it again")
            }
            Self::Trailing { bytes } => {
                write!(f, "{bytes} bytes lie behind the snapshot: pass it alone")
            }
            Self::Hash { expected, got } => write!(
                f,
                "the snapshot's hash is {expected:#018x}, it says {got:#018x}: bytes were changed, ask for it \
                 again"
            ),
            Self::Layout => f.write_str("the snapshot's numbers don't agree: whatever wrote it is at fault"),
            Self::Unsorted => {
                f.write_str("the snapshot's origins don't ascend: whatever wrote it is at fault")
            }
            Self::Flag { got } => write!(f, "the envelope's flag is {got}, not 0 or 1: it is no snapshot"),
            Self::Sequence { expected, got } => write!(
                f,
                "the snapshot ends with event {}, its link is of {}: take another one",
                expected.get(),
                got.get()
            ),
            Self::Origin { expected, got } => write!(
                f,
                "the snapshot's link is of origin {:#x}, the entity's is {:#x}: take another one",
                got.get(),
                expected.get()
            ),
        }
    }
}

impl core::error::Error for SnapshotError {}
