//! The steps that a filter makes: each tier, within it each preferred zone, then the other zones.

use crate::bitmap::{Bits, rolled};
use crate::route::select::class::ClassState;
use crate::route::state::bank::{BankRecord, Sets};
use crate::route::state::view::View;
use crate::route::{TIERS, Tier, Zone};

/// One step: a tier, and a zone or the rest of the zones; and whether health is ignored there.
#[derive(Clone, Copy)]
pub(in crate::route) struct Step {
    tier: Option<Tier>,
    pub zone: Place,
    panics: bool,
}

/// How many there are in a step: that match, that are routable, that get something; and whether some wait
/// for probes: then not 0.
#[derive(Default)]
pub(in crate::route) struct Survey {
    pub matching: u32,
    pub living: u32,
    pub serving: u32,
    pub waiting: u32,
}

#[derive(Clone, Copy)]
pub(in crate::route) enum Place {
    Anywhere,
    In(Zone),
    Elsewhere,
}

impl Step {
    /// Who gets something there, of those that match.
    pub(in crate::route) fn admits(self) -> Sets {
        if self.panics { Sets::tolerable } else { Sets::routable }
    }
}

impl Survey {
    /// How many are routable; if none is, how many get something.
    pub(in crate::route) fn living_or_all(&self) -> u32 {
        if self.living == 0 { self.serving } else { self.living }
    }
}

impl ClassState {
    /// How many steps the filter makes.
    #[inline(never)]
    pub(in crate::route) fn steps(&self, view: View<'_>) -> u8 {
        (self.tiers(view).count_ones() * self.places()) as u8
    }

    /// The tiers in question, a bit each.
    fn tiers(&self, view: View<'_>) -> u32 {
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

    /// Whether health is ignored in the step.
    pub(in crate::route) fn panics(&self, number: u8) -> bool {
        self.panics[number as usize / 32 % 2] >> (number % 32) & 1 == 1
    }

    #[inline(never)]
    pub(in crate::route) fn step(&self, view: View<'_>, number: u8) -> Option<Step> {
        let tiers = self.tiers(view);
        let places = self.places();
        let tier = (number as u32).checked_div(places)?;
        let place = number as u32 - tier * places;
        let tier = Bits(tiers).nth(tier as usize)?;
        // The only tier there is needs no mask, unless the filter names one.
        let masked = self.filter.tier.is_some() || tiers.count_ones() > 1;
        let tier = Tier::new(tier as u8 % TIERS as u8).ok().filter(|_| masked);
        let zone = match self.filter.zones().get(place as usize) {
            Some(&zone) => Place::In(zone),
            None if self.filter.zones().is_empty() => Place::Anywhere,
            None => Place::Elsewhere,
        };
        Some(Step { tier, zone, panics: self.panics(number) })
    }

    /// Those in a bank that match in the step: members that aren't switched off, whatever their health.
    #[inline(never)]
    pub(in crate::route) fn matching(&self, step: Step, bank: &BankRecord) -> u32 {
        let mut bits = bank.bits(Sets::enabled) & bank.tagged(self.filter.tags);
        if let Some(tier) = step.tier {
            bits &= bank.tier(tier);
        }
        match step.zone {
            Place::Anywhere => bits,
            Place::In(zone) => bits & bank.zone(zone),
            Place::Elsewhere => self.filter.zones().iter().fold(bits, |bits, &zone| {
                rolled();
                bits & !bank.zone(zone)
            }),
        }
    }

    /// Those of them that get something: that are routable, or all that aren't hopeless, where health is
    /// ignored.
    pub(in crate::route) fn serving_in(&self, step: Step, bank: &BankRecord) -> u32 {
        self.matching(step, bank) & bank.bits(step.admits())
    }

    /// How many there are in the step. O(banks).
    #[inline(never)]
    pub(in crate::route) fn survey(&self, view: View<'_>, step: Step) -> Survey {
        let mut survey = Survey::default();
        for bank in view.all_banks() {
            let matching = self.matching(step, bank);
            let living = matching & bank.bits(Sets::routable);
            survey.matching += matching.count_ones();
            survey.living += living.count_ones();
            survey.serving += (matching & bank.bits(step.admits())).count_ones();
            survey.waiting |= matching & bank.bits(Sets::half_open);
        }
        survey
    }
}
