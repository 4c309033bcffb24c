//! The steps that a filter makes: each tier, within it each preferred zone, then the other zones.

use crate::bitmap::Bits;
use crate::route::select::class::ClassState;
use crate::route::state::view::View;
use crate::route::{TIERS, Tier, Zone};

/// One step: a tier, and a zone or the rest of the zones.
#[derive(Clone, Copy)]
pub(in crate::route) struct Step {
    pub tier: Option<Tier>,
    pub zone: Place,
}

#[derive(Clone, Copy)]
pub(in crate::route) enum Place {
    Anywhere,
    In(Zone),
    Elsewhere,
}

impl ClassState {
    /// How many steps the filter makes.
    #[inline(never)]
    pub(in crate::route) fn steps(&self, view: &View<'_>) -> u8 {
        (self.tiers(view).count_ones() * self.places()) as u8
    }

    /// The tiers in question, a bit each.
    fn tiers(&self, view: &View<'_>) -> u32 {
        match self.filter.tier {
            Some(tier) => 1 << tier.number(),
            None => view.tiers_used().max(1),
        }
    }

    /// How many places each tier has: the zones that are preferred, then the rest.
    fn places(&self) -> u32 {
        let zones = self.filter.zones().len() as u32;
        if zones == 0 { 1 } else { zones + !self.filter.confined as u32 }
    }

    #[inline(never)]
    pub(in crate::route) fn step(&self, view: &View<'_>, number: u8) -> Option<Step> {
        let tiers = self.tiers(view);
        let (tier, place) = (number as u32 / self.places(), number as u32 % self.places());
        let tier = Bits(tiers).nth(tier as usize)?;
        // The only tier there is needs no mask, unless the filter names one.
        let masked = self.filter.tier.is_some() || tiers.count_ones() > 1;
        let tier = Tier::new(tier as u8 % TIERS as u8).ok().filter(|_| masked);
        let zone = match self.filter.zones().get(place as usize) {
            Some(&zone) => Place::In(zone),
            None if self.filter.zones().is_empty() => Place::Anywhere,
            None => Place::Elsewhere,
        };
        Some(Step { tier, zone })
    }

    /// Those in a bank that match in the step: members that aren't switched off, whatever their health.
    #[inline(never)]
    pub(in crate::route) fn matching(&self, view: &View<'_>, step: Step, bank: usize) -> u32 {
        let tagged = view.enabled().bits(bank) & view.tagged(self.filter.tags, bank);
        let bits = step.tier.map_or(tagged, |tier| tagged & view.tier(tier).bits(bank));
        match step.zone {
            Place::Anywhere => bits,
            Place::In(zone) => bits & view.zone(zone).bits(bank),
            Place::Elsewhere => {
                self.filter.zones().iter().fold(bits, |bits, &zone| bits & !view.zone(zone).bits(bank))
            }
        }
    }

    /// Those of them that get something: that are routable, or all that aren't hopeless, where health is
    /// ignored.
    #[inline(never)]
    pub(in crate::route) fn serving_in(&self, view: &View<'_>, number: u8, step: Step, bank: usize) -> u32 {
        let panics = self.panics >> (number % 64) & 1 == 1;
        let those = if panics { view.tolerable() } else { view.routable() };
        self.matching(view, step, bank) & those.bits(bank)
    }
}
