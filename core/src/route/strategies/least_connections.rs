//! The fewest leases out, counted exactly over all selectors.

use super::few::{Count, Share};
use super::levels::Levels;
use super::lowest::{Leveled, Lowest};
use super::{Needs, Pool, Strategy, Turn};
use crate::route::{Endpoints, Random};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn, fence};

/// Levels of a count: 0, 1, 2, 3, then four an octave, up to 7 * 2^14.
const LEVELS: usize = 64;
/// Levels of a count for each unit of weight: none, then four an octave from 1/1,024 to 12,288.
const WEIGHTED_LEVELS: usize = 96;

/// The endpoint with the fewest leases out, over all selectors; any of them if there are several.
///
/// Counts of up to 16 candidates are compared as they are, those of more in steps: 0 to 7 exactly, then four
/// steps an octave (8 and 9 are equal, so are 64 to 79), up to 114,688. Weights don't count: see
/// [`WeightedLeastConnections`]. Endpoints at their cap are passed over.
///
/// A select and its end take O(1): every endpoint has a bit at its level, and neither moves it while the
/// endpoint is idle in between. Under load, a select of up to 16 candidates looks at all of them. Of more, an
/// endpoint that a select meets at too low a level is moved up, at most once for each lease, and the end of a
/// lease moves it down. At worst a select moves 32 of them and looks through 64 levels of `BANKS` words for
/// each; if even more stand too low, it takes the best it has seen. Shared state: 272 bytes, and 256 a bank.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Endpoint, LeastConnections, Options, Request, Selector};
/// use trilane::time::Instant;
///
/// static BALANCER: Balancer<LeastConnections<1>, 1, 4> =
///     Balancer::new(LeastConnections::new(), Options::new());
///
/// let now = Instant::ZERO;
/// for id in 0..3 {
///     BALANCER.add(&Endpoint::new(id), now)?;
/// }
/// let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&BALANCER, 42)?;
/// let a = selector.select(&Request::ANY, now)?;
/// let b = selector.select(&Request::ANY, now)?;
/// let free = selector.select(&Request::ANY, now)?.endpoint(); // the third, and it ends at once
/// assert!(a.endpoint() != b.endpoint() && free != a.endpoint() && free != b.endpoint());
/// assert_eq!(selector.select(&Request::ANY, now)?.endpoint(), free);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LeastConnections<const BANKS: usize> {
    levels: Levels<BANKS, LEVELS>,
}

impl<const BANKS: usize> LeastConnections<BANKS> {
    const_fn! {
    /// For a balancer of as many banks.
    pub const fn new() -> Self {
        Self { levels: Levels::new() }
    }
    }

    /// The level of a count of leases: what is equal is equal to this strategy.
    #[inline(always)]
    pub const fn level(count: u32) -> u32 {
        if count < 4 {
            return count;
        }
        let octave = count.ilog2();
        let level = 4 * (octave - 1) + (count >> (octave - 2) & 3);
        if level < LEVELS as u32 { level } else { LEVELS as u32 - 1 }
    }

    /// The level at which a slot stands; `None` if the bookkeeping is broken, or being changed. For tests.
    #[doc(hidden)]
    pub fn standing(&self, slot: u16) -> Option<u32> {
        self.levels.level_of(slot)
    }
}

impl<const BANKS: usize> Default for LeastConnections<BANKS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BANKS: usize> Leveled<BANKS, LEVELS> for LeastConnections<BANKS> {
    type Load = Count;

    #[inline(always)]
    fn levels(&self) -> &Levels<BANKS, LEVELS> {
        &self.levels
    }

    #[inline(always)]
    fn level<const PER_BANK: usize, const STRIPES: usize>(
        _: &Endpoints<BANKS, PER_BANK, STRIPES>,
        _: u16,
        count: u32,
    ) -> u32 {
        Self::level(count)
    }
}

const NEEDS: Needs =
    Needs { lists: true, exact_counts: true, latencies: false, builds: false, on_demand: false };

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for LeastConnections<BANKS>
{
    type Cache = Lowest<Count>;

    #[inline(always)]
    fn needs(&self) -> Needs {
        NEEDS
    }

    fn cache(&self) -> Lowest<Count> {
        Lowest::new()
    }

    fn refill(&self, pool: &Pool<'_, BANKS, PER_BANK, STRIPES>, cache: &mut Lowest<Count>, _: &mut Random) {
        cache.refill(pool);
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Lowest<Count>,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        Leveled::pick(self, pool, cache, turn)
    }

    #[inline(always)]
    fn ended(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>, slot: u16, count: u32) {
        self.end(endpoints, slot, count);
    }
}

