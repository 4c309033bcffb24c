//! The endpoints, the same for all contenders: who has which tags, who is in which zone, who is down.

use crate::random::Xorshift;

/// The two tags that a filtered request asks for, a bit each.
pub const WANTED_TAGS: u32 = 0b11;
/// The zone that a filtered request is confined to.
pub const WANTED_ZONE: u8 = 0;
/// The cap of every endpoint where there are caps: none is ever reached, but each select has to make sure.
pub const CAP: u32 = 1 << 20;

/// What one endpoint is like.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Each of the two tags is on three of four endpoints.
    pub tags: u32,
    /// Two zones, half of the endpoints each.
    pub zone: u8,
    /// Where there is a filter, every second endpoint is down.
    pub up: bool,
    /// 1 to 10 where weights count, else 1.
    pub weight: u16,
    /// What it reports: its load in permille, below 700, so that none counts as loaded.
    pub load: u16,
    /// How long it takes to answer, in microseconds.
    pub latency: u32,
}

/// What a contender balances over.
#[derive(Clone, Debug)]
pub struct World {
    /// The endpoints there are at the beginning.
    pub endpoints: Vec<Traits>,
    /// Whether requests ask for the tags and the zone.
    pub filtered: bool,
    /// Whether each endpoint has an exact cap, [`CAP`].
    pub caps: bool,
}

impl World {
    /// `n` endpoints. Unfiltered, all of them are up and match. Filtered, the fractions are those of
    /// [`Traits`], independent of each other: 1/2 up, 1/2 in the zone, 3/4 and 3/4 with the tags; 9 of 64
    /// endpoints are candidates.
    pub fn new(n: usize, filtered: bool, weighted: bool, caps: bool) -> Self {
        let mut random = Xorshift::new(0x7472_696c_616e_6521);
        // Digits of the rank, so that the fractions are exact and independent; shuffled, so that no slot has
        // a pattern.
        let mut ranks: Vec<usize> = (0..n).collect();
        for end in (2..=n).rev() {
            ranks.swap(end - 1, random.below(end));
        }
        let endpoints = ranks
            .into_iter()
            .map(|rank| Traits {
                tags: u32::from(rank >> 2 & 3 != 3) | u32::from(rank >> 4 & 3 != 3) << 1,
                zone: (rank >> 1 & 1) as u8,
                up: !filtered || rank & 1 == 0,
                weight: if weighted { 1 + random.below(10) as u16 } else { 1 },
                load: random.below(700) as u16,
                latency: 200 + random.below(1800) as u32,
            })
            .collect();
        Self { endpoints, filtered, caps }
    }

    /// Whether the endpoint is what requests ask for, up or down.
    pub fn matches(&self, endpoint: usize) -> bool {
        let traits = &self.endpoints[endpoint];
        !self.filtered || (traits.tags & WANTED_TAGS == WANTED_TAGS && traits.zone == WANTED_ZONE)
    }

    /// The endpoints that a request may go to.
    pub fn candidates(&self) -> Vec<usize> {
        (0..self.endpoints.len()).filter(|&i| self.matches(i) && self.endpoints[i].up).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidates_are_nine_of_64_of_the_filtered() {
        assert_eq!(
            [16, 100, 1000].map(|n| World::new(n, true, false, false).candidates().len()),
            [3, 16, 143]
        );
        assert_eq!(
            [16, 100, 1000].map(|n| World::new(n, false, false, false).candidates().len()),
            [16, 100, 1000]
        );
    }
}
