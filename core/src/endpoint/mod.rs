//! The endpoint: owns all peers, finds the one that each datagram, deadline and command is about,
//! and leaves the rest to it.
//!
//! The way in is `handle_datagram` (module `input`, requests in `admit`), the way out is
//! `poll_transmit` and `poll_event` (module `output`). Who gives way to a newcomer when all places are taken
//! is decided in `evict`, by what `census` counts. Commands are in `commands`, what can
//! be chosen anew in `choices`, deadlines in `clock`, packets that are passed on in `forward`, routes over several
//! hops in `routing`, beacons of the local network in `discovery`, the driver's sockets in `sockets`. After every
//! input that touched a peer, `refresh_indices` brings the lists and indices up to date; after packets and messages,
//! `settle` does so before anything else happens.

mod admit;
mod census;
mod choices;
mod clock;
mod commands;
mod discovery;
mod evict;
mod forward;
mod input;
mod merge;
mod output;
mod ready;
mod routing;
mod sockets;
mod table;
#[cfg(feature = "testing")]
mod testing;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeSet;
use core::fmt;
use core::net::SocketAddr;

use smallvec::SmallVec;

pub use commands::Exchange;
use evict::Evictions;
use ready::ReadyQueue;
use sockets::Sockets;
use table::PeerTable;

use crate::admission::Admission;
use crate::config::ValidConfig;
use crate::context::Context;
use crate::crypto::cookie::CookieJar;
use crate::crypto::rng::Rng;
use crate::info::PeerInfo;
use crate::net::{Arrival, Place, canonical};
use crate::peer::Peer;
use crate::route::{Forwarder, Handover};
use crate::shards::Redirect;
use crate::stats::{DropReason, Drops, Stats};
use crate::time::Instant;
use crate::timer::Deadlines;
use crate::{Identity, PeerHandle, PeerId};

/// All peers of one identity, and the protocol between them and us.
///
/// See the [crate documentation](crate) for the loop that drives it.
pub struct Endpoint {
    shared: Context,
    peers: PeerTable,
    /// Strangers.
    admission: Admission,
    /// Packets of peers for others.
    forwarder: Forwarder,
    /// Destinations whose routes changed, not reported yet.
    changed_routes: BTreeSet<PeerId>,
    evictions: Evictions,
    sockets: Sockets,
    /// The next deadline of each peer.
    deadlines: Deadlines,
    /// The peer to or from which messages or packets went last, if its lists and indices were not brought up to date since:
    /// many in a row are seen to once.
    unsettled: Option<u32>,
    /// It had its turn to transmit since, and nothing to say.
    has_passed: bool,
    /// Peers that may have something to transmit.
    ready: ReadyQueue,
    /// Peers that may have events.
    eventful: ReadyQueue,
    /// A stranger was answered: the next turn is that of peers.
    answered: bool,
    /// Packets were passed on: the next turn is that of our own.
    passed: bool,
    /// No new peers.
    closing: bool,
    /// Until when a silent peer is not given up: the driver came so late for a deadline that the host
    /// must have been asleep.
    grace_until: Option<Instant>,
    /// Before then it need not be looked whether the driver came late.
    punctual_until: Instant,
    /// The last datagram is for another shard.
    redirect: Option<Redirect>,
    /// The last input has something for another shard.
    handover: Option<Handover>,
    /// Nothing is left for later.
    #[cfg(test)]
    is_eager: bool,
}

/// Which peer to dial, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// The identity to expect; `None` accepts any peer that answers at the address.
    pub id: Option<PeerId>,
    /// The addresses to try; of those that differ, the first eight. May be empty for a peer that the
    /// endpoint has already, or that a neighbour may pass packets on to.
    pub addresses: SmallVec<[SocketAddr; 2]>,
}

impl Target {
    /// The peer with this identity, at one of these addresses.
    #[must_use]
    pub fn new(id: PeerId, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { id: Some(id), addresses: addresses.into_iter().collect() }
    }

