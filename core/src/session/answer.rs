//! What a response says, once it is opened.

use zerocopy::FromBytes;

use crate::context::Context;
use crate::crypto::noise::{Initiation, Split};
use crate::wire::{HandshakeResponse, Refusal, ResponsePayload, ResponseStatus};

/// What a request says about us.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offer {
    /// Names our state about the peer.
    pub(super) incarnation: u64,
    /// The credit that it grants.
    pub(super) granted: u64,
}

/// What a genuine response says.
pub(crate) struct Answer {
    pub(crate) split: Split,
    pub(crate) payload: ResponsePayload,
    pub(crate) remote_index: u32,
    /// Our incarnation that the request named.
    pub(crate) incarnation: u64,
    /// The credit that the request granted.
    pub(crate) granted: u64,
}

/// A genuine response by which the other end does not take us in.
pub(crate) struct Refused {
    pub(crate) status: ResponseStatus,
    pub(crate) refusal: Refusal,
    /// What named our state when we asked.
    pub(crate) incarnation: u64,
}

/// What a genuine response amounts to.
pub(crate) enum Opened {
    Accepted(Answer),
    Refused(Refused),
}

/// Why a response came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    Forged,
    /// It says what no version of ours knows.
    Unknown,
    /// More came in a short time than are worth opening.
    TooMany,
}

/// Reads a response to the request that `initiation` began. If it is not genuine, another may still be.
pub(super) fn read_answer(
    cx: &Context,
    initiation: &Initiation,
    offer: Offer,
    response: &HandshakeResponse,
) -> Result<Opened, Unopened> {
    let key = cx.identity.x25519();
    // The secret may have been replaced since the request was sent.
    let opened = cx.network.psks().find_map(|psk| {
        let mut text = response.payload_ciphertext;
        let split = initiation.finish(key, psk, &response.ephemeral, &mut text)?;
        Some((split, text))
    });
    let (split, text) = opened.ok_or(Unopened::Forged)?;
    let payload = ResponsePayload::read_from_prefix(&text).map(|(payload, _)| payload);
    let payload = payload.map_err(|_| Unopened::Forged)?;
    // The head is not part of the transcript; without this, whoever knows our identity could lead
    // our packets to a session that is not ours.
    let remote_index = payload.session_index.get();
    if remote_index != response.sender_index.get() {
        return Err(Unopened::Forged);
    }
    let Offer { incarnation, granted } = offer;
    match payload.status().ok_or(Unopened::Unknown)? {
        ResponseStatus::Accepted => {
            Ok(Opened::Accepted(Answer { split, payload, remote_index, incarnation, granted }))
        }
        status => {
            let refusal = Refusal::read_from_prefix(&text).map(|(refusal, _)| refusal);
            let refusal = refusal.map_err(|_| Unopened::Forged)?;
            Ok(Opened::Refused(Refused { status, refusal, incarnation }))
        }
    }
}
