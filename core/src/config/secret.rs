//! Secrets that several endpoints share.

use core::fmt;

use zeroize::Zeroizing;

use crate::crypto::hash::same_secret;

/// Declares a secret of 32 bytes that is wiped when dropped and never shown.
macro_rules! shared_secret {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<[u8; 32]>);

        impl $name {
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

        /// In time that does not depend on where they differ.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                same_secret(&self.0, &other.0)
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

shared_secret! {
    /// The secret of a private network. Zeroized when dropped, never shown.
    NetworkSecret
}

shared_secret! {
    /// The secret behind the cookies of a server that has several endpoints. Zeroized when dropped,
    /// never shown.
    ///
    /// Endpoints that share the secret, the identity and the clock accept each other's cookies: an
    /// initiator may get its Retry from one and send its next request to another. Draw a new secret at
    /// every start of the server.
    CookieSecret
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::assert_wiped;

    #[test]
    fn shared_secrets_are_wiped_and_not_shown() {
        let (network, cookies) = (NetworkSecret::new([7; 32]), CookieSecret::new([7; 32]));
        assert_eq!(alloc::format!("{network:?}"), "NetworkSecret(..)");
        assert_eq!(alloc::format!("{cookies:?}"), "CookieSecret(..)");
        assert!(network == NetworkSecret::new([7; 32]) && network != NetworkSecret::new([8; 32]));
        assert!(cookies == CookieSecret::new([7; 32]) && cookies != CookieSecret::new([8; 32]));
        let (NetworkSecret(network), CookieSecret(cookies)) = (network, cookies);
        assert_wiped(&network);
        assert_wiped(&cookies);
    }
}
