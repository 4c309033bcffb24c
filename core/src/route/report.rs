//! What endpoints report of themselves, and the means that follow from it.

use super::endpoints::Endpoints;
use super::options::{PERMILLE, tick};
use super::{EndpointId, Metrics, Zone};
use crate::id::Stale;
use crate::sync::{AtomicU32, Ordering, const_fn, with_lock};
use crate::time::Instant;

/// The mean of reported scores, kept up to date report by report. Changes inside the critical section.
pub(super) struct Mean {
    sum: AtomicU32,
    count: AtomicU32,
    mean: AtomicU32,
}

impl Mean {
    const_fn! {
    pub const fn new() -> Self {
        Self { sum: AtomicU32::new(0), count: AtomicU32::new(0), mean: AtomicU32::new(0) }
    }
    }

    /// In permille; 0 while there are no reports. One load.
    #[inline(always)]
    pub fn get(&self) -> u32 {
        self.mean.load(Ordering::Relaxed)
    }

    /// One score takes another's place.
    fn exchange(&self, old: Option<u16>, new: Option<u16>) {
        let sum = self.sum.load(Ordering::Relaxed) + new.unwrap_or(0) as u32 - old.unwrap_or(0) as u32;
        let count = self.count.load(Ordering::Relaxed) + new.is_some() as u32 - old.is_some() as u32;
        self.sum.store(sum, Ordering::Relaxed);
        self.count.store(count, Ordering::Relaxed);
        self.mean.store(sum.checked_div(count).unwrap_or(0), Ordering::Relaxed);
    }
}

impl<const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> Endpoints<BANKS, PER_BANK, STRIPES> {
    /// The score of the endpoint's last report in permille, or `None` before the first.
    #[inline(always)]
    pub fn score(&self, slot: u16) -> Option<u16> {
        self.gauges.at(slot).score()
    }

    /// The mean score of all members that have reported, in permille; 0 if none has. One load.
    #[inline(always)]
    pub fn mean_load(&self) -> u32 {
        self.loads.get()
    }

    /// The same of the members in a zone.
    #[inline(always)]
    pub fn zone_load(&self, zone: Zone) -> u32 {
        self.zone_loads[zone.index()].get()
    }

    pub(super) fn report(&self, id: EndpointId, metrics: Metrics, now: Instant) -> Result<(), Stale> {
        with_lock(|cs| {
            let slot = self.find(id)?;
            let old = self.score(slot);
            self.gauges.at(slot).write(cs, metrics, tick(now));
            self.count_score(slot, old, Some(metrics.score()));
            if self.options.stale_ticks != 0 {
                self.stale_at.set(slot, self.schedule(slot, now, self.options.stale_ticks));
                self.stale.remove(slot);
            }
            self.ranks.0.note(slot);
            Ok(())
        })
    }

    /// A lease has ended well after `micros`.
    pub(super) fn record_latency(&self, slot: u16, micros: u32, now_tick: u32) {
        let average = self.latencies.at(slot);
        let (before, after) = average.change(micros, now_tick);
        if before != after {
            self.ranks.0.note(slot);
        }
    }

    /// A lease has ended badly. How soon is not asked: failing fast is not being fast, so the average stays
    /// as it is.
    pub(super) fn record_failure(&self, slot: u16, now_tick: u32) {
        self.latencies.at(slot).record_failure(0, now_tick);
    }

    /// Counts the exchange of a score in the means it is part of; the caller is in the critical section.
    pub(super) fn count_score(&self, slot: u16, old: Option<u16>, new: Option<u16>) {
        self.loads.exchange(old, new);
        self.zone_loads[self.zone_of(slot).index()].exchange(old, new);
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
        self.ranks.0.note(slot);
        None
    }

    /// What share of a preferred zone's traffic goes to the next for its load, in permille.
    #[inline]
    pub(super) fn spill_by_load(&self, zone: Zone) -> u32 {
        let from = self.options.spill_from as u32;
        let load = self.zone_load(zone);
        if load <= from { 0 } else { (load - from) * PERMILLE / (PERMILLE - from).max(1) }
    }
}
