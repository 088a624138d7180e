//! The endpoint: commands and queries.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use handfast_core::{
    Admission, Bytes, CommandError, Config, ConfigError, ConnectError, Delivery, DisconnectOptions,
    Discovered, Drops, Event, Identity, Instant, Message, MessageId, NetworkSecret, PeerHandle,
    PeerId, PeerInfo, PingId, RouteInfo, SendError, SocketId, Stats, Target,
};
use handfast_udp::{
    Beacons, Clock, Listen, PortMapping, PortNews, Recent, Reconnect, SocketError, SocketStats,
    Traffic,
};
use mio::{Events, Poll, Token};

use crate::Remote;
use crate::beacons::BeaconSocket;
use crate::kept::Kept;
use crate::port::Port;
use crate::remote::{Jobs, MappedSender};
use crate::shards;

/// A handfast endpoint with its sockets, for the thread that owns it.
///
/// Commands take effect at once; the datagrams they cause leave with the next [`Self::turn`].
/// Dropping the endpoint ends it without a `Disconnect` to its peers: [`Self::close`] sends them one.
pub struct Endpoint {
    pub(crate) core: handfast_core::Endpoint,
    pub(crate) clock: Clock,
    /// The time for messages.
    pub(crate) recent: Recent,
    pub(crate) traffic: Traffic<Port>,
    /// Beacons of the local network, if they are wanted.
    pub(crate) discovery: Option<Beacons<BeaconSocket>>,
    pub(crate) jobs: Jobs,
    /// Tells each shard of a mapped port, this one included.
    pub(crate) shards: Arc<[MappedSender]>,
    pub(crate) kept: Kept,
    /// An event that was polled from the core to know whether there is one, not yet by the application.
    pub(crate) next_event: Option<Event>,
    pub(crate) more_jobs: bool,
    pub(crate) more_to_send: bool,
    /// For how long to ask again and again before waiting.
    pub(crate) busy_poll: Duration,
    pub(crate) readiness: Events,
    pub(crate) poll: Poll,
}

