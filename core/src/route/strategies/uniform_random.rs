//! Anyone, with equal chances.

use super::unbarred::Unbarred;
use super::{Needs, Pool, Strategy, Turn};

/// Random: each candidate with the same chance. O(1): one draw.
///
/// Keeps nothing, so that nothing has to be seen to when candidates come and go. Over short runs its shares
/// are the unevenest of all strategies'; [`RoundRobin`](super::RoundRobin) costs the same and is even.
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
        if turn.barred.is_empty() {
            pool.candidates.nth(turn.random.below(pool.candidates.len()))
        } else {
            let unbarred = Unbarred::new(pool.candidates, turn.barred);
            unbarred.nth(turn.random.below(unbarred.len()))
        }
    }
}
