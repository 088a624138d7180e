//! The way in: every datagram is looked at once, cheapest checks first, and goes to its owner.

use super::Endpoint;
use crate::PeerId;
use crate::context::Context;
use crate::net::{Arrival, Origin};
use crate::session::Owner;
use crate::shards::Redirect;
use crate::stats::DropReason;
use crate::stun::is_stun;
use crate::time::Instant;
use crate::trace;
use crate::wire::{
    FORWARD_PATH, HandshakeResponse, HandshakeRetry, PROBE_PATH, Packet, PacketError, SealedHeader,
    UnknownSession, UnsupportedVersion, request_of_another_version,
};

impl Endpoint {
    /// Takes a datagram from the network. Sealed packets are decrypted in place, so the bytes change.
    ///
    /// It never fails: a datagram that is not for us, not genuine or not legal is dropped and counted in
    /// [`drops`](Self::drops).
    pub fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]) {
        self.move_to(now);
        self.shared.stats.datagrams_received += 1;
        self.shared.stats.bytes_received += datagram.len() as u64;
        self.handle_packet(&Arrival::from(&origin), datagram);
    }

    /// Takes one packet, however it arrived.
    fn handle_packet(&mut self, arrival: &Arrival, datagram: &mut [u8]) {
        trace::unsealed("received", &arrival.via, datagram);
        let packet = Packet::parse(datagram);
        // What is sealed may be of the peer that is unsettled.
        if !matches!(packet, Ok(Packet::Sealed(_))) {
            self.settle();
        }
        match packet {
            Ok(Packet::Sealed(header)) => {
                let header = *header;
                self.handle_sealed(arrival, header, datagram);
            }
            // Who names a destination to a neighbour knows its key.
            Ok(Packet::KeyRequest(_)) if arrival.via.route().is_some() => {
                self.shared.drop_packet(DropReason::Unsolicited, &arrival.via);
            }
            Ok(Packet::KeyRequest(request)) => self.handle_key_request(arrival, request),
            Ok(Packet::HandshakeRequest(request)) => self.handle_request(arrival, request),
            Ok(Packet::HandshakeResponse(response)) => self.handle_response(arrival, response),
            Ok(Packet::HandshakeRetry(retry)) => self.handle_retry(arrival, retry),
            // Beacons come to sockets of their own.
            Ok(Packet::Beacon(_)) => {
                self.shared.drop_packet(DropReason::Unsolicited, &arrival.via);
            }
            Ok(Packet::UnknownSession(hint)) => self.handle_unknown_session(arrival, hint),
            Ok(Packet::UnsupportedVersion(answer)) => {
                self.handle_unsupported_version(arrival, *answer);
            }
            Err(error) => self.handle_unreadable(arrival, error, datagram),
        }
    }

    /// It is no packet of ours. Another protocol, or another version, may get an answer.
    #[cold]
    fn handle_unreadable(&mut self, arrival: &Arrival, error: PacketError, datagram: &[u8]) {
        if self.shared.config.answer_stun && is_stun(datagram) {
            self.admission.on_stun(&mut self.shared, arrival, datagram);
            return;
        }
        self.shared.drop_packet(error.into(), &arrival.via);
        if let Some(index) = request_of_another_version(datagram) {
            let (cx, len) = (&mut self.shared, datagram.len());
            self.admission.send_unsupported_version(cx, arrival, index, len);
        }
    }

    fn handle_sealed(&mut self, arrival: &Arrival, header: SealedHeader, datagram: &mut [u8]) {
        let index = header.receiver_index.get();
        let number = header.packet_number();
        let owner = self.shared.indices.owner(index);
        if !self.joins_unsettled(owner, number.path()) {
            self.settle();
        }
        let owner = match owner {
            Some(Owner::HalfOpen(slot)) => self.confirm(arrival, slot, &header, datagram),
            Some(Owner::Peer(slot)) => Some(slot),
            None => {
                self.admission.send_unknown_session(
                    &mut self.shared,
                    arrival,
                    &header,
                    datagram.len(),
                );
                None
            }
        };
        let Some(slot) = owner else { return };
        if let Some(peer) = self.peers.at_mut(slot) {
            if number.path() == FORWARD_PATH {
                let cx = &mut self.shared;
                let carried = peer.handle_carrier(cx, arrival, index, number, datagram);
                self.refresh_indices(slot);
                let Some(carried) = carried else { return };
                if let Some(arrival) = self.handle_carried(slot, arrival, &carried, datagram) {
                    self.handle_packet(&arrival, &mut datagram[carried.packet]);
                }
                return;
            }
            if number.path() == PROBE_PATH {
                peer.handle_probe(&mut self.shared, arrival, index, number, datagram);
                self.refresh_indices(slot);
                return;
            }
            peer.handle_sealed(&mut self.shared, arrival, index, number, datagram);
            let has_refused = peer.has_refused();
            let may_wait = !has_refused && peer.stays_listed(&mut self.shared);
            self.unsettle(slot, may_wait);
            if has_refused {
                self.handle_refused_forwards(slot);
            }
        }
    }

    /// Whether a packet under this path id is of the peer that is unsettled, and no other peer may be concerned.
    fn joins_unsettled(&self, owner: Option<Owner>, path: u8) -> bool {
        let Some(unsettled) = self.unsettled else { return true };
        let is_its = matches!(owner, Some(Owner::Peer(slot)) if slot == unsettled);
        is_its && !matches!(path, FORWARD_PATH | PROBE_PATH)
    }

    fn handle_unknown_session(&mut self, arrival: &Arrival, hint: &UnknownSession) {
        let Some(slot) = self.peers.by_via(&arrival.via) else {
            if self.shared.config.siblings.is_some() {
                self.redirect(arrival, Redirect::Others, size_of::<UnknownSession>());
            } else {
                self.shared.drop_packet(DropReason::Unsolicited, &arrival.via);
            }
            return;
        };
        if let Some(peer) = self.peers.at_mut(slot) {
            let number = hint.packet_number();
            let index = hint.receiver_index.get();
            peer.on_unknown_session(
                &mut self.shared,
                arrival,
                index,
                number.path(),
                number.counter(),
            );
            self.refresh_indices(slot);
        }
    }

    fn handle_response(&mut self, arrival: &Arrival, response: &HandshakeResponse) {
        let Some(slot) = self.dialling(arrival, response.receiver_index.get()) else { return };
        let Some(peer) = self.peers.at_mut(slot) else { return };
        peer.on_response(&mut self.shared, arrival, response);
        self.refresh_indices(slot);
    }

    fn handle_unsupported_version(&mut self, arrival: &Arrival, answer: UnsupportedVersion) {
        let Some(slot) = self.dialling(arrival, answer.receiver_index.get()) else { return };
        let Some(peer) = self.peers.at_mut(slot) else { return };
        if !peer.on_unsupported_version(&arrival.via, answer.version()) {
            self.shared.drop_packet(DropReason::Unsolicited, &arrival.via);
        }
    }

    fn handle_retry(&mut self, arrival: &Arrival, retry: &HandshakeRetry) {
        let Some(slot) = self.dialling(arrival, retry.receiver_index.get()) else { return };
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let admission = &self.admission;
        let incarnation = |cx: &Context, id: &PeerId| admission.incarnation(cx, id);
        let learned = peer.on_retry(&mut self.shared, arrival, retry, incarnation);
        match learned {
            None => self.shared.drop_packet(DropReason::Unsolicited, &arrival.via),
            Some(None) => {}
            Some(Some(id)) => self.on_identity_learned(slot, id),
        }
        self.refresh_indices(slot);
    }

    /// The peer whose own handshake expects an answer under this index.
    fn dialling(&mut self, arrival: &Arrival, index: u32) -> Option<u32> {
        let slot = match self.shared.indices.owner(index) {
            Some(Owner::Peer(slot)) => Some(slot),
            Some(Owner::HalfOpen(_)) | None => None,
        };
        let dialling = slot.filter(|slot| {
            let dial = self.peers.awake(*slot).and_then(|peer| peer.dialled());
            dial.is_some_and(|dial| dial.local_index() == index)
        });
        if dialling.is_none() {
            self.shared.drop_packet(DropReason::Unsolicited, &arrival.via);
        }
        dialling
    }
}
