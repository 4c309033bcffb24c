//! Numbers of 64 bits as bytes, the little end first, one behind the other.

/// The first `N` numbers of `bytes`.
#[inline]
pub(crate) fn read<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Writes `words` to the front of `bytes`.
#[inline]
pub(crate) fn write<const N: usize>(words: [u64; N], bytes: &mut [u8]) {
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
}
