//! The steps that a filter makes: each tier, within it each preferred zone, then the other zones.

use super::class::ClassCache;
use super::column::Set;
use super::endpoints::Endpoints;
use super::{Filter, TIERS, Tags, Tier, Zone};
use crate::bitmap::Bits;

/// One step: a tier, and a zone or the rest of the zones.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub tier: Option<Tier>,
    pub zone: Place,
}

#[derive(Clone, Copy)]
pub(super) enum Place {
    Anywhere,
    In(Zone),
    Elsewhere,
}

impl<C, const BANKS: usize, const PER_BANK: usize> ClassCache<C, BANKS, PER_BANK> {
    /// How many steps the filter makes.
    pub(super) fn steps<const STRIPES: usize>(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) -> u8 {
        (self.tiers(endpoints).count_ones() * self.places()) as u8
    }

    /// The tiers in question, a bit each.
    fn tiers<const STRIPES: usize>(&self, endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>) -> u32 {
        match self.filter.tier {
            Some(tier) => 1 << tier.number(),
            None => endpoints.tiers_used().max(1),
        }
    }

    /// How many places each tier has: the zones that are preferred, then the rest.
    fn places(&self) -> u32 {
        let zones = self.filter.zones().len() as u32;
        if zones == 0 { 1 } else { zones + !self.filter.confined as u32 }
    }

    pub(super) fn step<const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        number: u8,
    ) -> Option<Step> {
        let tiers = self.tiers(endpoints);
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
}

/// The sets whose intersection a step is.
///
/// The usual ones stand in an array of fixed length, in which `enabled` fills the empty places: a bank's word
/// is then a few loads in a row without a branch.
pub(super) struct Mask<'a, const BANKS: usize> {
    sets: [&'a Set<BANKS>; 5],
    /// The tags that found no place.
    more: Tags,
    /// The zones to be left out.
    without: &'a [Zone],
}

impl<'a, const BANKS: usize> Mask<'a, BANKS> {
    pub fn new<const PER_BANK: usize, const STRIPES: usize>(
        endpoints: &'a Endpoints<BANKS, PER_BANK, STRIPES>,
        filter: &'a Filter,
        step: Step,
    ) -> Self {
        let mut sets = [&endpoints.enabled; 5];
        let mut more = filter.tags;
        for place in &mut sets[1..3] {
            if let Some(tag) = more.pop() {
                *place = endpoints.tag(tag);
            }
        }
        if let Some(tier) = step.tier {
            sets[3] = endpoints.tier(tier);
        }
        let mut without: &[Zone] = &[];
        match step.zone {
            Place::Anywhere => {}
            Place::In(zone) => sets[4] = endpoints.zone(zone),
            Place::Elsewhere => without = filter.zones(),
        }
        Self { sets, more, without }
    }

    /// Those in a bank that match: members that aren't switched off, whatever their health.
    #[inline(always)]
    pub fn bits<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        bank: usize,
    ) -> u32 {
        let bits = self.sets.iter().fold(u32::MAX, |bits, set| bits & set.bits(bank));
        if self.more == Tags::NONE && self.without.is_empty() {
            bits
        } else {
            bits & self.rest(endpoints, bank)
        }
    }

    /// What the array has no place for. Not inlined: a look-up stands in seven places.
    #[inline(never)]
    fn rest<const PER_BANK: usize, const STRIPES: usize>(
        &self,
        endpoints: &Endpoints<BANKS, PER_BANK, STRIPES>,
        bank: usize,
    ) -> u32 {
        let bits = endpoints.tagged(self.more, bank);
        self.without.iter().fold(bits, |bits, &zone| bits & !endpoints.zone(zone).bits(bank))
    }
}