/// The endpoint with the fewest leases out for each unit of its weight; any of them if there are several.
///
/// The weight is what health and slow start leave of it. An endpoint without leases is the least loaded,
/// whatever its weight; so while there is little to do all get the same, and under load each gets its share.
/// Loads of up to 16 candidates are compared to within 1 in 256, those of more in steps, four an octave, from
/// one lease for 1,024 units of weight to 12,288 leases for one; logarithms are taken by straight lines
/// between powers of two (Mitchell, "Computer multiplication and division using binary logarithms", IRE
/// Transactions on Electronic Computers, 1962), which are off by up to 0.09 octaves.
///
/// All else is as in [`LeastConnections`]. A change of weight costs the next select O(levels + 32) for each
/// bank that has one. Shared state: 400 bytes, and 388 a bank; and a selector has 128 bytes more for each
/// class.
pub struct WeightedLeastConnections<const BANKS: usize> {
    levels: Levels<BANKS, WEIGHTED_LEVELS>,
    /// The version of each bank's weights by which its endpoints stand.
    versions: [AtomicU32; BANKS],
}

impl<const BANKS: usize> WeightedLeastConnections<BANKS> {
    const_fn! {
    /// For a balancer of as many banks.
    pub const fn new() -> Self {
        Self { levels: Levels::new(), versions: array_of![AtomicU32::new(0); BANKS] }
    }
    }

    /// The level of a count of leases at a weight in 64ths: what is equal is equal to this strategy.
    #[inline(always)]
    pub const fn level(count: u32, weight: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        // One lease for 1,024 units of weight, which are 2^16 64ths, is at level 1.
        let load = (sixteenths(count) + 256).saturating_sub(sixteenths(weight)) / 4 + 1;
        if load < WEIGHTED_LEVELS as u32 { load } else { WEIGHTED_LEVELS as u32 - 1 }
    }

    /// The level at which a slot stands; `None` if the bookkeeping is broken, or being changed. For tests.
    #[doc(hidden)]
    pub fn standing(&self, slot: u16) -> Option<u32> {
        self.levels.level_of(slot)
    }

    /// Weights have changed: brings their banks to what the levels are now.
    ///
    /// The fence comes after the changes that the versions tell of. Whoever has set a bit by an old weight,
    /// too late for this to see it, looks at the weight after that, and so after the fence: it sees the new
    /// one.
    fn reweigh<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    ) {
        for (bank, seen) in self.versions.iter().enumerate() {
            let version = endpoints.weight_version(bank);
            if seen.load(Ordering::Acquire) != version {
                fence(Ordering::SeqCst);
                self.levels.settle_bank(bank, |slot| Self::level_now(endpoints, slot));
                seen.store(version, Ordering::Release);
            }
        }
    }
}

/// The binary logarithm in sixteenths; that of 0 is that of 1.
#[inline(always)]
const fn sixteenths(number: u32) -> u32 {
    let number = number | (number == 0) as u32;
    let octave = number.ilog2();
    // The four bits below the highest one.
    octave * 16 + ((number << (31 - octave)) >> 27 & 15)
}

impl<const BANKS: usize> Default for WeightedLeastConnections<BANKS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BANKS: usize> Leveled<BANKS, WEIGHTED_LEVELS> for WeightedLeastConnections<BANKS> {
    type Load = Share;

    #[inline(always)]
    fn levels(&self) -> &Levels<BANKS, WEIGHTED_LEVELS> {
        &self.levels
    }

    #[inline(always)]
    fn level<const PER_BANK: usize, const STRIPES: usize>(
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        slot: u16,
        count: u32,
    ) -> u32 {
        if count == 0 { 0 } else { Self::level(count, endpoints.weight_left(slot)) }
    }
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for WeightedLeastConnections<BANKS>
{
    type Cache = Lowest<Share>;

    #[inline(always)]
    fn needs(&self) -> Needs {
        NEEDS
    }

    fn cache(&self) -> Lowest<Share> {
        Lowest::new()
    }

    fn refill(&self, pool: &Pool<'_, BANKS, PER_BANK, STRIPES>, cache: &mut Lowest<Share>, _: &mut Random) {
        cache.refill(pool);
        self.reweigh(pool.endpoints);
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Lowest<Share>,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        Leveled::pick(self, pool, cache, turn)
    }

    #[inline(always)]
    fn ended(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>, slot: u16, count: u32) {
        self.end(endpoints, slot, count);
    }
}
