//! The secrets of a private network, and the MAC keys made of them.

use zeroize::Zeroizing;

use super::TAG;
use super::hash::Secret;
use super::identity::PeerId;
use super::mac::MacKey;

/// What the members of a network share: a secret, and while it is replaced a second one.
pub(crate) struct Network {
    /// With which we begin handshakes.
    current: NetworkKeys,
    /// With which others may begin them too.
    previous: Option<NetworkKeys>,
}

/// One secret (zeros for a public network), and the MAC keys of packets to us.
struct NetworkKeys {
    psk: Secret,
    request: MacKey,
    key_request: MacKey,
}

impl Network {
    /// For requests to `responder`. Without a secret the network is public.
    pub(crate) fn new(
        responder: &PeerId,
        application: &[u8; 16],
        current: Option<&[u8; 32]>,
        previous: Option<&[u8; 32]>,
    ) -> Self {
        let keys = |secret: Option<&[u8; 32]>| {
            let psk = Zeroizing::new(secret.copied().unwrap_or_default());
            let request = MacKey::request(responder, application, &psk);
            NetworkKeys { request, key_request: MacKey::network(application, &psk), psk }
        };
        Self { current: keys(current), previous: previous.map(|secret| keys(Some(secret))) }
    }

    /// The secret of the handshakes that we begin.
    pub(crate) const fn psk(&self) -> &Secret {
        &self.current.psk
    }

    /// The secrets in use, that of our own handshakes first.
    pub(crate) fn psks(&self) -> impl Iterator<Item = &Secret> {
        self.keys().map(|keys| &keys.psk)
    }

    /// The secret with which the MAC of a request to us was made; `None` if with neither.
    pub(crate) fn psk_of_request(&self, bytes: &[u8], mac: &[u8; TAG]) -> Option<&Secret> {
        self.keys().find(|keys| keys.request.verify(bytes, mac)).map(|keys| &keys.psk)
    }

    /// The MAC of a `KeyRequest` of ours.
    pub(crate) fn key_request_mac(&self, bytes: &[u8]) -> [u8; TAG] {
        self.current.key_request.mac(bytes)
    }

    /// Whether the MAC of a `KeyRequest` was made by a member of the network.
    pub(crate) fn verifies_key_request(&self, bytes: &[u8], mac: &[u8; TAG]) -> bool {
        self.keys().any(|keys| keys.key_request.verify(bytes, mac))
    }

    fn keys(&self) -> impl Iterator<Item = &NetworkKeys> {
        core::iter::once(&self.current).chain(&self.previous)
    }
}

#[cfg(test)]
impl Network {
    /// The MAC of a request to us.
    pub(crate) fn request_mac(&self, bytes: &[u8]) -> [u8; TAG] {
        self.current.request.mac(bytes)
    }
}
