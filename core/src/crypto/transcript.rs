//! The hash of all that the two ends of a handshake said so far.

use super::hash::{Secret, blake2s};

#[cfg(not(test))]
use off::Steps;
#[cfg(test)]
use on::Steps;

/// The hash of a handshake. In tests it remembers, beside it, which states led there.
#[derive(Clone)]
pub(crate) struct Transcript {
    hash: [u8; 32],
    steps: Steps,
}

impl Transcript {
    /// A transcript that begins with this hash.
    pub(crate) fn new(hash: [u8; 32]) -> Self {
        Self { hash, steps: Steps::default() }
    }

    /// The hash.
    pub(crate) const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The hash as it will be once `data` was said.
    pub(super) fn after(&self, data: &[u8]) -> [u8; 32] {
        blake2s(&[&self.hash, data])
    }

    /// Something was said: `hash` is what `after` told of it.
    pub(super) const fn set(&mut self, hash: [u8; 32]) {
        self.hash = hash;
    }

    /// A step of the handshake led to these keys.
    pub(super) fn record(&mut self, chaining_key: &Secret, key: &Secret) {
        self.steps.record(chaining_key, key, &self.hash);
    }

    /// The chaining key, cipher key and hash after every step from the start, for test vectors.
    #[cfg(test)]
    pub(crate) fn steps(&self) -> &[[[u8; 32]; 3]] {
        &self.steps.0
    }
}

#[cfg(not(test))]
mod off {
    use super::Secret;

    /// Nothing is kept.
    #[derive(Clone, Default)]
    pub(super) struct Steps {}

    impl Steps {
        #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "as the real one")]
        pub(super) const fn record(&mut self, _: &Secret, _: &Secret, _: &[u8; 32]) {}
    }
}

#[cfg(test)]
mod on {
    use alloc::vec::Vec;

    use super::Secret;

    /// Chaining key, cipher key and hash after every step.
    #[derive(Clone, Default)]
    pub(super) struct Steps(pub(super) Vec<[[u8; 32]; 3]>);

    impl Steps {
        pub(super) fn record(&mut self, chaining_key: &Secret, key: &Secret, hash: &[u8; 32]) {
            self.0.push([**chaining_key, **key, *hash]);
        }
    }
}
