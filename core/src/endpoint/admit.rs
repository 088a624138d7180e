//! From the first packet of a stranger to a peer: looks up what admission has to know.

use super::Endpoint;
use crate::PeerId;
use crate::admission::{HalfOpen, Initiator, KnownPeer, Load, Source, has_place};
use crate::net::Arrival;
use crate::peer::Peer;
use crate::session::Owner;
use crate::shards::Redirect;
use crate::wire::{HandshakeRequest, KeyRequest, SealedHeader};

impl Endpoint {
    /// An initiator knows our address and asks for our `PeerId`.
    pub(super) fn handle_key_request(&mut self, arrival: &Arrival, request: &KeyRequest) {
        self.admission.on_key_request(&mut self.shared, arrival, request, !self.closing);
    }

    /// An initiator asks for a session.
    pub(super) fn handle_request(&mut self, arrival: &Arrival, request: &HandshakeRequest) {
        let open = !self.closing;
        let at_peer = self.peers.by_via(&arrival.via);
        // Whoever is asleep has one.
        let has_session = |slot| self.peers.awake(slot).is_none_or(Peer::has_session);
        let at_peer = at_peer.is_some_and(has_session);
        let cx = &mut self.shared;
        let genuine = self.admission.on_request(cx, arrival, request, open, at_peer);
        let Some(initiator) = genuine else { return };
        if let Some(shard) = self.shared.other_shard(&initiator.id) {
            self.redirect(arrival, Redirect::Shard(shard), size_of::<HandshakeRequest>());
            return;
        }
        // A peer that we are leaving and that lost its state since is a newcomer.
        let left = self.left_behind(&initiator.id, initiator.incarnation()).is_some();
        let known = self.known(&initiator.id).filter(|_| !left);
        let load = self.load(&initiator.source());
        let is_full = known.is_none() && !has_place(&self.shared.config, &load);
        let may_evict = is_full && self.may_evict_for(&initiator);
        let load = Load { may_evict, ..load };
        let duplicate = known.filter(|known| known.is_former(initiator.incarnation()));
        let cx = &mut self.shared;
        let answered =
            self.admission.answer(cx, arrival, request, initiator, known.as_ref(), &load);
        if let Some(known) = duplicate.filter(|_| answered) {
            self.peers
                .get_mut(known.handle)
                .into_iter()
                .for_each(|peer| peer.note_duplicate(Some(arrival.via)));
            self.refresh_indices(known.handle.slot);
        }
    }

    /// A packet names the index of a half-open handshake: if it opens under the keys, the initiator
    /// becomes a peer. Returns the peer's slot.
    pub(super) fn confirm(
        &mut self,
        arrival: &Arrival,
        slot: u32,
        header: &SealedHeader,
        datagram: &[u8],
    ) -> Option<u32> {
        let cx = &mut self.shared;
        let half_open = self.admission.confirm(cx, arrival, slot, header, datagram)?;
        let remote_incarnation = half_open.established.terms.incarnations.theirs;
        if let Some(slot) = self.left_behind(&half_open.id, remote_incarnation) {
            if let Some(peer) = self.peers.at_mut(slot) {
                peer.finish_leaving(&mut self.shared);
            }
            self.refresh_indices(slot);
        }
        let known = self.known(&half_open.id);
        // Of shards that answered the same initiator, one has it.
        let is_elsewhere = self.shared.other_shard(&half_open.id).is_some();
        if self.closing || is_elsewhere || !half_open.still_fits(known.as_ref()) {
            self.turn_away(arrival, &half_open, header, datagram.len());
            return None;
        }
        if known.is_none() && !self.make_room(&half_open.source()) {
            let (cx, len) = (&mut self.shared, datagram.len());
            let parting = self.admission.refuse_confirmed(cx, arrival, half_open, len);
            self.admission.forget(cx, &parting.id);
            self.admission.part(cx, parting, Source::of(&arrival.via));
            return None;
        }
        if known.is_none() && self.shared.claim(&half_open.id).is_some() {
            self.turn_away(arrival, &half_open, header, datagram.len());
            return None;
        }
        let HalfOpen { id, timestamp_ms, request_mac, mut established, responded_at, .. } =
            half_open;
        // What confirms answers the response, which was sent to where the request came from.
        let is_answer = established.terms.via.is_same_remote(&arrival.via);
        established.terms.is_there |= is_answer;
        // The first packet of the initiator leaves as soon as the response is there, later ones do not.
        let is_prompt = is_answer && header.packet_number().counter() == 0;
        let rtt = responded_at.filter(|_| is_prompt).map(|at| self.shared.now.saturating_since(at));
        self.admission.forget(&mut self.shared, &id);
        let known = self.peers.by_id(&id);
        let peer_slot = known.unwrap_or_else(|| self.add_peer(Some(id)).slot);
        self.shared.indices.assign(established.terms.local_index, Owner::Peer(peer_slot));
        let peer = self.peers.at_mut(peer_slot)?;
        peer.on_confirmed(timestamp_ms, request_mac);
        peer.establish(&mut self.shared, established);
        peer.on_handshake(self.shared.now, &arrival.via, rtt);
        self.refresh_indices(peer_slot);
        Some(peer_slot)
    }

