//! Anyone, by chance.

use super::{Needs, Pool, Strategy, Turn, Unbarred};
use crate::route::Random;

/// How often somebody else is drawn in one select at most.
const DRAWS: u32 = 64;

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
    /// The greatest weight, if weights differ.
    type Cache = Option<u32>;

    #[inline(always)]
    fn needs(&self) -> Needs {
        Needs { lists: true, ..Needs::default() }
    }

    fn cache(&self) -> Option<u32> {
        None
    }

    fn refill(&self, pool: &Pool<'_, BANKS, PER_BANK, STRIPES>, cache: &mut Option<u32>, _: &mut Random) {
        *cache = pool.heaviest();
    }

    #[inline(always)]
    fn pick(
        &self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        heaviest: &mut Option<u32>,
        turn: &mut Turn<'_>,
    ) -> Option<u16> {
        if heaviest.is_none() && turn.barred.is_empty() {
            return pool.candidates.nth(turn.random.below(pool.candidates.len()));
        }
        let unbarred = Unbarred::new(pool.candidates, turn.barred);
        let mut slot = None;
        for _ in 0..DRAWS {
            slot = unbarred.nth(turn.random.below(unbarred.len()));
            let stays = |heaviest| slot.is_none_or(|slot| pool.keeps(slot, heaviest, turn.random));
            if heaviest.is_none_or(stays) {
                break;
            }
        }
        slot
    }
}
