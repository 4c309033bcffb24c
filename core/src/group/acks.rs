//! When an event is acknowledged.

/// What an acknowledgement survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Acks {
    /// An event is acknowledged once the ingress has it: the death of the ingress may lose it.
    #[default]
    One,
    /// An event is acknowledged once so many members hold it: it survives the ingress, and one member.
    Members(u8),
}

impl Acks {
    /// How many members hold what is committed.
    pub(super) const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Members(count) => count as usize,
        }
    }
}
