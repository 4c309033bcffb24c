//! Who is first by rank: a tournament in each bank, and one among the banks' winners.
//!
//! Who is first over all is one load. When one rank changes, it is compared with its bank's winner, and plays
//! its way up if it beats it: log2(banks) matches, without a branch. Only when a winner falls back its bank
//! is played again, at most 32 matches.

use super::Barred;
use crate::bitmap::{low_bits, slot, split};
use crate::route::{Candidates, Endpoints};

/// Bits that tell the entries of a bank apart.
const INDEX_BITS: u32 = 5;
/// Bits of a node that hold the slot.
const SLOT_BITS: u32 = 16;
/// The worst rank, 67 million. Keys, which are a rank less one and an index, are positive as
/// signed numbers: those are what the oldest vector instructions compare.
pub(super) const LAST: u32 = i32::MAX as u32 >> INDEX_BITS;
/// No rank less one is behind this.
const NOBODY: u32 = LAST;

/// The results of all matches.
///
/// A rank is a number from 1 to [`LAST`], less being better, or 0: not known. Ties go to the lowest slot.
pub(super) struct Tournament<const BANKS: usize, const PER_BANK: usize> {
    /// A heap: node *n* holds the better of the nodes 2 *n* and 2 *n* + 1, and from `BANKS` on come the
    /// banks' winners. Node 1 is the first over all. (Where `BANKS` is no power of two, the banks go round,
    /// and still all of them meet at node 1.) The rank less one in the high bits, and the slot in the low
    /// ones.
    nodes: [[u64; 2]; BANKS],
    /// Those in each bank whose rank isn't known.
    unknown: [u32; BANKS],
    /// The banks that have such, a bit each.
    unknown_banks: u32,
}

/// Where ranks are read.
pub(super) trait Ranks<const PER_BANK: usize> {
    fn rank(&self, slot: u16) -> u32;

    /// All of a bank.
    #[inline(always)]
    fn of_bank(&self, bank: usize) -> [u32; PER_BANK] {
        core::array::from_fn(|index| self.rank(slot(bank, index as u32)))
    }
}

/// What is played for: which slots may be picked, and their ranks.
pub(super) struct Match<'a, R, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize> {
    pub candidates: &'a Candidates<BANKS, PER_BANK>,
    pub endpoints: &'a Endpoints<BANKS, PER_BANK, STRIPES>,
    pub ranks: R,
}

impl<R: Ranks<PER_BANK>, const BANKS: usize, const PER_BANK: usize, const STRIPES: usize>
    Match<'_, R, BANKS, PER_BANK, STRIPES>
{
    /// Those in a bank that may be picked: candidates that aren't at their cap.
    #[inline(always)]
    fn players(&self, bank: usize) -> u32 {
        self.candidates.words()[bank] & !self.endpoints.full.bits(bank)
    }

    /// Plays a bank: its winner as a node, and those whose rank isn't known. Not inlined: it is called in
    /// several places, and the call is a small part of it.
    #[inline(never)]
    fn play(&self, bank: usize, players: u32) -> (u64, u32) {
        // All ranks are loaded first: then the compiler makes vectors of the rest, which atomic loads would
        // keep it from.
        let ranks = self.ranks.of_bank(bank);
        let (mut best, mut unknown) = (i32::MAX, 0);
        for (index, rank) in ranks.into_iter().enumerate() {
            let bit = 1 << index;
            // An unknown rank, 0, becomes the greatest number there is: nobody loses to it.
            let key = (rank.wrapping_sub(1) << INDEX_BITS | index as u32) & i32::MAX as u32;
            best = best.min(if players & bit == 0 { i32::MAX } else { key as i32 });
            unknown |= if rank == 0 { bit } else { 0 };
        }
        let best = best as u32;
        (node(best >> INDEX_BITS, slot(bank, best % (1 << INDEX_BITS))), unknown & players)
    }
}

/// `rank`: less one.
#[inline(always)]
fn node(rank: u32, slot: u16) -> u64 {
    u64::from(rank) << SLOT_BITS | u64::from(slot)
}

impl<const BANKS: usize, const PER_BANK: usize> Tournament<BANKS, PER_BANK> {
    pub const fn new() -> Self {
        Self { nodes: [[(NOBODY as u64) << SLOT_BITS; 2]; BANKS], unknown: [0; BANKS], unknown_banks: 0 }
    }

