//! How endpoints do, and how all of it does.

use super::health::breaker;
use super::state::bank::Sets;
use super::state::view::View;
use super::{EndpointId, ErrorCounts, Health, SelectError};
use crate::id::Stale;
use crate::sync::Ordering;
use crate::time::Duration;

/// How an endpoint does, as of now. Read without stopping traffic: each number is true, but not all of the
/// same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EndpointStats {
    /// The caller's number for it.
    pub number: u64,
    /// Leases given since it was added.
    pub selected: usize,
    /// Of them, those that have succeeded.
    pub succeeded: usize,
    /// Of them, those that have failed.
    pub failed: usize,
    /// Of them, those that were released without a verdict.
    pub released: usize,
    /// Leases out now, those of an endpoint that had the slot before included.
    pub in_flight: u32,
    /// The peak-sensitive average of latencies; zero before the first, and unless the strategy uses it.
    pub latency: Duration,
    /// The score of its last report in permille.
    pub score: Option<u16>,
    /// Whether that report is stale.
    pub stale: bool,
    /// Its health: the worst that any source says.
    pub health: Health,
    /// Its breaker.
    pub breaker: breaker::State,
    /// Whether it may be selected: enabled, healthy, its breaker closed.
    pub routable: bool,
    /// What is left of its weight, in 64ths: health, slow start and failures take from it.
    pub weight_left: u8,
}

/// How all of it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Totals {
    /// Members.
    pub members: u32,
    /// Members that may be selected.
    pub routable: u32,
    /// Removed endpoints with leases out.
    pub draining: u32,
    /// Members that are kept out by their breakers alone, and don't wait for a probe.
    pub ejected: u32,
    /// How often a breaker has opened.
    pub breakers_opened: u32,
    /// Failed selects by kind.
    pub errors: ErrorCounts,
    /// How often a selector has made the candidates of a class anew.
    pub refills: usize,
}

impl View<'_> {
    #[inline(never)]
    pub(super) fn stats(self, id: EndpointId) -> Result<EndpointStats, Stale> {
        self.consistently(|| self.find(id).map(|slot| self.stats_of(slot)))
    }

    fn stats_of(self, slot: u16) -> EndpointStats {
        let at = self.at(slot);
        let mut sums = [0usize; 4];
        for counts in self.counts(slot) {
            for (sum, count) in sums.iter_mut().zip(counts.since_added()) {
                *sum = sum.wrapping_add(count);
            }
        }
        let [selected, succeeded, failed, released] = sums;
        let health = at.health();
        EndpointStats {
            number: at.number(),
            selected,
            succeeded,
            failed,
            released,
            in_flight: self.in_flight(slot),
            latency: Duration::from_micros(at.latency.get() as u64),
            score: self.score(slot),
            stale: at.has(Sets::stale),
            health,
            breaker: breaker::State::of(at.breakers().get()),
            routable: at.has(Sets::routable),
            // The factor of an endpoint that gets nothing may be of before.
            weight_left: if health == Health::Unhealthy { 0 } else { at.factors().get() as u8 },
        }
    }

    #[inline(never)]
    pub(super) fn totals(self) -> Totals {
        let mut totals = Totals {
            members: self.len(Sets::members),
            routable: self.len(Sets::routable),
            draining: self.len(Sets::draining),
            ejected: self.ejected(),
            breakers_opened: self.opened.load(Ordering::Relaxed),
            ..Totals::default()
        };
        let mut errors = [0usize; SelectError::KINDS];
        for stripe in self.stripes() {
            for (sum, errors) in errors.iter_mut().zip(&stripe.errors) {
                *sum = sum.wrapping_add(errors.load(Ordering::Relaxed));
            }
            totals.refills = totals.refills.wrapping_add(stripe.refills.load(Ordering::Relaxed));
        }
        totals.errors = ErrorCounts::from_kinds(errors);
        totals
    }
}
