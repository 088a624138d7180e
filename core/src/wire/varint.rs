//! Variable-length integers: 1, 2, 4 or 8 bytes, little endian.
//!
//! The low two bits of the first byte are the base-2 logarithm of the size; the little-endian
//! integer shifted right by two is the value. Size and value come out of a single load and a shift,
//! which is why this differs from RFC 9000, section 16, that puts the size into the high bits of a
//! big-endian number. Every value has exactly one encoding: a longer one is refused.
//!
//! | low bits | bytes | values |
//! |---|---|---|
//! | 0 | 1 | 0 ..= 63 |
//! | 1 | 2 | 64 ..= 16,383 |
//! | 2 | 4 | 16,384 ..= 2^30 - 1 |
//! | 3 | 8 | 2^30 ..= 2^62 - 1 |

use super::error::ReadError;

/// The largest value that can be encoded, 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// How many bytes `value` takes. Values above [`MAX`] have no encoding; for them the answer is 8.
#[inline]
#[must_use]
pub const fn size(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Writes `value` to the start of `out` and returns its size in bytes, or `None`, with `out`
/// untouched, when it does not fit or is above [`MAX`].
#[inline]
#[must_use]
pub fn encode(value: u64, out: &mut [u8]) -> Option<usize> {
    if value > MAX {
        return None;
    }
    let [b0, b1, b2, b3, b4, b5, b6, b7] = (value << 2).to_le_bytes();
    // Copies of a fixed size are single stores; one of a variable size would be a call.
    match size(value) {
        1 => *out.first_mut()? = b0,
        2 => *out.first_chunk_mut()? = [b0 | 1, b1],
        4 => *out.first_chunk_mut()? = [b0 | 2, b1, b2, b3],
        _ => *out.first_chunk_mut()? = [b0 | 3, b1, b2, b3, b4, b5, b6, b7],
    }
    Some(size(value))
}

/// Writes `value`, which is at most [`MAX`], to the start of `out`, and returns its size in bytes: a single store, whatever
/// the size. What lies behind is unspecified.
#[inline]
pub(super) const fn store(value: u64, out: &mut [u8; 8]) -> usize {
    let (tag, size) = match value {
        0..0x40 => (0, 1),
        0x40..0x4000 => (1, 2),
        0x4000..0x4000_0000 => (2, 4),
        _ => (3, 8),
    };
    *out = (value << 2 | tag).to_le_bytes();
    size
}

/// Reads the integer at the start of these bytes: its value and its size in bytes. `None` if a shorter encoding of the
/// same value exists.
#[inline]
pub(super) const fn load(bytes: &[u8; 8]) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*bytes);
    let tag = (word & 3) as usize;
    let value = (word & WORDS[tag]) >> 2;
    if value < LEAST[tag] { None } else { Some((value, 1 << tag)) }
}

/// What of a word belongs to an integer, by its low two bits.
const WORDS: [u64; 4] = [0xff, 0xffff, 0xffff_ffff, u64::MAX];
/// The least value with these low two bits.
const LEAST: [u64; 4] = [0, 0x40, 0x4000, 0x4000_0000];

/// Reads the integer at the start of `bytes`: its value and its size in bytes.
///
/// # Errors
/// The bytes end too early, or a shorter encoding of the same value exists.
#[inline]
pub fn decode(bytes: &[u8]) -> Result<(u64, usize), ReadError> {
    let Some(&first) = bytes.first() else {
        return Err(ReadError::Truncated);
    };
    let size = 1_usize << (first & 3);
    if size == 1 {
        return Ok((u64::from(first >> 2), 1));
    }
    let value = match bytes.first_chunk() {
        Some(word) => (u64::from_le_bytes(*word) & (u64::MAX >> (64 - 8 * size))) >> 2,
        None => {
            let short = bytes.get(..size).ok_or(ReadError::Truncated)?;
            short.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)) >> 2
        }
    };
    // Half the size holds 4 * size bits, two of which are not the value's.
    if value >> (4 * size - 2) == 0 {
        return Err(ReadError::NotMinimal);
    }
    Ok((value, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn encoded(value: u64) -> Vec<u8> {
        let mut out = [0; 8];
        let size = encode(value, &mut out).expect("eight bytes hold every value");
        out[..size].to_vec()
    }

    #[test]
    fn the_edges_of_every_size_are_exact() {
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(63), [0xfc]);
        assert_eq!(encoded(64), [0x01, 0x01]);
        assert_eq!(encoded(16_383), [0xfd, 0xff]);
        assert_eq!(encoded(16_384), [0x02, 0x00, 0x01, 0x00]);
        assert_eq!(encoded((1 << 30) - 1), [0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(encoded(1 << 30), [0x03, 0, 0, 0, 0x01, 0, 0, 0]);
        assert_eq!(encoded(MAX), [0xff; 8]);
        for too_large in [MAX + 1, 1 << 63, u64::MAX] {
            let mut out = [7; 16];
            assert_eq!(encode(too_large, &mut out), None);
            assert_eq!(out, [7; 16]);
        }
    }

    #[test]
    fn a_longer_encoding_than_needed_is_refused() {
        for (value, size) in [(0, 2), (63, 2), (64, 4), (63, 4), (16_383, 4), (0, 8), (16_384, 8)] {
            let tagged = value << 2 | u64::from(u8::try_from(size).expect("small").ilog2());
            let bytes = tagged.to_le_bytes();
            assert_eq!(decode(&bytes[..size]), Err(ReadError::NotMinimal), "{value} in {size}");
            assert_eq!(decode(&bytes), Err(ReadError::NotMinimal), "{value} in {size}");
        }
    }

    proptest! {
        #[test]
        fn values_survive_the_round_trip(
            value in (0_u32..62, any::<u64>()).prop_map(|(shift, bits)| (bits & MAX) >> shift),
            rest in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let exact = encoded(value);
            prop_assert_eq!(exact.len(), size(value));
            let mut stored = [0; 8];
            let size = store(value, &mut stored);
            prop_assert_eq!(&stored[..size], &exact[..]);
            prop_assert_eq!(decode(&exact), Ok((value, exact.len())));
            for cut in 0..exact.len() {
                prop_assert_eq!(decode(&exact[..cut]), Err(ReadError::Truncated));
                prop_assert_eq!(encode(value, &mut std::vec![0; cut]), None);
            }
            // What follows the integer makes no difference.
            let followed = [exact.as_slice(), &rest].concat();
            prop_assert_eq!(decode(&followed), Ok((value, exact.len())));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..12),
        ) {
            if let Ok((value, size)) = decode(&bytes) {
                prop_assert_eq!(encoded(value), &bytes[..size]);
            }
        }
    }
}
