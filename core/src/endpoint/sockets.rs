//! The driver's sockets: which are open, which are requested, and by which one a datagram leaves.
//!
//! Socket zero is open from the start, so that a driver with a single socket need not announce it.
//! Sockets come and go after that. No datagram is sent by a closed socket: it leaves by another one, if
//! another reaches the destination.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Endpoint;
use crate::PeerId;
use crate::error::CommandError;
use crate::event::Event;
use crate::net::{FourTuple, SocketId, Transmit, canonical};
use crate::peer::{FreshNews, Peer};
use crate::punch::Order;
use crate::time::Instant;

impl Endpoint {
    /// Asks the driver for another socket, bound to `address`. `Event::OpenSocket` follows with the
    /// id that is returned here, unless the driver opens or closes that id before it polls the event.
    ///
    /// # Errors
    /// `TooMany` if 1,024 sockets are open or asked for.
    pub fn request_socket(
        &mut self,
        now: Instant,
        address: SocketAddr,
    ) -> Result<SocketId, CommandError> {
        self.touch(now);
        self.sockets.request(address).ok_or(CommandError::TooMany)
    }

    /// The driver opened a socket, bound to `address`: one that the endpoint asked for, or one of the
    /// driver's own. A driver with several sockets announces each before the first datagram from it.
    ///
    /// Peers that no open socket could reach are reached by this one from now on, if it can.
    pub fn socket_opened(&mut self, now: Instant, socket: SocketId, address: SocketAddr) {
        self.touch(now);
        self.sockets.open(socket, address);
        self.tell_owner(socket, FreshNews::Opened(socket));
        if self.sockets.has_stranded {
            self.leave_closed_sockets();
        }
    }

    /// The driver closed a socket, or could not open it. Pass in the datagrams that were read from it
    /// before.
    ///
    /// Datagrams that would leave by this socket leave by another one: of those that reach the
    /// destination, the one that has been open longest, and none that is temporary. Each peer that used the closed socket is sent a
    /// packet by the other one at once, from which it learns our new address. If no other socket reaches
    /// a peer, its datagrams still name the closed socket and are lost; the peer ends by its idle timeout
    /// unless another socket is opened before. The same happens to a peer that leaves its own address
    /// within the same round trip: then neither end learns where the other is.
    pub fn socket_closed(&mut self, now: Instant, socket: SocketId) {
        self.touch(now);
        self.tell_owner(socket, FreshNews::Closed(socket));
        self.sockets.close(socket);
        self.leave_closed_sockets();
    }

    /// From these sockets peers may ask to be sent one small packet each (a frame `ProbeMe` names them by
    /// their index here): by that they learn what their NAT lets in. An honest peer asks once after it connects.
    /// Each answer goes to where the peer is known to be, and is no longer than the request. None at first.
    pub fn set_probe_sockets(&mut self, sockets: impl IntoIterator<Item = SocketId>) {
        self.shared.probe_sockets = sockets.into_iter().take(MAX_PROBE_SOCKETS).collect();
    }

    /// The addresses of the host's interfaces, each with the port of the socket there. Peers to which a direct way is
    /// looked for are told of them ([`Punching`](crate::Punching)): of four, those first that others can reach from
    /// elsewhere. Call it again when they change: then a direct way is looked for anew. The runtimes do both.
    pub fn set_host_addresses(
        &mut self,
        now: Instant,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) {
        self.touch(now);
        self.shared.local.set_hosts(addresses.into_iter().map(canonical));
        self.punch_anew();
    }

    /// The addresses of ports that a router forwards to us because it was asked to. Such peers are told of them as
    /// well, of four at most.
    pub fn set_mapped_addresses(
        &mut self,
        now: Instant,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) {
        self.touch(now);
        self.shared.local.set_mapped(addresses.into_iter().map(canonical));
        self.punch_anew();
    }

    /// Neighbours are to be asked where they see us, or one of them sees us elsewhere than before.
    pub(super) fn on_local_news(&mut self) {
        self.follow_orders();
        let (asks, moved) = self.shared.local.take_news();
        let relays: Vec<PeerId> =
            if asks { self.shared.relays.all().collect() } else { Vec::new() };
        for id in relays {
            let Some(slot) = self.peers.by_id(&id) else { continue };
            self.peers.at_mut(slot).into_iter().for_each(Peer::ask_where_we_are);
            self.refresh_indices(slot);
        }
        if moved {
            self.punch_anew();
        }
    }