impl Endpoint {
    /// Opens the sockets and makes an endpoint for them. It sets the fields of `config` that describe the
    /// machine (AES instructions, the time since 1970).
    ///
    /// # Errors
    /// `InvalidInput` if a field of `config` breaks a rule: the text names the field. Other errors name
    /// the address that could not be opened, or what the system refused.
    pub fn bind(config: Config, identity: Identity, listen: impl Into<Listen>) -> io::Result<Self> {
        let mut shards = shards::bind(config, &identity, &listen.into(), 1)?;
        shards.pop().ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Opens the sockets of several *shards*, 1 to 256, so that as many threads as there are processor cores do the work of
    /// many peers. What is returned are endpoints with one identity, at the same addresses: to their peers they are one. Each
    /// goes to a thread of your own, which calls its [`turn`](Self::turn) as ever: the guide of this crate has an
    /// [example](crate#several-threads). Each peer is a peer of one of them, from its handshake on until it ended:
    /// commands, events and messages of that peer are there ([`PeerHandle::shard`] is its number).
    ///
    /// What arrives at the wrong one crosses over, and wakes the thread of the right one: each has to have its turns for the
    /// others as well. Beyond 1,024 datagrams that wait for it, further ones are lost
    /// ([`SocketStats::handovers_dropped`]).
    ///
    /// - What [`Budgets`](crate::Budgets) and [`Limits`](crate::Limits) say for all, and
    ///   [`Forwarding::total_rate`](crate::Forwarding::total_rate), is divided evenly, rounded up: a newcomer may find its
    ///   shard full while another has room. Packets are passed on between peers of all shards.
    /// - [`connect`](Self::connect) dials by the shard that it is called on. If another has the peer,
    ///   [`ConnectError::OtherShard`] or [`EndReason::OtherShard`](crate::EndReason::OtherShard) says which.
    /// - [`set_admission`](Self::set_admission), [`set_secrets`](Self::set_secrets) and
    ///   [`addresses_changed`](Self::addresses_changed) are for one shard, as [`close`](Self::close) and the counters are:
    ///   call them for each, for instance by way of its [`remote`](Self::remote). [`map_port`](Self::map_port) is for all.
    /// - Sockets are neither added nor removed ([`SocketError::Sharded`]), no routes are exchanged, and only the first takes
    ///   part in the discovery of the local network.
    ///
    /// A shard ends by itself. Once it is dropped, its sockets are closed, the system spreads newcomers over the others, and
    /// whoever was its peer may become that of another. If it was dropped without being [closed](Self::close), for instance
    /// because its thread panicked, the others tell its peers that their session is gone, and those shake hands anew.
    ///
    /// # Errors
    /// As [`Self::bind`]. `InvalidInput` also if the number of shards is not 1 to 256, or there are several and `config` has
    /// routing. `Unsupported` where the system does not spread datagrams over sockets: elsewhere than on Linux and
    /// Android.
    pub fn bind_shards(
        config: Config,
        identity: Identity,
        listen: impl Into<Listen>,
        shards: u16,
    ) -> io::Result<Vec<Self>> {
        shards::bind(config, &identity, &listen.into(), shards)
    }

    /// Starts to dial, or joins a dial of the same identity that is under way. [`Event::Connected`] or
    /// [`Event::Ended`] follows.
    ///
    /// # Errors
    /// See [`ConnectError`]; no dial was started. A peer that is connected already is
    /// [`AlreadyConnected`](ConnectError::AlreadyConnected), which has its handle: no event follows.
    pub fn connect(&mut self, target: impl Into<Target>) -> Result<PeerHandle, ConnectError> {
        let now = self.time();
        self.core.connect(now, target.into())
    }

    /// Starts to dial, and dials again whenever the peer is lost, as `reconnect` says. Each time
    /// [`Event::Connected`] follows, with a new handle. An end of our own making, of which
    /// [`Self::disconnect`] is one, stops that.
    ///
    /// # Errors
    /// As [`Self::connect`]: then nothing is dialled, now or later.
    pub fn keep_connected(
        &mut self,
        target: impl Into<Target>,
        reconnect: Reconnect,
    ) -> Result<PeerHandle, ConnectError> {
        let target = target.into();
        let now = self.time();
        let peer = self.core.connect(now, target.clone())?;
        self.kept.add(peer, target, reconnect);
        Ok(peer)
    }

    /// Queues a message. The returned id names it in [`Event::Fate`].
    ///
    /// # Errors
    /// See [`SendError`]; the message was not queued. After `Blocked`, wait for [`Event::Writable`].
    pub fn send(
        &mut self,
        peer: PeerHandle,
        delivery: Delivery,
        payload: impl Into<Bytes>,
    ) -> Result<MessageId, SendError> {
        // A deadline counts from now, and not from the last tick.
        let is_exact = delivery.deadline.is_some();
        let now = if is_exact { self.time() } else { self.recent.now(&self.clock) };
        self.core.send(now, peer, delivery, payload.into())
    }

    /// Takes the next message of a peer, as announced by [`Event::Readable`]; `None` if none waits. Messages
    /// that are not taken wait in the core, and hold back their sender when its credit is used up. `None`
    /// after [`Event::Ended`] means that there are no more: whether that is all that the peer's application
    /// sent, [`EndReason::is_complete`](crate::EndReason::is_complete) says.
    pub fn receive(&mut self, peer: PeerHandle) -> Option<Message> {
        let now = self.recent.now(&self.clock);
        self.core.receive(now, peer)
    }

    /// Takes the next message of a peer on one channel: a channel that is not read holds back its own
    /// messages alone. `None` if none waits on it; [`Event::Readable`] tells of the next.
    pub fn receive_from(&mut self, peer: PeerHandle, channel: u16) -> Option<Message> {
        let now = self.recent.now(&self.clock);
        self.core.receive_from(now, peer, channel)
    }

    /// Takes the next message of a peer on any channel but these, for an application that reads those
    /// apart.
    pub fn receive_except(
        &mut self,
        peer: PeerHandle,
        channels: &BTreeSet<u16>,
    ) -> Option<Message> {
        let now = self.recent.now(&self.clock);
        self.core.receive_except(now, peer, channels)
    }

    /// Queues the same message for all these peers, without copying it. Returns those that did not take
    /// it, each with the reason.
    pub fn send_to_all(
        &mut self,
        peers: impl IntoIterator<Item = PeerHandle>,
        delivery: Delivery,
        payload: impl Into<Bytes>,
    ) -> Vec<(PeerHandle, SendError)> {
        let (now, payload) = (self.time(), payload.into());
        let mut refused = Vec::new();
        for peer in peers {
            if let Err(error) = self.core.send(now, peer, delivery, payload.clone()) {
                refused.push((peer, error));
            }
        }
        refused
    }

    /// Withdraws a message. Its fate is `Cancelled`, or `Acked` if an acknowledgement proves that it arrived before the
    /// peer heard of that. If some of a reliable message was sent, the fate is told when the peer knows.
    ///
    /// # Errors
    /// `TooLate` if it is unreliable and all of it was sent, it was given up before, or its fate is known; `UnknownPeer`.
    pub fn cancel(&mut self, peer: PeerHandle, message: MessageId) -> Result<(), CommandError> {
        let now = self.time();
        self.core.cancel(now, peer, message)
    }

    /// Ends a stream: what is sent on a channel with this reliability and order. Once all its messages met their fate
    /// and the peer knows, [`Event::StreamEnded`] tells that it takes none of the [`max_streams`](crate::Flow::max_streams)
    /// places any more. It can be used again then, or before: what is sent waits for that. The peer's application
    /// is not told.
    ///
    /// Unreliable messages of which nobody hears (not ordered, without a receipt) are done once they were sent: the end may
    /// overtake the last of them, and they are lost then.
    ///
    /// # Errors
    /// `TooMany` if 1,024 other streams to this peer were ended; `UnknownPeer`.
    pub fn end_stream(&mut self, peer: PeerHandle, delivery: Delivery) -> Result<(), CommandError> {
        let now = self.time();
        self.core.end_stream(now, peer, delivery)
    }

    /// Measures the round-trip time. [`Event::Pong`] follows if the peer answers.
    ///
    /// # Errors
    /// `TooMany` if eight pings are under way; `Closing`; `UnknownPeer`.
    pub fn ping(&mut self, peer: PeerHandle) -> Result<PingId, CommandError> {
        let now = self.time();
        self.core.ping(now, peer)
    }

    /// Finds out how the NAT before us behaves, with the help of a server that answers on two further ports
    /// (`p2p_server --probe-ports`: the two after its own). [`Event::NatTested`] follows, unless the server ends before.
    ///
    /// # Errors
    /// `NotDirect`; `TooMany` if a test with this server goes on already; `Closing`; `UnknownPeer`.
    pub fn test_nat(&mut self, server: PeerHandle, ports: [u16; 2]) -> Result<(), CommandError> {
        let now = self.time();
        self.core.test_nat(now, server, ports)
    }

    /// Lets peers ask for a small packet from each of these sockets, which tells them what their NAT lets in: see
    /// [`set_probe_sockets`](handfast_core::Endpoint::set_probe_sockets) of the core.
    pub fn set_probe_sockets(&mut self, sockets: impl IntoIterator<Item = SocketId>) {
        self.core.set_probe_sockets(sockets);
    }

    /// Disconnects a peer. [`Event::Ended`] follows. The default options deliver what was sent before, for at
    /// most 5 s.
    ///
    /// # Errors
    /// `Closing` if that is under way already; `UnknownPeer`.
    pub fn disconnect(
        &mut self,
        peer: PeerHandle,
        options: DisconnectOptions,
    ) -> Result<(), CommandError> {
        let now = self.time();
        self.core.disconnect(now, peer, options)
    }

    /// Disconnects every peer and accepts no new ones. Keep calling [`Self::turn`] until
    /// [`Self::is_closed`], and take the messages that arrived: messages that are not taken delay it by
    /// one idle timeout.
    pub fn close(&mut self, options: DisconnectOptions) {
        self.kept.clear();
        let now = self.time();
        self.core.close(now, options);
    }

    /// Whether [`Self::close`] is complete: every peer has ended, all events are polled, all messages
    /// received, all datagrams sent. (A socket that stays blocked delays it by one second at most.)
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.next_event.is_none() && !self.more_to_send && self.traffic.is_closed(&self.core)
    }

