//! What endpoints report of themselves, and the mean of it over those that a class may go to.

use crate::bitmap::{Bits, slot};
use crate::id::Stale;
use crate::route::config::options::tick;
use crate::route::state::bank::Sets;
use crate::route::state::link::Table;
use crate::route::state::view::View;
use crate::route::{EndpointId, Metrics};
use crate::sync::with_lock;
use crate::time::Instant;

/// The mean score of a group's candidates: of those whose reports are fresh. A selector's own; what has
/// changed is seen when it is asked for.
pub(in crate::route) struct MeanLoad {
    sum: u32,
    count: u32,
    /// The banks whose candidates have changed.
    pub changed: u32,
    /// All reports before this epoch have been seen.
    seen: u32,
}

/// A bank's part of that.
#[derive(Clone, Copy)]
pub(in crate::route) struct BankLoad {
    sum: u16,
    count: u8,
}

impl BankLoad {
    pub const NONE: Self = Self { sum: 0, count: 0 };
}

impl MeanLoad {
    pub const NONE: Self = Self { sum: 0, count: 0, changed: 0, seen: 0 };

    /// Whether it is of all reports there are.
    #[inline(always)]
    pub fn is_of(&self, view: View<'_>) -> bool {
        self.changed == 0 && self.seen == view.reports.peek()
    }

    /// In permille; `None` if there are no fresh reports. Two loads while there are no new ones, else O(32)
    /// for each bank that has one.
    #[inline(always)]
    pub fn get<'a>(
        &mut self,
        banks: &mut [BankLoad],
        candidates: &[u32],
        view: impl Fn() -> View<'a>,
    ) -> Option<u32> {
        if !self.is_of(view()) {
            self.refresh(banks, candidates, view());
        }
        self.sum.checked_div(self.count)
    }

    #[cold]
    #[inline(never)]
    fn refresh(&mut self, banks: &mut [BankLoad], candidates: &[u32], view: View<'_>) {
        // Before it is known whether there has been a report: one that comes then is of another epoch.
        let epoch = view.reports.epoch();
        match view.rules() {
            Some(rules) => (rules.refresh)(self, banks, candidates, view),
            None => (self.changed, self.seen) = (0, epoch),
        }
    }
}

/// What looks at reports: linked where endpoints report.
struct Rules {
    refresh: fn(&mut MeanLoad, &mut [BankLoad], &[u32], View<'_>),
    /// Ages a slot's report; returns when to look again.
    advance: fn(View<'_>, u16, u32, bool) -> Option<u32>,
}

const RULES: &Rules = &Rules {
    refresh: MeanLoad::look_again,
    advance: |view, slot, now_tick, all_due| view.age(slot, now_tick, all_due),
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
            self.reports.rules.set(Table::of(RULES));
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

    /// `None` before the first report.
    fn rules(self) -> Option<&'static Rules> {
        // SAFETY: nothing else is set there.
        unsafe { self.reports.rules.get() }
    }

    /// A slot's report, if it has one, grows old; returns when to look again. The caller is in the critical
    /// section.
    pub(in crate::route) fn advance_report(self, slot: u16, now_tick: u32, all_due: bool) -> Option<u32> {
        self.rules().and_then(|rules| (rules.advance)(self, slot, now_tick, all_due))
    }

    fn age(self, slot: u16, now_tick: u32, all_due: bool) -> Option<u32> {
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
