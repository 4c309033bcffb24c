//! Whom a filter admits, and who is the last one that a filter in use can have.

use crate::bitmap::rolled;
use crate::route::Filter;
use crate::route::state::bank::{BankRecord, Sets};
use crate::route::state::view::View;

impl View<'_> {
    /// Whether each filter in use that admits the endpoint admits another one that is routable.
    /// O(filters * banks).
    pub(in crate::route) fn is_dispensable(self, slot: u16) -> bool {
        !self.is_last_for(&Filter::ANY, slot)
            && !self.filters.in_use().any(|filter| self.is_last_for(&filter, slot))
    }

    /// Whether the filter admits the endpoint, and no other that is routable.
    #[inline(never)]
    fn is_last_for(self, filter: &Filter, slot: u16) -> bool {
        let at = self.at(slot);
        let left = self.count(&|bank| bank.bits(Sets::routable) & bank.admitted(filter));
        let itself = at.has(Sets::routable) as u32;
        at.bank.admitted(filter) >> at.index & 1 == 1 && left == itself
    }
}

impl BankRecord {
    /// Those that the filter admits, whatever their condition.
    #[inline(never)]
    pub(in crate::route) fn admitted(&self, filter: &Filter) -> u32 {
        self.tagged_and_tiered(filter) & self.zoned(filter)
    }

    /// Those that have its tags and tier.
    pub(in crate::route) fn tagged_and_tiered(&self, filter: &Filter) -> u32 {
        let tier = filter.tier.map_or(u32::MAX, |tier| self.tier(tier));
        self.bits(Sets::members) & self.tagged(filter.tags) & tier
    }

    /// Those that are in one of the zones that it is confined to, if it is.
    fn zoned(&self, filter: &Filter) -> u32 {
        if !filter.confined || filter.zones().is_empty() {
            return u32::MAX;
        }
        filter.zones().iter().fold(0, |bits, &zone| {
            rolled();
            bits | self.zone(zone)
        })
    }
}
