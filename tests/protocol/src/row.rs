//! A list of up to eight small numbers in one word.

/// Up to eight numbers from 1 to 255, the first in the lowest byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Row(u64);

impl Row {
    /// The number of numbers.
    pub fn len(self) -> u8 {
        8 - (self.0.leading_zeros() / 8) as u8
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The number at a place, the first at 0.
    pub fn get(self, place: u8) -> Option<u8> {
        (place < self.len()).then(|| (self.0 >> (8 * place)) as u8)
    }

    /// Adds one behind the others.
    ///
    /// # Panics
    ///
    /// If it is 0, or the ninth: the setting is too large for the model.
    pub fn push(&mut self, number: u8) {
        assert!(number != 0 && self.len() < 8, "the setting is too large for the model");
        self.0 |= u64::from(number) << (8 * self.len());
    }

    /// Keeps the first `length`.
    pub fn truncate(&mut self, length: u8) {
        if length < 8 {
            self.0 &= (1 << (8 * length)) - 1;
        }
    }

    /// Drops the first `count`, of at most seven.
    pub fn drop_front(&mut self, count: u8) {
        self.0 >>= 8 * count;
    }

    /// The first `length` of them as one number.
    pub fn prefix(mut self, length: u8) -> u64 {
        self.truncate(length);
        self.0
    }

    /// The numbers in their order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        self.0.to_le_bytes().into_iter().take(self.len().into())
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
