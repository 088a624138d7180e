//! What the application asks for: the only calls that can fail.

use alloc::collections::BTreeSet;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use smallvec::SmallVec;

use super::sockets::Sockets;
use super::{Endpoint, Target};
use crate::PeerHandle;
use crate::delivery::{Delivery, Message, MessageId};
use crate::disconnect::DisconnectOptions;
use crate::error::{CommandError, ConnectError, SendError};
use crate::event::PingId;
use crate::net::{FourTuple, Via, canonical};
use crate::peer::Peer;
use crate::time::Instant;

impl Endpoint {
    /// Dials a peer: starts a handshake with it. If a dial of this identity is under way already, returns
    /// its handle and does nothing else.
    ///
    /// `Event::Connected` follows, or `Event::Ended`. `send` works at once: the messages wait for the
    /// handshake.
    ///
    /// A target without addresses is dialled by way of neighbours that forward ([`Config::forwarding`]), those that
    /// connect later included, until the dial ends. A target with addresses is, too, once they were tried for a
    /// second.
    ///
    /// [`Config::forwarding`]: crate::Config::forwarding
    ///
    /// Each address is dialled by the socket that reaches it and has been open longest. Addresses that
    /// nobody can be at, or that no socket reaches, are left out.
    ///
    /// # Errors
    /// See [`ConnectError`]; no dial was started. `AlreadyConnected` has the handle of a peer that is
    /// connected. When every address is left out, the error says why of the first.
    pub fn connect(&mut self, now: Instant, target: Target) -> Result<PeerHandle, ConnectError> {
        self.touch(now);
        if self.closing {
            return Err(ConnectError::Closing);
        }
        if target.id == Some(self.id()) {
            return Err(ConnectError::OwnIdentity);
        }
        if let Some(known) = target.id.and_then(|id| self.peer_by_id(&id)) {
            return match self.peers.get(known) {
                Some(peer) if peer.is_closing() => Err(ConnectError::PeerClosing),
                Some(peer) if !peer.is_connecting() => Err(ConnectError::AlreadyConnected(known)),
                _ => Ok(known),
            };
        }
        if let Some(shard) = target.id.and_then(|id| self.shared.other_shard(&id)) {
            return Err(ConnectError::OtherShard(shard));
        }
        let ways = if target.addresses.is_empty() {
            self.may_find_relay(&target)?;
            SmallVec::new()
        } else {
            dialled(&self.sockets, &target.addresses)?
        };
        if self.places_taken() >= self.shared.config.limits.max_peers {
            return Err(ConnectError::TooManyPeers);
        }
        if let Some(shard) = target.id.and_then(|id| self.shared.claim(&id)) {
            return Err(ConnectError::OtherShard(shard));
        }
        let handle = self.add_peer(target.id);
        if let Some(peer) = self.peers.get_mut(handle) {
            peer.dial(&mut self.shared, ways);
        }
        self.refresh_indices(handle.slot);
        Ok(handle)
    }

    /// Whether a dial without an address can come to anything: neighbours forward, or may do so once they are
    /// connected.
    fn may_find_relay(&self, target: &Target) -> Result<(), ConnectError> {
        let may_come = || self.peers.all_awake().any(Peer::is_connecting);
        let may = target.id.is_some() && (!self.shared.relays.is_empty() || may_come());
        if may { Ok(()) } else { Err(ConnectError::NoAddress) }
    }

    /// Queues a message for a peer. The returned id names it in `Event::Fate`.
    ///
    /// Only reliable messages wait for room ([`SendError::Blocked`]). Unreliable ones are always taken:
    /// when they are too many or too old ([`Flow`](crate::Flow)), the oldest that were not begun are
    /// dropped. A sequenced one takes the place of the one of its stream that was not begun, if there is
    /// one.
    ///
    /// # Errors
    /// See [`SendError`]; the message was not queued.
    pub fn send(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        delivery: Delivery,
        payload: Bytes,
    ) -> Result<MessageId, SendError> {
        self.touch_for(now, peer.slot);
        let found = self.peers.get_mut(peer).ok_or(SendError::UnknownPeer)?;
        let sent = found.send(&self.shared, delivery, payload);
        let may_wait = found.book_messages(&mut self.shared);
        self.unsettle(peer.slot, may_wait);
        sent
    }

    /// Takes the next message of a peer, in the order in which they became deliverable. `None` if none
    /// waits, or the handle names no peer.
    ///
    /// Taking reliable messages gives credit back to the sender. It works for one idle timeout after the
    /// peer ended, so that what arrived is not lost. `None` after the end means that there is no more: whether
    /// that is all that the peer's application sent, [`EndReason::is_complete`](crate::EndReason::is_complete)
    /// says.
    pub fn receive(&mut self, now: Instant, peer: PeerHandle) -> Option<Message> {
        self.take(now, peer, |found, now| found.receive(now))
    }

