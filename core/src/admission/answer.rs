//! What strangers are answered: a response, a Retry, an `UnknownSession`, or nothing.

use zerocopy::IntoBytes;

use super::decide::Decision;
use super::half_open::{HalfOpen, Place};
use super::limits::SourceKey;
use super::seal::seal;
use super::{Admission, Initiator, KnownPeer, Load};
use crate::PeerId;
use crate::context::Context;
use crate::crypto::mac::MacKey;
use crate::event::Refusal;
use crate::net::Arrival;
use crate::session::{Established, Owner, Pair, Terms};
use crate::stats::DropReason;
use crate::wire::{
    Address, HandshakeRequest, HandshakeResponse, HandshakeRetry, MAC_LEN, ResponsePayload,
    ResponseStatus, SealedHeader, UnknownSession, UnsupportedVersion,
};

/// What becomes of a request that is not answered with a response of its own.
pub(super) enum Outcome {
    /// It is dropped.
    Drop(DropReason),
    /// It was answered before: the response goes out again, as it may have been lost.
    Repeat { source: SourceKey, slot: u32 },
    /// It was refused before: the refusal goes out again.
    RefuseAgain { source: SourceKey, mac: [u8; MAC_LEN] },
    /// The initiator has to send its request again with a cookie; the Retry is keyed by the MAC of this
    /// one. The request counts as `dropped`; if that is `None`, only when no Retry is sent.
    Retry { source: SourceKey, mac: [u8; MAC_LEN], dropped: Option<DropReason> },
    /// The initiator that asked with this nonce gets our `PeerId`.
    Disclose { source: SourceKey, nonce: [u8; 16] },
}

impl Decision {
    /// What the application hears about the initiator.
    const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Refuse(ResponseStatus::NotAdmitted) | Self::Drop(DropReason::Admission) => {
                Some(Refusal::NotAdmitted)
            }
            Self::Refuse(ResponseStatus::Full) => Some(Refusal::Full),
            Self::Refuse(_) | Self::Drop(_) | Self::Respond { .. } | Self::Validate => None,
        }
    }
}

impl Admission {
    /// Answers a genuine request, or does not. True if it gets a response of its own.
    pub(crate) fn answer(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        request: &HandshakeRequest,
        initiator: Initiator,
        known: Option<&KnownPeer>,
        load: &Load,
    ) -> bool {
        let (id, source) = (initiator.id, initiator.source);
        let decision = self.decide(cx, &initiator.claim(), known, load);
        if let Some(refusal) = decision.refusal() {
            self.refusals.note(id, &arrival.via, refusal);
        }
        let outcome = match decision {
            Decision::Respond { place, evicted } => {
                evicted.into_iter().for_each(|slot| self.evict(cx, slot));
                match self.respond(cx, arrival, request, initiator, known, place) {
                    Ok(()) => return true,
                    Err(reason) => Outcome::Drop(reason),
                }
            }
            Decision::Validate => Outcome::Retry { source, mac: request.mac, dropped: None },
            Decision::Refuse(status) => {
                Outcome::Drop(self.refuse(cx, arrival, request, initiator, status))
            }
            Decision::Drop(reason) => Outcome::Drop(reason),
        };
        self.conclude(cx, arrival, request.sender_index.get(), outcome);
        false
    }

    /// Carries out what becomes of a request of the initiator that chose the index `index`. Every
    /// request that is not answered with a response of its own is counted here.
    pub(super) fn conclude(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        index: u32,
        outcome: Outcome,
    ) {
        let dropped = match outcome {
            Outcome::Drop(reason) => Some(reason),
            Outcome::Repeat { source, slot } => {
                self.respond_again(cx, arrival, &source, slot).err()
            }
            Outcome::RefuseAgain { source, mac } => {
                Some(self.refuse_again(cx, arrival, &source, &mac))
            }
            Outcome::Retry { source, mac, dropped } => {
                let sent = self.send_retry(cx, arrival, &source, index, &mac, None);
                dropped.or_else(|| sent.err())
            }
            Outcome::Disclose { source, nonce } => {
                let id = cx.identity.id();
                self.send_retry(cx, arrival, &source, index, &nonce, Some(id)).err()
            }
        };
        dropped.into_iter().for_each(|reason| cx.drop_packet(reason, &arrival.via));
    }

