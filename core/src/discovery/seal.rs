//! Sealing a beacon, and opening it.

use zerocopy::{FromBytes, IntoBytes};

use crate::crypto::backend::{AeadKey, Suite};
use crate::crypto::hash::{Secret, expand};
use crate::wire::{BEACON_CONTENT_LEN, Beacon, BeaconContent};

/// A key for this beacon alone, so that members of a network, which all have its secret, never meet in a nonce.
fn key(psk: &Secret, salt: &[u8; 16]) -> AeadKey {
    AeadKey::new(Suite::ChaCha20Poly1305, &expand(psk, [LABEL, salt]))
}

/// What the tag covers: the head, and the application, for which a beacon of another is none.
fn associated(beacon: &Beacon, application: &[u8; 16]) -> [u8; 36] {
    let mut data = [0; 36];
    data[..20].copy_from_slice(&beacon.head());
    data[20..].copy_from_slice(application);
    data
}

/// A beacon with this content.
pub(super) fn seal(
    psk: &Secret,
    application: &[u8; 16],
    salt: [u8; 16],
    content: &BeaconContent,
) -> Beacon {
    let mut beacon = Beacon::new(salt, content);
    let data = associated(&beacon, application);
    beacon.tag = key(psk, &salt).seal(0, &data, &mut beacon.ciphertext);
    beacon
}

/// What a beacon says; `None` if it was not made with this secret for this application.
pub(super) fn open(psk: &Secret, application: &[u8; 16], beacon: &Beacon) -> Option<BeaconContent> {
    let mut content: [u8; BEACON_CONTENT_LEN] = beacon.ciphertext;
    let data = associated(beacon, application);
    let is_genuine = key(psk, &beacon.salt).open(0, &data, &mut content, &beacon.tag);
    is_genuine.then(|| BeaconContent::read_from_bytes(content.as_bytes()).ok()).flatten()
}

const LABEL: &[u8] = b"handfast/1 beacon";
