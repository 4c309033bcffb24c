//! What is known of each origin, in the order of origins: the base of horizons and of a producer filter.

use core::fmt;

use heapless::Vec;

use crate::causal::Origin;

/// One value for each of up to `N` origins.
///
/// It is sorted, so equal maps have equal snapshots, in whatever order their origins came. [`get`](Self::get)
/// is O(log N), a new origin O(N).
///
/// # Examples
///
/// The filter of an ingress, which takes each producer's next event alone:
///
/// ```
/// use trilane::causal::{Bloom, Chain, Head, Link, Origin, OriginMap};
///
/// let mut filter: OriginMap<Head, 4> = OriginMap::new();
/// let mut buffer = [0; Link::LEN + 8];
/// let event = Chain::new(Origin::new(7)).append(Bloom::EMPTY, &mut buffer)?;
///
/// let origin = event.link().origin;
/// let head = filter.get(origin).copied().unwrap_or_else(|| Head::genesis(origin));
/// filter.insert(origin, head.verify(origin, event)?)?;
/// assert!(filter.get(origin).unwrap().verify(origin, event).is_err()); // seen
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginMap<V, const N: usize> {
    entries: Vec<(Origin, V), N>,
}

impl<V: Copy, const N: usize> OriginMap<V, N> {
    /// A map without origins.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// What is known of `origin`. O(log N).
    #[inline]
    pub fn get(&self, origin: Origin) -> Option<&V> {
        self.find(origin).ok().and_then(|at| self.entries.get(at)).map(|(_, value)| value)
    }

    /// The same, to change it: what is read, checked and changed is looked up once. O(log N).
    #[inline]
    pub fn get_mut(&mut self, origin: Origin) -> Option<&mut V> {
        self.find(origin).ok().and_then(|at| self.entries.get_mut(at)).map(|(_, value)| value)
    }

    /// Sets what is known of `origin`. O(log N) where something is, else O(N).
    ///
    /// # Errors
    ///
    /// [`OriginsFull`] if it is new and there are `N` others; the map is unchanged then.
    #[inline]
    pub fn insert(&mut self, origin: Origin, value: V) -> Result<(), OriginsFull> {
        match self.find(origin) {
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.entries.insert(at, (origin, value)).map_err(|_| OriginsFull { limit: N })?,
        }
        Ok(())
    }

    /// Forgets `origin`, and gives what was known of it. O(N).
    pub fn remove(&mut self, origin: Origin) -> Option<V> {
        self.find(origin).ok().map(|at| self.entries.remove(at).1)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// How many origins there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of them, the lowest origin first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Origin, V)> + Clone {
        self.entries.iter().copied()
    }

    /// What is at a place. O(1).
    #[inline]
    pub(crate) fn at(&self, place: usize) -> Option<&(Origin, V)> {
        self.entries.get(place)
    }

    /// What is known at a place, to be changed. O(1).
    #[inline]
    pub(crate) fn at_mut(&mut self, place: usize) -> Option<&mut V> {
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    /// Where `origin` is, or where it would be.
    /// Where `origin` is, or would be. The place is good until another origin comes or goes.
    #[inline]
    pub(crate) fn find(&self, origin: Origin) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&origin, |(origin, _)| *origin)
    }
}

impl<V: Copy, const N: usize> Default for OriginMap<V, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// There is no room for another origin. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OriginsFull {
    /// How many there may be.
    pub limit: usize,
}

impl fmt::Display for OriginsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there is room for {} origins: forget one that has ended, or raise the capacity",
            self.limit
        )
    }
}

impl core::error::Error for OriginsFull {}
