//! Packets inside of packets: those for us are taken in, those for others go on.

mod handover;
mod passage;

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
        let frame = ForwardFrame {
            hop_limit: carried.hop_limit.saturating_sub(1),
            ecn: Ecn::codepoint(ecn),
            source: &carried.source,
            destination: &carried.destination,
            packet,
        };
        let passed = match self.next_hop(slot, &neighbour, &destination) {
            Err(refusal) => Err(refusal),
            Ok(_) if carried.hop_limit == 0 => Err(ForwardRefusal::TooFar),
            Ok(NextHop::Peer(next)) => self.queue_passage(slot, next, &frame),
            Ok(NextHop::Shard(shard)) => self.hand_over(slot, shard, destination, &frame),
        };
        if let Err(reason) = passed {
            let source = PeerId::claimed(carried.source);
            let source = (source != neighbour).then_some((source, MOST_HOPS_BACK));
            self.shared.stats.forwards_refused += 1;
            self.tell_refused(slot, &ForwardRefused { source, destination, reason });
        }
    }

    /// Where a packet of `neighbour` for `destination` goes next.
    fn next_hop(
        &mut self,
        slot: u32,
        neighbour: &PeerId,
        destination: &PeerId,
    ) -> Result<NextHop, ForwardRefusal> {
        let policy = &self.shared.config.forwarding.policy;
        if !policy.admits(neighbour) && !self.is_transit(slot) {
            return Err(ForwardRefusal::NotForwarding);
        }
        if policy.admits(destination) {
            let known = self.peers.by_id(destination).filter(|next| *next != slot);
            let known = known.filter(|slot| self.is_neighbour(*slot));
            if let Some(next) = known.and_then(|slot| self.peers.handle(slot)) {
                return Ok(NextHop::Peer(next));
            }
            if let Some(shard) = self.shared.other_shard(destination) {
                return Ok(NextHop::Shard(shard));
            }
        }
        let next = self.routed_hop(slot, destination).map(NextHop::Peer);
        next.ok_or(ForwardRefusal::NotConnected)
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

    /// A packet of the peer in `slot` waits to go on to another, if it fits and is within the rates.
    fn queue_passage(
        &mut self,
        slot: u32,
        next: PeerHandle,
        frame: &ForwardFrame<'_>,
    ) -> Result<(), ForwardRefusal> {
        let Some(from) = self.peers.handle(slot) else { return Ok(()) };
        if !self.fits(next, frame.packet.len()) {
            return Ok(());
        }
        let (now, rates) = (self.shared.now, &self.shared.config.forwarding);
        let dropped = self.forwarder.pass(now, rates, (from, next), frame.header(), frame.packet);
        self.note_passage(next, frame.packet.len(), dropped)?;
        self.note_relayed(slot, frame.packet.len());
        #[cfg(feature = "audit")]
        self.note_passed(slot, self.peers.id(next.slot), frame);
        Ok(())
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

/// Where a packet goes that is passed on.
enum NextHop {
    Peer(PeerHandle),
    /// To another shard, which has the peer that it is for.
    Shard(u8),
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
