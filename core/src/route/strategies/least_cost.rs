//! Where there is room: the least cost of a few candidates.

use core::array;

use super::unbarred::Unbarred;
use super::{Needs, Pool, Strategy, Turn};
use crate::route::load::{Latency, Load, Observed, Outstanding, Score};
use crate::route::state::bank::Sets;
use crate::route::state::latency::Reading;
use crate::route::state::view::View;
use crate::route::{Candidates, Endpoints, Random};

/// The most candidates that are compared in one select.
const MOST: usize = 16;
/// More counts as this much.
const MOST_LOAD: u32 = u32::MAX >> 6;
/// In one select of so many of a class, endpoints whose load isn't known, or is old, are taken for idle.
const EXPLORES: u8 = 40;

/// The candidate of the least cost, of up to 16 candidates of all, of more of `D` different random ones; any
/// of them if there are several. O(1).
///
/// The cost is *load* × (*outstanding* + 1) / *weight*, where
///
/// * the load is what `L` says of the endpoint: 1 ([`Outstanding`]), its latency ([`Latency`]), the score
///   that it reports ([`Score`]), or what a [`Load`] of your own says. One that says nothing (never measured,
///   no fresh report) counts as a little more than the mean of those that it is compared with, and in one
///   select of 40 as idle: so a new endpoint gets traffic, but one that only ever fails no more than that. In
///   such a select an endpoint without leases counts as idle too if its latency is
///   [old](crate::route::PeakEwma::is_old): so one that was slow and has recovered is found out;
/// * outstanding are the leases out, those of all selectors;
/// * the weight is what slow start and health leave of it.
///
/// Costs are told apart by a thousandth of them where weights are above 4,000, and by less where they are
/// not. *load* × (*outstanding* + 1) of more than 2^32 - 1, as with a hundred requests of 43 s each, counts
/// as that.
///
/// Endpoints at their cap are passed over.
///
/// Two random choices are enough: the busiest endpoint has hardly more than the mean, where with one it has
/// several times that (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS
/// 12(10), 2001); and of several balancers that see the same counts, not all pick the same endpoint.
///
/// [`PowerOfTwo`], [`LeastConnections`], [`LeastLatency`] and [`LeastLoad`] are names for some of these.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Endpoint, LeastConnections, Options, Request, Selector};
/// use trilane::time::Instant;
///
/// static BALANCER: Balancer<LeastConnections, 1, 4> =
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
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastCost<L, const D: usize = 2> {
    load: L,
}

/// The less busy of two random candidates; see [`LeastCost`].
pub type PowerOfTwo = LeastCost<Outstanding, 2>;
/// The fewest leases out for its weight; see [`LeastCost`].
pub type LeastConnections = LeastCost<Outstanding, 5>;
/// Whoever has answered fastest lately, for the leases that it has out; see [`LeastCost`] and [`Latency`].
pub type LeastLatency = LeastCost<Latency, 5>;
/// Whoever reports the least load, for the leases that it has out; see [`LeastCost`] and [`Score`].
pub type LeastLoad = LeastCost<Score, 5>;

impl<L, const D: usize> LeastCost<L, D> {
    /// By this load.
    pub const fn by(load: L) -> Self {
        const { assert!(D >= 1 && D <= MOST, "a choice is among 1 to 16 candidates") }
        Self { load }
    }
}

impl<const D: usize> LeastCost<Outstanding, D> {
    /// By the leases out.
    pub const fn new() -> Self {
        Self::by(Outstanding)
    }
}

impl<const D: usize> LeastCost<Latency, D> {
    /// By latencies.
    pub const fn new() -> Self {
        Self::by(Latency)
    }
}

impl<const D: usize> LeastCost<Score, D> {
    /// By reports.
    pub const fn new() -> Self {
        Self::by(Score)
    }
}

/// What a class keeps for [`LeastCost`].
#[derive(Clone, Copy, Debug)]
pub struct Comparing {
    /// Whether a candidate has a cap, so that some may be full.
    capped: bool,
    /// So many selects have been among some whose load isn't known since these were last taken for idle.
    unexplored: u8,
}

impl Comparing {
    /// Puts in what loads count as that aren't known, beside those that are. Once in a while these count as
    /// idle, and so do those of latencies that are old, where no lease is out that may tell soon.
    #[cold]
    #[inline(never)]
    fn instead(
        &mut self,
        view: View<'_>,
        those: &[u16],
        loads: &mut [u32],
        latencies: bool,
        turn: &Turn<'_>,
    ) {
        self.unexplored += (turn.attempt == 0) as u8;
        if self.unexplored >= EXPLORES {
            self.unexplored = 0;
            for (load, &slot) in loads.iter_mut().zip(those) {
                let record = view.slot(slot);
                let is_old =
                    || latencies && record.latency.is_old(turn.tick) && record.leases_and_inverse().0 == 0;
                if *load == 0 || is_old() {
                    *load = 1;
                }
            }
            return;
        }
        let (sum, known) = loads
            .iter()
            .filter(|&&load| load != 0)
            .fold((0u64, 0), |(sum, known), &load| (sum + load as u64, known + 1));
        let mean = sum.checked_div(known).map_or(1, |mean| mean as u32 + 1);
        loads.iter_mut().filter(|load| **load == 0).for_each(|load| *load = mean);
    }
}

