//! The fast backend: AWS-LC, which needs std and a C compiler.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use zeroize::Zeroizing;

use super::{Suite, is_canonical, nonce_bytes};
use crate::crypto::TAG;
use crate::crypto::hash::Secret;

/// An X25519 secret key with its public key. AWS-LC wipes it when freed.
pub(crate) struct SecretKey {
    secret: PrivateKey,
    public: [u8; 32],
}

impl SecretKey {
    /// Any 32 bytes make a key (they are clamped when used, RFC 7748).
    pub(crate) fn from_bytes(secret: &[u8; 32]) -> Self {
        let secret = PrivateKey::from_private_key(&X25519, secret).expect("any 32 bytes are a key");
        let encoded = secret.compute_public_key().expect("a secret key has a public key");
        let mut public = [0; 32];
        public.copy_from_slice(encoded.as_ref());
        Self { secret, public }
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
        // AWS-LC itself refuses a result of all zeros.
        agree(&self.secret, UnparsedPublicKey::new(&X25519, public), (), |bytes| {
            let mut shared = Zeroizing::new([0; 32]);
            shared.copy_from_slice(bytes);
            Ok(shared)
        })
        .ok()
    }
}

/// An AEAD key, expanded for use (the expansion is on the heap).
pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    /// Expands `key`.
    pub(crate) fn new(suite: Suite, key: &[u8; 32]) -> Self {
        let algorithm = match suite {
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Suite::Aes256Gcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key).expect("both take keys of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts `body` in place and returns its tag. A number must not be used twice.
    pub(crate) fn seal(&self, number: u64, aad: &[u8], body: &mut [u8]) -> [u8; TAG] {
        let nonce = Nonce::assume_unique_for_key(nonce_bytes(number));
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), body)
            .expect("a packet is shorter than the ciphers' limits");
        let mut bytes = [0; TAG];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Decrypts `body` (without its tag) in place. If it returns false, `body` is rubbish.
    #[must_use]
    pub(crate) fn open(&self, number: u64, aad: &[u8], body: &mut [u8], tag: &[u8; TAG]) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce_bytes(number));
        self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, body).is_ok()
    }
}
