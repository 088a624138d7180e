//! The secret of a private network.

use core::fmt;

use zeroize::Zeroizing;

/// The secret of a private network. Zeroized when dropped, never shown.
#[derive(Clone)]
pub struct NetworkSecret(Zeroizing<[u8; 32]>);

impl NetworkSecret {
    /// Wraps 32 secret bytes of full entropy.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self(Zeroizing::new(secret))
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for NetworkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_secret_is_wiped_and_not_shown() {
        let secret = NetworkSecret::new([7; 32]);
        assert_eq!(alloc::format!("{secret:?}"), "NetworkSecret(..)");
        let NetworkSecret(bytes) = secret;
        crate::tests::values::assert_wiped(&bytes);
    }
}
