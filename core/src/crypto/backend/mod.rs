//! X25519 and the AEADs, from one of two libraries that give the same bytes.
//!
//! Each backend has the same two types: `SecretKey` (`from_bytes`, `public`, `agree`) and `AeadKey`
//! (`new`, `seal`, `open`). The rest of the crate names only [`active`], and seals with [`AeadKey`].

#[cfg(feature = "aws-lc-rs")]
pub(crate) mod aws_lc;
// Beside AWS-LC the portable backend is there for the tests that let the two talk to each other.
#[cfg(all(feature = "rustcrypto", any(test, not(feature = "aws-lc-rs"))))]
pub(crate) mod rustcrypto;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc as active;
#[cfg(all(feature = "rustcrypto", not(feature = "aws-lc-rs")))]
pub(crate) use rustcrypto as active;

#[cfg(feature = "audit")]
mod audited;
#[cfg(not(feature = "audit"))]
pub(crate) use active::AeadKey;
#[cfg(feature = "audit")]
pub(crate) use audited::AeadKey;

use crate::pack::pack_enum;

/// How packets are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Suite {
    /// RFC 8439.
    ChaCha20Poly1305 = 1,
    /// NIST SP 800-38D.
    Aes256Gcm = 2,
}

pack_enum!(Suite: ChaCha20Poly1305, Aes256Gcm);

impl Suite {
    /// The number that stands for the suite in key derivations.
    pub(crate) const fn id(self) -> u8 {
        self as u8
    }
}

/// The 12-byte nonce of a packet or handshake message.
fn nonce_bytes(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    nonce
}

/// Whether `key` is the only encoding of its point: below p = 2^255 - 19, so bit 255 is clear.
///
/// X25519 itself (RFC 7748) takes any 32 bytes. Refusing the other encodings leaves each key one
/// name.
pub(super) fn is_canonical(key: &[u8; 32]) -> bool {
    // From the top byte down, the first that differs from p's decides; public data, so in any time.
    key.iter().rev().cmp(PRIME.iter().rev()).is_lt()
}

/// 2^255 - 19, little endian.
const PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

#[cfg(test)]
mod tests;
