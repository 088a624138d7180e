//! A cursor that writes into a buffer and cannot run past its end.

use super::varint;

/// Writes values one after the other. Each is written whole or not at all: the answer says which.
///
/// What lies behind the position, after a rollback for one, is unspecified.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    position: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the first byte of `buffer`.
    #[must_use]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, position: 0 }
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many more bytes fit.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.buffer.len().saturating_sub(self.position)
    }

    /// What was written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.position).unwrap_or_default()
    }

    /// Takes back everything written since [`position`](Self::position) was `position`. A position
    /// not reached yet changes nothing.
    pub fn rollback(&mut self, position: usize) {
        self.position = self.position.min(position);
    }

    /// Overwrites the byte at `position`, which must have been written already.
    #[must_use]
    pub fn patch(&mut self, position: usize, value: u8) -> bool {
        match self.buffer.get_mut(..self.position).and_then(|written| written.get_mut(position)) {
            Some(byte) => {
                *byte = value;
                true
            }
            None => false,
        }
    }

    /// Writes one byte.
    #[inline]
    #[must_use]
    pub fn u8(&mut self, value: u8) -> bool {
        self.bytes(&[value])
    }

    /// Writes two bytes, little endian.
    #[inline]
    #[must_use]
    pub fn u16(&mut self, value: u16) -> bool {
        self.bytes(&value.to_le_bytes())
    }

    /// Writes four bytes, little endian.
    #[inline]
    #[must_use]
    pub fn u32(&mut self, value: u32) -> bool {
        self.bytes(&value.to_le_bytes())
    }

    /// Writes eight bytes, little endian.
    #[inline]
    #[must_use]
    pub fn u64(&mut self, value: u64) -> bool {
        self.bytes(&value.to_le_bytes())
    }

    /// Writes a [`varint`]. Values above [`varint::MAX`] cannot be written.
    #[inline]
    #[must_use]
    pub fn varint(&mut self, value: u64) -> bool {
        let Some(size) = varint::encode(value, self.free()) else {
            return false;
        };
        self.position += size;
        true
    }

    /// Writes `bytes`.
    #[inline]
    #[must_use]
    pub fn bytes(&mut self, bytes: &[u8]) -> bool {
        let Some(target) = self.free().get_mut(..bytes.len()) else {
            return false;
        };
        target.copy_from_slice(bytes);
        self.position += bytes.len();
        true
    }

    /// Writes `count` zero bytes.
    #[must_use]
    pub fn zeros(&mut self, count: usize) -> bool {
        let Some(target) = self.free().get_mut(..count) else {
            return false;
        };
        target.fill(0);
        self.position += count;
        true
    }

    /// The next `N` bytes, if so many are free. What is written there counts from [`advance`](Self::advance) on.
    #[inline]
    pub(super) fn ahead<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.free().first_chunk_mut()
    }

    /// The next `len` bytes, if so many are free. What is written there counts from [`advance`](Self::advance) on.
    #[inline]
    pub(super) fn ahead_of(&mut self, len: usize) -> Option<&mut [u8]> {
        self.free().get_mut(..len)
    }

    /// The next `len` bytes, which are free, were written.
    #[inline]
    pub(super) fn advance(&mut self, len: usize) {
        self.position = self.buffer.len().min(self.position + len);
    }

    #[inline]
    fn free(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.position..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_whole_or_not_at_all() {
        let mut buffer = [0xee; 7];
        let mut writer = Writer::new(&mut buffer);
        assert!(writer.u32(0x0403_0201));
        assert!(!writer.u32(5) && !writer.u64(5) && !writer.bytes(&[0; 4]) && !writer.zeros(4));
        assert!(!writer.varint(16_384));
        assert_eq!((writer.position(), writer.remaining()), (4, 3));
        assert!(writer.zeros(1) && writer.varint(64));
        assert!(!writer.u8(1) && writer.bytes(&[]) && writer.remaining() == 0);
        assert_eq!(buffer, [1, 2, 3, 4, 0, 1, 1]);
    }

    #[test]
    fn a_failed_write_leaves_the_buffer_alone() {
        let mut buffer = [0xee; 3];
        let mut writer = Writer::new(&mut buffer);
        assert!(!writer.u32(0) && !writer.varint(1 << 20) && !writer.zeros(usize::MAX));
        assert_eq!(buffer, [0xee; 3]);
    }

    #[test]
    fn rollback_goes_back_only() {
        let mut buffer = [0; 4];
        let mut writer = Writer::new(&mut buffer);
        assert!(writer.u16(0x0201));
        writer.rollback(usize::MAX);
        assert_eq!(writer.written(), [1, 2]);
        assert!(writer.patch(0, 9) && !writer.patch(2, 9));
        writer.rollback(1);
        assert_eq!(writer.written(), [9]);
    }
}
