//! Payloads made from a number, and a number made from a payload.

use handfast_core::Bytes;
use handfast_sim::Rng;

/// `len` bytes that only this seed gives.
#[must_use]
pub fn bytes(seed: u64, len: usize) -> Bytes {
    let mut rng = Rng::from_seed(seed);
    let mut bytes = Vec::with_capacity(len + 32);
    while bytes.len() < len {
        bytes.extend(rng.bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// A fingerprint of bytes (64-bit FNV-1a): the same on every machine, no protection against malice.
#[must_use]
pub fn of(bytes: &[u8]) -> u64 {
    let offset = 0xcbf2_9ce4_8422_2325;
    bytes.iter().fold(offset, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_length_and_its_own_digest() {
        for len in [0, 1, 31, 32, 33, 5000] {
            assert_eq!(bytes(1, len).len(), len);
        }
        assert_eq!(of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(of(&bytes(1, 100)), of(&bytes(2, 100)));
    }
}
