//! A cursor over received bytes that cannot run past their end.

use super::error::ReadError;
use super::varint;

/// Reads values one after the other. A failed read leaves the position unchanged.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that are not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything is read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that were read since `earlier`, a copy of this reader.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> &'a [u8] {
        let len = earlier.remaining().saturating_sub(self.remaining());
        earlier.rest.get(..len).unwrap_or_default()
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// Nothing is left.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, ReadError> {
        let (&first, rest) = self.rest.split_first().ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    /// Reads a little-endian integer of two bytes.
    ///
    /// # Errors
    /// Fewer bytes are left.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, ReadError> {
        self.array().map(|bytes| u16::from_le_bytes(*bytes))
    }

    /// Reads a little-endian integer of four bytes.
    ///
    /// # Errors
    /// Fewer bytes are left.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, ReadError> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// Reads a little-endian integer of eight bytes.
    ///
    /// # Errors
    /// Fewer bytes are left.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, ReadError> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// Reads a [`varint`].
    ///
    /// # Errors
    /// It is cut off, or not in its shortest form.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, ReadError> {
        let (value, size) = varint::decode(self.rest)?;
        self.rest = self.rest.get(size..).unwrap_or_default();
        Ok(value)
    }

    /// Reads exactly `N` bytes, in place.
    ///
    /// # Errors
    /// Fewer bytes are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], ReadError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(array)
    }

    /// Reads exactly `len` bytes, in place. Any `len` is safe: it may come from the network.
    ///
    /// # Errors
    /// Fewer bytes are left.
    #[inline]
    pub fn bytes(&mut self, len: u64) -> Result<&'a [u8], ReadError> {
        let len = usize::try_from(len).map_err(|_| ReadError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_moves_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), Err(ReadError::Truncated));
        assert_eq!(reader.u64(), Err(ReadError::Truncated));
        assert_eq!(reader.array::<4>(), Err(ReadError::Truncated));
        for len in [4, 1 << 31, 1 << 32, 1 << 63, u64::MAX] {
            assert_eq!(reader.bytes(len), Err(ReadError::Truncated));
        }
        assert_eq!(reader.rest(), [1, 2, 3]);
    }

    #[test]
    fn reads_follow_each_other_to_the_end() {
        let start = Reader::new(&[0x80, 1, 2, 3, 4, 5, 6, 7, 0xf0, 9, 9]);
        let mut reader = start;
        assert_eq!(reader.u8(), Ok(0x80));
        assert_eq!(reader.u16(), Ok(0x0201));
        assert_eq!(reader.u32(), Ok(0x0605_0403));
        assert_eq!(reader.since(&start).len(), 7);
        assert_eq!(reader.array(), Ok(&[7, 0xf0]));
        assert_eq!(reader.bytes(2), Ok(&[9, 9][..]));
        assert!(reader.is_empty());
        assert_eq!(reader.bytes(0), Ok(&[][..]));
        assert_eq!(reader.u8(), Err(ReadError::Truncated));
    }
}
