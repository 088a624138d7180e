//! Packets inside of packets: those for us are taken in, those for others go on.

use super::Endpoint;
use crate::event::ForwardRefusal;
use crate::net::{Arrival, Departure, Ecn, Route};
use crate::peer::{Carried, ForwardRefused};
use crate::stats::DropReason;
use crate::wire::{FORWARD_HEADER_LEN, ForwardFrame, HOP_LIMIT, SEALED_HEADER_LEN, TAG_LEN, kind};
use crate::{PeerHandle, PeerId};

/// What lies before a packet that is carried, and around it.
const BEFORE: usize = SEALED_HEADER_LEN + FORWARD_HEADER_LEN;
const AROUND: usize = BEFORE + TAG_LEN;

impl Endpoint {
    /// A datagram of the peer in `slot` held a packet. If it is for us, says how it arrived.
    pub(super) fn handle_carried(
        &mut self,
        slot: u32,
        arrival: &Arrival,
        carried: &Carried,
        datagram: &[u8],
    ) -> Option<Arrival> {
        let neighbour = self.peers.id(slot)?;
        let packet = datagram.get(carried.packet.clone())?;
        let Ok(ecn) = decapsulated(arrival.ecn, Ecn::of_codepoint(carried.ecn)) else {
            self.shared.stats.forwards_dropped += 1;
            return None;
        };
        let may_travel = packet.first().is_some_and(|first| TRAVELS.contains(first));
        if carried.destination != *self.id().as_bytes() {
            // Who may pass on packets of others vouches for their sources.
            let from_itself = carried.source == *neighbour.as_bytes()
                || (self.is_transit(slot) && carried.source != *self.id().as_bytes());
            if may_travel && from_itself && carried.destination != carried.source {
                self.pass_on(slot, neighbour, carried, ecn, packet);
            } else {
                self.shared.stats.forwards_dropped += 1;
            }
            return None;
        }
        let remote = PeerId::claimed(carried.source);
        if !may_travel || remote == neighbour || remote == self.id() {
            self.shared.drop_packet(DropReason::Unsolicited, &arrival.via);
            return None;
        }
        Some(Arrival::routed(Route::new(neighbour, remote), ecn))
    }

    /// Passes a packet of a neighbour on to another one, or says why not.
    fn pass_on(
        &mut self,
        slot: u32,
        neighbour: PeerId,
        carried: &Carried,
        ecn: Option<Ecn>,
        packet: &[u8],
    ) {
        let destination = PeerId::claimed(carried.destination);
        let next = self.next_hop(slot, &neighbour, &destination);
        let passed = match next {
            Err(refusal) => Err(refusal),
            Ok(_) if carried.hop_limit == 0 => Err(ForwardRefusal::TooFar),
            // Nobody is told: an honest path tries its size.
            Ok(next) if !self.can_carry(next, packet.len()) => {
                self.carry_larger(next.slot);
                Ok(None)
            }
            Ok(next) => {
                let header = ForwardFrame {
                    hop_limit: carried.hop_limit - 1,
                    ecn: Ecn::codepoint(ecn),
                    source: &carried.source,
                    destination: &carried.destination,
                    packet,
                };
                let passed = self.queue_passage(slot, next, &header);
                #[cfg(feature = "audit")]
                self.note_passed(neighbour, next, &header, &passed);
                passed
            }
        };
        match passed {
            Ok(Some(dropped)) => {
                self.shared.stats.forwards_passed += 1;
                self.shared.stats.forward_bytes_passed += packet.len() as u64;
                self.shared.stats.forwards_dropped += dropped;
                for slot in next.map(|next| next.slot).into_iter().chain([slot]) {
                    let peer = self.peers.at_mut(slot);
                    peer.into_iter().for_each(|peer| peer.note_relayed(packet.len()));
                }
            }
            Ok(None) => self.shared.stats.forwards_dropped += 1,
            Err(reason) => {
                self.shared.stats.forwards_refused += 1;
                let source = PeerId::claimed(carried.source);
                let source = (source != neighbour).then_some((source, MOST_HOPS_BACK));
                self.tell_refused(slot, &ForwardRefused { source, destination, reason });
            }
        }
    }

