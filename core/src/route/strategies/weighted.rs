//! In proportion to weights: exactly, in turns; or by chance.

use super::ahead::{Ahead, Order};
use super::{Needs, Pool, Strategy, Turn};
use crate::route::Random;

/// Weighted round robin: in each cycle, each candidate exactly as often as its weight says. O(1) while
/// nothing changes.
///
/// All weights together, *W*, are one cycle, and each of its *W* positions is picked once: so the shares are
/// exact for any weights in any order, over any *W* selects in a row of one selector and class while its
/// candidates and their weights stay. The turns of an endpoint are spread over the cycle, not in a row.
///
/// A weight of which only a part is left, by health or slow start, counts in 64ths; then so do all, and the
/// cycle is as much longer.
///
/// # How
///
/// The positions are visited as by an odd step on a circle of *M* positions, the power of two at or above
/// *W*; those from *W* on are passed over, at most two in a row. An odd step visits all of *M* before it
/// comes to one again, whatever *W* is: there is no common divisor to look for, and nothing to divide. The
/// steps are those whose ratios to *M* have small partial quotients, as the golden ratio has, so that each
/// new position falls into one of the greatest gaps that those before have left (Niederreiter, "Dyadic
/// Fractions with Small Partial Quotients", Monatshefte für Mathematik 101, 1986). Weights laid end to end in
/// slot order then say whose position it is; see `weights.rs`.
///
/// A cycle begins at a random position, so that many balancers that start together don't all pick the same
/// endpoint. When candidates or weights change it goes on from the same point of the circle. What can't be
/// had (at its cap, tried before) goes to others by weight, at random, and takes no step.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Endpoint, Options, Request, Selector, WeightedRoundRobin};
/// use trilane::time::Instant;
///
/// static BALANCER: Balancer<WeightedRoundRobin, 1, 4> = Balancer::new(WeightedRoundRobin, Options::new());
///
/// let now = Instant::ZERO;
/// let small = BALANCER.add(&Endpoint::new(1).weight(2), now)?;
/// let large = BALANCER.add(&Endpoint::new(2).weight(3), now)?;
/// let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&BALANCER, 42)?;
/// for _ in 0..5 {
///     drop(selector.select(&Request::ANY, now)?);
/// }
/// assert_eq!((BALANCER.stats(small)?.selected, BALANCER.stats(large)?.selected), (2, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedRoundRobin;

/// Weighted random: each candidate with a chance in proportion to its weight. O(1) while nothing changes: one
/// draw.
///
/// Its shares are right in the long run; [`WeightedRoundRobin`] costs the same and is right in each cycle.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Options, WeightedRandom};
///
/// static BALANCER: Balancer<WeightedRandom, 1, 4> = Balancer::new(WeightedRandom, Options::new());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedRandom;

/// An odd step on a circle.
#[derive(Clone, Copy, Debug)]
pub struct Circle {
    /// The point that was visited last, in 2^32nds of the whole; `None` before there was any candidate.
    point: Option<u32>,
    /// From one point to the next.
    step: u32,
    /// How many low bits of a point are below a position.
    shift: u32,
    /// How many positions there are.
    total: u32,
}

/// A generator of the class's own, so that what is drawn ahead takes nothing from the selector's.
#[derive(Clone, Debug)]
pub struct Chance {
    random: Option<Random>,
    total: u32,
}

/// For a circle of 2^(i + 1) positions the step, of those between a half and three quarters of it: the one
/// with the least greatest partial quotient (at most 3), and among these with the least sum; from 2^24 on the
/// best of 2^24 random ones near the golden ratio.
const STEPS: [u32; 31] = [
    1,
    3,
    5,
    9,
    23,
    37,
    79,
    157,
    323,
    741,
    1_257,
    2_539,
    5_759,
    10_155,
    20_225,
    40_521,
    92_671,
    162_009,
    307_613,
    661_301,
    1_328_987,
    2_591_793,
    5_184_487,
    10_366_883,
    20_799_487,
    41_467_565,
    82_951_775,
    165_984_459,
    332_759_039,
    665_939_041,
    1_325_465_599,
];

impl Order for Circle {
    fn resize(&mut self, total: u32, random: &mut Random) {
        // As few bits as hold all positions, but one at least.
        let bits = 32 - (total.saturating_sub(1) | 1).leading_zeros();
        self.total = total;
        self.shift = 32 - bits;
        self.step = STEPS[(bits as usize - 1).min(STEPS.len() - 1)] << self.shift;
        if self.point.is_none() {
            // One of the positions, so that who comes next has a chance by its weight.
            self.point = Some(random.below(total) << self.shift);
        }
    }

    #[inline(always)]
    fn next(&mut self) -> u32 {
        // More than half of the circle are positions, or it is 1 of 2. From a point beyond them a step leads
        // back by at most a half and at least a quarter, and so after at most two such steps to a position.
        // Which of the three it is can't be predicted, so these are masks and no branches.
        let again = |point: u32| self.step & 0u32.wrapping_sub((point >> self.shift >= self.total) as u32);
        let mut point = self.point.unwrap_or(0).wrapping_add(self.step);
        point = point.wrapping_add(again(point));
        point = point.wrapping_add(again(point));
        self.point = Some(point);
        point >> self.shift
    }
}

impl Order for Chance {
    fn resize(&mut self, total: u32, random: &mut Random) {
        self.total = total;
        self.random.get_or_insert_with(|| Random::new((random.next() as u64) << 32 | random.next() as u64));
    }

    #[inline(always)]
    fn next(&mut self) -> u32 {
        self.random.as_mut().map_or(0, |random| random.below(self.total))
    }
}

/// The strategy that visits the positions in this order, of which `$first` is the beginning.
macro_rules! by_weight {
    ($strategy:ident, $order:ident, $first:expr) => {
        impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>
            Strategy<BANKS, PER_BANK, STRIPES> for $strategy
        {
            type Cache = Ahead<$order, BANKS, PER_BANK>;
            const EMPTY: Self::Cache = Ahead::new($first, $first);
            const BUILDS: bool = false;

            #[inline(always)]
            fn needs(&self) -> Needs {
                Needs::default()
            }

            fn refill(
                &self,
                pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
                cache: &mut Self::Cache,
                random: &mut Random,
            ) {
                cache.refill(pool, random);
            }

            #[inline(always)]
            fn pick(
                &self,
                _pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
                cache: &mut Self::Cache,
                turn: &mut Turn<'_>,
            ) -> Option<u16> {
                cache.pick(turn)
            }
        }
    };
}

by_weight! { WeightedRoundRobin, Circle, Circle { point: None, step: 0, shift: 0, total: 0 } }
by_weight! { WeightedRandom, Chance, Chance { random: None, total: 0 } }
