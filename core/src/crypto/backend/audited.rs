//! The active AEAD, each use of it noted for a simulation that watches.

use super::{Suite, active};
use crate::audit;
use crate::crypto::TAG;

/// An AEAD key, expanded for use.
pub(crate) struct AeadKey {
    key: active::AeadKey,
    name: Option<u64>,
}

impl AeadKey {
    /// Expands `key`.
    pub(crate) fn new(suite: Suite, key: &[u8; 32]) -> Self {
        Self { key: active::AeadKey::new(suite, key), name: audit::name(suite.id(), key) }
    }

    /// Encrypts `body` in place and returns its tag. A number must not be used twice.
    pub(crate) fn seal(&self, number: u64, aad: &[u8], body: &mut [u8]) -> [u8; TAG] {
        audit::note(self.name, number);
        self.key.seal(number, aad, body)
    }

    /// Decrypts `body` (without its tag) in place. If it returns false, `body` is rubbish.
    #[must_use]
    pub(crate) fn open(&self, number: u64, aad: &[u8], body: &mut [u8], tag: &[u8; TAG]) -> bool {
        self.key.open(number, aad, body, tag)
    }
}