    #[cfg(feature = "audit")]
    fn note_passed(
        &self,
        neighbour: PeerId,
        next: PeerHandle,
        header: &ForwardFrame<'_>,
        passed: &Result<Option<u64>, ForwardRefusal>,
    ) {
        let next = self.peers.id(next.slot);
        if let Some(next) = next.filter(|_| matches!(passed, Ok(Some(_)))) {
            crate::audit::note_passed(self.id(), neighbour, next, header);
        }
    }

    /// Where a packet of `neighbour` for `destination` goes next.
    fn next_hop(
        &mut self,
        slot: u32,
        neighbour: &PeerId,
        destination: &PeerId,
    ) -> Result<PeerHandle, ForwardRefusal> {
        let policy = &self.shared.config.forwarding.policy;
        if !policy.admits(neighbour) && !self.is_transit(slot) {
            return Err(ForwardRefusal::NotForwarding);
        }
        let known = self.peers.by_id(destination).filter(|next| *next != slot);
        let known = known.filter(|_| policy.admits(destination));
        let known = known.filter(|slot| self.is_neighbour(*slot));
        let next = known.and_then(|slot| self.peers.handle(slot));
        let next = next.or_else(|| self.routed_hop(slot, destination));
        next.ok_or(ForwardRefusal::NotConnected)
    }

    /// Packets do not fit the direct path of the peer in `slot`, as far as is known.
    fn carry_larger(&mut self, slot: u32) {
        if let Some(peer) = self.peers.at_mut(slot) {
            peer.carry_larger(self.shared.now);
            self.ready.push(slot);
        }
    }

    /// The next packets of the peer in `slot` are to fit those of the neighbour that carries them.
    pub(super) fn fit_into(&mut self, slot: u32, route: Route) {
        let carrier = self.peers.by_id(&route.neighbour);
        let largest =
            carrier.and_then(|carrier| self.peers.look(carrier)?.largest_carried(self.shared.now));
        let wants = self.peers.at_mut(slot).is_some_and(|peer| peer.fit_into(largest));
        if let Some(carrier) = carrier.filter(|_| wants) {
            self.carry_larger(carrier);
        }
    }

    fn can_carry(&self, next: PeerHandle, len: usize) -> bool {
        let largest = self.peers.get(next).and_then(|next| next.largest_carried(self.shared.now));
        largest.is_some_and(|largest| len <= largest)
    }

    /// A packet waits to go on, if it is within the rates. Returns how many give way to it.
    fn queue_passage(
        &mut self,
        slot: u32,
        next: PeerHandle,
        frame: &ForwardFrame<'_>,
    ) -> Result<Option<u64>, ForwardRefusal> {
        let Some(from) = self.peers.handle(slot) else { return Ok(None) };
        let (now, rates) = (self.shared.now, &self.shared.config.forwarding);
        let passed = self.forwarder.pass(now, rates, (from, next), frame.header(), frame.packet);
        passed.map(Some).ok_or(ForwardRefusal::RateLimited)
    }

