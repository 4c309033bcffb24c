//! The horizon: whose events have been seen, and up to which.

use crate::causal::{Bloom, Origin, OriginMap, OriginsFull, Sequence};

/// The highest sequence seen of each of up to `N` origins.
///
/// It answers exactly. What a link carries of it is the [`Bloom`] of its origins, which is kept beside the
/// map, so that taking it for an event is one load.
///
/// # Examples
///
/// ```
/// use trilane::causal::{Horizon, Origin, Sequence};
///
/// let mut seen: Horizon<8> = Horizon::new();
/// seen.observe(Origin::new(7), Sequence::new(3))?;
/// assert!(seen.contains(Origin::new(7), Sequence::new(2)));
/// assert!(!seen.contains(Origin::new(7), Sequence::new(4)));
/// assert!(seen.bloom().may_contain(Origin::new(7)));
/// # Ok::<(), trilane::causal::OriginsFull>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Horizon<const N: usize> {
    seen: OriginMap<Sequence, N>,
    /// Of the origins in `seen`.
    bloom: Bloom,
}

impl<const N: usize> Horizon<N> {
    /// A horizon that has seen nothing.
    pub const fn new() -> Self {
        Self { seen: OriginMap::new(), bloom: Bloom::EMPTY }
    }

    /// Its origins as a link carries them. One load.
    #[inline]
    pub const fn bloom(&self) -> Bloom {
        self.bloom
    }

    /// Takes note of the event of `origin` at `sequence`, and so of all before it. A lower one than before
    /// changes nothing. O(log N) of an origin seen before, else O(N) and one hash of 8 bytes.
    ///
    /// # Errors
    ///
    /// [`OriginsFull`] if the origin is new and there are `N` others; the horizon is unchanged then.
    #[inline]
    pub fn observe(&mut self, origin: Origin, sequence: Sequence) -> Result<(), OriginsFull> {
        if let Some(highest) = self.seen.get_mut(origin) {
            *highest = sequence.max(*highest);
            return Ok(());
        }
        self.seen.insert(origin, sequence)?;
        self.bloom = self.bloom.union(Bloom::of(origin));
        Ok(())
    }

    /// Takes note of all that `other` has seen. O(M × (N + log N)) at worst, O(M log N) without new origins.
    ///
    /// # Errors
    ///
    /// [`OriginsFull`] if the two have more than `N` origins together; the horizon is unchanged then.
    pub fn merge<const M: usize>(&mut self, other: &Horizon<M>) -> Result<(), OriginsFull> {
        let new = other.iter().filter(|(origin, _)| self.highest(*origin).is_none()).count();
        if self.len() + new > N {
            return Err(OriginsFull { limit: N });
        }
        other.iter().try_for_each(|(origin, sequence)| self.observe(origin, sequence))
    }

    /// The highest sequence seen of `origin`. O(log N).
    #[inline]
    pub fn highest(&self, origin: Origin) -> Option<Sequence> {
        self.seen.get(origin).copied()
    }

    /// Whether the event of `origin` at `sequence` has been seen, exactly. O(log N).
    #[inline]
    pub fn contains(&self, origin: Origin, sequence: Sequence) -> bool {
        self.highest(origin).is_some_and(|highest| sequence <= highest)
    }

    /// How many origins have been seen.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Each origin and its highest sequence, the lowest origin first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Origin, Sequence)> + Clone {
        self.seen.iter()
    }
}
