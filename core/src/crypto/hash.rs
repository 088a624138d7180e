//! BLAKE2s (RFC 7693) in the three shapes the protocol needs: plain, keyed, and inside HMAC
//! (RFC 2104), with the key derivations built on it.

use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac256, Digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::TAG;

/// 32 bytes that are wiped when dropped.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// BLAKE2s-256 of the concatenated parts.
pub(crate) fn blake2s(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Blake2s256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The first 16 bytes of keyed BLAKE2s-256 over the concatenated parts.
pub(crate) fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; TAG] {
    let mut mac = Blake2sMac256::new(key.into());
    for part in parts {
        mac.update(part);
    }
    let full: [u8; 32] = mac.finalize().into_bytes().into();
    let mut tag = [0; TAG];
    tag.copy_from_slice(&full[..TAG]);
    tag
}

/// HMAC-BLAKE2s of the concatenated parts. `N`, the length of the key, is at most one block.
pub(crate) fn hmac<const N: usize>(key: &[u8; N], parts: &[&[u8]]) -> Secret {
    const { assert!(N <= BLOCK, "a longer key would have to be hashed first") };
    let mut pad = Zeroizing::new([INNER; BLOCK]);
    pad.iter_mut().zip(key).for_each(|(p, k)| *p ^= k);
    let mut inner = Blake2s256::new();
    inner.update(pad.as_slice());
    for part in parts {
        inner.update(part);
    }
    let inner = Zeroizing::new(<[u8; 32]>::from(inner.finalize()));

    pad.iter_mut().for_each(|p| *p ^= INNER ^ OUTER);
    let mut outer = Blake2s256::new();
    outer.update(pad.as_slice());
    outer.update(inner.as_slice());
    Zeroizing::new(outer.finalize().into())
}

/// HKDF-Expand (RFC 5869) to one block of 32 bytes; `info` is the concatenation of its parts.
pub(crate) fn expand<const N: usize>(key: &[u8; N], info: [&[u8]; 2]) -> Secret {
    hmac(key, &[info[0], info[1], &[1]])
}

/// The `HKDF` of Noise with two outputs.
pub(crate) fn hkdf2(chaining_key: &Secret, input: &[u8]) -> [Secret; 2] {
    let key = hmac(chaining_key, &[input]);
    let first = hmac(&key, &[&[1]]);
    let second = hmac(&key, &[&*first, &[2]]);
    [first, second]
}

/// The `HKDF` of Noise with three outputs.
pub(crate) fn hkdf3(chaining_key: &Secret, input: &[u8]) -> [Secret; 3] {
    let key = hmac(chaining_key, &[input]);
    let first = hmac(&key, &[&[1]]);
    let second = hmac(&key, &[&*first, &[2]]);
    let third = hmac(&key, &[&*second, &[3]]);
    [first, second, third]
}

/// Whether two tags are the same, in time that does not depend on where they differ.
pub(crate) fn equal(a: &[u8; TAG], b: &[u8; TAG]) -> bool {
    a.ct_eq(b).into()
}

/// Whether two secrets are the same, in time that does not depend on where they differ.
pub(crate) fn same_secret(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

/// Bytes of a BLAKE2s block.
const BLOCK: usize = 64;
/// The paddings of HMAC.
const INNER: u8 = 0x36;
const OUTER: u8 = 0x5c;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::{unhex, unhex32};

    #[test]
    fn blake2s_agrees_with_rfc_7693() {
        let expected = "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982";
        assert_eq!(blake2s(&[b"a", b"", b"bc"]), unhex32(expected));
    }

    #[test]
    fn keyed_blake2s_agrees_with_the_reference_vectors() {
        // blake2s-kat: key 00..1f, inputs empty and 00.
        let key = core::array::from_fn(|i| u8::try_from(i).expect("small"));
        assert_eq!(keyed(&key, &[])[..], unhex("48a8997da407876b3d79c0d92325ad3b")[..]);
        assert_eq!(keyed(&key, &[&[0]])[..], unhex("40d15fee7c328830166ac3f918650f80")[..]);
    }

    #[test]
    fn hmac_agrees_with_another_implementation() {
        // Python 3: hmac.new(key, text, hashlib.blake2s)
        let expected = "4e78e41e5e9020d4d126b70adbfef4211161dc3be511f4ee6bccacd4dc99089f";
        assert_eq!(*hmac(&[b'k'; 64], &[b"a", b"bc"]), unhex32(expected));
        let key: [u8; 32] = core::array::from_fn(|i| u8::try_from(i).expect("small"));
        let expected = "65043ae3113da6f99a94d81b790a6a08dcddef85a14bb01d1aae2ae6d7250146";
        assert_eq!(*hmac(&key, &[b"Hi ", b"There"]), unhex32(expected));
    }

    #[test]
    fn one_flipped_bit_is_a_difference() {
        let tag = [7; TAG];
        assert!(equal(&tag, &tag));
        for bit in 0..8 * TAG {
            let mut other = tag;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!equal(&tag, &other));
        }
    }
}
