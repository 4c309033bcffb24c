//! What a balancer has once: what selects look at first, its settings, its clock, and who builds its table.

use crate::route::TIERS;
use crate::route::config::options::Options;
use crate::route::state::filters::Filters;
use crate::route::state::link::Table;
use crate::route::state::reports::Reports;
use crate::route::state::settings::Settings;
use crate::sync::{AtomicBool, AtomicU32, Ordering, array_of, const_fn};

/// What each select reads first: alone on its cache line, and written only when something changes.
#[cfg_attr(target_has_atomic = "64", repr(align(64)))]
pub(in crate::route) struct Signals {
    /// Advances whenever anything changes that a class of requests keeps, after the change, inside the
    /// critical section: whoever has seen an epoch has seen all changes before it.
    pub epoch: AtomicU32,
    /// The tick before the one at which the first time-driven change is due; already past while a table is
    /// being built.
    pub last_quiet: AtomicU32,
    /// The era of the time that was seen last.
    pub era: AtomicU32,
}

/// Whether a table is to be built, and by whom: see [`builds`](crate::route::tables::builds).
pub(in crate::route) struct Builds {
    /// A build lies ahead or is under way.
    pub wanted: AtomicBool,
    /// Somebody is at it. Builds are done by whoever gets this.
    pub builder: AtomicBool,
    /// Members have changed since the build began, which is to be begun anew.
    pub outdated: AtomicBool,
    /// Members have come since the build began, or are to be taken off the table.
    pub awaited: AtomicBool,
}

impl Builds {
    const_fn! {
    pub(in crate::route) const fn new() -> Self {
        Self {
            wanted: AtomicBool::new(false),
            builder: AtomicBool::new(false),
            outdated: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
        }
    }
    }

    #[inline(always)]
    pub(in crate::route) fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Relaxed) || self.awaited.load(Ordering::Relaxed)
    }

    /// Whether a build is to begin; `free` if none is under way. The loads spare most slices the swaps.
    pub(in crate::route) fn begins(&self, free: bool) -> bool {
        let take = |flag: &AtomicBool| flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::AcqRel);
        let outdated = take(&self.outdated);
        // Whoever is awaited is among the slots that are taken then.
        let awaited = (outdated || free) && take(&self.awaited);
        outdated || awaited
    }

    /// A build is to be done.
    pub(in crate::route) fn want(&self) {
        self.wanted.swap(true, Ordering::AcqRel);
    }

    pub(in crate::route) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }
}

/// What there is once a balancer.
pub(in crate::route) struct Shared {
    pub signals: Signals,
    pub reports: Reports,
    pub filters: Filters,
    pub settings: Settings,
    /// Odd while members change: see [`Endpoints`](crate::route::Endpoints).
    pub membership: AtomicU32,
    pub tier_members: [AtomicU32; TIERS],
    /// The tiers that have members, a bit each.
    pub tiers_used: AtomicU32,
    pub opened: AtomicU32,
    pub seen_low: AtomicU32,
    pub seen_high: AtomicU32,
    /// By how many ticks the clock has gone back in all.
    pub gone_back: AtomicU32,
    /// The tick of the first time-driven change of all: the one after `last_quiet`, unless that is earlier
    /// for the sake of a build.
    pub next_timed: AtomicU32,
    pub builds: Builds,
}

impl Shared {
    const_fn! {
    pub const fn new(options: &Options, rules: [Table; 2]) -> Self {
        Self {
            signals: Signals {
                epoch: AtomicU32::new(0),
                last_quiet: AtomicU32::new(0),
                era: AtomicU32::new(0),
            },
            reports: Reports::new(),
            filters: Filters::new(),
            settings: Settings::new(options, rules),
            membership: AtomicU32::new(0),
            tier_members: array_of![AtomicU32::new(0); TIERS],
            tiers_used: AtomicU32::new(0),
            opened: AtomicU32::new(0),
            seen_low: AtomicU32::new(0),
            seen_high: AtomicU32::new(0),
            gone_back: AtomicU32::new(0),
            next_timed: AtomicU32::new(0),
            builds: Builds::new(),
        }
    }
    }
}
