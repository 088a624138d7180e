//! How a response is made of what it says.

use crate::PeerId;
use crate::context::Context;
use crate::crypto::backend::active::SecretKey;
use crate::crypto::hash::Secret;
use crate::crypto::mac::MacKey;
use crate::crypto::noise::{Accepted, Split};
use crate::wire::{HandshakeRequest, HandshakeResponse};

/// Seals what a response says to the initiator `id`, and puts a MAC on it. `None` if the initiator chose
/// keys with which nothing can be agreed.
pub(super) fn seal(
    cx: &mut Context,
    request: &HandshakeRequest,
    id: &PeerId,
    accepted: Accepted,
    psk: &Secret,
    payload: &[u8],
    response: &mut HandshakeResponse,
) -> Option<Split> {
    let text = &mut response.payload_ciphertext;
    text[..payload.len()].copy_from_slice(payload);
    cx.distortion.apply(&mut text[..payload.len()]);
    let ephemeral = SecretKey::from_bytes(&cx.rng.secret());
    let split = accepted.respond(&ephemeral, psk, text)?;
    response.ephemeral = ephemeral.public();
    response.mac = MacKey::response(&request.ephemeral, id).mac(response.authenticated());
    Some(split)
}
