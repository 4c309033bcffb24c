//! The endpoints that may serve a class of requests, kept until something changes.

use crate::bitmap::{Bits, rolled, slot};

/// A set of slots in three forms: one bit each, where each bank's begin in the list, and the list, lowest
/// first.
///
/// Finding out whether a slot is a candidate, and the k-th candidate, take O(1). Making it anew takes
/// O(banks) when nothing has changed, and O(banks + candidates) in the worst case: the list before the first
/// bank that has changed stays.
pub struct Candidates<const BANKS: usize, const PER_BANK: usize> {
    words: [u32; BANKS],
    starts: [u16; BANKS],
    count: u16,
    list: [[u16; PER_BANK]; BANKS],
}

impl<const BANKS: usize, const PER_BANK: usize> Candidates<BANKS, PER_BANK> {
    pub(in crate::route) const fn new() -> Self {
        Self { words: [0; BANKS], starts: [0; BANKS], count: 0, list: [[0; PER_BANK]; BANKS] }
    }

    /// How many there are.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        self.count as u32
    }

    /// Whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The `index`-th, counted from the lowest slot; `None` beyond the last.
    #[inline(always)]
    pub fn nth(&self, index: u32) -> Option<u16> {
        if index >= self.len() {
            return None;
        }
        let all = self.list.as_flattened();
        // The count is never above the capacity. To wrap around is one instruction.
        if (BANKS * PER_BANK).is_power_of_two() {
            Some(all[index as usize % (BANKS * PER_BANK)])
        } else {
            all.get(index as usize).copied()
        }
    }

    /// All of them, lowest first.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u16] {
        let all = self.list.as_flattened();
        // The count is never above the capacity; `min` tells the compiler, so that nothing here can panic.
        &all[..(self.count as usize).min(all.len())]
    }

    /// Those in each bank, one bit each.
    #[inline(always)]
    pub fn words(&self) -> &[u32; BANKS] {
        &self.words
    }

    /// Whether `slot` is one.
    #[inline(always)]
    pub fn contains(&self, slot: u16) -> bool {
        let (bank, index) = crate::bitmap::split(slot);
        self.words.get(bank).is_some_and(|word| word >> index & 1 == 1)
    }

    /// How many there are below `slot`, whether or not it is one itself.
    pub fn rank(&self, slot: u16) -> u32 {
        let (bank, index) = crate::bitmap::split(slot);
        match (self.words.get(bank), self.starts.get(bank)) {
            (Some(word), Some(&start)) => start as u32 + (word & !(u32::MAX << index)).count_ones(),
            _ => self.len(),
        }
    }

    /// The same without its size in its type, to be changed.
    #[inline(always)]
    pub(in crate::route) fn as_mut(&mut self) -> CandidatesMut<'_> {
        let Self { words, starts, count, list } = self;
        CandidatesMut { words, starts, count, list: list.as_flattened_mut() }
    }
}

/// The candidates of a class, as whoever makes them anew has them.
pub(in crate::route) struct CandidatesMut<'a> {
    words: &'a mut [u32],
    starts: &'a mut [u16],
    count: &'a mut u16,
    list: &'a mut [u16],
}

impl CandidatesMut<'_> {
    pub fn len(&self) -> u32 {
        *self.count as u32
    }

    pub fn is_empty(&self) -> bool {
        *self.count == 0
    }

    /// Those in each bank, one bit each.
    pub fn words(&self) -> &[u32] {
        self.words
    }

    /// Those in a bank, one bit each.
    pub fn word(&self, bank: usize) -> u32 {
        self.words.get(bank).copied().unwrap_or(0)
    }

    /// Exchanges the set; `bits` tells what a bank has now. Returns whether anything has changed. Unless it
    /// is `listed`, the list is not kept.
    #[inline(never)]
    pub fn refill(&mut self, bits: &mut dyn FnMut(usize) -> u32, listed: bool) -> bool {
        let mut first = None;
        for (bank, entry) in self.words.iter_mut().enumerate() {
            rolled();
            let word = bits(bank);
            if word != *entry {
                first = first.or(Some(bank));
                *entry = word;
            }
        }
        if let Some(bank) = first {
            self.rebuild(bank, listed);
        }
        first.is_some()
    }

    /// Makes the list anew from `bank` on.
    fn rebuild(&mut self, mut bank: usize, listed: bool) {
        let mut at = self.starts.get(bank).map_or(0, |&start| start as usize);
        // Without a list there is no room on it.
        let list = if listed { &mut *self.list } else { &mut [] };
        while let (Some(&word), Some(start)) = (self.words.get(bank), self.starts.get_mut(bank)) {
            *start = at as u16;
            for index in Bits(word) {
                if let Some(entry) = list.get_mut(at) {
                    *entry = slot(bank, index);
                }
                at += 1;
            }
            bank += 1;
        }
        *self.count = at as u16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_follows_the_bits_whatever_changes() {
        let mut candidates = Candidates::<4, 8>::new();
        let mut random = 1u32;
        let mut words = [0u32; 4];
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            for _ in 0..random >> 28 & 3 {
                words[random as usize % 4] ^= (random >> 8) & (random >> 16) & 0xff;
                random = random.rotate_left(7);
            }
            candidates.as_mut().refill(&mut |bank| words[bank], true);
            let mut expected = [0; 32];
            let mut count = 0;
            for at in 0..128u16 {
                if words[at as usize / 32] >> (at % 32) & 1 == 1 {
                    assert_eq!(candidates.rank(at), count);
                    expected[count as usize] = at;
                    count += 1;
                }
            }
            assert_eq!(candidates.as_slice(), &expected[..count as usize]);
        }
    }
}
