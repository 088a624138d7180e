//! Taking calls: from the first packet of a stranger to a peer, without keeping anything about
//! anyone who has not earned it.
//!
//! Checks come in the order of their cost: the MAC (which strangers to the network cannot make), a
//! repetition (which is answered from memory), the cookie, the budgets (`admission::limits`), and only then
//! Diffie-Hellman, the identity, the application's say and room (`capacity`). Until the caller uses the
//! keys it is no peer.

use smallvec::SmallVec;
use zerocopy::FromBytes;

use super::Endpoint;
use super::caller::Caller;
use super::capacity::NoRoom;
use crate::admission::HalfOpen;
use crate::admission::{Payer, Source};
use crate::crypto::noise::{Accepted, Opening};
use crate::event::EndReason;
use crate::net::{Arrival, Via};
use crate::peer::Peer;
use crate::session::{Established, Owner, prologue};
use crate::stats::DropReason;
use crate::wire::{Cookie, HandshakeRequest, KeyRequest, RequestPayload, SealedHeader};
use crate::{PeerHandle, PeerId};

/// What a request says about the address it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// Nothing.
    None,
    /// It carries a cookie that we gave to this address.
    Good,
    /// It carries another.
    Bad,
}

impl Endpoint {
    /// A caller knows our address and wants to know who we are.
    pub(super) fn handle_key_request(&mut self, arrival: &Arrival, request: &KeyRequest) {
        self.shared.stats.unverified_bytes_received += size_of::<KeyRequest>() as u64;
        let mac = &self.shared.network_mac;
        if !mac.verify(request.authenticated(), &request.network_mac) {
            self.shared.drop_packet(DropReason::BadMac, &arrival.via);
        } else if !self.shared.config.disclose_identity || self.closing {
            self.shared.drop_packet(DropReason::Admission, &arrival.via);
        } else {
            let index = request.sender_index.get();
            let payer = self.purse.payer(&arrival.via);
            if !self.retry(arrival, &payer, index, &request.nonce, Some(self.id())) {
                self.shared.drop_packet(DropReason::RateLimited, &arrival.via);
            }
        }
    }

    /// A caller wants a session.
    pub(super) fn handle_request(&mut self, arrival: &Arrival, request: &HandshakeRequest) {
        self.shared.stats.unverified_bytes_received += size_of::<HandshakeRequest>() as u64;
        if !self.shared.request_mac.verify(request.authenticated(), &request.mac) {
            self.shared.drop_packet(DropReason::BadMac, &arrival.via);
            return;
        }
        if self.closing {
            self.shared.drop_packet(DropReason::Full, &arrival.via);
            return;
        }
        let payer = self.purse.payer(&arrival.via);
        if let Some(known) = self.half_open.by_request(&request.mac) {
            // One response proves one address. Whoever calls from another, be it the one who copied
            // the request or the one from whom it was copied, must come again.
            if known.established.via.is_same_remote(&arrival.via) {
                let response = known.response.clone();
                self.respond_again(arrival, &payer, &response);
            } else {
                self.shared.drop_packet(DropReason::Duplicate, &arrival.via);
                self.retry(arrival, &payer, request.sender_index.get(), &request.mac, None);
            }
            return;
        }
        let proved = match self.proof(&arrival.via, request) {
            Proof::None => false,
            Proof::Good => true,
            Proof::Bad => {
                self.shared.drop_packet(DropReason::BadCookie, &arrival.via);
                self.retry(arrival, &payer, request.sender_index.get(), &request.mac, None);
                return;
            }
        };
        if !self.pays(&arrival.via, &payer, proved) {
            if proved {
                self.shared.drop_packet(DropReason::RateLimited, &arrival.via);
            } else {
                self.ask_for_proof(arrival, &payer, request);
            }
            return;
        }
        let Some(caller) = self.authenticate(arrival, request, payer.source, proved) else {
            return;
        };
        if !proved && self.may_be_replay(&caller) {
            self.ask_for_proof(arrival, &payer, request);
            return;
        }
        match self.make_room(&caller) {
            Ok(place) => self.respond(arrival, request, caller, place),
            Err(NoRoom::Unproved) => self.ask_for_proof(arrival, &payer, request),
            Err(NoRoom::Overtaken) => self.shared.drop_packet(DropReason::Duplicate, &arrival.via),
            Err(NoRoom::Full) => self.shared.drop_packet(DropReason::Full, &arrival.via),
        }
    }

    /// Whether there is a budget to shake hands with a caller.
    fn pays(&mut self, via: &Via, payer: &Payer, proved: bool) -> bool {
        let now = self.shared.now;
        if proved {
            let at_peer = self.is_at_peer(via);
            self.purse.pay_proved(now, payer, at_peer)
        } else {
            !self.asks_for_proof() && self.purse.pay_unproved(now, payer)
        }
    }

    /// Whether a peer with a session is at the far end.
    fn is_at_peer(&self, via: &Via) -> bool {
        let slot = via.remote().and_then(|remote| self.peers.by_address(remote));
        slot.and_then(|slot| self.peers.at(slot)).is_some_and(Peer::has_session)
    }

