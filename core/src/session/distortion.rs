//! What a lying end changes in the payloads of its handshakes. Not for production: without the feature
//! `testing` nothing is changed.

#[cfg(not(feature = "testing"))]
pub(crate) use off::Distortion;
#[cfg(feature = "testing")]
pub(crate) use on::Distortion;

#[cfg(not(feature = "testing"))]
mod off {
    /// Tells the truth.
    #[derive(Default)]
    pub(crate) struct Distortion {}

    impl Distortion {
        #[expect(clippy::unused_self, reason = "as the real one")]
        pub(crate) const fn apply(&self, _payload: &mut [u8]) {}
    }
}

#[cfg(feature = "testing")]
mod on {
    /// Changes to a payload, bit by bit. The default is the truth.
    pub(crate) struct Distortion(pub(crate) [u8; 96]);

    impl Default for Distortion {
        fn default() -> Self {
            Self([0; 96])
        }
    }

    impl Distortion {
        /// Falsifies the payload of a handshake before it is sealed.
        pub(crate) fn apply(&self, payload: &mut [u8]) {
            for (byte, change) in payload.iter_mut().zip(&self.0) {
                *byte ^= change;
            }
        }
    }
}
