//! Takes fields of fixed length from the front of bytes.

/// The bytes that are left. Integers have their little end first.
pub(super) struct Fields<'a>(&'a [u8]);

/// How many bytes are missing.
pub(super) struct Missing(pub usize);

impl<'a> Fields<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Missing> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Missing(length.abs_diff(self.0.len())))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Missing> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Missing(N.abs_diff(self.0.len())))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn u8(&mut self) -> Result<u8, Missing> {
        self.array().map(|[byte]| *byte)
    }

    pub fn u32(&mut self) -> Result<u32, Missing> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub fn u64(&mut self) -> Result<u64, Missing> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }
}