    /// Plays `banks` again.
    pub fn play<R: Ranks<PER_BANK>, const STRIPES: usize>(
        &mut self,
        rules: &Match<'_, R, BANKS, PER_BANK, STRIPES>,
        banks: u32,
    ) {
        let banks = banks & low_bits(BANKS);
        for bank in crate::bitmap::Bits(banks).map(|bank| bank as usize % BANKS) {
            let (winner, unknown) = rules.play(bank, rules.players(bank));
            self.put_unknown(bank, unknown);
            self.nodes.as_flattened_mut()[BANKS + bank] = winner;
            if banks.is_power_of_two() {
                self.climb(bank, winner);
            }
        }
        if !banks.is_power_of_two() {
            let nodes = self.nodes.as_flattened_mut();
            for node in (1..BANKS).rev() {
                nodes[node] = nodes[2 * node].min(nodes[2 * node + 1]);
            }
        }
    }

    /// The rank of `slot` has changed, or whether it is at its cap.
    #[inline]
    pub fn change<R: Ranks<PER_BANK>, const STRIPES: usize>(
        &mut self,
        rules: &Match<'_, R, BANKS, PER_BANK, STRIPES>,
        slot: u16,
    ) {
        let (bank, index) = (split(slot).0 % BANKS, split(slot).1);
        let plays = rules.players(bank) >> index & 1;
        let rank = if plays == 0 { 0 } else { rules.ranks.rank(slot) };
        let unknown = self.unknown[bank] & !(1 << index) | (plays & (rank == 0) as u32) << index;
        self.put_unknown(bank, unknown);
        let new = node(rank.wrapping_sub(1).min(NOBODY), slot);
        let old = self.nodes.as_flattened()[BANKS + bank];
        if new > old {
            if old as u16 == slot {
                let (winner, _) = rules.play(bank, rules.players(bank));
                self.climb(bank, winner);
            }
        } else {
            self.climb(bank, new);
        }
    }

    #[inline(always)]
    fn put_unknown(&mut self, bank: usize, unknown: u32) {
        self.unknown[bank] = unknown;
        self.unknown_banks = self.unknown_banks & !(1 << bank) | ((unknown != 0) as u32) << bank;
    }

    /// A bank has a new winner, which plays its way up.
    #[inline(always)]
    fn climb(&mut self, bank: usize, winner: u64) {
        let nodes = self.nodes.as_flattened_mut();
        let (mut node, mut best) = (BANKS + bank, winner);
        nodes[node] = best;
        while node > 1 {
            best = best.min(nodes[node ^ 1]);
            node /= 2;
            nodes[node] = best;
        }
    }

    /// The first over all and its rank; `None` if nobody's is known. One load.
    #[inline(always)]
    pub fn first(&self) -> Option<(u32, u16)> {
        open(self.nodes.as_flattened()[1])
    }

    /// The same when some must not be picked. O(banks), and 32 matches for each bank that has such.
    pub fn first_beside<R: Ranks<PER_BANK>, const STRIPES: usize>(
        &self,
        rules: &Match<'_, R, BANKS, PER_BANK, STRIPES>,
        barred: &Barred,
    ) -> Option<(u32, u16)> {
        let winners = self.nodes.as_flattened().iter().skip(BANKS).enumerate();
        let first = winners.map(|(bank, &winner)| match barred.bits(bank) {
            0 => winner,
            out => rules.play(bank, rules.players(bank) & !out).0,
        });
        first.min().and_then(open)
    }

    /// The next after slot `last` of those whose rank isn't known, round and round, beside those that must
    /// not be picked. O(banks).
    pub fn unknown_after(&self, last: u16, barred: &Barred) -> Option<u16> {
        if self.unknown_banks == 0 {
            return None;
        }
        let (from, index) = split(last);
        let past = low_bits(index as usize + 1);
        (0..=BANKS).find_map(|ahead| {
            let bank = (from + ahead) % BANKS;
            let turn = match ahead {
                0 => !past,
                _ if ahead == BANKS => past,
                _ => u32::MAX,
            };
            let bits = self.unknown[bank] & turn & !barred.bits(bank);
            (bits != 0).then(|| slot(bank, bits.trailing_zeros()))
        })
    }
}

#[inline(always)]
fn open(node: u64) -> Option<(u32, u16)> {
    let rank = (node >> SLOT_BITS) as u32;
    (rank < NOBODY).then_some((rank + 1, node as u16))
}