    /// Opens another socket on `address`. Port zero lets the system choose one:
    /// [`Self::local_address`] returns it. Peers keep the sockets that they use.
    ///
    /// # Errors
    /// `Open` if the system refuses, for instance because the address is in use; `TooMany`; `Sharded`.
    pub fn add_socket(&mut self, address: SocketAddr) -> Result<SocketId, SocketError> {
        self.refuse_if_sharded()?;
        let Self { core, clock, traffic, poll, .. } = self;
        traffic.add(core, clock.now(), address, |socket, io| Port::new(io, socket, poll.registry()))
    }

    /// Has a router forward a port to the first socket, and tells peers to which a direct way is looked for of it. `report`
    /// is called, by a thread of its own, with what becomes of it: see [`PortMapping::start`], also about `gateway`. It
    /// lasts until what is returned is released or dropped.
    ///
    /// # Errors
    /// Those of [`PortMapping::start`].
    pub fn map_port(
        &self,
        gateway: Option<SocketAddr>,
        mut report: impl FnMut(&PortNews) + Send + 'static,
    ) -> io::Result<PortMapping> {
        let first = self.local_addresses().first().copied().ok_or(io::ErrorKind::NotConnected)?;
        let shards = Arc::clone(&self.shards);
        PortMapping::start(first.port(), gateway, move |news| {
            shards.iter().for_each(|shard| shard.put(news.external()));
            report(news);
        })
    }

