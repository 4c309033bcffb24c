//! The less busy of two.

use super::unbarred::Unbarred;
use super::{Needs, Pool, Strategy, Turn};
use crate::route::random::product;
use crate::route::{Candidates, Random};

/// Power of two choices: of two different random candidates, the one with fewer leases out. O(1).
///
/// Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001: the busiest
/// endpoint has hardly more than the mean, where with one random choice it has several times that; and of
/// several balancers that see the same counts, not all pick the same endpoint. Where both have as many, it is
/// the one drawn first: either, with equal chances. Were it the lower slot, an idle balancer would send its
/// last endpoint nothing.
///
/// What is compared is what *this selector* has out ([`Pool::own_in_flight`]). To sum up all selectors'
/// counts would fetch the cache lines which others write for each lease, one a selector and endpoint. A
/// worker that gets its share of the requests has its share of the leases on each endpoint, so its own counts
/// rank endpoints as all would.
///
/// # Examples
///
/// ```
/// use trilane::route::{Balancer, Endpoint, Options, PowerOfTwo, Request, Selector};
/// use trilane::time::Instant;
///
/// static BALANCER: Balancer<PowerOfTwo, 1, 4> = Balancer::new(PowerOfTwo, Options::new());
///
/// let now = Instant::ZERO;
/// BALANCER.add(&Endpoint::new(1), now)?;
/// BALANCER.add(&Endpoint::new(2), now)?;
/// let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&BALANCER, 42)?;
/// let busy = selector.select(&Request::ANY, now)?;
/// for _ in 0..100 {
///     assert_ne!(selector.select(&Request::ANY, now)?.endpoint(), busy.endpoint());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PowerOfTwo;

/// Two different numbers below `count`, which is at least 2 and at most 1,024, from one draw.
///
/// Multiplied by `count`, a draw's high half is the first number, and its low half tells where between two
/// such numbers the draw lay: of at least 2^22 places, which is enough for the second.
#[inline(always)]
fn two_below(random: &mut Random, count: u32) -> (u32, u32) {
    let (first, rest) = product(random.next(), count);
    let (second, _) = product(rest, count - 1);
    (first, second + (second >= first) as u32)
}

/// Two different candidates at random; the same twice if there is only one.
#[inline(always)]
fn two_of<const BANKS: usize, const PER_BANK: usize>(
    candidates: &Candidates<BANKS, PER_BANK>,
    random: &mut Random,
) -> Option<(u16, u16)> {
    if candidates.len() < 2 {
        return candidates.nth(0).map(|only| (only, only));
    }
    let (first, second) = two_below(random, candidates.len());
    Some((candidates.nth(first)?, candidates.nth(second)?))
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for PowerOfTwo
{
    type Cache = ();

    #[inline(always)]
    fn needs(&self) -> Needs {
        Needs { lists: true, ..Needs::default() }
    }

    fn cache(&self) {}

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        (): &mut (),
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let (first, second) = if turn.barred.is_empty() {
            two_of(pool.candidates, turn.random)?
        } else {
            let unbarred = Unbarred::new(pool.candidates, turn.barred);
            if unbarred.len() < 2 {
                return unbarred.nth(0);
            }
            let (first, second) = two_below(turn.random, unbarred.len());
            (unbarred.nth(first)?, unbarred.nth(second)?)
        };
        let busier = pool.own_in_flight(second) < pool.own_in_flight(first);
        Some(if busier { second } else { first })
    }
}