    /// Takes the next message of a peer on one channel, whatever its reliability and order, as
    /// [`receive`](Self::receive) does on all. `None` if none waits on it, or the handle names no peer.
    ///
    /// A channel that is not read holds back its own messages alone. [`Event::Readable`] comes again
    /// for the next message on a channel on which this returned `None`, also while other channels have
    /// messages that nobody takes.
    ///
    /// [`Event::Readable`]: crate::Event::Readable
    pub fn receive_from(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        channel: u16,
    ) -> Option<Message> {
        self.take(now, peer, |found, now| found.receive_from(now, channel))
    }

    /// Takes the next message of a peer on any channel but these, as [`receive`](Self::receive) does on
    /// all: for an application that reads those apart. `None` if none waits, or the handle names no peer.
    pub fn receive_except(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        channels: &BTreeSet<u16>,
    ) -> Option<Message> {
        self.take(now, peer, |found, now| found.receive_except(now, channels))
    }

    /// Sends and receives many messages of one peer at one time: cheaper than to do so one by one, with the same result.
    /// If the handle names no peer, nothing waits and nothing is taken.
    pub fn exchange(&mut self, now: Instant, peer: PeerHandle) -> Exchange<'_> {
        self.touch_for(now, peer.slot);
        Exchange { endpoint: self, peer }
    }

    /// Withdraws a message. Its fate is `Cancelled`, or `Acked` if an acknowledgement proves that it arrived before the
    /// peer heard of that. If some of a reliable message was sent, the fate is told when the peer knows.
    ///
    /// # Errors
    /// `TooLate` if it is unreliable and all of it was sent, it was given up before, or its fate is known; `UnknownPeer`.
    pub fn cancel(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        message: MessageId,
    ) -> Result<(), CommandError> {
        self.command(now, peer, |peer, _| peer.cancel(message))
    }

    /// Ends a stream: what is sent on a channel with this reliability and order. Once all its messages met their fate
    /// and the peer knows, [`Event::StreamEnded`](crate::Event::StreamEnded) tells that it takes none of the
    /// [`max_streams`](crate::Flow::max_streams) places any more. The peer's application is not told.
    ///
    /// A stream that ended can be used again: its messages wait until the peer knows of the end, and their numbers
    /// go on.
    ///
    /// Unreliable messages of which nobody hears (not ordered, without a receipt) are done once they were sent: the end may
    /// overtake the last of them, and they are lost then.
    ///
    /// # Errors
    /// `TooMany` if 1,024 other streams to this peer were ended; `UnknownPeer`.
    pub fn end_stream(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        delivery: Delivery,
    ) -> Result<(), CommandError> {
        self.command(now, peer, |peer, _| peer.end_stream(delivery))
    }

    /// Asks the peer for an answer, which is reported as `Event::Pong` with the round-trip time.
    ///
    /// # Errors
    /// `TooMany` if eight pings are under way; `Closing`; `UnknownPeer`.
    pub fn ping(&mut self, now: Instant, peer: PeerHandle) -> Result<PingId, CommandError> {
        self.command(now, peer, |peer, _| peer.ping())
    }

    /// Finds out how the NAT before us behaves, with the help of a server that answers on two further ports
    /// (`p2p_server --probe-ports`: the two after its own). `Event::NatTested` follows within about 3 seconds and a
    /// few round trips, unless the peer ends before. It takes at most twelve small packets.
    ///
    /// # Errors
    /// `NotDirect`; `TooMany` if a test with this server goes on already; `Closing`; `UnknownPeer`.
    pub fn test_nat(
        &mut self,
        now: Instant,
        server: PeerHandle,
        ports: [u16; 2],
    ) -> Result<(), CommandError> {
        self.command(now, server, |peer, shared| peer.test_nat(shared, ports))
    }

    /// Disconnects a peer; `Event::Ended` follows. See [`DisconnectOptions`]: the default delivers what was
    /// sent before, for at most 5 s.
    ///
    /// # Errors
    /// `Closing` if that is under way already; `UnknownPeer`.
    pub fn disconnect(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        options: DisconnectOptions,
    ) -> Result<(), CommandError> {
        self.command(now, peer, |peer, shared| peer.disconnect(shared, options))
    }

    /// Disconnects all peers and accepts no new ones from now on. It is complete when
    /// [`is_closed`](Self::is_closed) returns `true`: at once if nobody is left to be told.
    pub fn close(&mut self, now: Instant, options: DisconnectOptions) {
        self.touch(now);
        self.closing = true;
        self.admission.forget_all(&mut self.shared);
        for slot in self.peers.occupied() {
            if let Some(peer) = self.peers.at_mut(slot) {
                // Those that are closing or over go their way already.
                peer.disconnect(&mut self.shared, options.clone()).ok();
            }
            self.refresh_indices(slot);
        }
    }

    /// Call this when the host's addresses changed: each peer is sent a packet at once, from which it
    /// learns our new address.
    pub fn addresses_changed(&mut self, now: Instant) {
        self.touch(now);
        for slot in self.peers.occupied() {
            if let Some(peer) = self.peers.at_mut(slot) {
                peer.addresses_changed(&self.shared);
            }
            self.refresh_indices(slot);
        }
    }

    #[inline]
    fn take(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        take: impl FnOnce(&mut Peer, Instant) -> Option<Message>,
    ) -> Option<Message> {
        self.touch_for(now, peer.slot);
        let found = self.peers.get_mut(peer)?;
        let message = take(found, now);
        if self.unsettled == Some(peer.slot) {
            // As after the message before it: whoever takes one only makes room.
            found.book(&mut self.shared);
            self.has_passed = false;
        } else {
            let may_wait = found.book_messages(&mut self.shared);
            self.unsettle(peer.slot, may_wait);
        }
        message
    }

    fn command<T>(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        run: impl FnOnce(&mut Peer, &mut crate::context::Context) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        self.touch(now);
        let found = self.peers.get_mut(peer).ok_or(CommandError::UnknownPeer)?;
        let result = run(found, &mut self.shared);
        self.refresh_indices(peer.slot);
        result
    }
}