    /// Someone uses an index of a half-open handshake: if it has the keys, it becomes a peer.
    /// Returns the peer's slot.
    pub(super) fn confirm(
        &mut self,
        arrival: &Arrival,
        slot: u32,
        header: &SealedHeader,
        datagram: &[u8],
    ) -> Option<u32> {
        let half_open = self.half_open.get(slot)?;
        if !half_open.is_proved_by(header, datagram) {
            self.shared.drop_packet(DropReason::Authentication, &arrival.via);
            self.shared.stats.unverified_bytes_received += datagram.len() as u64;
            return None;
        }
        let half_open = self.half_open.remove(slot)?;
        let known = self.peers.by_id(&half_open.id);
        if !self.may_become_peer(&half_open, known) {
            // The caller is told by a hint that its session is unknown, and calls again.
            self.shared.indices.release(half_open.established.local_index);
            self.hint(arrival, header, datagram.len());
            return None;
        }
        let HalfOpen { id, incarnation, timestamp_ms, established, .. } = half_open;
        self.forget_half_open(&id);
        let peer_slot = known.unwrap_or_else(|| self.add_peer(Some(id)).slot);
        self.shared.indices.assign(established.local_index, Owner::Peer(peer_slot));
        let peer = self.peers.at_mut(peer_slot)?;
        peer.on_confirmed(incarnation, timestamp_ms);
        peer.establish(&mut self.shared, established);
        self.settle(peer_slot);
        Some(peer_slot)
    }

    /// Whether the handshake still fits what we know about the caller, and there is room.
    fn may_become_peer(&self, half_open: &HalfOpen, known: Option<u32>) -> bool {
        let source = Source::of(&half_open.established.via);
        let room = known.is_some() || self.has_room_for_peer(&source);
        let known = known.and_then(|slot| self.peers.at(slot));
        // It was answered on behalf of the peer that is there now, or the one that is there now knows
        // no more than what was answered.
        let fits = known.is_none_or(|peer| {
            let Established { remote_incarnation, granted, .. } = half_open.established;
            peer.incarnation() == half_open.incarnation
                && peer.may_grant(remote_incarnation, granted)
                && (half_open.peer == Some(peer.handle()) || peer.is_unmet())
        });
        let vanished = known.is_none() && half_open.peer.is_some();
        room && fits && !vanished && !self.closing
    }

    /// A dial by address learned who is there. Of several dials that meet the oldest lives on; a
    /// peer with a session lives on whatever its age.
    pub(super) fn on_identity_learned(&mut self, slot: u32, id: PeerId) {
        let own = id == self.id();
        let learner = self.peers.at(slot).map(|peer| (peer.handle(), peer.number()));
        let Some((handle, number)) = learner else { return };
        let known = self.peers.by_id(&id).and_then(|known| self.peers.at(known));
        let known = known.filter(|known| known.handle() != handle);
        let merge = known.map(|known| {
            let is_younger_dial = !known.has_session() && known.number() > number;
            if is_younger_dial { (known.handle(), handle) } else { (handle, known.handle()) }
        });
        let end = match merge {
            Some((goes, into)) => Some((goes, EndReason::Merged { into })),
            None => own.then_some((handle, EndReason::OwnIdentity)),
        };
        if end.as_ref().is_none_or(|(goes, _)| *goes != handle) {
            self.peers.name(id, slot);
        }
        if let Some((goes, reason)) = end {
            if let EndReason::Merged { into } = reason {
                self.merge_dials(goes, into);
            }
            if let Some(peer) = self.peers.get_mut(goes) {
                peer.end(&mut self.shared, reason);
            }
            self.settle(goes.slot);
        }
    }

    /// Who answered may have named anyone: the dial that lives on goes wherever the other went.
    fn merge_dials(&mut self, goes: PeerHandle, into: PeerHandle) {
        let Some(other) = self.peers.get(goes) else { return };
        let until = other.dial_deadline();
        let targets = other.dialled().map(|dial| SmallVec::<[_; 8]>::from(dial.targets()));
        let Some(targets) = targets else { return };
        if let Some(peer) = self.peers.get_mut(into).filter(|peer| !peer.has_session()) {
            peer.add_targets(&targets, until);
        }
        self.settle(into.slot);
    }

    fn proof(&self, via: &Via, request: &HandshakeRequest) -> Proof {
        let Cookie { time, mac } = &request.cookie;
        if request.cookie.is_none() {
            return Proof::None;
        }
        let (now, index) = (self.shared.cookie_time(), request.sender_index.get());
        if self.shared.cookies.verify(now, time.get(), mac, &via.binding(), index) {
            Proof::Good
        } else {
            Proof::Bad
        }
    }

    /// Opens the request and checks who made it and whether it may come in.
    fn authenticate(
        &mut self,
        arrival: &Arrival,
        request: &HandshakeRequest,
        source: Source,
        proved: bool,
    ) -> Option<Caller> {
        let prologue = prologue(&self.shared.config.application, request.prologue());
        let opening =
            Opening { ephemeral: request.ephemeral, static_ciphertext: request.static_ciphertext };
        let mut text = request.payload_ciphertext;
        let key = self.shared.identity.x25519();
        let Some(accepted) = Accepted::read(key, &prologue, &opening, &mut text) else {
            self.shared.drop_packet(DropReason::Authentication, &arrival.via);
            return None;
        };
        let (payload, _) = RequestPayload::read_from_prefix(&text).ok()?;
        let owner = |id: &PeerId| id.x25519() == *accepted.remote_static() && *id != self.id();
        let Some(id) = PeerId::from_bytes(payload.identity).ok().filter(owner) else {
            self.shared.drop_packet(DropReason::BadIdentity, &arrival.via);
            return None;
        };
        if !self.shared.config.admission.admits(&id, &arrival.origin()) {
            self.shared.drop_packet(DropReason::Admission, &arrival.via);
            return None;
        }
        Some(Caller { id, payload, proved, source, accepted })
    }

    /// A peer with a session is not called anew by an old request.
    fn may_be_replay(&self, caller: &Caller) -> bool {
        let known = self.peers.by_id(&caller.id).and_then(|slot| self.peers.at(slot));
        known.is_some_and(|peer| {
            peer.has_session() && caller.payload.timestamp_ms.get() <= peer.timestamp_ms()
        })
    }
}