    /// A handshake was confirmed and cannot become a peer: the initiator gets an `UnknownSession`, and begins a new one.
    fn turn_away(
        &mut self,
        arrival: &Arrival,
        half_open: &HalfOpen,
        header: &SealedHeader,
        len: usize,
    ) {
        self.shared.indices.release(half_open.established.terms.local_index);
        self.admission.send_unknown_session(&mut self.shared, arrival, header, len);
    }

    /// Whether there is a place for a newcomer at this source, if need be that of somebody else.
    fn make_room(&mut self, source: &Source) -> bool {
        has_place(&self.shared.config, &self.load(source)) || self.evict_for(source)
    }

    /// What admission has to know about the peer with this identity, if it is one.
    fn known(&mut self, id: &PeerId) -> Option<KnownPeer> {
        let slot = self.peers.by_id(id)?;
        let peer = self.peers.at_mut(slot)?;
        Some(KnownPeer {
            handle: peer.handle(),
            has_session: peer.has_session(),
            incarnation: peer.incarnation(),
            next_incarnation: peer.next_incarnation(&self.shared.incarnations),
            remote_incarnation: peer.remote_incarnation(),
            former: peer.former_incarnations(),
            timestamp_ms: peer.timestamp_ms(),
            confirmed_at: peer.confirmed_at(),
            confirmed: peer.confirmed_request(),
            fresh_grant: peer.fresh_grant(self.shared.memory.room()),
            most_granted: peer.most_granted(),
        })
    }

    /// How full the endpoint is, as far as it concerns an initiator at this source.
    fn load(&self, source: &Source) -> Load {
        let peers_at_source = self.peers.census().count_at(source);
        let (peers, closing) = (self.places_taken(), self.closing);
        Load { peers, peers_at_source, may_evict: false, closing }
    }

    /// Whether somebody may have to give way to this initiator. As long as it did not validate its address,
    /// nobody is looked for.
    fn may_evict_for(&mut self, initiator: &Initiator) -> bool {
        let (cx, peers, source) = (&self.shared, &self.peers, initiator.source());
        if initiator.is_validated() {
            self.evictions.choose(cx, peers, &source).is_some()
        } else {
            self.evictions.may_help(cx, peers, &source)
        }
    }

    /// The slot of the peer of this identity, if we are leaving it and it came back with another
    /// incarnation: so our `Disconnect` reaches nobody any more.
    fn left_behind(&self, id: &PeerId, remote_incarnation: u64) -> Option<u32> {
        let slot = self.peers.by_id(id)?;
        let peer = self.peers.awake(slot)?;
        peer.is_left_behind(remote_incarnation).then_some(slot)
    }
}
