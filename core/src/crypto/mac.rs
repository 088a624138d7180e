//! The MACs at the end of handshake packets: the first check, far cheaper than any X25519.
//!
//! They keep strangers and stray packets away; proof of identity is the handshake's business.

use zeroize::Zeroizing;

use super::hash::{Secret, blake2s, equal, keyed};
use super::{TAG, identity::PeerId};

/// The key of one of the MACs. Worth keeping where packets are checked with it again and again.
pub(crate) struct MacKey(Secret);

impl MacKey {
    /// For `HandshakeRequest`s to `responder`: known to whoever knows its id and the secret.
    pub(crate) fn request(responder: &PeerId, application: &[u8; 16], psk: &[u8; 32]) -> Self {
        Self::derive(&[REQUEST, responder.as_bytes(), application, psk])
    }

    /// For the `HandshakeResponse` to the request that carried `ephemeral`.
    pub(crate) fn response(ephemeral: &[u8; 32], initiator: &PeerId) -> Self {
        Self::derive(&[RESPONSE, ephemeral, initiator.as_bytes()])
    }

    /// For the `HandshakeRetry` to the packet that carried `proof`: the MAC of a request, or the
    /// nonce of a `KeyRequest`. Only who saw that packet can make one.
    pub(crate) fn retry(proof: &[u8; 16]) -> Self {
        Self::derive(&[RETRY, proof])
    }

    /// For `KeyRequest`s within an application and network.
    pub(crate) fn network(application: &[u8; 16], psk: &[u8; 32]) -> Self {
        Self::derive(&[NETWORK, application, psk])
    }

    /// The MAC of a packet: `bytes` is all of it up to where the MAC stands.
    pub(crate) fn mac(&self, bytes: &[u8]) -> [u8; TAG] {
        keyed(&self.0, &[bytes])
    }

    /// Whether `mac` is the MAC of `bytes`, in constant time.
    pub(crate) fn verify(&self, bytes: &[u8], mac: &[u8; TAG]) -> bool {
        equal(mac, &self.mac(bytes))
    }

    fn derive(parts: &[&[u8]]) -> Self {
        Self(Zeroizing::new(blake2s(parts)))
    }
}

// All parts after a label are of fixed length, and no label is the beginning of another.
const REQUEST: &[u8] = b"handfast/1 request mac";
const RESPONSE: &[u8] = b"handfast/1 response mac";
const RETRY: &[u8] = b"handfast/1 retry mac";
const NETWORK: &[u8] = b"handfast/1 key-request mac";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    #[test]
    fn the_key_is_wiped() {
        let MacKey(key) = MacKey::retry(&[1; 16]);
        crate::tests::values::assert_wiped(&key);
    }

    #[test]
    fn every_key_depends_on_everything_it_is_made_from() {
        let [a, b] = [1, 2].map(|n| Identity::from_seed([n; 32]).id());
        let keys = [
            MacKey::request(&a, &[0; 16], &[0; 32]),
            MacKey::request(&b, &[0; 16], &[0; 32]),
            MacKey::request(&a, &[1; 16], &[0; 32]),
            MacKey::request(&a, &[0; 16], &[1; 32]),
            MacKey::response(&[0; 32], &a),
            MacKey::response(&[1; 32], &a),
            MacKey::response(&[0; 32], &b),
            MacKey::retry(&[0; 16]),
            MacKey::retry(&[1; 16]),
            MacKey::network(&[0; 16], &[0; 32]),
            MacKey::network(&[1; 16], &[0; 32]),
            MacKey::network(&[0; 16], &[1; 32]),
        ];
        let macs: BTreeSet<_> = keys.iter().map(|key| key.mac(b"packet")).collect();
        assert_eq!(macs.len(), keys.len());
    }

    #[test]
    fn a_mac_fits_its_bytes_only() {
        let key = MacKey::retry(&[7; 16]);
        let packet: Vec<u8> = (0..64).collect();
        let mac = key.mac(&packet);
        assert!(key.verify(&packet, &mac));
        for i in 0..packet.len() {
            let mut changed = packet.clone();
            changed[i] ^= 0x80;
            assert!(!key.verify(&changed, &mac));
        }
        assert!(!key.verify(&packet[..63], &mac));
    }
}
