//! Answers to callers: a response, or a Retry.

use zerocopy::IntoBytes;

use super::Endpoint;
use super::caller::Caller;
use crate::PeerId;
use crate::admission::Payer;
use crate::admission::{HalfOpen, Place};
use crate::crypto::backend::active::SecretKey;
use crate::crypto::mac::MacKey;
use crate::crypto::schedule::{Role, SessionSecrets};
use crate::net::Arrival;
use crate::peer::Peer;
use crate::session::{Established, Owner, suite};
use crate::stats::DropReason;
use crate::wire::{Cookie, HandshakeRequest, HandshakeResponse, HandshakeRetry, ResponsePayload};

impl Endpoint {
    /// Answers a genuine request, and keeps what is needed should the caller go on.
    pub(super) fn respond(
        &mut self,
        arrival: &Arrival,
        request: &HandshakeRequest,
        caller: Caller,
        place: Place,
    ) {
        let Caller { id, accepted, payload, .. } = caller;
        let shared = &mut self.shared;
        let known = self.peers.by_id(&id).and_then(|slot| self.peers.at(slot));
        let incarnation = known
            .map_or_else(|| self.half_open.incarnation(shared, &id), |peer| peer.incarnation());
        let peer = known.map(|peer| peer.handle());
        let window = u64::from(shared.config.flow.receive_window);
        let granted = known.map_or(window, Peer::fresh_grant);
        let owner = Owner::HalfOpen(self.half_open.next_slot());
        let local_index = shared.indices.allocate(&mut shared.rng, owner);
        let remote_index = request.sender_index.get();
        let mut response = HandshakeResponse::new(remote_index, local_index);
        let parameters = shared.parameters(granted);
        let answer =
            ResponsePayload::new(incarnation, parameters, arrival.origin().remote, local_index);
        response.payload_ciphertext[..size_of::<ResponsePayload>()]
            .copy_from_slice(answer.as_bytes());
        #[cfg(feature = "testing")]
        shared.distort(&mut response.payload_ciphertext[..size_of::<ResponsePayload>()]);
        let ephemeral = SecretKey::from_bytes(&shared.rng.secret());
        let text = &mut response.payload_ciphertext;
        let Some(split) = accepted.respond(&ephemeral, &shared.psk(), text) else {
            shared.indices.release(local_index);
            shared.drop_packet(DropReason::Authentication, &arrival.via);
            return;
        };
        response.ephemeral = ephemeral.public();
        response.mac = MacKey::response(&request.ephemeral, &id).mac(response.authenticated());
        let suite = suite(shared, &payload.parameters);
        let established = Established {
            local_index,
            remote_index,
            secrets: SessionSecrets::from_split(&split, suite, Role::Responder),
            key_id: shared.key_id(),
            initiated_by_us: false,
            remote_incarnation: payload.incarnation.get(),
            parameters: payload.parameters,
            granted,
            via: arrival.via,
        };
        self.send_response(arrival, &response);
        let half_open = HalfOpen {
            id,
            peer,
            incarnation,
            timestamp_ms: payload.timestamp_ms.get(),
            established,
            response,
            request_mac: request.mac,
        };
        self.half_open.insert(half_open, place, self.shared.now);
    }

    /// Sends a response again, which may have been lost, for the price of a Retry.
    pub(super) fn respond_again(
        &mut self,
        arrival: &Arrival,
        payer: &Payer,
        response: &HandshakeResponse,
    ) {
        if self.purse.pay_retry(self.shared.now, payer) {
            self.send_response(arrival, response);
        } else {
            self.shared.drop_packet(DropReason::RateLimited, &arrival.via);
            self.shared.stats.answers_withheld += 1;
        }
    }

    fn send_response(&mut self, arrival: &Arrival, response: &HandshakeResponse) {
        if !self.shared.replies.push(arrival.via, response.as_bytes()) {
            self.shared.drop_packet(DropReason::Full, &arrival.via);
        }
    }

    /// Asks a caller that did nothing wrong to come again with a cookie.
    pub(super) fn ask_for_proof(
        &mut self,
        arrival: &Arrival,
        payer: &Payer,
        request: &HandshakeRequest,
    ) {
        if !self.retry(arrival, payer, request.sender_index.get(), &request.mac, None) {
            self.shared.drop_packet(DropReason::RateLimited, &arrival.via);
        }
    }

    /// Sends a cookie, if there is a budget for it. Nothing about the caller is kept.
    pub(super) fn retry(
        &mut self,
        arrival: &Arrival,
        payer: &Payer,
        index: u32,
        proof: &[u8; 16],
        identity: Option<PeerId>,
    ) -> bool {
        let shared = &mut self.shared;
        if !self.purse.pay_retry(shared.now, payer) {
            shared.stats.answers_withheld += 1;
            return false;
        }
        let time = shared.cookie_time();
        let mac = shared.cookies.issue(time, &arrival.via.binding(), index);
        let cookie = Cookie { time: time.into(), mac };
        let mut retry = HandshakeRetry::new(index, cookie, identity.map(|id| *id.as_bytes()));
        retry.mac = MacKey::retry(proof).mac(retry.authenticated());
        let sent = shared.replies.push_cheap(arrival.via, retry.as_bytes());
        let count =
            if sent { &mut shared.stats.retries_sent } else { &mut shared.stats.answers_withheld };
        *count += 1;
        sent
    }
}