    /// Answers a genuine request, and keeps what is needed should the initiator go on.
    fn respond(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        request: &HandshakeRequest,
        initiator: Initiator,
        known: Option<&KnownPeer>,
        place: Place,
    ) -> Result<(), DropReason> {
        let Initiator { id, accepted, payload, cookie_time, psk, .. } = initiator;
        let theirs = payload.incarnation.get();
        let ours =
            known.map_or_else(|| self.incarnation(cx, &id), |known| known.incarnation_for(theirs));
        let displaced = known.is_some_and(|known| known.is_former(theirs));
        let granted = known.map_or_else(|| cx.first_window(), |known| known.fresh_grant);
        let slot = self.half_open.next_slot();
        let local_index = cx.indices.allocate(&mut cx.rng, Owner::HalfOpen(slot));
        let remote_index = request.sender_index.get();
        let mut response = HandshakeResponse::new(remote_index, local_index);
        let (parameters, remote) = (cx.parameters(granted), arrival.via.remote());
        let remote = remote.map_or(Address::NONE, Address::from);
        let answer = ResponsePayload::new(ours, parameters, remote, local_index);
        let answer = answer.with_displaced(displaced);
        let Some(split) = seal(cx, request, &id, accepted, &psk, answer.as_bytes(), &mut response)
        else {
            cx.indices.release(local_index);
            return Err(DropReason::Authentication);
        };
        let terms = Terms {
            local_index,
            remote_index,
            initiated_by_us: false,
            incarnations: Pair { ours, theirs },
            parameters: payload.parameters,
            granted,
            via: arrival.via,
            is_there: cookie_time.is_some(),
        };
        let half_open = HalfOpen {
            id,
            peer: known.map(|known| known.handle),
            timestamp_ms: payload.timestamp_ms.get(),
            cookie_time,
            established: Established::new(cx, &split, terms),
            response,
            request_mac: request.mac,
            responded_at: Some(cx.now),
        };
        self.half_open.insert(half_open, place, cx.now);
        self.send_response(arrival, slot)
    }

    /// Sends the response of the handshake in this slot again for the price of a Retry.
    fn respond_again(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        source: &SourceKey,
        slot: u32,
    ) -> Result<(), DropReason> {
        if self.limiter.try_acquire_retry(cx.now, source) {
            self.half_open.get_mut(slot).into_iter().for_each(|it| it.responded_at = None);
            return self.send_response(arrival, slot);
        }
        cx.stats.answers_withheld += 1;
        Err(DropReason::RateLimited)
    }

    /// Queues the response of the handshake in this slot.
    fn send_response(&mut self, arrival: &Arrival, slot: u32) -> Result<(), DropReason> {
        let half_open = self.half_open.get(slot).ok_or(DropReason::Full)?;
        let sent = self.replies.push(arrival.via, half_open.response.as_bytes());
        if sent { Ok(()) } else { Err(DropReason::Full) }
    }

    /// Sends a cookie, if there is a budget for it. Nothing about the initiator is kept. `key` is what
    /// the Retry is authenticated with: only those who saw the request know it.
    fn send_retry(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        source: &SourceKey,
        index: u32,
        key: &[u8; 16],
        identity: Option<PeerId>,
    ) -> Result<(), DropReason> {
        let sent = self.limiter.try_acquire_retry(cx.now, source) && {
            let cookie = self.cookie(cx, &arrival.via, index);
            let mut retry = HandshakeRetry::new(index, cookie, identity.map(|id| *id.as_bytes()));
            retry.mac = MacKey::retry(key).mac(retry.authenticated());
            self.replies.push_cheap(arrival.via, retry.as_bytes())
        };
        if sent {
            cx.stats.retries_sent += 1;
            return Ok(());
        }
        cx.stats.answers_withheld += 1;
        Err(DropReason::RateLimited)
    }

    /// Tells the sender of a request of `len` bytes, within limits, that we speak another version. Nobody
    /// who does not know the network secret hears anything of an endpoint that has one.
    pub(crate) fn send_unsupported_version(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        index: u32,
        len: usize,
    ) {
        cx.stats.unverified_bytes_received += len as u64;
        if cx.config.network_secret.is_some() {
            return;
        }
        let answer = UnsupportedVersion::new(index);
        let sent = self.limiter.try_acquire_unknown_session(cx.now)
            && self.replies.push_cheap(arrival.via, answer.as_bytes());
        cx.stats.answers_withheld += u64::from(!sent);
    }

    /// Tells the sender of a sealed packet of `len` bytes, within limits, that its session is unknown
    /// here.
    pub(crate) fn send_unknown_session(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        header: &SealedHeader,
        len: usize,
    ) {
        cx.drop_packet(DropReason::UnknownSession, &arrival.via);
        cx.stats.unverified_bytes_received += len as u64;
        let answer = UnknownSession::new(header);
        if self.limiter.try_acquire_unknown_session(cx.now)
            && self.replies.push_cheap(arrival.via, answer.as_bytes())
        {
            cx.stats.unknown_session_sent += 1;
        } else {
            cx.stats.answers_withheld += 1;
        }
    }
}
