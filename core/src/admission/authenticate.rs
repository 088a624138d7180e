//! Who makes a request: the first check that costs Diffie-Hellman.

use zerocopy::FromBytes;

use super::Source;
use super::answer::Outcome;
use super::decide::Claim;
use super::limits::SourceKey;
use super::screen::Screened;
use crate::PeerId;
use crate::context::Context;
use crate::crypto::hash::Secret;
use crate::crypto::noise::{Accepted, Opening};
use crate::net::Arrival;
use crate::session::prologue;
use crate::stats::DropReason;
use crate::wire::{HandshakeRequest, MAC_LEN, RequestPayload};

/// An initiator that asks for a session and has the key of the identity that it claims.
pub(crate) struct Initiator {
    pub(crate) id: PeerId,
    /// What is charged for it.
    pub(super) source: SourceKey,
    pub(super) payload: RequestPayload,
    /// When we gave the cookie that validates its address, if one does.
    pub(super) cookie_time: Option<u32>,
    pub(super) request_mac: [u8; MAC_LEN],
    /// The application lets it in.
    pub(super) admitted: bool,
    pub(super) accepted: Accepted,
    /// The secret of the network with which it shakes hands.
    pub(super) psk: Secret,
}

impl Initiator {
    /// Opens the request and checks who made it; if that fails, says what becomes of it.
    pub(super) fn authenticate(
        cx: &mut Context,
        arrival: &Arrival,
        request: &HandshakeRequest,
        screened: Screened,
    ) -> Result<Self, Outcome> {
        let Screened { source, cookie_time, psk } = screened;
        cx.stats.requests_opened += 1;
        let prologue = prologue(&cx.config.application, request.prologue());
        let opening =
            Opening { ephemeral: request.ephemeral, static_ciphertext: request.static_ciphertext };
        let mut text = request.payload_ciphertext;
        let own = cx.identity.x25519();
        let agree = |remote: &[u8; 32]| cx.known.agree(own, remote);
        let accepted = Accepted::read(own, &prologue, &opening, &mut text, agree);
        let accepted = accepted.ok_or(Outcome::Drop(DropReason::Authentication))?;
        let payload = RequestPayload::read_from_prefix(&text).map(|(payload, _)| payload);
        let payload = payload.map_err(|_| Outcome::Drop(DropReason::Malformed))?;
        // A neighbour says who made what it carries: nobody else's request.
        let carried = arrival.via.route().map(|route| route.remote);
        let owner = |(id, x25519): &(PeerId, [u8; 32])| {
            x25519 == accepted.remote_static()
                && *id != cx.identity.id()
                && carried.is_none_or(|carried| carried == *id)
        };
        let owner = cx.known.identify(payload.identity).ok().filter(owner);
        let (id, x25519) = owner.ok_or(Outcome::Drop(DropReason::BadIdentity))?;
        let admitted = cx.config.admission.admits(&id, &arrival.via);
        if admitted {
            cx.known.remember(id, x25519, accepted.static_secret());
        }
        let request_mac = request.mac;
        Ok(Self { id, source, payload, cookie_time, request_mac, admitted, accepted, psk })
    }

    /// Where it is charged.
    pub(crate) const fn source(&self) -> Source {
        self.source.source
    }

    /// Whether its request carried a good cookie.
    pub(crate) const fn is_validated(&self) -> bool {
        self.cookie_time.is_some()
    }

    /// What names its state about us.
    pub(crate) const fn incarnation(&self) -> u64 {
        self.payload.incarnation.get()
    }

    /// What its request amounts to.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            id: self.id,
            source: self.source(),
            timestamp_ms: self.payload.timestamp_ms.get(),
            cookie_time: self.cookie_time,
            request_mac: self.request_mac,
            admitted: self.admitted,
            incarnation: self.incarnation(),
        }
    }
}
