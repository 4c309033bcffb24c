//! The filters that selectors go by: so that a breaker knows whom its endpoint stands in for.

use crate::bitmap::Bits;
use crate::route::{Filter, MAX_FILTER_ZONES, Tags, Tier, ZONES, Zone};
use crate::sync::{AtomicU32, Ordering, array_of, const_fn};

/// The most different filters a balancer's selectors may go by at a time, beside [`Filter::ANY`].
pub const MAX_FILTERS: usize = 16;

/// Filters and how many classes are of each. Changes inside the critical section only.
pub(in crate::route) struct Filters {
    /// The entries in use, a bit each.
    used: AtomicU32,
    entries: [Entry; MAX_FILTERS],
}

struct Entry {
    classes: AtomicU32,
    tags: AtomicU32,
    places: AtomicU32,
}

// A filter's tier, zones and their number, and whether it is confined.
const HAS_TIER: u32 = 1 << 3;
const COUNT: u32 = 4;
const CONFINED: u32 = 1 << 7;
const FIRST_ZONE: u32 = 8;
const ZONE_BITS: u32 = 4;

#[inline(never)]
fn pack(filter: &Filter) -> [u32; 2] {
    let tier = filter.tier.map_or(0, |tier| HAS_TIER | tier.number() as u32);
    let confined = if filter.confined { CONFINED } else { 0 };
    let zones = filter.zones().iter().rev();
    let zones = zones.fold(0, |bits, zone| bits << ZONE_BITS | zone.number() as u32);
    [filter.tags.bits(), tier | (filter.zone_count as u32) << COUNT | confined | zones << FIRST_ZONE]
}

#[inline(never)]
fn unpack([tags, places]: [u32; 2]) -> Filter {
    let zone = |at: usize| Zone::new((places >> (FIRST_ZONE + ZONE_BITS * at as u32)) as u8 % ZONES as u8);
    Filter {
        tags: Tags::from_bits(tags),
        tier: if places & HAS_TIER == 0 { None } else { Tier::new(places as u8 % HAS_TIER as u8).ok() },
        zones: core::array::from_fn(|at| zone(at).unwrap_or_default()),
        zone_count: ((places >> COUNT & 7) as u8).min(MAX_FILTER_ZONES as u8),
        confined: places & CONFINED != 0,
    }
}

impl Filters {
    const_fn! {
    pub const fn new() -> Self {
        Self {
            used: AtomicU32::new(0),
            entries: array_of![Entry {
                classes: AtomicU32::new(0),
                tags: AtomicU32::new(0),
                places: AtomicU32::new(0)
            }; MAX_FILTERS],
        }
    }
    }

    /// Those that classes go by.
    pub fn in_use(&self) -> impl Iterator<Item = Filter> {
        Bits(self.used.load(Ordering::Relaxed)).map(|at| unpack(self.entry(at).packed()))
    }

    fn entry(&self, at: u32) -> &Entry {
        &self.entries[at as usize % MAX_FILTERS]
    }

    /// The number of the entry of this filter.
    fn find(&self, packed: [u32; 2]) -> Option<u32> {
        Bits(self.used.load(Ordering::Relaxed)).find(|&at| self.entry(at).packed() == packed)
    }

    /// One class more goes by `filter`; false if there is no room. The caller is in the critical section.
    #[inline(never)]
    pub fn enter(&self, filter: &Filter) -> bool {
        if *filter == Filter::ANY {
            return true;
        }
        let (packed, used) = (pack(filter), self.used.load(Ordering::Relaxed));
        let at = self.find(packed).unwrap_or(used.trailing_ones());
        if at as usize >= MAX_FILTERS {
            return false;
        }
        let entry = self.entry(at);
        entry.tags.store(packed[0], Ordering::Relaxed);
        entry.places.store(packed[1], Ordering::Relaxed);
        entry.classes.store(entry.classes.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.used.store(used | 1 << at, Ordering::Relaxed);
        true
    }

    /// One class less does; the caller is in the critical section.
    #[inline(never)]
    pub fn leave(&self, filter: &Filter) {
        if let Some(at) = self.find(pack(filter)) {
            let left = self.entry(at).classes.load(Ordering::Relaxed) - 1;
            self.entry(at).classes.store(left, Ordering::Relaxed);
            let unused = ((left == 0) as u32) << at;
            self.used.store(self.used.load(Ordering::Relaxed) & !unused, Ordering::Relaxed);
        }
    }
}

impl Entry {
    fn packed(&self) -> [u32; 2] {
        [self.tags.load(Ordering::Relaxed), self.places.load(Ordering::Relaxed)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Tag;

    #[test]
    fn a_filter_is_the_same_after_it_was_packed() {
        let tagged = Filter::ANY.tags(Tags::NONE.with(Tag::of::<31>())).tier(Tier::of::<7>());
        let zoned = [15, 0, 7, 9]
            .into_iter()
            .fold(tagged, |filter, zone| filter.prefer(Zone::new(zone).unwrap()).unwrap());
        for filter in [Filter::ANY, tagged, zoned, zoned.confined(), Filter::ANY.confined()] {
            assert_eq!(unpack(pack(&filter)), filter);
        }
    }
}
