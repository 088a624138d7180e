//! What the application asks for: the only calls that can fail.

use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;
use smallvec::SmallVec;

use super::sockets::Sockets;
use super::{Endpoint, Target};
use crate::PeerHandle;
use crate::delivery::{Delivery, Message, MessageId};
use crate::error::{CommandError, ConnectError, SendError};
use crate::event::{DisconnectOptions, PingId};
use crate::net::{FourTuple, Via, canonical};
use crate::peer::Peer;
use crate::time::Instant;

impl Endpoint {
    /// Dials a peer: starts a handshake with it. If the endpoint has the peer of this identity already,
    /// returns its handle and does nothing else.
    ///
    /// After a dial, `Event::Connected` follows, or `Event::Ended`. `send` works at once: the messages wait
    /// for the handshake.
    ///
    /// # Errors
    /// See [`ConnectError`]; no dial was started.
    pub fn connect(&mut self, now: Instant, target: Target) -> Result<PeerHandle, ConnectError> {
        self.touch(now);
        if self.closing {
            return Err(ConnectError::Closing);
        }
        if target.id == Some(self.id()) {
            return Err(ConnectError::OwnIdentity);
        }
        if let Some(known) = target.id.and_then(|id| self.peer_by_id(&id)) {
            let closing = self.peers.get(known).is_some_and(Peer::is_closing);
            return if closing { Err(ConnectError::PeerClosing) } else { Ok(known) };
        }
        if target.addresses.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        if self.peers.len() >= self.shared.config.limits.max_peers {
            return Err(ConnectError::TooManyPeers);
        }
        let handle = self.add_peer(target.id);
        if let Some(peer) = self.peers.get_mut(handle) {
            peer.dial(&mut self.shared, dialled(&self.sockets, &target.addresses));
        }
        self.refresh_indices(handle.slot);
        Ok(handle)
    }

    /// Queues a message for a peer. The returned id names it in `Event::Fate`.
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
        self.touch(now);
        let found = self.peers.get_mut(peer).ok_or(SendError::UnknownPeer)?;
        let sent = found.send(delivery, payload);
        self.refresh_indices(peer.slot);
        sent
    }

    /// Takes the next message of a peer, in the order in which they became deliverable. `None` if none
    /// waits, or the handle names no peer.
    ///
    /// Taking reliable messages gives credit back to the sender. It works for one idle timeout after the
    /// peer ended, so that what arrived is not lost.
    pub fn receive(&mut self, now: Instant, peer: PeerHandle) -> Option<Message> {
        self.touch(now);
        let message = self.peers.get_mut(peer)?.receive();
        self.refresh_indices(peer.slot);
        message
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
        self.touch(now);
        let message = self.peers.get_mut(peer)?.receive_from(channel);
        self.refresh_indices(peer.slot);
        message
    }

    /// Withdraws a message of which nothing was sent. Its fate is `Cancelled`.
    ///
    /// # Errors
    /// `TooLate` if some of it was sent, or its fate is known; `UnknownPeer`.
    pub fn cancel(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        message: MessageId,
    ) -> Result<(), CommandError> {
        self.command(now, peer, |peer, _| peer.cancel(message))
    }

    /// Asks the peer for an answer, which is reported as `Event::Pong` with the round-trip time.
    ///
    /// # Errors
    /// `TooMany` if eight pings are under way; `Closing`; `UnknownPeer`.
    pub fn ping(&mut self, now: Instant, peer: PeerHandle) -> Result<PingId, CommandError> {
        self.command(now, peer, |peer, _| peer.ping())
    }

    /// Disconnects a peer; `Event::Ended` follows. See [`DisconnectOptions`].
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
    /// [`is_closed`](Self::is_closed) returns `true`.
    pub fn close(&mut self, now: Instant, options: DisconnectOptions) {
        self.touch(now);
        self.closing = true;
        self.admission.forget_all(&mut self.shared);
        let slots: Vec<u32> = self.peers.iter().map(|peer| peer.handle().slot).collect();
        for slot in slots {
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
        let slots: Vec<u32> = self.peers.iter().map(|peer| peer.handle().slot).collect();
        for slot in slots {
            if let Some(peer) = self.peers.at_mut(slot) {
                peer.addresses_changed(&self.shared);
            }
            self.refresh_indices(slot);
        }
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

/// The ways to the addresses to try, each once: resolvers repeat themselves, and what an address may be
/// sent before it answers counts per address.
fn dialled(sockets: &Sockets, addresses: &[SocketAddr]) -> SmallVec<[Via; 2]> {
    let mut targets = SmallVec::new();
    for address in addresses {
        let remote = canonical(*address);
        let socket = sockets.toward(remote).unwrap_or_default();
        let via = Via::Direct(FourTuple { socket, ..FourTuple::to(remote) });
        if targets.len() < MAX_DIALLED && !targets.contains(&via) {
            targets.push(via);
        }
    }
    targets
}

/// The most addresses tried at once.
const MAX_DIALLED: usize = 8;