    /// The peer in `slot` hears of a packet that did not pass, not too often.
    fn tell_refused(&mut self, slot: u32, refused: &ForwardRefused) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let mut pair = *refused.destination.as_bytes();
        if let Some((source, _)) = &refused.source {
            pair.iter_mut().zip(source.as_bytes()).for_each(|(byte, other)| *byte ^= other);
        }
        if self.forwarder.may_refuse(self.shared.now, peer.handle(), &pair) {
            peer.refuse_forward(refused);
            self.refresh_indices(slot);
        }
    }

    /// The peer in `slot` said that packets did not pass: of ours, or of others that are to hear of it.
    pub(super) fn handle_refused_forwards(&mut self, slot: u32) {
        let Some(neighbour) = self.peers.at_mut(slot) else { return };
        let (Some(id), refused) = (neighbour.id(), neighbour.take_refused()) else { return };
        for refused in refused {
            if refused.source.is_some_and(|(source, _)| source != self.id()) {
                self.pass_back(slot, refused);
                continue;
            }
            self.shared.stats.packets_not_forwarded += 1;
            let Some(slot) = self.peers.by_id(&refused.destination) else { continue };
            if let Some(peer) = self.peers.at_mut(slot) {
                let is_far = refused.source.is_some();
                peer.on_forward_refused(&mut self.shared, id, refused.reason, is_far);
            }
            self.refresh_indices(slot);
        }
    }

    /// A packet that we passed on came to an end behind the neighbour in `slot`: its source, or the next hop to
    /// there, hears of it.
    fn pass_back(&mut self, slot: u32, refused: ForwardRefused) {
        let Some((source, hops)) = refused.source else { return };
        if hops == 0 || !self.is_transit(slot) {
            return;
        }
        let router = self.shared.router.as_ref();
        let known = self.peers.by_id(&source).filter(|known| self.is_neighbour(*known));
        let next = known.or_else(|| router?.next_hop(&source)).filter(|next| *next != slot);
        if let Some(next) = next.filter(|next| self.is_neighbour(*next)) {
            let source = Some((source, hops - 1));
            self.tell_refused(next, &ForwardRefused { source, ..refused });
        }
    }

    /// Writes packets that go on into `buf`: as many for one peer as are of one size.
    pub(super) fn next_passages(&mut self, buf: &mut [u8]) -> Option<Departure> {
        while let Some(slot) = self.forwarder.turn() {
            let filled = self.fill(buf);
            self.forwarder.rotate();
            let Some((header, len, size)) = filled else { continue };
            let Some(next) = self.peers.at_mut(slot) else { continue };
            let ecn = Ecn::of_codepoint(header[1]);
            let departure = next.carry(&mut self.shared, &header, ecn, (len, size), buf);
            self.deadlines.set(slot, next.deadline());
            if departure.is_some() {
                return departure;
            }
            self.shared.stats.forwards_dropped += len.div_ceil(size) as u64;
        }
        None
    }

    /// Lays packets of one kind into `buf`, each where it will lie when it is sealed. Returns their header, how
    /// much they take and how much each takes.
    fn fill(&mut self, buf: &mut [u8]) -> Option<([u8; FORWARD_HEADER_LEN], usize, usize)> {
        let mut all = None;
        let mut len = 0;
        loop {
            let free = buf.len() - len;
            let (passage, dropped) = self.forwarder.pop(self.shared.now, |passage| {
                let needed = passage.packet.len() + AROUND;
                needed <= free
                    && all.is_none_or(|(header, size)| header == passage.header && needed <= size)
            });
            self.shared.stats.forwards_dropped += dropped;
            let Some(passage) = passage else { break };
            let needed = passage.packet.len() + AROUND;
            buf[len + BEFORE..][..passage.packet.len()].copy_from_slice(&passage.packet);
            len += needed;
            let (_, size) = *all.get_or_insert((passage.header, needed));
            if needed < size || len / size >= MAX_SEGMENTS {
                break;
            }
        }
        all.map(|(header, size)| (header, len, size))
    }

    /// A neighbour is to carry packets of ours, which lie in `buf` with room around each. `None` if it
    /// cannot: they are lost.
    pub(super) fn carry(
        &mut self,
        route: Route,
        departure: &Departure,
        buf: &mut [u8],
    ) -> Option<Departure> {
        let header = ForwardFrame {
            hop_limit: HOP_LIMIT,
            ecn: Ecn::codepoint(departure.ecn),
            source: self.shared.identity.id().as_bytes(),
            destination: route.remote.as_bytes(),
            packet: &[],
        }
        .header();
        let slot = self.peers.by_id(&route.neighbour)?;
        let neighbour = self.peers.at_mut(slot)?;
        let sizes = (departure.len, departure.size());
        let carried = neighbour.carry(&mut self.shared, &header, departure.ecn, sizes, buf);
        self.deadlines.set(slot, neighbour.deadline());
        carried
    }
}

/// The mark of a packet out of another (RFC 6040 section 4.2, normal mode).
///
/// # Errors
/// It is to be dropped: there was congestion, and it cannot say so.
const fn decapsulated(outer: Option<Ecn>, inner: Option<Ecn>) -> Result<Option<Ecn>, ()> {
    match (outer, inner) {
        (Some(Ecn::Ce), None) => Err(()),
        (Some(Ecn::Ce), Some(_)) => Ok(Some(Ecn::Ce)),
        (_, inner) => Ok(inner),
    }
}

/// Packets that travel inside of others. Who names the destination knows its key, so nobody asks for it.
const TRAVELS: [u8; 5] = [
    kind::HANDSHAKE_REQUEST,
    kind::HANDSHAKE_RESPONSE,
    kind::HANDSHAKE_RETRY,
    kind::SEALED,
    kind::UNKNOWN_SESSION,
];
/// How far back is told that a packet did not pass.
const MOST_HOPS_BACK: u8 = 16;
/// What the kernel takes in one call (UDP_MAX_SEGMENTS of Linux).
const MAX_SEGMENTS: usize = 64;
