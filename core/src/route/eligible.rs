//! Whether one endpoint may serve a class, and why none may.

use super::class::ClassCache;
use super::endpoints::Endpoints;
use super::steps::Mask;
use super::{EndpointId, SelectError};
use crate::bitmap::{Bits, slot, split};
use crate::sync::{Ordering, fence, with_lock};
use crate::time::{Duration, Instant};

impl<C, const BANKS: usize, const PER_BANK: usize> ClassCache<C, BANKS, PER_BANK> {
    /// The handle of the slot's endpoint if it may serve a request of this class at an instant during this
    /// call.
    ///
    /// `probe`: its breaker need not be closed, since this request is the probe that has set it to this word.
    pub fn eligible<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        at: u16,
        probe: Option<u32>,
    ) -> Option<EndpointId> {
        together(endpoints, || self.look(endpoints, at, probe))
    }

    /// Not inlined: compilers wrote a copy for each try, which took 3 KB of a Cortex-M3's flash.
    #[inline(never)]
    fn look<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        at: u16,
        probe: Option<u32>,
    ) -> Option<EndpointId> {
        let (bank, index) = split(at);
        let id = endpoints.handle(at);
        let health = match probe {
            Some(word) if endpoints.breakers.get(at) == word => endpoints.fit.bits(bank),
            Some(_) => 0,
            None => self.serving(endpoints, bank),
        };
        let bits = health & endpoints.admitted(&self.filter, bank);
        (bits >> index & 1 == 1).then_some(id)
    }

    /// Those of a bank that get something in one of the steps, if the filter admits them.
    fn serving<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        bank: usize,
    ) -> u32 {
        let routable = endpoints.routable.bits(bank);
        if self.panics == 0 { routable } else { routable | self.tolerated(endpoints, bank) }
    }

    /// The first endpoint after `after` that matches and waits for a probe, in the steps up to the groups'
    /// last, or in `all` of them.
    pub fn next_probe<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        after: Option<u16>,
        all: bool,
    ) -> Option<u16> {
        if !self.probes && !all {
            return None;
        }
        let end = if all { self.steps(endpoints) } else { self.first_left() };
        let from = after.map_or(0, |slot| slot as u32 + 1);
        (from as usize / 32..BANKS).find_map(|bank| {
            let waiting = endpoints.half_open.bits(bank);
            let bits = if waiting == 0 {
                0
            } else {
                let steps = (0..end).filter_map(|number| self.step(endpoints, number));
                waiting
                    & steps.fold(0, |bits, step| {
                        bits | Mask::new(endpoints, &self.filter, step).bits(endpoints, bank)
                    })
            };
            Bits(bits).map(|index| slot(bank, index)).find(|&slot| slot as u32 >= from)
        })
    }

    /// Why nobody can be had, at an instant during this call; `None` if somebody can by now. O(banks), and
    /// O(open breakers) if it is they, or O(endpoints that are full or were tried).
    pub fn diagnose<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        now: Instant,
        tried: &[EndpointId],
    ) -> Option<SelectError> {
        together(endpoints, || self.reason(endpoints, now, tried))
    }

    #[inline(never)]
    fn reason<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        now: Instant,
        tried: &[EndpointId],
    ) -> Option<SelectError> {
        let filter = &self.filter;
        let any = |bits: &dyn Fn(usize) -> u32| (0..BANKS).any(|bank| bits(bank) != 0);
        if endpoints.members.is_empty() {
            return Some(SelectError::Empty);
        }
        let tagged = |bank| endpoints.tagged_and_tiered(filter, bank);
        if !any(&tagged) {
            return Some(SelectError::NoTagMatch);
        }
        let here = |bank| endpoints.admitted(filter, bank);
        if !any(&here) {
            return Some(SelectError::NoZoneMatch);
        }
        // Those that are half-open could serve too, by a probe, which no retry is.
        let may = |bank| {
            let probed = if tried.is_empty() { endpoints.half_open.bits(bank) } else { 0 };
            here(bank) & (self.serving(endpoints, bank) | probed)
        };
        if any(&may) {
            let slots = (0..BANKS).flat_map(|bank| Bits(may(bank)).map(move |index| slot(bank, index)));
            let mut untried = slots.filter(|&slot| !tried.contains(&endpoints.handle(slot))).peekable();
            let full = untried.peek().is_some();
            return match untried.find(|&slot| !endpoints.is_full(slot)) {
                Some(_) => None,
                None if full => Some(SelectError::AllAtCapacity),
                None if tried.is_empty() => None, // They have gone since.
                None => Some(SelectError::AllTried),
            };
        }
        let broken = (0..BANKS).flat_map(|bank| {
            let bits = here(bank) & endpoints.fit.bits(bank) & endpoints.broken.bits(bank);
            Bits(bits).map(move |index| slot(bank, index))
        });
        let wait = broken.map(|slot| endpoints.breaker_wait(slot, endpoints.tick(now))).min();
        Some(match wait {
            Some(ticks) => {
                SelectError::AllBreakersOpen { retry_at: now + Duration::from_micros((ticks as u64) << 10) }
            }
            None => SelectError::AllUnhealthy,
        })
    }
}

/// What `read` reads of several sets, as it stood together: a few tries, the last one inside the critical
/// section.
#[inline]
fn together<T, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>(
    endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    read: impl Fn() -> T,
) -> T {
    for _ in 0..3 {
        let epoch = endpoints.epoch();
        let answer = read();
        // What was read stood together if the epoch still does, and nothing is half changed.
        fence(Ordering::Acquire);
        if !endpoints.is_changing() && endpoints.epoch() == epoch {
            return answer;
        }
    }
    // In here nothing changes but tokens of probes and what is full, a load each.
    with_lock(|_| read())
}
