//! Taking calls: from the first packet of a stranger to a peer, without keeping anything about
//! anyone who has not earned it.
//!
//! Checks come in the order of their cost: the MAC (which strangers to the network cannot make), a
//! repetition (which is answered from memory), the cookie, room, and only then Diffie-Hellman, the
//! identity and the application's say. Until the caller uses the keys it is no peer.

use zerocopy::{FromBytes, IntoBytes};

use super::Endpoint;
use super::half_open::HalfOpen;
use crate::PeerId;
use crate::config::Retry;
use crate::crypto::backend::active::SecretKey;
use crate::crypto::mac::MacKey;
use crate::crypto::noise::{Accepted, Opening};
use crate::crypto::schedule::{Role, SessionSecrets};
use crate::event::EndReason;
use crate::net::{Origin, Path};
use crate::peer::{Established, Peer, prologue, suite};
use crate::shared::Owner;
use crate::wire::{
    Cookie, HandshakeRequest, HandshakeResponse, HandshakeRetry, KeyRequest, RequestPayload,
    ResponsePayload, SealedHeader,
};

/// A caller that proved its identity.
struct Caller {
    id: PeerId,
    accepted: Accepted,
    payload: RequestPayload,
}

impl Endpoint {
    /// A caller knows our address and wants to know who we are.
    pub(super) fn handle_key_request(&mut self, origin: &Origin, request: &KeyRequest) {
        self.shared.stats.unverified_bytes_received += size_of::<KeyRequest>() as u64;
        let mac = &self.shared.network_mac;
        if !mac.verify(request.authenticated(), &request.network_mac) {
            self.shared.drops.bad_mac += 1;
        } else if !self.shared.config.disclose_identity || self.closing {
            self.shared.drops.admission += 1;
        } else {
            let index = request.sender_index.get();
            self.retry(origin, index, &request.nonce, Some(self.id()));
        }
    }

    /// A caller wants a session.
    pub(super) fn handle_request(&mut self, origin: &Origin, request: &HandshakeRequest) {
        self.shared.stats.unverified_bytes_received += size_of::<HandshakeRequest>() as u64;
        if !self.shared.request_mac.verify(request.authenticated(), &request.mac) {
            self.shared.drops.bad_mac += 1;
            return;
        }
        if let Some(known) = self.half_open.by_request(&request.mac) {
            // One response proves one address. Whoever calls from another, be it the one who copied
            // the request or the one from whom it was copied, must come again.
            if known.established.path == Path::from(origin) {
                let response = known.response.clone();
                self.reply(origin, response.as_bytes());
            } else {
                self.shared.drops.duplicate += 1;
                self.retry(origin, request.sender_index.get(), &request.mac, None);
            }
            return;
        }
        let index = request.sender_index.get();
        let proved = self.proves_address(origin, request);
        if !proved && !request.cookie.is_none() {
            self.shared.drops.bad_cookie += 1;
        }
        if !proved && (self.asks_for_proof() || !request.cookie.is_none()) {
            self.retry(origin, index, &request.mac, None);
            return;
        }
        if self.closing || self.half_open.len() >= self.shared.config.max_half_open {
            self.shared.drops.full += 1;
            return;
        }
        let Some(caller) = self.authenticate(origin, request) else { return };
        if !proved && self.may_be_replay(&caller) {
            self.retry(origin, index, &request.mac, None);
            return;
        }
        self.respond(origin, request, caller);
    }

