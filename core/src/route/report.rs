//! What endpoints report of themselves, and the mean of it over those that a class may go to.

use super::candidates::Candidates;
use super::endpoints::Endpoints;
use super::options::tick;
use super::{EndpointId, Metrics};
use crate::bitmap::{Bits, low_bits, slot, split};
use crate::id::Stale;
use crate::sync::with_lock;
use crate::time::Instant;

/// The mean score of a group's candidates: of those whose reports are fresh. A selector's own; what has
/// changed is seen when it is asked for.
pub struct MeanLoad<const BANKS: usize> {
    sums: [u16; BANKS],
    counts: [u8; BANKS],
    sum: u32,
    count: u32,
    /// The banks whose candidates have changed.
    pub(super) changed: u32,
    /// All reports before this epoch have been seen.
    seen: u32,
}

impl<const BANKS: usize> MeanLoad<BANKS> {
    pub(super) const NONE: Self =
        Self { sums: [0; BANKS], counts: [0; BANKS], sum: 0, count: 0, changed: u32::MAX, seen: 0 };

    /// In permille; `None` if there are no fresh reports. Two loads while there are no new ones, else O(32)
    /// for each bank that has one.
    #[inline]
    pub fn get<const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        candidates: &Candidates<BANKS, PER_BANK>,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    ) -> Option<u32> {
        if self.changed != 0 || self.seen != endpoints.reports.0.peek() {
            self.refresh(candidates, endpoints);
        }
        self.sum.checked_div(self.count)
    }

    #[cold]
    fn refresh<const PER_BANK: usize, const STRIPES: usize>(
        &mut self,
        candidates: &Candidates<BANKS, PER_BANK>,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
    ) {
        let mut banks = core::mem::take(&mut self.changed);
        let now = endpoints.reports.0.epoch();
        let from = core::mem::replace(&mut self.seen, now);
        if endpoints.reports.0.since(from, now, |slot| banks |= 1 << split(slot).0).is_none() {
            banks = u32::MAX;
        }
        for bank in Bits(banks & low_bits(BANKS)).map(|bank| bank as usize % BANKS) {
            let fresh = candidates.words()[bank] & !endpoints.stale.bits(bank);
            let scores = Bits(fresh).filter_map(|index| endpoints.score(slot(bank, index)));
            let (sum, count) = scores.fold((0, 0), |(sum, count), score| (sum + score, count + 1));
            self.sum = self.sum + sum as u32 - self.sums[bank] as u32;
            self.count = self.count + count as u32 - self.counts[bank] as u32;
            (self.sums[bank], self.counts[bank]) = (sum, count);
        }
    }
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Endpoints<BANKS, PER_BANK, STRIPES> {
    /// The score of the endpoint's last report in permille, or `None` before the first.
    #[inline(always)]
    pub fn score(&self, slot: u16) -> Option<u16> {
        self.gauges.at(slot).score()
    }

    pub(super) fn report(&self, id: EndpointId, metrics: Metrics, now: Instant) -> Result<(), Stale> {
        with_lock(|cs| {
            let slot = self.find(id)?;
            self.gauges.at(slot).write(cs, metrics, tick(now));
            if self.options.stale_ticks != 0 {
                self.stale_at.set(slot, self.schedule(slot, now, self.options.stale_ticks));
                self.stale.remove(slot);
            }
            self.reports.0.note(slot);
            Ok(())
        })
    }

    /// A report grows old; returns when to look again. The caller is in the critical section.
    pub(super) fn advance_report(&self, slot: u16, now_tick: u32, all_due: bool) -> Option<u32> {
        if self.options.stale_ticks == 0 || self.score(slot).is_none() || self.is_stale(slot) {
            return None;
        }
        let at = self.stale_at.get(slot);
        if !all_due && (now_tick.wrapping_sub(at) as i32) < 0 {
            return Some(at);
        }
        self.stale.insert(slot);
        self.reports.0.note(slot);
        None
    }
}