    /// What searches for direct ways want of sockets of their own.
    fn follow_orders(&mut self) {
        for order in self.shared.local.take_orders() {
            match order {
                Order::Open(slot) => {
                    let usual = self.shared.local.spoilable();
                    let socket = usual.and_then(|usual| self.sockets.request_fresh(slot, usual));
                    self.tell_peer(slot, FreshNews::Requested(socket));
                }
                Order::Ask(socket) => {
                    let relays: Vec<PeerId> = self.shared.relays.all().take(MAX_ASKED).collect();
                    for id in relays {
                        let Some(slot) = self.peers.by_id(&id) else { continue };
                        let peer = self.peers.at_mut(slot);
                        peer.into_iter().for_each(|peer| peer.ask_about_socket(socket));
                        self.refresh_indices(slot);
                    }
                }
                Order::Seen(socket, address) => {
                    self.tell_owner(socket, FreshNews::Seen(socket, address));
                }
                Order::Close(socket) => self.sockets.give_back(socket),
            }
        }
    }

    /// The peer whose search has this socket hears of it.
    fn tell_owner(&mut self, socket: SocketId, news: FreshNews) {
        if let Some(slot) = self.sockets.fresh.get(&socket).copied().flatten() {
            self.tell_peer(slot, news);
        }
    }

    fn tell_peer(&mut self, slot: u32, news: FreshNews) {
        if let Some(peer) = self.peers.at_mut(slot) {
            peer.on_fresh(&mut self.shared, news);
        }
        self.refresh_indices(slot);
    }

    fn punch_anew(&mut self) {
        for slot in self.peers.occupied() {
            if let Some(peer) = self.peers.at_mut(slot) {
                peer.punch_anew(&mut self.shared);
            }
            self.refresh_indices(slot);
        }
    }

    fn leave_closed_sockets(&mut self) {
        self.sockets.has_stranded = false;
        for slot in self.peers.occupied() {
            if let Some(peer) = self.peers.at_mut(slot) {
                peer.change_sockets(&self.shared.config, |tuple| self.sockets.replace(tuple));
            }
            self.refresh_indices(slot);
        }
    }
}

/// All sockets. An id names one socket for ever: each new one is larger than all before.
#[derive(Debug)]
pub(super) struct Sockets {
    /// With the addresses that they are bound to, where the driver named them.
    open: BTreeMap<SocketId, Option<SocketAddr>>,
    /// Requested, and not yet reported to the driver.
    requests: VecDeque<(SocketId, SocketAddr)>,
    /// Opened, or to be, for the search for a direct way to the peer in a place; `None`: it is to be closed.
    fresh: BTreeMap<SocketId, Option<u32>>,
    /// To be closed, and not yet reported to the driver.
    closings: VecDeque<SocketId>,
    /// Larger than all ids so far.
    next: u32,
    /// The socket of some peer's path closed, and no other reached the peer.
    has_stranded: bool,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            open: BTreeMap::from([(SocketId::default(), None)]),
            requests: VecDeque::new(),
            fresh: BTreeMap::new(),
            closings: VecDeque::new(),
            next: 1,
            has_stranded: false,
        }
    }
}

impl Sockets {
    fn request(&mut self, address: SocketAddr) -> Option<SocketId> {
        if self.open.len() + self.requests.len() >= MAX_SOCKETS {
            return None;
        }
        let socket = SocketId(self.next);
        // The last id is never given out.
        self.next = self.next.checked_add(1)?;
        self.requests.push_back((socket, address));
        Some(socket)
    }

    fn open(&mut self, socket: SocketId, address: SocketAddr) {
        self.requests.retain(|(request, _)| *request != socket);
        self.open.insert(socket, Some(canonical(address)));
        if self.fresh.get(&socket) == Some(&None) {
            self.closings.push_back(socket);
        }
        self.next = self.next.max(socket.0.saturating_add(1));
    }

    fn close(&mut self, socket: SocketId) {
        self.requests.retain(|(request, _)| *request != socket);
        self.closings.retain(|closing| *closing != socket);
        self.fresh.remove(&socket);
        self.open.remove(&socket);
    }

