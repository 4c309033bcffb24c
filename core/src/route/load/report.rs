//! What endpoints report of themselves, and the mean of it over those that a class may go to.

use crate::bitmap::{Bits, slot};
use crate::id::Stale;
use crate::route::config::options::tick;
use crate::route::state::bank::Sets;
use crate::route::state::reports::{BankLoad, MeanLoad, Rules};
use crate::route::state::view::View;
use crate::route::{EndpointId, Metrics};
use crate::sync::with_lock;
use crate::time::Instant;

/// What is linked where endpoints report.
const RULES: Rules = Rules {
    refresh: MeanLoad::look_again,
    advance: |view, slot, now_tick, all_due| view.advance_report(slot, now_tick, all_due),
};

impl MeanLoad {
    fn look_again(&mut self, banks: &mut [BankLoad], candidates: &[u32], view: View<'_>) {
        let mut changed = core::mem::take(&mut self.changed);
        let now = view.reports.epoch();
        let from = core::mem::replace(&mut self.seen, now);
        changed |= view.reports.since(from, now).unwrap_or(u32::MAX);
        for (bank, (load, word)) in banks.iter_mut().zip(candidates).enumerate() {
            if changed >> bank & 1 == 0 {
                continue;
            }
            let fresh = word & !view.bits(Sets::stale, bank);
            let scores = Bits(fresh).filter_map(|index| view.score(slot(bank, index)));
            let (sum, count) = scores.fold((0, 0), |(sum, count), score| (sum + score, count + 1));
            self.sum = self.sum + sum as u32 - load.sum as u32;
            self.count = self.count + count as u32 - load.count as u32;
            *load = BankLoad { sum, count };
        }
    }
}

impl View<'_> {
    /// The score of the endpoint's last report in permille, or `None` before the first.
    #[inline(always)]
    pub fn score(self, slot: u16) -> Option<u16> {
        self.slot(slot).gauges.score()
    }

    #[inline(never)]
    pub(in crate::route) fn report(
        self,
        id: EndpointId,
        metrics: Metrics,
        now: Instant,
    ) -> Result<(), Stale> {
        with_lock(|cs| {
            if !self.is_current(id) {
                return Err(Stale);
            }
            let slot = id.slot();
            self.reports.link(&RULES);
            self.slot(slot).gauges.write(cs, metrics, tick(now));
            if self.settings.stale_ticks() != 0 {
                let at = self.at(slot);
                at.stale_at().set(self.schedule(slot, now, self.settings.stale_ticks()));
                at.write(Sets::stale, false);
            }
            self.reports.note(slot);
            Ok(())
        })
    }

    /// A report grows old; returns when to look again. The caller is in the critical section.
    fn advance_report(self, slot: u16, now_tick: u32, all_due: bool) -> Option<u32> {
        let at = self.at(slot);
        if self.settings.stale_ticks() == 0 || self.score(slot).is_none() || at.has(Sets::stale) {
            return None;
        }
        let due = at.stale_at().get();
        if !all_due && (now_tick.wrapping_sub(due) as i32) < 0 {
            return Some(due);
        }
        at.write(Sets::stale, true);
        self.reports.note(slot);
        None
    }
}
