//! Sockets come and go while traffic flows.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use handfast_core::{Endpoint, Event, Instant, SocketId};

use super::{Lane, Traffic};
use crate::interfaces::Interfaces;
use crate::{Clock, Listen, Port, ShardPorts, SocketError, bind, explain};

/// Each takes a way to make a port of a socket that was opened.
impl<P: Port> Traffic<P> {
    /// Opens the sockets of `listen`. The position of an address is the id of its socket. A turn is over
    /// after 64 datagrams either way, or after `longest_turn`, but not before as many were sent as came.
    ///
    /// # Errors
    /// Names the address that could not be opened, or what the system or `make` refused.
    pub fn bind(
        core: &mut Endpoint,
        now: Instant,
        listen: &Listen,
        longest_turn: Duration,
        make: impl Fn(SocketId, UdpSocket) -> io::Result<P>,
    ) -> io::Result<Self> {
        Self::with_sockets(core, now, (listen.bind()?, None), longest_turn, make)
    }

    /// The same with sockets that are open, and with the way to the other shards if this is one of several.
    ///
    /// # Errors
    /// What `make` refused.
    pub fn with_sockets(
        core: &mut Endpoint,
        now: Instant,
        (sockets, crossing): ShardPorts,
        longest_turn: Duration,
        make: impl Fn(SocketId, UdpSocket) -> io::Result<P>,
    ) -> io::Result<Self> {
        let mut traffic = Self::new(now, longest_turn);
        traffic.crossing = crossing.map(Box::new);
        for (socket, io) in (0..).map(SocketId).zip(sockets) {
            traffic.attach(core, now, socket, Lane::new(make(socket, io)?, false));
        }
        traffic.interfaces = Interfaces::of(core);
        traffic.tell_interfaces(core, now);
        Ok(traffic)
    }

    /// Tells the core by which addresses of this machine the sockets are reached, if that changed.
    pub(super) fn tell_interfaces(&mut self, core: &mut Endpoint, now: Instant) {
        let Some(interfaces) = &mut self.interfaces else { return };
        let lasting = self.lanes.values().filter(|lane| !lane.is_temporary);
        let bound = lasting.map(|lane| lane.port.address());
        if let Some(addresses) = interfaces.news(std::time::Instant::now(), bound) {
            tracing::debug!(target: "handfast::driver", ?addresses, "addresses of this machine");
            core.set_host_addresses(now, addresses);
        }
    }

    /// Opens a socket on `address` and announces it to the core. Port zero lets the system choose one.
    ///
    /// # Errors
    /// `Open` if the system or `make` refuses, `TooMany`.
    pub fn add(
        &mut self,
        core: &mut Endpoint,
        now: Instant,
        address: SocketAddr,
        make: impl FnOnce(SocketId, UdpSocket) -> io::Result<P>,
    ) -> Result<SocketId, SocketError> {
        let socket = core.request_socket(now, address).map_err(|_| SocketError::TooMany)?;
        self.open(core, now, (socket, address, false), make).map_err(SocketError::Open)?;
        Ok(socket)
    }

    /// Closes a socket. What waits to be sent by it is lost, and counted; its counters stay in
    /// [`Self::stats`]. The core goes on by the other sockets.
    ///
    /// # Errors
    /// `Unknown`, and `Last` for the only socket there is.
    pub fn remove(
        &mut self,
        core: &mut Endpoint,
        now: Instant,
        socket: SocketId,
    ) -> Result<P, SocketError> {
        if self.lanes.len() == 1 && self.lanes.contains_key(&socket) {
            return Err(SocketError::Last(socket));
        }
        let mut lane = self.lanes.remove(&socket).ok_or(SocketError::Unknown(socket))?;
        while self.reading == socket
            && let Some((origin, datagram)) = self.inbox.take(socket)
        {
            core.handle_datagram(now, origin, datagram);
        }
        self.retired += *lane.port.socket().stats();
        self.retired.datagrams_overflowed += lane.discard();
        core.socket_closed(now, socket);
        let address = lane.port.address();
        if lane.is_temporary {
            tracing::debug!(target: "handfast::driver", ?socket, %address, "the search is over");
        } else {
            tracing::info!(target: "handfast::driver", ?socket, %address, "socket removed");
        }
        Ok(lane.port)
    }

    /// The core's next event that is for the application. Sockets that the core asks for are opened on
    /// the way, and those that it does not need any more handed to `close`; what cannot be opened is logged, and the core
    /// told.
    pub fn poll_event(
        &mut self,
        core: &mut Endpoint,
        clock: &Clock,
        mut make: impl FnMut(SocketId, UdpSocket) -> io::Result<P>,
        mut close: impl FnMut(P),
    ) -> Option<Event> {
        loop {
            match core.poll_event()? {
                Event::OpenSocket { socket, address, temporary, .. } => {
                    let wanted = (socket, address, temporary);
                    if let Err(error) = self.open(core, clock.now(), wanted, &mut make) {
                        let error = explain(&error);
                        tracing::warn!(target: "handfast::driver", ?socket, %error, "no further socket");
                    }
                }
                Event::CloseSocket { socket, .. } => match self.remove(core, clock.now(), socket) {
                    Ok(port) => close(port),
                    Err(error) => {
                        tracing::debug!(target: "handfast::driver", ?socket, %error, "not closed");
                    }
                },
                event => {
                    log_aloud(&event);
                    return Some(event);
                }
            }
        }
    }

    /// The sockets and the addresses they are bound to, those first that were opened first. Without those that the core
    /// has for a search, and closes again.
    pub fn addresses(&self) -> impl Iterator<Item = (SocketId, SocketAddr)> {
        let lasting = self.lanes.iter().filter(|(_, lane)| !lane.is_temporary);
        lasting.map(|(socket, lane)| (*socket, lane.port.address()))
    }

    /// Opens what the core asked for, or tells it that there will be no such socket.
    fn open(
        &mut self,
        core: &mut Endpoint,
        now: Instant,
        (socket, address, temporary): (SocketId, SocketAddr, bool),
        make: impl FnOnce(SocketId, UdpSocket) -> io::Result<P>,
    ) -> io::Result<()> {
        match bind(address).and_then(|io| make(socket, io)) {
            Ok(port) => {
                let address = port.address();
                if temporary {
                    tracing::debug!(target: "handfast::driver", ?socket, %address, "socket for a search");
                } else {
                    tracing::info!(target: "handfast::driver", ?socket, %address, "socket added");
                }
                self.attach(core, now, socket, Lane::new(port, temporary));
                Ok(())
            }
            Err(error) => {
                core.socket_closed(now, socket);
                Err(error)
            }
        }
    }

    fn attach(&mut self, core: &mut Endpoint, now: Instant, socket: SocketId, lane: Lane<P>) {
        core.socket_opened(now, socket, lane.port.address());
        self.lanes.insert(socket, lane);
    }
}

/// What whoever runs the program should know, whether or not the application looks at events.
fn log_aloud(event: &Event) {
    if let Event::PathTooNarrow { peer, path, .. } = event {
        tracing::warn!(
            target: "handfast::path", ?peer, %path,
            "datagrams of 1,200 bytes do not pass, smaller ones do: long messages hardly get through",
        );
    }
}