    /// One for the search for the peer in a place, beside the `usual` one; `None` if there are enough.
    fn request_fresh(&mut self, slot: u32, usual: SocketId) -> Option<SocketId> {
        if self.fresh.len() >= MAX_FRESH {
            return None;
        }
        let bound = self.open.get(&usual).copied().flatten();
        let ip = bound.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |bound| bound.ip());
        let socket = self.request(SocketAddr::new(ip, 0))?;
        self.fresh.insert(socket, Some(slot));
        Some(socket)
    }

    /// The search does not need it any more.
    fn give_back(&mut self, socket: SocketId) {
        let Some(owner) = self.fresh.get_mut(&socket) else { return };
        *owner = None;
        if self.requests.iter().any(|(request, _)| *request == socket) {
            self.close(socket);
        } else if self.open.contains_key(&socket) && !self.closings.contains(&socket) {
            self.closings.push_back(socket);
        }
    }

    /// The peer in this place is gone.
    pub(super) fn give_back_all(&mut self, slot: u32) {
        let its = self.fresh.iter().filter(|(_, owner)| **owner == Some(slot));
        for socket in its.map(|(socket, _)| *socket).collect::<Vec<_>>() {
            self.give_back(socket);
        }
    }

    /// Whether a request was not yet reported to the driver.
    pub(super) fn has_events(&self) -> bool {
        !self.closings.is_empty() || !self.requests.is_empty()
    }

    /// The next request that was not yet reported to the driver.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        if let Some(socket) = self.closings.pop_front() {
            return Some(Event::CloseSocket { socket });
        }
        let (socket, address) = self.requests.pop_front()?;
        let temporary = self.fresh.contains_key(&socket);
        Some(Event::OpenSocket { socket, address, temporary })
    }

    /// The socket to send by to `remote`: of those that reach it, the one that has been open longest.
    pub(super) fn toward(&self, remote: SocketAddr) -> Option<SocketId> {
        let lasting = |socket: &SocketId| !self.fresh.contains_key(socket);
        let mut reaching = self.open.iter().filter(|(_, bound)| reaches(**bound, remote));
        reaching.find(|(socket, _)| lasting(socket)).map(|(socket, _)| *socket)
    }

    /// A socket that the driver did not announce counts as open.
    #[inline]
    pub(super) fn is_closed(&self, socket: SocketId) -> bool {
        // Mostly all that were ever open are.
        socket.0 < self.next
            && self.open.len() < self.next as usize
            && !self.open.contains_key(&socket)
    }

    /// Datagrams whose socket is closed, by one that is open if any reaches their destination.
    pub(super) fn redirect(&self, transmit: Transmit) -> Transmit {
        let other = self.toward(transmit.destination);
        other.map_or(transmit, |socket| Transmit { socket, source: None, ..transmit })
    }

    /// What takes the place of addresses whose socket is closed, if anything does.
    fn replace(&mut self, tuple: &FourTuple) -> Option<FourTuple> {
        let FourTuple { socket, remote, .. } = *tuple;
        if !self.is_closed(socket) {
            return None;
        }
        let other = self.toward(remote);
        self.has_stranded |= other.is_none();
        other.map(|socket| FourTuple { socket, local: None, remote })
    }
}

/// Whether a socket bound to `bound` can send to `remote`: as far as its family and the loopback
/// interface tell. `[::]` takes IPv4 as well. A socket of which nothing is known may reach anything.
fn reaches(bound: Option<SocketAddr>, remote: SocketAddr) -> bool {
    let Some(bound) = bound.map(|bound| bound.ip()) else { return true };
    let (to, any) = (canonical(remote).ip(), bound.is_unspecified());
    let family = bound.is_ipv4() == to.is_ipv4() || (any && bound.is_ipv6());
    family && (any || to.is_loopback() || !IpAddr::is_loopback(&bound))
}

/// The most sockets that peers may ask to be challenged from.
const MAX_PROBE_SOCKETS: usize = 256;
/// Open or asked for.
const MAX_SOCKETS: usize = 1024;
/// Of those, for single peers: while a direct way to them is looked for, and as long as one leads there.
const MAX_FRESH: usize = 64;
/// So many neighbours are asked where they see such a socket.
const MAX_ASKED: usize = 3;
