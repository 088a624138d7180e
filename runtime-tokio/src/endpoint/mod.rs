//! The handle to an endpoint.

mod queries;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use handfast_core::{
    Admission, Bytes, Config, ConfigError, Delivery, DisconnectOptions, EndReason, Identity,
    NetworkSecret, PeerHandle, PeerId, SocketId, Target,
};
use handfast_udp::{Backoff, Listen, PortMapping, PortNews, Reconnect, SocketError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::command::{Command, PeerSelector};
use crate::connections::Connections;
use crate::driver::{Item, Subscriber};
use crate::error::{ConnectError, SendError, Stopped};
use crate::events::{Events, Incoming};
use crate::link::Link;
use crate::peer::Peer;
use crate::shards;

pub use queries::EndpointStats;

/// A handfast endpoint: a cheap handle to the task that owns it, usable from any task.
#[derive(Clone)]
pub struct Endpoint {
    link: Arc<Link>,
}

impl Endpoint {
    /// Opens the sockets, makes an endpoint for them and spawns the task that drives it. It sets the
    /// fields of `config` that describe the machine (AES instructions, the time since 1970).
    ///
    /// # Errors
    /// `InvalidInput` if a field of `config` breaks a rule: the text names the field. Other errors name
    /// the address that could not be opened, or what the system refused. Also if there is no tokio
    /// runtime here.
    ///
    /// # Panics
    /// When the runtime was built without I/O or time.
    pub fn bind(config: Config, identity: Identity, listen: impl Into<Listen>) -> io::Result<Self> {
        shards::bind(config, &identity, &listen.into(), 1)
    }

    /// The same with several tasks, so that the work of many peers is done by as many processor cores (of a runtime with
    /// several threads). Each is a *shard* with its own sockets, 1 to 256 of them; each peer is a peer of one. The
    /// application sees one endpoint, with these differences:
    ///
    /// - What [`Budgets`](crate::Budgets) and [`Limits`](crate::Limits) say for all, and
    ///   [`Forwarding::total_rate`](crate::Forwarding::total_rate), is divided evenly, rounded up: a newcomer may find its shard
    ///   full while another has room.
    /// - What comes of one peer comes in one order, as ever. What comes of two does so only if they are of one shard.
    /// - Sockets are neither added nor removed ([`SocketError::Sharded`]).
    /// - No routes are exchanged.
    ///
    /// # Errors
    /// As [`Self::bind`]. `InvalidInput` also if the number of shards is not 1 to 256, or there are several and `config` has
    /// routing. `Unsupported` where the system does not spread datagrams over sockets: elsewhere than on Linux
    /// and Android.
    ///
    /// # Panics
    /// As [`Self::bind`].
    pub fn bind_shards(
        config: Config,
        identity: Identity,
        listen: impl Into<Listen>,
        shards: u16,
    ) -> io::Result<Self> {
        shards::bind(config, &identity, &listen.into(), shards)
    }

    pub(crate) fn of(link: Link) -> Self {
        Self { link: Arc::new(link) }
    }

    /// Dials a peer: by address, by [`PeerId`] with addresses in a [`Target`], or by the `PeerId`
    /// alone of a peer that is connected already. Completes when the handshake is complete.
    ///
    /// # Errors
    /// When the dial could not start, or ended without success: the error says why.
    pub async fn connect(&self, target: impl Into<Target>) -> Result<Peer, ConnectError> {
        let (mut target, mut shard) = (target.into(), self.link.next_shard());
        loop {
            // Each time another shard says that the peer is with it, or was until just now.
            match self.dial(shard, target.clone()).await {
                Err(ConnectError::Refused(handfast_core::ConnectError::OtherShard(other))) => {
                    shard = other;
                }
                Err(ConnectError::Ended(EndReason::OtherShard { id, shard: other, .. })) => {
                    (target.id, shard) = (Some(id), other);
                }
                result => return result,
            }
        }
    }

    async fn dial(&self, shard: u8, target: Target) -> Result<Peer, ConnectError> {
        let (reply, answer) = oneshot::channel();
        let connect = Command::Connect { target, reply };
        let driver = self.link.driver(shard);
        driver.command(connect).await.map_err(|Stopped| ConnectError::Stopped)?;
        let offer = answer.await.map_err(|_| ConnectError::Stopped)??;
        let peer = offer.take().and_then(|mailbox| Peer::new(&self.link, mailbox));
        peer.ok_or(ConnectError::Stopped)
    }

    /// Connects to a peer, and connects again whenever it is lost, as `reconnect` says:
    /// [`Connections::next`] returns it each time.
    #[must_use = "nothing is dialled before `next` is called"]
    pub fn keep_connected(&self, target: impl Into<Target>, reconnect: Reconnect) -> Connections {
        Connections::new(self.clone(), target.into(), Backoff::new(reconnect))
    }

    /// The next peer that initiated a handshake with us; `None` once the endpoint has stopped. Peers that
    /// are not accepted stay connected until they end. A peer that ends before it is accepted waits here
    /// only if it has messages to receive; of such peers, only the newest 256 are kept, with 16 MiB of
    /// messages in all.
    pub async fn accept(&self) -> Option<Peer> {
        let mailbox = self.link.backlog.accept().await?;
        Peer::new(&self.link, mailbox)
    }

    /// The stream of all events from now on, except for `Readable` and `Writable`, which
    /// [`Peer::recv`] and [`Peer::send`] handle. A second call takes the stream over: the first one ends.
    ///
    /// It is for whoever watches events alone, and no message holds it back: `Ended` comes at once and
    /// says how many messages of the peer wait unread. For messages and events in one order there is
    /// [`Self::incoming`].
    ///
    /// No event is dropped: while 1,024 wait to be read, further ones wait in the core, and the handles
    /// wait too. So keep reading, or drop the stream. (An endpoint that is closing does not wait.)
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn events(&self) -> Result<Events, Stopped> {
        Ok(Events(self.subscribe(false).await?))
    }

    /// The stream of all events and all messages of all peers from now on, for an application that has
    /// one loop for everything. What comes of one peer comes in one order: `Connected` first, each
    /// message where it arrived, `Ended` last. It takes the place of [`Self::events`] and of
    /// [`Peer::recv`], which gets nothing while this stream exists.
    ///
    /// Keep reading: while 1,024 wait to be read, messages wait in the core within the credit of their
    /// senders, events wait too, and so do the handles. The stream is a handle: the endpoint
    /// does not stop while it exists. (An endpoint that is closing does not wait: then messages for
    /// which there is no room go to [`Peer::recv`], and events are lost.)
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn incoming(&self) -> Result<Incoming, Stopped> {
        let items = self.subscribe(true).await?;
        Ok(Incoming { items, link: Arc::clone(&self.link) })
    }

    async fn subscribe(&self, takes_messages: bool) -> Result<mpsc::Receiver<Item>, Stopped> {
        let (sender, receiver) = mpsc::channel(MAX_EVENTS);
        let is_shared = !self.link.others.is_empty();
        for driver in self.link.drivers() {
            let subscriber = Subscriber::new(sender.clone(), is_shared, takes_messages);
            driver.command(Command::Subscribe(subscriber)).await?;
        }
        Ok(receiver)
    }

    /// Sends the same message to all these peers without waiting for any of them, and without copying
    /// it. Returns those that did not take it, each with the reason: `Blocked` if there is no room.
    pub fn send_to_all<'a>(
        &self,
        peers: impl IntoIterator<Item = &'a Peer>,
        delivery: Delivery,
        payload: impl Into<Bytes>,
    ) -> Vec<(&'a Peer, SendError)> {
        let payload = payload.into();
        let send = |peer: &'a Peer| Some((peer, peer.try_send(delivery, payload.clone()).err()?));
        peers.into_iter().filter_map(send).collect()
    }

    /// A handle to a peer that an event or a [`PeerInfo`](crate::PeerInfo) named; `None` if it is not connected, or the
    /// endpoint has stopped.
    pub async fn peer(&self, handle: PeerHandle) -> Option<Peer> {
        self.find(PeerSelector::Handle(handle)).await
    }

    /// The connected peer with this identity; `None` if there is none, or the endpoint has stopped.
    pub async fn peer_by_id(&self, id: PeerId) -> Option<Peer> {
        self.find(PeerSelector::Id(id)).await
    }

    /// The connected peer at this address; `None` if there is none, or the endpoint has stopped.
    pub async fn peer_by_addr(&self, address: SocketAddr) -> Option<Peer> {
        self.find(PeerSelector::Address(address)).await
    }

    /// Call this when the addresses of this machine changed: each peer is sent a packet at once, from
    /// which it learns our new address.
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn addresses_changed(&self) -> Result<(), Stopped> {
        for driver in self.link.drivers() {
            driver.command(Command::AddressesChanged).await?;
        }
        Ok(())
    }

    /// From now on the endpoint asks its sockets again and again for so long before it waits for them, in turns with the other
    /// tasks of its thread. That keeps a processor busy, and saves what it takes to wake one that sleeps, which is most of the
    /// round trip in a local network. Zero, as in the beginning: it waits at once.
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn set_busy_poll(&self, longest: Duration) -> Result<(), Stopped> {
        for driver in self.link.drivers() {
            driver.command(Command::BusyPoll(longest)).await?;
        }
        Ok(())
    }

    /// Who may shake hands with us from now on. Peers stay: see
    /// [`set_admission`](handfast_core::Endpoint::set_admission) of the core.
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn set_admission(&self, admission: Admission) -> Result<(), Stopped> {
        let set = move |core: &mut handfast_core::Endpoint| {
            core.set_admission(admission.clone());
            Ok(())
        };
        self.change(set).await.map(drop)
    }

    /// The secrets of the private network from now on: with `current` we begin handshakes, and others may
    /// begin theirs with either. Peers stay: see [`set_secrets`](handfast_core::Endpoint::set_secrets) of
    /// the core.
    ///
    /// # Errors
    /// `InvalidInput` when a secret is all zeros, or `previous` is set without `current`: the secrets stay
    /// as they were. Others when the endpoint has stopped.
    pub async fn set_secrets(
        &self,
        current: Option<NetworkSecret>,
        previous: Option<NetworkSecret>,
    ) -> io::Result<()> {
        let changed =
            self.change(move |core| core.set_secrets(current.clone(), previous.clone())).await;
        let changed = changed.map_err(io::Error::other)?;
        changed.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    /// Opens another socket on `address`. Port zero lets the system choose one:
    /// [`Self::local_address`] returns it. Peers keep the sockets that they use.
    ///
    /// # Errors
    /// `Open` if the system refuses, for instance because the address is in use; `TooMany`; `Stopped`.
    pub async fn add_socket(&self, address: SocketAddr) -> Result<SocketId, SocketError> {
        self.ask(|reply| Command::AddSocket { address, reply }).await
    }

    /// Lets peers ask for a small packet from each of these sockets, which tells them what their NAT lets in: see
    /// [`set_probe_sockets`](handfast_core::Endpoint::set_probe_sockets) of the core.
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn set_probe_sockets(&self, sockets: Vec<SocketId>) -> Result<(), Stopped> {
        let set = move |core: &mut handfast_core::Endpoint| {
            core.set_probe_sockets(sockets.clone());
            Ok(())
        };
        self.change(set).await.map(drop)
    }

    /// Has a router forward a port to the first socket, and tells peers to which a direct way is looked for of it. `report`
    /// is called, by a thread of its own, with what becomes of it: see [`PortMapping::start`], also about `gateway`. It
    /// lasts until what is returned is released or dropped.
    ///
    /// # Errors
    /// Those of [`PortMapping::start`]; `NotConnected` when the endpoint has stopped; others outside of a runtime.
    pub fn map_port(
        &self,
        gateway: Option<SocketAddr>,
        mut report: impl FnMut(&PortNews) + Send + 'static,
    ) -> io::Result<PortMapping> {
        let first = self.local_addresses().first().copied().ok_or(io::ErrorKind::NotConnected)?;
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        // The mapping's thread must never wait for the driver: who releases it waits for the thread.
        let (tell, mut told) = watch::channel(None);
        // A mapping keeps no endpoint alive.
        let link = Arc::downgrade(&self.link);
        runtime.spawn(async move {
            while told.changed().await.is_ok() {
                let address: Option<SocketAddr> = *told.borrow_and_update();
                let Some(link) = link.upgrade() else { return };
                for driver in link.drivers() {
                    let addresses = address.into_iter().collect();
                    if driver.command(Command::MappedAddresses(addresses)).await.is_err() {
                        return;
                    }
                }
            }
        });
        PortMapping::start(first.port(), gateway, move |news| {
            tell.send_replace(news.external());
            report(news);
        })
    }

    /// Closes a socket, and completes when it is closed. Its peers go on by another socket that
    /// reaches them, and learn our new address at once. Reliable messages are not lost; datagrams under way to the
    /// socket are, and those that waited for room in it ([`datagrams_overflowed`](crate::SocketStats::datagrams_overflowed)). A peer
    /// that no other socket reaches ends by its idle timeout, unless one is added before. So does one
    /// that leaves its own address before it noticed: neither end knows then where the other is.
    ///
    /// # Errors
    /// `Unknown`; `Last`: an endpoint has at least one socket, add the new one first; `Stopped`.
    pub async fn remove_socket(&self, socket: SocketId) -> Result<(), SocketError> {
        self.ask(|reply| Command::RemoveSocket { socket, reply }).await
    }

    /// Disconnects every peer and accepts no new ones. Completes when what was sent before is delivered
    /// (or [`DisconnectOptions::linger`] has passed), all peers have ended and the sockets are closed.
    ///
    /// # Errors
    /// When a socket failed permanently instead.
    pub async fn close(&self, options: DisconnectOptions) -> io::Result<()> {
        for driver in self.link.drivers() {
            // Stopped is what it shall be.
            driver.command(Command::Close { options: options.clone() }).await.ok();
        }
        self.closed().await
    }

    /// Completes when the endpoint has stopped.
    ///
    /// # Errors
    /// When it stopped because a socket failed permanently.
    pub async fn closed(&self) -> io::Result<()> {
        let mut ended = Ok(());
        for driver in self.link.drivers() {
            let mut stopped = driver.stopped.clone();
            let result = stopped.wait_for(Option::is_some).await;
            let result = match result.as_deref() {
                Ok(Some(Err(error))) => Err(io::Error::new(error.kind(), error.to_string())),
                Ok(_) => Ok(()),
                Err(_) => Err(io::Error::other("the endpoint's task was aborted")),
            };
            ended = ended.and(result);
        }
        ended
    }

    /// This endpoint's identity.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.link.id
    }

    /// The addresses that the sockets are bound to now, in the order in which they were opened. Empty
    /// once the endpoint has stopped.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.link.addresses.borrow().iter().map(|(_, address)| *address).collect()
    }

    /// The address that this socket is bound to; `None` if it is not open.
    #[must_use]
    pub fn local_address(&self, socket: SocketId) -> Option<SocketAddr> {
        let addresses = self.link.addresses.borrow();
        addresses.iter().find(|(open, _)| *open == socket).map(|(_, address)| *address)
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, SocketError>>) -> Command,
    ) -> Result<T, SocketError> {
        if !self.link.others.is_empty() {
            return Err(SocketError::Sharded);
        }
        let (reply, answer) = oneshot::channel();
        let sent = self.link.first.command(question(reply)).await;
        sent.map_err(|Stopped| SocketError::Stopped)?;
        answer.await.unwrap_or(Err(SocketError::Stopped))
    }

    /// Has every shard choose something anew. One that cannot says so, and so would the others.
    async fn change(
        &self,
        change: impl Fn(&mut handfast_core::Endpoint) -> Result<(), ConfigError>
        + Clone
        + Send
        + 'static,
    ) -> Result<Result<(), ConfigError>, Stopped> {
        for driver in self.link.drivers() {
            let (reply, answer) = oneshot::channel();
            let change = Box::new(change.clone());
            driver.command(Command::Change { change, reply }).await?;
            if let Err(error) = answer.await.map_err(|_| Stopped)? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    async fn find(&self, whom: PeerSelector) -> Option<Peer> {
        for driver in self.link.drivers() {
            let (reply, answer) = oneshot::channel();
            driver.command(Command::Find { whom, reply }).await.ok()?;
            if let Some(offer) = answer.await.ok()? {
                return Peer::new(&self.link, offer.take()?);
            }
        }
        None
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.link.id)
            .field("addresses", &self.local_addresses())
            .finish_non_exhaustive()
    }
}

const MAX_EVENTS: usize = 1024;
