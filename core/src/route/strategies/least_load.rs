//! Whoever reports the least load.

use super::ranking::{EVERY, Ranking, Rule};
use super::tournament::Ranks;
use super::{Needs, Pool, Strategy, Turn};
use crate::bitmap::slot;
use crate::route::{Endpoints, Random};

/// Ranks of stale reports begin here; scores are below.
const STALE: u32 = 1 << 11;

/// Least load: the candidate whose last report has the least [score](crate::route::Metrics::score), ties to
/// the lowest slot.
///
/// In this order:
///
/// 1. Fresh reports, by score.
/// 2. No report yet. One of these counts as the mean of the others, which is never less than the least; so
///    that a new endpoint gets traffic before it has said anything, they get one select in 32 of each class
///    ([`exploring`] says otherwise). They take turns.
/// 3. Stale reports ([`Options::stale_after`]), by score.
///
/// Endpoints at their cap are passed over. Between two reports all selects go to the same endpoint: reports
/// should come more often than an endpoint fills up, or caps be set.
///
/// O(1) while no reports come; the first select after one costs a match of 32 ranks and log2(banks) more, for
/// each bank.
///
/// [`exploring`]: Self::exploring
/// [`Options::stale_after`]: crate::route::Options::stale_after
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Endpoint, LeastLoad, Metrics, Options, Request, Selector};
/// use trilane::time::Instant;
///
/// static BALANCER: Balancer<LeastLoad, 1, 4> = Balancer::new(LeastLoad::new(), Options::new());
///
/// let now = Instant::ZERO;
/// let busy = BALANCER.add(&Endpoint::new(1), now)?;
/// let idle = BALANCER.add(&Endpoint::new(2), now)?;
/// BALANCER.report(busy, Metrics::new(900, 800, 100, 20, 0)?, now)?;
/// BALANCER.report(idle, Metrics::new(100, 300, 100, 20, 0)?, now)?;
///
/// let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&BALANCER, 42)?;
/// assert_eq!(selector.select(&Request::ANY, now)?.endpoint(), idle);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LeastLoad {
    every: u16,
}

impl LeastLoad {
    /// One select in 32 goes to an endpoint that hasn't reported yet, while there are such.
    pub const fn new() -> Self {
        Self::exploring(EVERY)
    }

    /// One select in `every` of each class; 0: none, so that an endpoint gets nothing before its first report
    /// while others have fresh ones.
    pub const fn exploring(every: u16) -> Self {
        Self { every }
    }
}

/// Ranks by reports: the score and one, behind those that are fresh if it is stale.
struct Reports<'a, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    &'a Endpoints<BANKS, PER_BANK, STRIPES>,
);

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Ranks<PER_BANK>
    for Reports<'_, BANKS, PER_BANK, STRIPES>
{
    #[inline(always)]
    fn rank(&self, slot: u16) -> u32 {
        self.fresh(slot) + self.0.is_stale(slot) as u32 * STALE
    }

    #[inline(always)]
    fn of_bank(&self, bank: usize) -> [u32; PER_BANK] {
        let mut ranks = core::array::from_fn(|index| self.fresh(slot(bank, index as u32)));
        let stale = self.0.stale.bits(bank);
        if stale != 0 {
            for (index, rank) in ranks.iter_mut().enumerate() {
                *rank += (stale >> index & 1) * STALE;
            }
        }
        ranks
    }
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Reports<'_, BANKS, PER_BANK, STRIPES> {
    /// Only what has been reported grows stale, so 0 stays 0.
    #[inline(always)]
    fn fresh(&self, slot: u16) -> u32 {
        self.0.score(slot).map_or(0, |score| score as u32 + 1)
    }
}

impl Default for LeastLoad {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for LeastLoad
{
    type Cache = Ranking<BANKS, PER_BANK>;

    #[inline(always)]
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn cache(&self) -> Self::Cache {
        Ranking::new()
    }

    fn refill(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        random: &mut Random,
    ) {
        cache.refill(pool, self.every, random);
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let rule = Rule { ranks: Reports(pool.endpoints), behind: STALE, every: self.every };
        cache.pick(pool, turn, rule, |ranking, turn| ranking.pick_unknown(turn))
    }
}