    /// Someone uses an index of a half-open handshake: if it has the keys, it becomes a peer.
    /// Returns the peer's slot.
    pub(super) fn confirm(
        &mut self,
        origin: &Origin,
        slot: u32,
        header: &SealedHeader,
        datagram: &[u8],
    ) -> Option<u32> {
        let half_open = self.half_open.get(slot)?;
        if !half_open.is_proved_by(header, datagram) {
            self.shared.drops.authentication += 1;
            self.shared.stats.unverified_bytes_received += datagram.len() as u64;
            return None;
        }
        let half_open = self.half_open.remove(slot)?;
        let known = self.peers.by_id(&half_open.id);
        if !self.may_become_peer(&half_open, known) {
            // The caller is told by a hint that its session is unknown, and calls again.
            self.shared.indices.release(half_open.established.local_index);
            self.hint(origin, header, datagram.len());
            return None;
        }
        let HalfOpen { id, incarnation, timestamp_ms, established, .. } = half_open;
        self.forget_half_open(&id);
        let peer_slot = known.unwrap_or_else(|| self.add_peer(Some(id)).slot);
        self.shared.indices.assign(established.local_index, Owner::Peer(peer_slot));
        let peer = self.peers.at_mut(peer_slot)?;
        peer.incarnation = incarnation;
        peer.timestamp_ms = peer.timestamp_ms.max(timestamp_ms);
        peer.establish(&mut self.shared, established);
        self.settle(peer_slot);
        Some(peer_slot)
    }

    /// Whether the handshake still fits what we know about the caller, and there is room.
    fn may_become_peer(&self, half_open: &HalfOpen, known: Option<u32>) -> bool {
        let room = known.is_some() || self.peers.len() < self.shared.config.max_peers;
        let known = known.and_then(|slot| self.peers.at(slot));
        // It was answered on behalf of the peer that is there now, or the one that is there now knows
        // no more than what was answered.
        let fits = known.is_none_or(|peer| {
            let Established { remote_incarnation, granted, .. } = half_open.established;
            peer.incarnation == half_open.incarnation
                && peer.may_grant(remote_incarnation, granted)
                && (half_open.peer == Some(peer.handle) || peer.is_unmet())
        });
        let vanished = known.is_none() && half_open.peer.is_some();
        room && fits && !vanished && !self.closing
    }

    /// A dial by address learned who is there. Of several dials that meet the oldest lives on; a
    /// peer with a session lives on whatever its age.
    pub(super) fn on_identity_learned(&mut self, slot: u32, id: PeerId) {
        let own = id == self.id();
        let learner = self.peers.at(slot).map(|peer| (peer.handle, peer.number));
        let Some((handle, number)) = learner else { return };
        let known = self.peers.by_id(&id).and_then(|known| self.peers.at(known));
        let known = known.filter(|known| known.handle != handle);
        let merge = known.map(|known| {
            let is_younger_dial = !known.has_session() && known.number > number;
            if is_younger_dial { (known.handle, handle) } else { (handle, known.handle) }
        });
        let end = match merge {
            Some((goes, into)) => Some((goes, EndReason::Merged { into })),
            None => own.then_some((handle, EndReason::OwnIdentity)),
        };
        if end.as_ref().is_none_or(|(goes, _)| *goes != handle) {
            self.peers.name(id, slot);
        }
        if let Some((goes, reason)) = end {
            if let Some(peer) = self.peers.get_mut(goes) {
                peer.end(&mut self.shared, reason);
            }
            self.settle(goes.slot);
        }
    }

    /// Whether callers must prove their address first: by choice, or because room runs low.
    fn asks_for_proof(&self) -> bool {
        let config = &self.shared.config;
        config.retry == Retry::Always || self.half_open.len() >= config.max_half_open / 4
    }

    /// Whether the request carries a cookie that we gave to this address.
    fn proves_address(&self, origin: &Origin, request: &HandshakeRequest) -> bool {
        let Cookie { time, mac } = &request.cookie;
        let binding = Path::from(origin).binding();
        let now = self.shared.cookie_time();
        !request.cookie.is_none()
            && self.shared.cookies.verify(
                now,
                time.get(),
                mac,
                &binding,
                request.sender_index.get(),
            )
    }