    /// Whichever peer answers first at one of these addresses.
    #[must_use]
    pub fn anyone(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { id: None, addresses: addresses.into_iter().collect() }
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { id: None, addresses: SmallVec::from_slice(&[address]) }
    }
}

impl From<PeerId> for Target {
    fn from(id: PeerId) -> Self {
        Self { id: Some(id), addresses: SmallVec::new() }
    }
}

impl Endpoint {
    /// Makes an endpoint with this identity.
    ///
    /// `seed` is the source of all its randomness: draw it from the operating system and never use
    /// it twice, except to repeat a simulation. `now` is the time of the driver's clock; later calls pass
    /// the same or a later time. The configuration comes from [`Config::validate`](crate::Config::validate).
    #[must_use]
    pub fn new(config: ValidConfig, identity: Identity, seed: [u8; 32], now: Instant) -> Self {
        let mut rng = Rng::from_seed(seed);
        // Drawn in any case, so that the rest of the randomness is the same.
        let drawn = rng.secret();
        let given = config.cookie_secret.as_ref().map(|secret| (*secret.as_bytes()).into());
        let cookies = CookieJar::new(given.unwrap_or(drawn));
        let shared = Context::new(config, identity, rng, now);
        Self {
            admission: Admission::new(&shared, cookies),
            peers: PeerTable::new(shared.config.shard),
            shared,
            forwarder: Forwarder::default(),
            changed_routes: BTreeSet::new(),
            evictions: Evictions::new(),
            sockets: Sockets::default(),
            deadlines: Deadlines::new(),
            unsettled: None,
            has_passed: false,
            ready: ReadyQueue::default(),
            eventful: ReadyQueue::default(),
            answered: false,
            passed: false,
            closing: false,
            grace_until: None,
            punctual_until: now,
            redirect: None,
            handover: None,
            #[cfg(test)]
            is_eager: false,
        }
    }