    /// Closes a socket at once. Its peers go on by another socket that reaches them, and learn our new
    /// address with the next [`Self::turn`]. Reliable messages are not lost; datagrams under way to the socket are,
    /// and those that waited for room in it ([`SocketStats::datagrams_overflowed`]). A peer that no
    /// other socket reaches ends by its idle timeout, unless one is added before. So does one that
    /// leaves its own address before it noticed: neither end knows then where the other is.
    ///
    /// # Errors
    /// `Unknown`, `Sharded`, or `Last`: an endpoint has at least one socket. Add the new one first.
    pub fn remove_socket(&mut self, socket: SocketId) -> Result<(), SocketError> {
        self.refuse_if_sharded()?;
        let Self { core, clock, traffic, poll, .. } = self;
        let port = traffic.remove(core, clock.now(), socket)?;
        port.close(poll.registry());
        Ok(())
    }

    /// The time now, which messages that follow are not to be older than.
    fn time(&mut self) -> Instant {
        self.recent.expire();
        self.clock.now()
    }

    pub(crate) fn is_sharded(&self) -> bool {
        self.shards.len() > 1
    }

    fn refuse_if_sharded(&self) -> Result<(), SocketError> {
        if self.is_sharded() { Err(SocketError::Sharded) } else { Ok(()) }
    }

    /// Call this when the addresses of this machine changed: with the next [`Self::turn`] each peer is
    /// sent a packet, from which it learns our new address.
    pub fn addresses_changed(&mut self) {
        let now = self.time();
        self.core.addresses_changed(now);
    }

    /// From now on a [`turn`](Self::turn) that may wait asks the system again and again for so long before it does. That
    /// keeps a processor busy, and saves what it takes to wake one that sleeps, which is most of the round trip in a local
    /// network. Zero, as in the beginning: it waits at once. A loop of your own polls as it likes.
    pub const fn set_busy_poll(&mut self, longest: Duration) {
        self.busy_poll = longest;
    }