impl<L: Load, const D: usize, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>
    Strategy<BANKS, PER_BANK, STRIPES> for LeastCost<L, D>
{
    type Cache = Comparing;
    const EMPTY: Comparing = Comparing { capped: false, unexplored: 0 };
    const BUILDS: bool = false;

    #[inline(always)]
    fn needs(&self) -> Needs {
        Needs { lists: true, exact_counts: true, latencies: L::LATENCIES, ..Needs::default() }
    }

    fn refill(&self, pool: &Pool<'_, BANKS, PER_BANK, STRIPES>, cache: &mut Comparing, _: &mut Random) {
        let (words, view) = (pool.candidates.words(), pool.endpoints.view());
        cache.capped = (0..BANKS).any(|bank| words[bank] & view.bits(Sets::capped, bank) != 0);
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        cache: &mut Comparing,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let all = pool.candidates.as_slice();
        let drawn;
        let those = if all.len() <= MOST {
            all
        } else {
            drawn = draw::<D, _, _>(pool.candidates, turn);
            &drawn
        };
        if cache.capped || !turn.barred.is_empty() {
            self.choose_unblocked(pool.endpoints, those, cache, turn)
        } else if L::SAME {
            least::<false, _, _, _>(pool.endpoints, those, &[1; MOST], turn.random)
        } else {
            self.choose(pool.endpoints, those, cache, turn)
        }
    }
}

impl<L: Load, const D: usize> LeastCost<L, D> {
    /// One of those of the least cost.
    #[inline(never)]
    fn choose<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        those: &[u16],
        cache: &mut Comparing,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        if L::SAME {
            return least::<false, _, _, _>(endpoints, those, &[1; MOST], turn.random);
        }
        let view = endpoints.view();
        let mut loads = [0; MOST];
        let mut doubtful = false;
        for (load, &slot) in loads.iter_mut().zip(those) {
            let record = endpoints.record(slot);
            let latency = if L::LATENCIES { record.latency.read(turn.tick) } else { Reading::NONE };
            *load = self.load.of(&Observed::new(view, slot, record, latency)).min(MOST_LOAD);
            doubtful |= *load == 0 || latency.is_old();
        }
        if doubtful {
            let loads = &mut loads[..those.len().min(MOST)];
            cache.instead(view, those, loads, L::LATENCIES, turn);
        }
        least::<true, _, _, _>(endpoints, those, &loads, turn.random)
    }

    /// The same of those that are neither full nor barred.
    #[cold]
    #[inline(never)]
    fn choose_unblocked<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        those: &[u16],
        cache: &mut Comparing,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let mut open = [0; MOST];
        let view = endpoints.view();
        let left =
            those.iter().filter(|&&slot| !view.at(slot).has(Sets::full) && !turn.barred.contains(slot));
        let count = open.iter_mut().zip(left).map(|(entry, &slot)| *entry = slot).count();
        self.choose(endpoints, &open[..count.min(MOST)], cache, turn)
    }
}

/// One of those of the least cost, each as likely as any other; `None` if there are none. Unless they are
/// `loaded`, all have the same load.
///
/// A processor that predicts branches would be wrong at every other candidate, and so has none here.
#[inline(never)]
fn least<const LOADED: bool, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    those: &[u16],
    loads: &[u32; MOST],
    random: &mut Random,
) -> Option<u16> {
    let mut equals = [0; MOST];
    let (mut count, mut least) = (0usize, u64::MAX);
    for (at, &slot) in those.iter().enumerate() {
        let (leases, inverse) = endpoints.record(slot).leases_and_inverse();
        let mut busy = leases.wrapping_add(1);
        if LOADED {
            busy = busy.saturating_mul(loads[at % MOST]);
        }
        let cost = busy as u64 * inverse as u64;
        if cfg!(target_os = "none") && cost > least {
            continue;
        }
        count = if cost < least { 0 } else { count };
        equals[count % MOST] = slot;
        count += (cost <= least) as usize;
        least = least.min(cost);
    }
    let nth = if count > 1 { random.below(count as u32) as usize } else { 0 };
    (count != 0).then_some(equals[nth % MOST])
}

/// `D` different random candidates of those that aren't barred, of which there are more.
///
/// Floyd's way: number `n` of the draws is below `count - D + 1 + n`, or the greatest there if what was drawn
/// has been drawn before (Bentley, "Programming Pearls: A Sample of Brilliance", CACM 30(9), 1987).
#[inline(always)]
fn draw<const D: usize, const BANKS: usize, const PER_BANK: usize>(
    candidates: &Candidates<BANKS, PER_BANK>,
    turn: &mut Turn<'_>,
) -> [u16; D] {
    let unbarred = (!turn.barred.is_empty()).then(|| Unbarred::new(candidates, turn.barred));
    let count = unbarred.as_ref().map_or(candidates.len(), Unbarred::len);
    let mut drawn = [u32::MAX; D];
    for at in 0..D {
        let last = (count + at as u32).saturating_sub(D as u32);
        let place = turn.random.below(last + 1);
        drawn[at] = if drawn.contains(&place) { last } else { place };
    }
    array::from_fn(|at| {
        let slot = match &unbarred {
            None => candidates.nth(drawn[at]),
            Some(unbarred) => unbarred.nth(drawn[at]),
        };
        slot.or_else(|| candidates.nth(0)).unwrap_or(0)
    })
}
