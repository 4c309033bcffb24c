//! Who builds a strategy's table, when, and because of whom.
//!
//! A table is built in slices beside the selects, by whichever context gets there first. What it takes a
//! while to build is of little use if it is begun again at each change and makes everything anew: so the
//! slots whose members have changed are remembered, and a table that can do so sees to these alone.
//!
//! # Build Invariant
//!
//! Whoever changes a member notes its slot and then says that the table is outdated, both inside the critical
//! section and whether or not the present strategy looks at the table, then that a build is wanted. The last
//! two are swaps, as the builder's are, so that they have one order in which the later acquires the earlier.
//! The builder takes back `outdated` before it takes the slots, and `wanted` after its last slice; if the
//! table has become outdated since, it wants another build. So no change is left behind while nobody wants a
//! build, unless the strategy builds on demand: then the next select that needs the table finds it outdated.
//!
//! Whoever says that a build is wanted then hastens it, the builder too: for as long as none was, a select
//! may have put off the next look until something else is due.
//!
//! A table may find no room for a change of which it wasn't told, and give up its slice. Since a change and
//! its note are one critical section, which no interrupt divides and another core soon leaves, a slice that
//! follows is told.
//!
//! The slots that were taken are those of the build until it is done, also over builds that were begun anew.

use super::options::MAX_TICKS;
use super::view::{BankRecord, View};
use crate::sync::{Ordering, with_lock};

impl View<'_> {
    /// The slot has another member, or one of another weight, so the table doesn't fit; the caller is in the
    /// critical section in which that was done.
    pub(super) fn note(&self, slot: u16) {
        self.noted().insert(slot);
        self.builds.outdated.swap(true, Ordering::AcqRel);
    }

    /// Lets the caller build, unless another context does: `build` is told whether the build begins, and says
    /// whether it is done.
    #[inline(never)]
    pub(super) fn build(&self, build: &mut dyn FnMut(bool) -> bool) -> bool {
        let builds = &self.builds;
        if builds.builder.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // The load spares most slices the swap.
        let begins = builds.is_outdated() && builds.outdated.swap(false, Ordering::AcqRel);
        if begins {
            for bank in 0..self.banks() {
                let more = self.noted().take(bank);
                self.building(bank, |building| building | more);
            }
        }
        if build(begins) {
            (0..self.banks()).for_each(|bank| self.building(bank, |_| 0));
            // What has become outdated since the swap above must be seen. Its context has changed `outdated`,
            // then `wanted`: either that comes after this swap, or this swap has seen to it that the load
            // sees it.
            builds.wanted.swap(false, Ordering::AcqRel);
            if builds.is_outdated() {
                // Somebody may have found that there was nothing to do before another build was wanted.
                builds.want();
                self.hasten_build_now();
            }
        }
        builds.builder.store(false, Ordering::Release);
        true
    }

    /// Changes which slots of a bank the present build is about; the caller is the builder.
    fn building(&self, bank: usize, change: impl FnOnce(u32) -> u32) {
        if let Some(BankRecord { building, .. }) = self.bank(bank) {
            building.store(change(building.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
    }

    /// Has the selects that follow build what was put off.
    #[cold]
    pub(super) fn want_build(&self) {
        if !self.builds.is_wanted() {
            self.builds.want();
            self.hasten_build_now();
        }
    }

    /// Selects look from now on whether a build is wanted.
    pub(super) fn hasten_build_now(&self) {
        // Earlier than any time of now, unless the clock has jumped, which is seen in any case.
        self.hasten_build(self.seen_tick().wrapping_sub(MAX_TICKS / 2));
    }

    /// Selects look from tick `at` on whether a build is wanted.
    #[inline(never)]
    pub(super) fn hasten_build(&self, at: u32) {
        with_lock(|_| self.hasten(at));
    }
}
