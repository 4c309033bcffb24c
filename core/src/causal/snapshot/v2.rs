//! Snapshots of version 2, which others wrote.

use crate::causal::snapshot::error::check_version;
use crate::causal::snapshot::fields::Fields;
use crate::causal::{Link, Origin, Sequence, SnapshotError};

/// The bytes of an envelope.
const ENVELOPE: usize = 209;

/// A snapshot of version 2, which borrows from the bytes that were read.
///
/// It has no hash: a changed byte of its state isn't noticed. And it names the last event's link, but not
/// its hash, so a chain can go on from it only if that link is the genesis link or its payload is at hand;
/// else the emitter takes another origin.
///
/// | bytes | what; integers have their little end first |
/// | --- | --- |
/// | 0..4 | `CDS1` |
/// | 4 | 2, the version |
/// | 5..37 | entity |
/// | 37..45 | sequence of the last event |
/// | 45..77 | link of the last event |
/// | 77..85 | when it was made |
/// | … | length of the state, 32 bits, and the state |
/// | … | length of the bindings, 32 bits, and the bindings |
/// | last | 0, or 1 and an envelope of 209 bytes |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotV2<'a> {
    /// Whose snapshot it is.
    pub entity: &'a [u8; 32],
    /// The link of the last event in the state.
    pub link: Link,
    /// When it was made, as its writer counts time.
    pub created_at: u64,
    /// The state.
    pub state: &'a [u8],
    /// What the entity is bound to, as its writer encodes that.
    pub bindings: &'a [u8],
    /// What signs the snapshot, if anything does; unchecked.
    pub envelope: Option<&'a [u8; ENVELOPE]>,
}

impl<'a> SnapshotV2<'a> {
    /// Reads the snapshot of an entity whose events have `origin`. O(1).
    ///
    /// # Errors
    ///
    /// [`SnapshotError`], for any field that isn't as it must be, for bytes that are missing, and for bytes
    /// left over.
    pub fn read(bytes: &'a [u8], origin: Origin) -> Result<Self, SnapshotError> {
        let mut fields = Fields::new(bytes);
        check_version(&mut fields, 2)?;
        let entity = fields.array()?;
        let expected = Sequence::new(fields.u64()?);
        let link = Link::from_bytes(fields.array()?);
        let created_at = fields.u64()?;
        let length = fields.u32()?;
        let state = fields.bytes(length as usize)?;
        let length = fields.u32()?;
        let bindings = fields.bytes(length as usize)?;
        let envelope = match fields.u8()? {
            0 => None,
            1 => Some(fields.array()?),
            got => return Err(SnapshotError::Flag { got }),
        };
        if fields.len() != 0 {
            return Err(SnapshotError::Trailing { bytes: fields.len() });
        }
        if link.sequence != expected {
            return Err(SnapshotError::Sequence { expected, got: link.sequence });
        }
        if link.origin != origin {
            return Err(SnapshotError::Origin { expected: origin, got: link.origin });
        }
        Ok(Self { entity, link, created_at, state, bindings, envelope })
    }
}
