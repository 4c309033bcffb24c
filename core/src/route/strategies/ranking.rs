//! Picking by rank: the first of a [`Tournament`], and now and then one that would never be the first.

use super::tournament::{Match, Ranks, Tournament};
use super::{Pool, Turn};
use crate::bitmap::{Bits, slot};
use crate::route::Random;

/// Every how many selects of a class one explores, unless said otherwise.
pub(super) const EVERY: u16 = 32;

/// What a class keeps for a strategy that picks by rank.
///
/// Those whose rank isn't known count as the mean of the others, and so are never before the first; nor need
/// the mean be known for that. What they get is one select in `every`, and all of them when nobody's rank is
/// known. They take turns: were it the lowest slot, everything would go there until the first answer has come
/// back.
pub struct Ranking<const BANKS: usize, const PER_BANK: usize> {
    tournament: Tournament<BANKS, PER_BANK>,
    /// Whether all banks have been played.
    played: bool,
    /// Selects until one explores.
    wait: u16,
    /// Who of those without a rank was picked last; [`NOBODY`] before the first.
    last: u16,
}

const NOBODY: u16 = u16::MAX;

/// Where ranks are read, and from which rank on those without one come first.
pub(super) struct Rule<R> {
    pub ranks: R,
    pub behind: u32,
    /// Every how many selects one explores; 0: none does.
    pub every: u16,
}

impl<const BANKS: usize, const PER_BANK: usize> Ranking<BANKS, PER_BANK> {
    pub(super) const fn new() -> Self {
        Self { tournament: Tournament::new(), played: false, wait: 0, last: NOBODY }
    }

    pub(super) fn refill<const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        every: u16,
        random: &mut Random,
    ) {
        if self.last == NOBODY {
            // A candidate and not any slot: after most slots of a bank that isn't full comes its first
            // endpoint, which many balancers that start together would then all pick.
            let mut nth = random.below(pool.candidates.len()) as usize;
            for (bank, &word) in pool.candidates.words().iter().enumerate() {
                if let Some(index) = Bits(word).nth(nth) {
                    self.last = slot(bank, index);
                    break;
                }
                nth -= word.count_ones() as usize;
            }
            self.wait = every;
        }
    }

    /// The first by rank, unless it is `explore`'s turn and it finds somebody.
    #[inline(always)]
    pub(super) fn pick<const STRIPES: usize>(
        &mut self,
        pool: &Pool<'_, BANKS, PER_BANK, STRIPES>,
        turn: &mut Turn<'_>,
        rule: Rule<impl Ranks<PER_BANK>>,
        explore: impl FnOnce(&mut Self, &mut Turn<'_>) -> Option<u16>,
    ) -> Option<u16> {
        let Rule { ranks, behind, every } = rule;
        let rules = Match { candidates: pool.candidates, endpoints: pool.endpoints, ranks };
        if !turn.dirt.is_none(pool.endpoints) {
            let banks = turn.dirt.take(pool.endpoints, |slot| self.tournament.change(&rules, slot));
            // A strategy that is exchanged at run time begins with what is dirty, which may not be all.
            let banks = if core::mem::replace(&mut self.played, true) { banks } else { u32::MAX };
            if banks != 0 {
                self.tournament.play(&rules, banks);
            }
        }
        let first = if turn.barred.is_empty() {
            self.tournament.first()
        } else {
            self.tournament.first_beside(&rules, turn.barred)
        };
        match first {
            Some((rank, slot)) if rank < behind => {
                if turn.attempt == 0 {
                    self.wait = self.wait.wrapping_sub(1);
                    if self.wait == 0 {
                        self.wait = every;
                        if every != 0
                            && let Some(other) = explore(self, turn)
                            && !turn.barred.contains(other)
                        {
                            return Some(other);
                        }
                    }
                }
                Some(slot)
            }
            _ => self.pick_unknown(turn).or(first.map(|(_, slot)| slot)),
        }
    }

    /// The next of those without a rank.
    #[inline(never)]
    pub(super) fn pick_unknown(&mut self, turn: &mut Turn<'_>) -> Option<u16> {
        let slot = self.tournament.unknown_after(self.last, turn.barred)?;
        if turn.attempt == 0 {
            self.last = slot;
        }
        Some(slot)
    }
}
