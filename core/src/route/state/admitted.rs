//! Whom a filter admits, and who is the last one that a filter in use can have.

use crate::route::Filter;
use crate::route::state::view::View;

impl View<'_> {
    /// Whether each filter in use that admits the endpoint admits another one that is routable.
    /// O(filters * banks).
    pub(in crate::route) fn is_dispensable(&self, slot: u16) -> bool {
        !self.is_last_for(&Filter::ANY, slot)
            && !self.filters.in_use().any(|filter| self.is_last_for(&filter, slot))
    }

    /// Whether the filter admits the endpoint, and no other that is routable.
    #[inline(never)]
    fn is_last_for(&self, filter: &Filter, slot: u16) -> bool {
        let (at, index) = crate::bitmap::split(slot);
        let others = |bank| if bank == at { !(1 << index) } else { u32::MAX };
        let left = |bank| self.routable().bits(bank) & self.admitted(filter, bank) & others(bank);
        self.admitted(filter, at) >> index & 1 == 1 && (0..self.banks()).all(|bank| left(bank) == 0)
    }

    /// Those of a bank that the filter admits, whatever their condition.
    #[inline(never)]
    pub(in crate::route) fn admitted(&self, filter: &Filter, bank: usize) -> u32 {
        self.tagged_and_tiered(filter, bank) & self.zoned(filter, bank)
    }

    /// Those that have its tags and tier.
    pub(in crate::route) fn tagged_and_tiered(&self, filter: &Filter, bank: usize) -> u32 {
        let tier = filter.tier.map_or(u32::MAX, |tier| self.tier(tier).bits(bank));
        self.members().bits(bank) & self.tagged(filter.tags, bank) & tier
    }

    /// Those that are in one of the zones that it is confined to, if it is.
    pub(in crate::route) fn zoned(&self, filter: &Filter, bank: usize) -> u32 {
        if !filter.confined || filter.zones().is_empty() {
            return u32::MAX;
        }
        filter.zones().iter().fold(0, |bits, &zone| bits | self.zone(zone).bits(bank))
    }
}
