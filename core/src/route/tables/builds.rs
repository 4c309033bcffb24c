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
//!
//! A newcomer in a slot of which the table shows nobody doesn't have a build begun anew: it waits for the
//! next one (`awaited`, which is swapped as `outdated` is). Otherwise a steady stream of newcomers would let
//! no build end. A build that isn't told of it finds room for it, or asks again. It has to be told of all
//! others, which may take more room on the table of before than they say they do.
//!
//! # Who has gone
//!
//! A member that is removed or switched off stays on the table, in the set `gone`: keys pass it by as if it
//! were unhealthy, and nobody needs a build. If it comes back before its slot has another member, the table
//! fits as it is.
//! Each build that begins takes all who have gone off the table, so it needs no room for more than the
//! members there are; when they are too many, a build is to begin for their sake. Until then they answer as
//! before, so that no build under way is contradicted. A build takes them inside the critical section: who
//! comes back is either told that it is on the table, or noted after it.

use crate::route::Endpoint;
use crate::route::config::options::MAX_TICKS;
use crate::route::state::bank::Sets;
use crate::route::state::membership::{Shown, Tables};
use crate::route::state::view::View;
use crate::sync::{Ordering, with_lock};

/// Of the members, so many have gone at most before they are taken off the table: one in this many.
const GONE: u32 = 4;

/// For strategies that have a table.
pub(in crate::route) const TABLES: &Tables = &Tables {
    gone: |view, id| view.search_in(Sets::gone, id),
    comes: |view, slot, endpoint, same| view.shown(slot, endpoint, same),
    came: |view, slot, shown, before| view.note_newcomer(slot, shown, before),
    went: |view, slot, stays| if stays { view.clear_gone() } else { view.note(slot) },
};

impl View<'_> {
    /// How the slot is shown into which a member comes; it is the `same` that it had before, if any.
    fn shown(self, slot: u16, endpoint: &Endpoint, same: Option<u16>) -> Shown {
        let at = self.at(slot);
        let fits = at.has(Sets::gone)
            && same == Some(slot)
            && endpoint.enabled
            && at.weight() == u32::from(endpoint.weight)
            && !at.has(Sets::noted);
        Shown { fits, other: at.has(Sets::gone) || at.has(Sets::noted) }
    }

    fn note_newcomer(self, slot: u16, shown: Shown, before: Option<u16>) {
        if !shown.fits {
            if shown.other { self.note(slot) } else { self.note_for_next(slot) }
        }
        // Its place of before isn't free, and an id is on the table once.
        let elsewhere = before.filter(|&other| other != slot && self.has(Sets::gone, other));
        if let Some(other) = elsewhere {
            self.at(other).write(Sets::gone, false);
            self.note(other);
        }
    }

    /// The slot has another member, or one of another weight, so the table doesn't fit; the caller is in the
    /// critical section in which that was done.
    pub(in crate::route) fn note(self, slot: u16) {
        self.at(slot).write(Sets::noted, true);
        self.builds.outdated.swap(true, Ordering::AcqRel);
    }

    /// The same for what waits for the next build: a newcomer in a slot of which the table shows nobody.
    fn note_for_next(self, slot: u16) {
        self.at(slot).write(Sets::noted, true);
        self.builds.awaited.swap(true, Ordering::AcqRel);
    }

    /// Has a build take those who have gone off the table if they are too many, or are about to need their
    /// slots for others; the caller is in the critical section.
    pub(in crate::route) fn clear_gone(self) {
        let free = self.count(&|bank| self.free_bits(bank));
        let in_free = self.count(&|bank| self.free_bits(bank) & bank.bits(Sets::gone));
        if in_free > free / 2 || self.len(Sets::gone) > self.len(Sets::members) / GONE {
            self.builds.awaited.swap(true, Ordering::AcqRel);
        }
    }

    /// Lets the caller build, unless another context does: `build` is told whether the build begins, and says
    /// whether it is done.
    #[inline(never)]
    pub(in crate::route) fn build(self, build: &mut dyn FnMut(bool) -> bool) -> bool {
        let builds = &self.builds;
        if builds.builder.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        let free = || self.count(&|bank| bank.building.load(Ordering::Relaxed)) == 0;
        let begins = builds.is_outdated() && builds.begins(free());
        if begins {
            with_lock(|_| {
                for bank in self.all_banks() {
                    // Whoever has gone too: so a table needs no room for more than the members there are.
                    let more = bank.set(Sets::noted).take() | bank.set(Sets::gone).take();
                    let building = bank.building.load(Ordering::Relaxed);
                    bank.building.store(building | more, Ordering::Relaxed);
                }
                // Classes keep how many the table shows.
                self.touch();
            });
        }
        if build(begins) {
            self.all_banks().iter().for_each(|bank| bank.building.store(0, Ordering::Relaxed));
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

    /// Has the selects that follow build what was put off.
    #[cold]
    pub(in crate::route) fn want_build(self) {
        if !self.builds.is_wanted() {
            self.builds.want();
            self.hasten_build_now();
        }
    }

    /// Selects look from now on whether a build is wanted.
    pub(in crate::route) fn hasten_build_now(self) {
        // Earlier than any time of now, unless the clock has jumped, which is seen in any case.
        self.hasten_build(self.seen_tick().wrapping_sub(MAX_TICKS / 2));
    }

    /// Selects look from tick `at` on whether a build is wanted.
    #[inline(never)]
    pub(in crate::route) fn hasten_build(self, at: u32) {
        with_lock(|_| self.hasten(at));
    }
}