    /// The identity of this endpoint.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.shared.identity.id()
    }

    /// The configuration that the endpoint was made with, with what was chosen anew since.
    #[must_use]
    pub fn config(&self) -> &ValidConfig {
        &self.shared.config
    }

    /// The peer that a handle names; `None` once it ended.
    #[must_use]
    pub fn peer(&self, peer: PeerHandle) -> Option<PeerInfo> {
        let found = self.peers.get(peer).filter(|peer| !peer.is_over());
        found.map(|peer| peer.info(&self.shared))
    }

    /// Whether the peer has initiated a handshake with us (beside a dial of ours or not) that succeeded,
    /// or that we answered within the last seconds. `false` also if the handle names no peer.
    #[must_use]
    pub fn has_initiated(&self, peer: PeerHandle) -> bool {
        let found = self.peers.get(peer).filter(|peer| !peer.is_over());
        found.is_some_and(|peer| {
            peer.has_initiated() || peer.id().is_some_and(|id| self.admission.has_answered(&id))
        })
    }

    /// The peer with this identity; `None` if there is none.
    #[must_use]
    pub fn peer_by_id(&self, id: &PeerId) -> Option<PeerHandle> {
        self.peers.by_id(id).and_then(|slot| self.peers.handle(slot))
    }

    /// The peer that is at this address now; `None` if there is none.
    #[must_use]
    pub fn peer_by_addr(&self, address: SocketAddr) -> Option<PeerHandle> {
        let slot = self.peers.by_address(canonical(address))?;
        self.peers.handle(slot)
    }

    /// Whether the handle names a peer that has not ended. Unlike [`peer`](Self::peer) it costs next to nothing, however long
    /// the peer was quiet.
    #[must_use]
    pub fn has_peer(&self, peer: PeerHandle) -> bool {
        self.peers.has(peer)
    }

    /// The handles of all peers that have not ended, in an order of their own; of those behind `after` in that order, if
    /// that is given. So whoever has many peers asks for a few at a time. Unlike [`peers`](Self::peers) it costs next to
    /// nothing for each.
    pub fn peer_handles(&self, after: Option<PeerHandle>) -> impl Iterator<Item = PeerHandle> + '_ {
        self.peers.handles(after.map_or(0, |after| after.slot.saturating_add(1)))
    }

    /// All peers that have not ended, in no particular order. One that was quiet for long is kept packed: to look at it takes
    /// some microseconds. [`peer_handles`](Self::peer_handles) does not look at them.
    pub fn peers(&self) -> impl Iterator<Item = PeerInfo> + '_ {
        self.peers.iter().filter(|peer| !peer.is_over()).map(|peer| peer.info(&self.shared))
    }

    /// Counters of what happened so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Datagrams dropped so far, by reason.
    #[must_use]
    pub fn drops(&self) -> &Drops {
        &self.shared.drops
    }

    /// Whether `close` is complete: every peer has ended, all that is to be said to them was transmitted,
    /// all events were polled, and all messages received (or dropped, one idle timeout after the end of
    /// their peer). `false` before `close` was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closing && self.peers.len() == 0
    }

    /// Where the last datagram is to be looked at, unchanged, instead of here; `None` if it was for this endpoint, as always
    /// without [`Config::siblings`](crate::Config::siblings). To be asked after each call of
    /// [`handle_datagram`](Self::handle_datagram) then. What was sent on already goes no further: it is lost.
    pub fn take_redirect(&mut self) -> Option<Redirect> {
        self.redirect.take()
    }

    /// What the last input has for another shard: a packet between two peers that are not of one shard, or the word that such
    /// a packet did not pass. `None` without [`Config::siblings`](crate::Config::siblings). To be asked after each call of
    /// [`handle_datagram`](Self::handle_datagram) and [`handle_handover`](Self::handle_handover), and given to the latter of
    /// the shard that it names; it may be lost on the way.
    pub fn take_handover(&mut self) -> Option<Handover> {
        self.handover.take()
    }

    /// A packet of `len` bytes is for other shards. It counts where it is looked at. What a neighbour carried here, only we
    /// could answer.
    fn redirect(&mut self, arrival: &Arrival, to: Redirect, len: usize) {
        if arrival.via.route().is_some() {
            self.shared.drop_packet(DropReason::Unsolicited, &arrival.via);
            return;
        }
        self.shared.stats.datagrams_received -= 1;
        self.shared.stats.bytes_received -= len as u64;
        self.redirect = Some(to);
    }

    /// Makes a peer that has not validated anything yet.
    fn add_peer(&mut self, id: Option<PeerId>) -> PeerHandle {
        let shared = &mut self.shared;
        let incarnation = id.map_or(0, |id| self.admission.incarnation(shared, &id));
        let handle = self.peers.insert(|handle| Peer::new(shared, handle, id, incarnation));
        if let Some(id) = id {
            self.peers.name(id, handle.slot);
        }
        self.shared.memory.set_peers(self.peers.len());
        handle
    }

    /// Brings lists and indices up to date after messages or packets to or from a peer. To be called before they are looked
    /// at, and before another peer is touched.
    #[inline]
    fn settle(&mut self) {
        if let Some(slot) = self.unsettled.take() {
            self.settle_at(slot);
        }
    }

    #[inline(never)] // Messages come by where nothing is to be settled.
    fn settle_at(&mut self, slot: u32) {
        let had_turn = core::mem::take(&mut self.has_passed);
        self.refresh(slot, !had_turn);
    }

    /// Before the clock moves: what depends on the time is seen to.
    #[inline]
    fn review_unsettled(&mut self, now: Instant) {
        if self.shared.now != now
            && let Some(slot) = self.unsettled
            && let Some(peer) = self.peers.at_mut(slot)
        {
            peer.review_booked(&mut self.shared);
        }
    }

    /// Before peers are asked for packets. If the unsettled one has nothing to say, that was its turn, and it stays unsettled;
    /// else everything of it is up to date after its turn.
    #[inline]
    fn list_unsettled(&mut self) {
        if !self.has_passed
            && let Some(slot) = self.unsettled
            && let Some(peer) = self.peers.at_mut(slot)
        {
            peer.review_booked(&mut self.shared);
            self.has_passed = !self.closing && peer.passes_turn(&mut self.shared);
            if !self.has_passed {
                self.ready.push(slot);
            }
        }
    }

    /// Before peers are asked for events.
    #[inline]
    fn list_unsettled_events(&mut self) {
        if let Some(slot) = self.unsettled
            && self.peers.awake(slot).is_some_and(Peer::has_events)
        {
            self.eventful.push(slot);
        }
    }

    /// Messages or packets went to or from the peer in `slot`. If what that leads to `may_wait`, since it concerns nobody else, it is
    /// seen to once the next call is about something else.
    #[inline]
    fn unsettle(&mut self, slot: u32, may_wait: bool) {
        #[cfg(test)]
        let may_wait = may_wait && !self.is_eager;
        self.has_passed = false;
        if may_wait && self.shared.router.is_none() {
            self.unsettled = Some(slot);
        } else {
            self.unsettled = None;
            self.refresh_indices(slot);
        }
    }

    /// Brings lists and indices up to date after `slot` was touched.
    fn refresh_indices(&mut self, slot: u32) {
        self.refresh(slot, true);
    }

    /// The same; whether the peer `may_speak` is said.
    fn refresh(&mut self, slot: u32, may_speak: bool) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        peer.review_memory(&mut self.shared);
        if peer.is_removable() {
            self.remove(slot);
            return;
        }
        if self.shared.router.is_some() {
            peer.review_link(&mut self.shared);
            peer.judge_route(&mut self.shared);
        }
        if may_speak {
            self.ready.push(slot);
        }
        if peer.has_events() {
            self.eventful.push(slot);
        }
        self.deadlines.set(slot, peer.deadline());
        if let (Some(is_relay), Some(id)) = (peer.take_relay_change(self.shared.now), peer.id()) {
            let relays = &mut self.shared.relays;
            if is_relay { relays.insert(id) } else { relays.remove(&id) }
        }
        let (over, place) = (peer.is_over(), peer.place());
        if place != peer.listed_at() {
            self.relist(slot, place);
        }
        if over {
            self.unname(slot);
        }
    }

    /// A peer is elsewhere than where it is listed, or ended.
    #[cold]
    fn relist(&mut self, slot: u32, place: Option<Place>) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let listed = peer.list_at(place);
        let parting = if peer.is_over() { peer.take_parting(&self.shared) } else { None };
        if let Some(old) = listed {
            self.peers.unplace(&old, slot);
        }
        if let Some(new) = place {
            self.peers.place(new, slot);
        }
        if let (Some(parting), Some(listed)) = (parting, listed) {
            self.admission.part(&mut self.shared, parting, listed.into());
        }
    }

    /// A peer that ended has its identity no more.
    #[cold]
    fn unname(&mut self, slot: u32) {
        let Some(id) = self.peers.id(slot) else { return };
        if self.peers.unname(&id, slot)
            && let Some(peer) = self.peers.at_mut(slot)
        {
            let (ours, theirs) = (peer.incarnation(), peer.remote_incarnation());
            self.admission.on_peer_ended(&mut self.shared, &id, ours, theirs);
            self.shared.local.forget_observer(&id);
        }
    }

    #[cold]
    fn remove(&mut self, slot: u32) {
        self.unsettled.take_if(|unsettled| *unsettled == slot);
        self.deadlines.set(slot, None);
        let Some(mut peer) = self.peers.remove(slot) else { return };
        self.evictions.on_gone(slot);
        peer.release_memory(&mut self.shared);
        self.shared.memory.set_peers(self.peers.len());
        if let Some(id) = peer.id() {
            self.peers.unname(&id, slot);
            if self.peers.by_id(&id).is_none() {
                self.shared.disclaim(&id, self.admission.parted_until(&id));
            }
        }
        if let Some(place) = peer.listed_at() {
            self.peers.unplace(&place, slot);
        }
        self.forwarder.forget(slot);
        self.sockets.give_back_all(slot);
        if let Some(router) = &mut self.shared.router {
            router.on_gone(self.shared.now, slot);
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id())
            .field("peers", &self.peers.len())
            .field("half_open", &self.admission.half_open())
            .finish_non_exhaustive()
    }
}
