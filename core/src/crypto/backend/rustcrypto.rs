//! The portable backend: pure Rust, `no_std`.

use aes_gcm::Aes256Gcm;
use alloc::boxed::Box;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use curve25519_dalek::MontgomeryPoint;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Suite, is_canonical, nonce_bytes};
use crate::crypto::TAG;
use crate::crypto::hash::Secret;

/// An X25519 secret key with its public key.
pub(crate) struct SecretKey {
    pub(super) secret: Secret,
    pub(super) public: [u8; 32],
}

impl SecretKey {
    /// Any 32 bytes make a key (they are clamped when used, RFC 7748).
    pub(crate) fn from_bytes(secret: &[u8; 32]) -> Self {
        let public = MontgomeryPoint::mul_base_clamped(*secret).to_bytes();
        Self { secret: Zeroizing::new(*secret), public }
    }

    /// The public key.
    pub(crate) fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The shared secret with the owner of `public`; `None` if that encoding is not canonical or
    /// the point adds nothing to the secret (low order).
    pub(crate) fn agree(&self, public: &[u8; 32]) -> Option<Secret> {
        if !is_canonical(public) {
            return None;
        }
        let shared = Zeroizing::new(MontgomeryPoint(*public).mul_clamped(*self.secret).to_bytes());
        let contributory = !bool::from(shared.ct_eq(&[0; 32]));
        contributory.then_some(shared)
    }
}

/// An AEAD key, expanded for use.
pub(crate) enum AeadKey {
    ChaCha20Poly1305(ChaCha20Poly1305),
    // The key schedule is about a kilobyte.
    Aes256Gcm(Box<Aes256Gcm>),
}

impl AeadKey {
    /// Expands `key`.
    pub(crate) fn new(suite: Suite, key: &[u8; 32]) -> Self {
        match suite {
            Suite::ChaCha20Poly1305 => Self::ChaCha20Poly1305(ChaCha20Poly1305::new(key.into())),
            Suite::Aes256Gcm => Self::Aes256Gcm(Box::new(Aes256Gcm::new(key.into()))),
        }
    }

    /// Encrypts `body` in place and returns its tag. A number must not be used twice.
    pub(crate) fn seal(&self, number: u64, aad: &[u8], body: &mut [u8]) -> [u8; TAG] {
        let nonce = nonce_bytes(number);
        let tag = match self {
            Self::ChaCha20Poly1305(key) => {
                key.encrypt_inout_detached(&nonce.into(), aad, body.into())
            }
            Self::Aes256Gcm(key) => key.encrypt_inout_detached(&nonce.into(), aad, body.into()),
        };
        tag.expect("a packet is shorter than the ciphers' limits").into()
    }

    /// Decrypts `body` (without its tag) in place. If it returns false, `body` is rubbish.
    #[must_use]
    pub(crate) fn open(&self, number: u64, aad: &[u8], body: &mut [u8], tag: &[u8; TAG]) -> bool {
        let nonce = nonce_bytes(number);
        let (nonce, tag) = (&nonce.into(), tag.into());
        match self {
            Self::ChaCha20Poly1305(key) => key.decrypt_inout_detached(nonce, aad, body.into(), tag),
            Self::Aes256Gcm(key) => key.decrypt_inout_detached(nonce, aad, body.into(), tag),
        }
        .is_ok()
    }
}
