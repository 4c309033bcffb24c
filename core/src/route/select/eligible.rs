//! Whether one endpoint may serve a class, and why none may.

use crate::bitmap::{Bits, slot, split};
use crate::route::select::class::ClassState;
use crate::route::select::refresh::count;
use crate::route::state::view::View;
use crate::route::{EndpointId, SelectError};
use crate::sync::{Ordering, fence, with_lock};
use crate::time::{Duration, Instant};

impl ClassState {
    /// The handle of the slot's endpoint if it may serve a request of this class at an instant during this
    /// call.
    ///
    /// `probe`: its breaker need not be closed, since this request is the probe that has set it to this word.
    pub fn eligible(&self, view: &View<'_>, at: u16, probe: Option<u32>) -> Option<EndpointId> {
        together(view, || self.look(view, at, probe))
    }

    /// Not inlined: compilers wrote a copy for each try, which took 3 KB of a Cortex-M3's flash.
    #[inline(never)]
    fn look(&self, view: &View<'_>, at: u16, probe: Option<u32>) -> Option<EndpointId> {
        let (bank, index) = split(at);
        let id = view.handle(at);
        let health = match probe {
            Some(word) if view.breakers().get(at) == word => view.fit().bits(bank),
            Some(_) => 0,
            None => self.serving(view, bank),
        };
        let bits = health & view.admitted(&self.filter, bank);
        (bits >> index & 1 == 1).then_some(id)
    }

    /// Those of a bank that get something in one of the steps, if the filter admits them.
    fn serving(&self, view: &View<'_>, bank: usize) -> u32 {
        let routable = view.routable().bits(bank);
        if self.panics == 0 { routable } else { routable | self.tolerated(view, bank) }
    }

    /// The first endpoint after `after` that matches and waits for a probe, in the steps up to the groups'
    /// last, or in `all` of them.
    pub fn next_probe(&self, view: &View<'_>, after: Option<u16>, all: bool) -> Option<u16> {
        if !self.probes && !all {
            return None;
        }
        let end = if all { self.steps(view) } else { self.first_left() };
        let from = after.map_or(0, |slot| slot as u32 + 1);
        (from as usize / 32..view.banks()).find_map(|bank| {
            let waiting = view.half_open().bits(bank);
            let bits = if waiting == 0 {
                0
            } else {
                let steps = (0..end).filter_map(|number| self.step(view, number));
                waiting & steps.fold(0, |bits, step| bits | self.matching(view, step, bank))
            };
            Bits(bits).map(|index| slot(bank, index)).find(|&slot| slot as u32 >= from)
        })
    }

    /// Why nobody can be had, at an instant during this call; `None` if somebody can by now. O(banks), and
    /// O(open breakers) if it is they, or O(view that are full or were tried).
    pub fn diagnose(&self, view: &View<'_>, now: Instant, tried: &[EndpointId]) -> Option<SelectError> {
        together(view, || self.reason(view, now, tried))
    }

    #[inline(never)]
    fn reason(&self, view: &View<'_>, now: Instant, tried: &[EndpointId]) -> Option<SelectError> {
        let filter = &self.filter;
        let any = |bits: &dyn Fn(usize) -> u32| count(view, bits) != 0;
        if view.members().is_empty() {
            return Some(SelectError::Empty);
        }
        let tagged = |bank| view.tagged_and_tiered(filter, bank);
        if !any(&tagged) {
            return Some(SelectError::NoTagMatch);
        }
        let here = |bank| view.admitted(filter, bank);
        if !any(&here) {
            return Some(SelectError::NoZoneMatch);
        }
        // Those that are half-open could serve too, by a probe, which no retry is.
        let may = |bank| {
            let probed = if tried.is_empty() { view.half_open().bits(bank) } else { 0 };
            here(bank) & (self.serving(view, bank) | probed)
        };
        if any(&may) {
            let slots =
                (0..view.banks()).flat_map(|bank| Bits(may(bank)).map(move |index| slot(bank, index)));
            let mut untried = slots.filter(|&slot| !tried.contains(&view.handle(slot))).peekable();
            let full = untried.peek().is_some();
            return match untried.find(|&slot| !view.full().contains(slot)) {
                Some(_) => None,
                None if full => Some(SelectError::AllAtCapacity),
                None if tried.is_empty() => None, // They have gone since.
                None => Some(SelectError::AllTried),
            };
        }
        let broken = (0..view.banks()).flat_map(|bank| {
            let bits = here(bank) & view.fit().bits(bank) & view.broken().bits(bank);
            Bits(bits).map(move |index| slot(bank, index))
        });
        let wait = broken.map(|slot| view.breaker_wait(slot, view.tick(now))).min();
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
fn together<T>(view: &View<'_>, read: impl Fn() -> T) -> T {
    for _ in 0..3 {
        let epoch = view.epoch();
        let answer = read();
        // What was read stood together if the epoch still does, and nothing is half changed.
        fence(Ordering::Acquire);
        if !view.is_changing() && view.epoch() == epoch {
            return answer;
        }
    }
    // In here nothing changes but tokens of probes and what is full, a load each.
    with_lock(|_| read())
}
