//! The least loaded of a few candidates: all of them are looked at.
//!
//! Under load, nearly every lease takes an endpoint of a few from one level to the next, and to move it there
//! costs more than to compare them all: 62 ns a select of 16 candidates with 64 leases held, against 28, on
//! an EPYC. And what is compared are the loads as they are, not levels.

use super::Pool;
use crate::route::Random;
use crate::route::column::within;
use crate::sync::Ordering;

/// The most candidates that are few.
const FEW: usize = 16;

/// Whether this many candidates are few. In a model none are: models are of one endpoint or two, and about
/// levels.
#[inline(always)]
pub(super) const fn are_few(candidates: u32) -> bool {
    candidates <= FEW as u32 && !cfg!(trilane_loom)
}

/// What a load is: a lease's share of it, by the candidate.
pub trait Load: Copy {
    /// Before there are candidates.
    const NONE: Self;

    /// There are other candidates, or they have other weights. O(1), since it is for few.
    fn refill<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    );

    /// The load that `count` leases are to the candidate at this place in the list.
    fn of(&self, place: usize, count: u32) -> u32;
}

/// Leases are counted, whoever has them.
#[derive(Clone, Copy, Debug)]
pub struct Count;

/// Leases count by what is left of the weight.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// What one lease is to each candidate: 256 to the heaviest.
    units: [u32; FEW],
}

impl Load for Count {
    const NONE: Self = Self;

    fn refill<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        _: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) {
    }

    #[inline(always)]
    fn of(&self, _: usize, count: u32) -> u32 {
        count
    }
}

impl Load for Share {
    const NONE: Self = Self { units: [0; FEW] };

    fn refill<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    ) {
        let few = pool.candidates.as_slice();
        if !are_few(few.len() as u32) {
            return;
        }
        // Nothing is left of a candidate's weight only when health is ignored. At most 2^22: nothing
        // overflows.
        let weight = |slot: u16| pool.endpoints.weight_left(slot).max(1);
        let heaviest = few.iter().map(|&slot| weight(slot)).max().unwrap_or(1);
        for (unit, &slot) in self.units.iter_mut().zip(few) {
            *unit = (heaviest << 8) / weight(slot);
        }
    }

    #[inline(always)]
    fn of(&self, place: usize, count: u32) -> u32 {
        count.saturating_mul(self.units[within(place, FEW)])
    }
}

/// One of the least loaded of few candidates, each as likely as any other; and how many there are with it.
/// O(1).
#[inline(always)]
pub(super) fn least<L: Load, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
    load: &L,
    random: &mut Random,
) -> Option<(u16, u32)> {
    let few = pool.candidates.as_slice();
    let few = &few[..few.len().min(FEW)];
    let mut loads = [u32::MAX; FEW];
    let mut least = u32::MAX;
    for (place, &slot) in few.iter().enumerate() {
        let load = load.of(place, pool.endpoints.exact.at(slot).0.load(Ordering::SeqCst));
        loads[place] = load;
        least = least.min(load);
    }
    // Without a branch, for who is among the least can't be predicted.
    let mut equals = [0; FEW];
    let mut count = 0;
    for (place, &slot) in few.iter().enumerate() {
        equals[within(count, FEW)] = slot;
        count += (loads[place] == least) as usize;
    }
    (count != 0).then(|| (equals[within(random.below(count as u32) as usize, FEW)], count as u32))
}