    /// Opens the request and checks who made it and whether it may come in.
    fn authenticate(&mut self, origin: &Origin, request: &HandshakeRequest) -> Option<Caller> {
        let prologue = prologue(&self.shared.config.application, request.prologue());
        let opening =
            Opening { ephemeral: request.ephemeral, static_ciphertext: request.static_ciphertext };
        let mut text = request.payload_ciphertext;
        let key = self.shared.identity.x25519();
        let Some(accepted) = Accepted::read(key, &prologue, &opening, &mut text) else {
            self.shared.drops.authentication += 1;
            return None;
        };
        let (payload, _) = RequestPayload::read_from_prefix(&text).ok()?;
        let owner = |id: &PeerId| id.x25519() == *accepted.remote_static() && *id != self.id();
        let Some(id) = PeerId::from_bytes(payload.identity).ok().filter(owner) else {
            self.shared.drops.bad_identity += 1;
            return None;
        };
        if !self.shared.config.admission.admits(&id, origin) {
            self.shared.drops.admission += 1;
            return None;
        }
        Some(Caller { id, accepted, payload })
    }

    /// A peer with a session is not called anew by an old request.
    fn may_be_replay(&self, caller: &Caller) -> bool {
        let known = self.peers.by_id(&caller.id).and_then(|slot| self.peers.at(slot));
        known.is_some_and(|peer| {
            peer.has_session() && caller.payload.timestamp_ms.get() <= peer.timestamp_ms
        })
    }

    /// Answers a genuine request, and keeps what is needed should the caller go on.
    fn respond(&mut self, origin: &Origin, request: &HandshakeRequest, caller: Caller) {
        let Caller { id, accepted, payload } = caller;
        let shared = &mut self.shared;
        let known = self.peers.by_id(&id).and_then(|slot| self.peers.at(slot));
        let incarnation =
            known.map_or_else(|| self.half_open.incarnation(shared, &id), |peer| peer.incarnation);
        let peer = known.map(|peer| peer.handle);
        let window = u64::from(shared.config.receive_window);
        let granted = known.map_or(window, Peer::fresh_grant);
        if known.is_none() && self.peers.len() >= shared.config.max_peers {
            shared.drops.full += 1;
            return;
        }
        let owner = Owner::HalfOpen(self.half_open.next_slot());
        let local_index = shared.indices.allocate(&mut shared.rng, owner);
        let remote_index = request.sender_index.get();
        let mut response = HandshakeResponse::new(remote_index, local_index);
        let answer = ResponsePayload::new(incarnation, shared.parameters(granted), origin.remote);
        response.payload_ciphertext[..size_of::<ResponsePayload>()]
            .copy_from_slice(answer.as_bytes());
        let ephemeral = SecretKey::from_bytes(&shared.rng.bytes());
        let text = &mut response.payload_ciphertext;
        let Some(split) = accepted.respond(&ephemeral, &shared.psk(), text) else {
            shared.indices.release(local_index);
            shared.drops.authentication += 1;
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
            path: Path::from(origin),
        };
        self.reply(origin, response.as_bytes());
        let half_open = HalfOpen {
            id,
            peer,
            incarnation,
            timestamp_ms: payload.timestamp_ms.get(),
            established,
            response,
            request_mac: request.mac,
        };
        self.half_open.insert(half_open, self.shared.now);
    }

    /// Asks the caller to come again with a cookie. Nothing about it is kept.
    fn retry(&mut self, origin: &Origin, index: u32, proof: &[u8; 16], identity: Option<PeerId>) {
        let shared = &self.shared;
        let time = shared.cookie_time();
        let mac = shared.cookies.issue(time, &Path::from(origin).binding(), index);
        let cookie = Cookie { time: time.into(), mac };
        let mut retry = HandshakeRetry::new(index, cookie, identity.map(|id| *id.as_bytes()));
        retry.mac = MacKey::retry(proof).mac(retry.authenticated());
        if self.reply(origin, retry.as_bytes()) {
            self.shared.stats.retries_sent += 1;
        }
    }

    fn reply(&mut self, origin: &Origin, bytes: &[u8]) -> bool {
        let queued = self.shared.replies.push(Path::from(origin), bytes);
        if !queued {
            self.shared.drops.full += 1;
        }
        queued
    }
}
