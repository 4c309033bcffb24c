//! Whoever has answered fastest lately.

use super::ranking::{EVERY, Ranking, Rule};
use super::round_robin::Cursor;
use super::tournament::{LAST, Ranks};
use super::{Needs, Pool, Strategy, Turn};
use crate::route::{Endpoints, Random};

/// Least latency: the candidate with the least peak-sensitive average of latencies
/// ([`PeakEwma`](crate::route::PeakEwma)), ties to the lowest slot.
///
/// The averages are fed by [`Lease::succeed`](crate::route::Lease::succeed). A failure says nothing of how
/// fast an endpoint would have been: its average stays where it is, and isn't forgiven anything for the time
/// before it; an endpoint that has only failed is unmeasured.
///
/// An unmeasured endpoint counts as the mean of the others, which is never less than the least. And an
/// endpoint that was slow once would never be asked again. So one select in 32 of each class explores
/// ([`exploring`](Self::exploring) says otherwise): by turns it goes to the next unmeasured one and to the
/// next candidate, in the order of slots. While nobody is measured, all take turns.
///
/// Endpoints at their cap are passed over. Latencies of more than 67 s count as that.
///
/// O(1) while averages stand still; the first select after a change costs a match of 32 averages and
/// log2(banks) more, for each bank. An average falls at most 31 times a second.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Endpoint, LeastLatency, Options, Request, Selector};
/// use trilane::time::{Duration, Instant};
///
/// static BALANCER: Balancer<LeastLatency, 1, 4> = Balancer::new(LeastLatency::new(), Options::new());
///
/// let now = Instant::ZERO;
/// let near = BALANCER.add(&Endpoint::new(1), now)?;
/// let far = BALANCER.add(&Endpoint::new(2), now)?;
/// let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&BALANCER, 42)?;
/// let mut near_ones = 0;
/// for _ in 0..200 {
///     let lease = selector.select(&Request::ANY, now)?;
///     let latency = if lease.endpoint() == near { 2 } else { 30 };
///     near_ones += (lease.endpoint() == near) as u32;
///     lease.succeed(Duration::from_millis(latency), now);
/// }
/// assert!(near_ones > 150); // at the latest once the 32nd select has explored
/// assert!(BALANCER.stats(far)?.selected > 0); // and it is asked again now and then
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LeastLatency {
    every: u16,
}

/// What a class keeps for [`LeastLatency`].
pub struct Fastest<const BANKS: usize, const PER_BANK: usize> {
    ranking: Ranking<BANKS, PER_BANK>,
    /// Who is explored next.
    cursor: Cursor,
    /// Whether it was an unmeasured one's turn last.
    unmeasured: bool,
}

impl LeastLatency {
    /// One select in 32 explores.
    pub const fn new() -> Self {
        Self::exploring(EVERY)
    }

    /// One select in `every` of each class explores; 0: none, so that an unmeasured endpoint gets nothing
    /// while another is measured.
    pub const fn exploring(every: u16) -> Self {
        Self { every }
    }
}

/// Ranks by averages, in microseconds.
struct Averages<'a, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    &'a Endpoints<BANKS, PER_BANK, STRIPES>,
);

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Ranks<PER_BANK>
    for Averages<'_, BANKS, PER_BANK, STRIPES>
{
    #[inline(always)]
    fn rank(&self, slot: u16) -> u32 {
        self.0.latency(slot).min(LAST)
    }
}

impl Default for LeastLatency {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for LeastLatency
{
    type Cache = Fastest<BANKS, PER_BANK>;

    #[inline(always)]
    fn needs(&self) -> Needs {
        Needs { lists: true, latencies: true, ..Needs::default() }
    }

    fn cache(&self) -> Self::Cache {
        Fastest { ranking: Ranking::new(), cursor: Cursor::new(), unmeasured: false }
    }

    fn refill(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        random: &mut Random,
    ) {
        cache.ranking.refill(pool, self.every, random);
        cache.cursor.refill(pool, random);
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Self::Cache,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let Fastest { ranking, cursor, unmeasured } = cache;
        let rule = Rule { ranks: Averages(pool.endpoints), behind: u32::MAX, every: self.every };
        ranking.pick(pool, turn, rule, |ranking, turn| {
            *unmeasured = !*unmeasured;
            let unmeasured = if *unmeasured { ranking.pick_unknown(turn) } else { None };
            let next = unmeasured.or_else(|| cursor.pick(pool, turn))?;
            (!pool.endpoints.full.contains(next)).then_some(next)
        })
    }
}
