//! What was taken from whom: the filter of an ingress, and of a member's state.

use crate::causal::{Bloom, Head, Horizon, Origin, OriginMap, OriginsFull, Sequence};

/// How many places of producers are remembered.
const HINTS: usize = 32;

/// Where the chain of each producer has come to, and the producers as a link carries them.
#[derive(Clone, Debug)]
pub(super) struct Filter<const N: usize> {
    heads: OriginMap<Head, N>,
    bloom: Bloom,
    /// Where producers were last: a search of 16 takes longer than all else that becomes of an event. Each
    /// may be wrong, and is looked at first.
    hints: [u8; HINTS],
}

/// Where a producer is in a filter, until that changes otherwise than by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    producer: Origin,
    /// Which hint is its.
    hint: usize,
    /// `None`: nothing was taken from it.
    at: Option<usize>,
}

impl<const N: usize> Filter<N> {
    pub const fn new() -> Self {
        Self { heads: OriginMap::new(), bloom: Bloom::EMPTY, hints: [0; HINTS] }
    }

    /// Where the chain of `producer` has come to; its genesis if nothing was taken from it.
    #[inline]
    pub fn head(&self, producer: Origin) -> Head {
        self.heads.get(producer).copied().unwrap_or_else(|| Head::genesis(producer))
    }

    /// As [`head`](Self::head), if something was taken.
    pub fn known(&self, producer: Origin) -> Option<Head> {
        self.heads.get(producer).copied()
    }

    /// Notes that the event at `head` was taken. O(log N) of a producer that is known, else O(N).
    #[inline(never)]
    pub fn set(&mut self, producer: Origin, head: Head) -> Result<(), OriginsFull> {
        if let Some(known) = self.heads.get_mut(producer) {
            *known = head;
            return Ok(());
        }
        self.heads.insert(producer, head)?;
        self.bloom = self.bloom.union(Bloom::of(producer));
        Ok(())
    }

    /// Where `producer` is in the filter, so that it is searched for once. O(log N), mostly O(1).
    #[inline]
    pub fn find(&self, producer: Origin) -> Seat {
        let folded = producer.get() as u32 ^ (producer.get() >> 32) as u32;
        let hint = (folded.wrapping_mul(0x9e37_79b1) >> 27) as usize % HINTS;
        let hinted = self.hints.get(hint).map_or(0, |at| usize::from(*at));
        let is_right = self.heads.at(hinted).is_some_and(|(origin, _)| *origin == producer);
        let at = if is_right { Some(hinted) } else { self.search(producer) };
        Seat { producer, hint, at }
    }

    #[inline(never)]
    fn search(&self, producer: Origin) -> Option<usize> {
        self.heads.find(producer).ok()
    }

    /// As [`head`](Self::head). O(1) of a producer that is known.
    #[inline]
    pub fn head_at(&self, seat: Seat) -> Head {
        let known = seat.at.and_then(|at| self.heads.at(at));
        known.map_or_else(|| Head::genesis(seat.producer), |(_, head)| *head)
    }

    /// As [`set`](Self::set). O(1) of a producer that is known.
    #[inline]
    pub fn set_at(&mut self, seat: Seat, head: Head) -> Result<(), OriginsFull> {
        let Some((at, known)) = seat.at.and_then(|at| Some((at, self.heads.at_mut(at)?))) else {
            return self.set(seat.producer, head);
        };
        *known = head;
        if let Some(hint) = self.hints.get_mut(seat.hint) {
            *hint = at as u8;
        }
        Ok(())
    }

    /// Whether there is room for the producer at `seat`.
    #[inline]
    pub fn has_room(&self, seat: Seat) -> bool {
        seat.at.is_some() || self.heads.len() < N
    }

    /// Forgets all producers.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.bloom = Bloom::EMPTY;
    }

    pub const fn bloom(&self) -> Bloom {
        self.bloom
    }

    pub const fn heads(&self) -> &OriginMap<Head, N> {
        &self.heads
    }

    /// The same as a horizon: whose events the state has, and up to where. O(N²).
    pub fn horizon(&self) -> Horizon<N> {
        let mut horizon = Horizon::new();
        for (producer, Head { sequence, .. }) in self.heads.iter() {
            // It has as much room.
            let _ = horizon.observe(producer, sequence);
        }
        horizon
    }

    /// Takes over `heads`. O(N²).
    ///
    /// # Errors
    ///
    /// [`OriginsFull`]; then the filter has some of them.
    pub fn replace(&mut self, heads: impl Iterator<Item = (Origin, Head)>) -> Result<(), OriginsFull> {
        self.clear();
        heads.into_iter().try_for_each(|(producer, head)| self.set(producer, head))
    }

    /// Notes each of the events behind one another: later ones of a producer win.
    pub fn extend(
        &mut self,
        taken: impl Iterator<Item = (Origin, Sequence, Head)>,
    ) -> Result<(), OriginsFull> {
        for (producer, sequence, head) in taken {
            if self.known(producer).is_none_or(|known| known.sequence < sequence) {
                self.set(producer, head)?;
            }
        }
        Ok(())
    }
}
