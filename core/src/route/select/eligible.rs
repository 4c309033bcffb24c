//! Whether one endpoint may serve a class, and why none may.

use crate::bitmap::{rolled, split};
use crate::route::select::class::ClassState;
use crate::route::state::bank::{BankRecord, Sets};
use crate::route::state::view::View;
use crate::route::{EndpointId, SelectError};
use crate::sync::{Ordering, fence, with_lock};
use crate::time::{Duration, Instant};

impl ClassState {
    /// The handle of the slot's endpoint if it may serve a request of this class at an instant during this
    /// call.
    ///
    /// `probe`: its breaker need not be closed, since this request is the probe that has set it to this word.
    pub fn eligible(&self, view: View<'_>, at: u16, probe: Option<u32>) -> Option<EndpointId> {
        let mut id = None;
        together(view, &mut || id = self.look(view, at, probe));
        id
    }

    /// Not inlined: compilers wrote a copy for each try, which took 3 KB of a Cortex-M3's flash.
    #[inline(never)]
    fn look(&self, view: View<'_>, slot: u16, probe: Option<u32>) -> Option<EndpointId> {
        let at = view.at(slot);
        let id = at.handle(slot);
        let health = match probe {
            Some(word) if at.breakers().get() == word => at.bank.bits(Sets::fit),
            Some(_) => 0,
            None => self.serving(view, at.bank),
        };
        let bits = health & at.bank.admitted(&self.filter);
        (bits >> at.index & 1 == 1).then_some(id)
    }

    /// Those of a bank that get something in one of the steps, if the filter admits them.
    fn serving(&self, view: View<'_>, bank: &BankRecord) -> u32 {
        let panic = view.panic_rules().filter(|_| self.panics != [0; 2]);
        bank.bits(Sets::routable) | panic.map_or(0, |rules| (rules.serving)(self, view, bank))
    }

    pub(in crate::route) fn serving_in_panic(&self, view: View<'_>, bank: &BankRecord) -> u32 {
        let mut bits = 0;
        for number in 0..self.steps(view) {
            if self.panics(number)
                && let Some(step) = self.step(view, number)
            {
                bits |= self.serving_in(step, bank);
            }
        }
        bits
    }

    /// The first endpoint after `after` that matches and waits for a probe, in the steps up to the groups'
    /// last, or in `all` of them.
    pub fn next_probe(&self, view: View<'_>, after: Option<u16>, all: bool) -> Option<u16> {
        if !self.probes && !all {
            return None;
        }
        let end = if all { self.steps(view) } else { self.first_left() };
        view.next(after.map_or(0, |slot| slot as u32 + 1), &|bank| {
            let waiting = bank.bits(Sets::half_open);
            let mut bits = 0;
            for number in 0..if waiting == 0 { 0 } else { end } {
                if let Some(step) = self.step(view, number) {
                    bits |= self.matching(step, bank);
                }
            }
            bits & waiting
        })
    }

    /// Why nobody can be had, at an instant during this call; `None` if somebody can by now. O(banks), and
    /// O(open breakers) if it is they, or O(view that are full or were tried).
    pub fn diagnose(&self, view: View<'_>, now: Instant, tried: &[EndpointId]) -> Option<SelectError> {
        let mut reason = None;
        together(view, &mut || reason = self.reason(view, now, tried));
        reason
    }

    #[inline(never)]
    fn reason(&self, view: View<'_>, now: Instant, tried: &[EndpointId]) -> Option<SelectError> {
        let filter = &self.filter;
        let (mut members, mut tagged, mut admitted, mut may, mut untried) = (0, 0, 0, 0, 0);
        for (number, bank) in view.all_banks().iter().enumerate() {
            rolled();
            let those = bank.admitted(filter);
            // Those that are half-open could serve too, by a probe, which no retry is.
            let probed = if tried.is_empty() { bank.bits(Sets::half_open) } else { 0 };
            let can = those & (self.serving(view, bank) | probed);
            let left = tried.iter().filter(|&&id| split(id.slot()).0 == number && view.is_current(id));
            let left = left.fold(can, |left, id| left & !(1 << split(id.slot()).1));
            if left & !bank.bits(Sets::full) != 0 {
                return None;
            }
            members |= bank.bits(Sets::members);
            tagged |= bank.tagged_and_tiered(filter);
            (admitted, may, untried) = (admitted | those, may | can, untried | left);
        }
        for (those, error) in [
            (members, SelectError::Empty),
            (tagged, SelectError::NoTagMatch),
            (admitted, SelectError::NoZoneMatch),
        ] {
            if those == 0 {
                return Some(error);
            }
        }
        if may != 0 {
            return Some(if untried == 0 { SelectError::AllTried } else { SelectError::AllAtCapacity });
        }
        let broken =
            |bank: &BankRecord| bank.admitted(filter) & bank.bits(Sets::fit) & bank.bits(Sets::broken);
        let wait = view.slots(&broken).map(|slot| view.breaker_wait(slot, view.tick(now))).min();
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
#[inline(never)]
fn together(view: View<'_>, read: &mut dyn FnMut()) {
    for _ in 0..3 {
        rolled();
        let epoch = view.epoch();
        read();
        // What was read stood together if the epoch still does, and nothing is half changed.
        fence(Ordering::Acquire);
        if !view.is_changing() && view.epoch() == epoch {
            return;
        }
    }
    // In here nothing changes but tokens of probes and what is full, a load each.
    with_lock(|_| read());
}
