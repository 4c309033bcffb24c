//! Anyone, by chance.

use super::thinning::Thinning;
use super::unbarred::Unbarred;
use super::{Needs, Pool, Strategy, Turn};
use crate::route::Random;

/// Random: each candidate with the same chance. O(1): one draw.
///
/// Where weights differ, or slow start or health takes from them, who was drawn stays with the chance that
/// its weight has beside the greatest one: so chances are by weight, while none is less than a 64th of
/// another.
/// [`WeightedRandom`](super::WeightedRandom) draws once whatever the weights, and takes more memory. Over
/// short runs shares are the unevenest of all strategies'; [`RoundRobin`](super::RoundRobin) costs the same
/// and is even.
///
/// # Examples
///
/// ```
/// use trilane::route::{UniformRandom, Balancer, Endpoint, Options, Request, Selector};
/// use trilane::time::Instant;
///
/// static BALANCER: Balancer<UniformRandom, 1, 4> = Balancer::new(UniformRandom, Options::new());
///
/// let now = Instant::ZERO;
/// let only = BALANCER.add(&Endpoint::new(7), now)?;
/// let mut selector: Selector<_, _, 1, 4, 1, 1> = Selector::new(&BALANCER, 42)?;
/// assert_eq!(selector.select(&Request::ANY, now)?.endpoint(), only);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct UniformRandom;

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Strategy<BANKS, PER_BANK, STRIPES>
    for UniformRandom
{
    type Cache = Thinning;
    const EMPTY: Thinning = Thinning::EMPTY;
    const BUILDS: bool = false;

    #[inline(always)]
    fn needs(&self) -> Needs {
        Needs { lists: true, ..Needs::default() }
    }

    fn refill(&self, pool: &Pool<'_, BANKS, PER_BANK, STRIPES>, cache: &mut Thinning, _: &mut Random) {
        cache.refill(pool);
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        thinning: &mut Thinning,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        let candidates = pool.candidates;
        if turn.barred.is_empty() && thinning.is_even() {
            return candidates.nth(turn.random.below(candidates.len()));
        }
        let view = pool.endpoints.view();
        let unbarred = (!turn.barred.is_empty()).then(|| Unbarred::new(candidates, turn.barred));
        let mut skips = 0;
        loop {
            let slot = match &unbarred {
                None => candidates.nth(turn.random.below(candidates.len()))?,
                Some(unbarred) => unbarred.nth(turn.random.below(unbarred.len()))?,
            };
            if thinning.keeps(view, candidates.as_slice(), slot, &mut skips, turn.random) {
                return Some(slot);
            }
        }
    }
}