/// Messages to and from one peer, many at one time ([`Endpoint::exchange`]).
///
/// What the endpoint has to see to after each of its calls (deadlines, who may have something to send), it sees to once,
/// after the last.
#[derive(Debug)]
pub struct Exchange<'e> {
    endpoint: &'e mut Endpoint,
    peer: PeerHandle,
}

impl Exchange<'_> {
    /// As [`Endpoint::send`].
    ///
    /// # Errors
    /// As of [`Endpoint::send`].
    pub fn send(&mut self, delivery: Delivery, payload: Bytes) -> Result<MessageId, SendError> {
        let Endpoint { peers, shared, .. } = &mut *self.endpoint;
        let found = peers.get_mut(self.peer).ok_or(SendError::UnknownPeer)?;
        let sent = found.send(shared, delivery, payload);
        // The next message may have less room.
        found.review_memory(shared);
        sent
    }

    /// As [`Endpoint::receive`].
    pub fn receive(&mut self) -> Option<Message> {
        let Endpoint { peers, shared, .. } = &mut *self.endpoint;
        peers.get_mut(self.peer)?.receive(shared.now)
    }

    /// As [`Endpoint::receive_from`].
    pub fn receive_from(&mut self, channel: u16) -> Option<Message> {
        let Endpoint { peers, shared, .. } = &mut *self.endpoint;
        peers.get_mut(self.peer)?.receive_from(shared.now, channel)
    }

    /// As [`Endpoint::receive_except`].
    pub fn receive_except(&mut self, channels: &BTreeSet<u16>) -> Option<Message> {
        let Endpoint { peers, shared, .. } = &mut *self.endpoint;
        peers.get_mut(self.peer)?.receive_except(shared.now, channels)
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        let Endpoint { peers, shared, .. } = &mut *self.endpoint;
        let found = peers.get_mut(self.peer);
        let may_wait = found.is_some_and(|found| found.book_messages(shared));
        self.endpoint.unsettle(self.peer.slot, may_wait);
    }
}

/// The ways to the addresses to try, each once: resolvers repeat themselves, and what an address may be
/// sent before it answers counts per address. An error if there is none.
fn dialled(
    sockets: &Sockets,
    addresses: &[SocketAddr],
) -> Result<SmallVec<[Via; 2]>, ConnectError> {
    let mut targets = SmallVec::new();
    let mut left_out = None;
    for address in addresses {
        match way(sockets, canonical(*address)) {
            Err(error) => _ = left_out.get_or_insert(error),
            Ok(via) if targets.len() < MAX_DIALLED && !targets.contains(&via) => targets.push(via),
            Ok(_) => {}
        }
    }
    match left_out {
        Some(error) if targets.is_empty() => Err(error),
        _ => Ok(targets),
    }
}

/// How to dial an address.
fn way(sockets: &Sockets, remote: SocketAddr) -> Result<Via, ConnectError> {
    let ip = remote.ip();
    if remote.port() == 0 {
        return Err(ConnectError::PortZero(remote));
    }
    if ip.is_unspecified() {
        return Err(ConnectError::Unspecified(remote));
    }
    if ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(ConnectError::Broadcast(remote));
    }
    if ip.is_multicast() {
        return Err(ConnectError::Multicast(remote));
    }
    let socket = sockets.toward(remote).ok_or(ConnectError::NoSocket(remote))?;
    Ok(Via::Direct(FourTuple { socket, ..FourTuple::to(remote) }))
}

/// The most addresses tried at once.
const MAX_DIALLED: usize = 8;