    /// Who may shake hands with us from now on. Peers stay: see
    /// [`set_admission`](handfast_core::Endpoint::set_admission) of the core.
    pub fn set_admission(&mut self, admission: Admission) {
        self.core.set_admission(admission);
    }

    /// The secrets of the private network from now on: with `current` we begin handshakes, and others may
    /// begin theirs with either. Peers stay: see [`set_secrets`](handfast_core::Endpoint::set_secrets) of
    /// the core.
    ///
    /// # Errors
    /// When a secret is all zeros, or `previous` is set without `current`: the secrets stay as they were.
    pub fn set_secrets(
        &mut self,
        current: Option<NetworkSecret>,
        previous: Option<NetworkSecret>,
    ) -> Result<(), ConfigError> {
        self.core.set_secrets(current, previous)
    }

    /// A handle by which other threads send commands to this endpoint.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.jobs.remote()
    }

    /// This endpoint's identity.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.core.id()
    }

    /// The addresses that the sockets are bound to now, in the order in which they were opened.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.traffic.addresses().map(|(_, address)| address).collect()
    }

    /// The address that this socket is bound to; `None` if it is not open.
    #[must_use]
    pub fn local_address(&self, socket: SocketId) -> Option<SocketAddr> {
        self.traffic.addresses().find(|(open, _)| *open == socket).map(|(_, address)| address)
    }

    /// The peer that a handle names, as it is now; `None` once it ended.
    #[must_use]
    pub fn peer(&self, peer: PeerHandle) -> Option<PeerInfo> {
        self.core.peer(peer)
    }

    /// The peer with this identity; `None` if there is none.
    #[must_use]
    pub fn peer_by_id(&self, id: &PeerId) -> Option<PeerHandle> {
        self.core.peer_by_id(id)
    }

    /// The peer that is at this address now; `None` if there is none.
    #[must_use]
    pub fn peer_by_addr(&self, address: SocketAddr) -> Option<PeerHandle> {
        self.core.peer_by_addr(address)
    }

    /// Whether the handle names a peer that has not ended: see [`has_peer`](handfast_core::Endpoint::has_peer) of the core.
    #[must_use]
    pub fn has_peer(&self, peer: PeerHandle) -> bool {
        self.core.has_peer(peer)
    }

    /// The handles of all peers that have not ended, or of those behind `after`: see
    /// [`peer_handles`](handfast_core::Endpoint::peer_handles) of the core.
    pub fn peer_handles(&self, after: Option<PeerHandle>) -> impl Iterator<Item = PeerHandle> + '_ {
        self.core.peer_handles(after)
    }

    /// All peers that have not ended, in no particular order: see [`peers`](handfast_core::Endpoint::peers) of the core.
    pub fn peers(&self) -> impl Iterator<Item = PeerInfo> + '_ {
        self.core.peers()
    }

    /// The routes over several hops that are used; none without [`Config::routing`](crate::Config::routing).
    pub fn routes(&self) -> impl Iterator<Item = RouteInfo> + '_ {
        self.core.routes()
    }

    /// Who was heard of by beacons in the last minute: see
    /// [`discovered`](handfast_core::Endpoint::discovered) of the core.
    pub fn discovered(&self) -> impl Iterator<Item = Discovered> + '_ {
        self.core.discovered()
    }

    /// Counters of what the endpoint did.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        self.core.stats()
    }

    /// Datagrams dropped, by reason.
    #[must_use]
    pub fn drops(&self) -> &Drops {
        self.core.drops()
    }

    /// What happened at all sockets together, those that were removed included.
    #[must_use]
    pub fn socket_stats(&self) -> SocketStats {
        self.traffic.stats()
    }

    /// The time now, on the clock of [`PeerInfo::last_received`].
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id())
            .field("addresses", &self.local_addresses())
            .finish_non_exhaustive()
    }
}

/// The waker's name among the sockets, which are named by their ids: the core never gives out the last.
pub(crate) const WAKER: Token = Token(usize::MAX);
