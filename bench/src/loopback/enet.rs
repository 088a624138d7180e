//! ENet in Rust on a socket of the system, which does not encrypt. Its own loop: it is served until there is
//! nothing to do, and waits for a datagram or a millisecond.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Sender;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rusty_enet::{EventNoRef, Host, HostSettings, Packet, PeerID};

use super::run::{Job, LARGE, LOST, Run, SMALL, message, sequence};
use super::system::{LOOPBACK, cannot, text};

struct End {
    host: Host<UdpSocket>,
    /// The same socket, to wait at.
    socket: UdpSocket,
}

impl End {
    fn new() -> Result<Self, String> {
        let socket = UdpSocket::bind(LOOPBACK).map_err(text)?;
        let settings = HostSettings { peer_limit: 1, channel_limit: 1, ..HostSettings::default() };
        let host = Host::new(socket.try_clone().map_err(text)?, settings);
        Ok(Self { host: host.map_err(text)?, socket })
    }

    fn wait(&self) {
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
        let millisecond = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // It is asked again soon, whatever came of it.
        poll(&mut sockets, Some(&millisecond)).ok();
    }

    fn next(&mut self) -> Result<Option<EventNoRef>, String> {
        Ok(self.host.service().map_err(text)?.map(|event| event.no_ref()))
    }

    fn send(&mut self, peer: PeerID, packet: &Packet) -> Result<(), String> {
        self.host.peer_mut(peer).send(0, packet).map_err(|error| format!("{error:?}"))
    }
}

pub(super) fn send(to: SocketAddr, run: &Run) -> Result<(), String> {
    let mut end = End::new()?;
    end.host.connect(to, 1, 0).map_err(text)?;
    let (mut connected, mut sent, mut called) = (None, 0, None::<Instant>);
    while !run.is_over() {
        while let Some(event) = end.next()? {
            match event {
                EventNoRef::Connect { peer, .. } => {
                    connected = Some(peer);
                    run.begin();
                }
                EventNoRef::Receive { packet, .. } if packet.data() == message(sent) => {
                    if let Some(called) = called.take() {
                        run.came_back(called.elapsed());
                        sent += 1;
                    }
                }
                EventNoRef::Receive { .. } => {}
                EventNoRef::Disconnect { .. } => return Err("the peer disconnected".into()),
            }
        }
        let Some(peer) = connected else {
            end.wait();
            continue;
        };
        match run.job {
            Job::Echo => {
                if called.is_none_or(|called| called.elapsed() > LOST) {
                    called = Some(Instant::now());
                    end.send(peer, &Packet::unreliable(message(sent)))?;
                    end.host.flush();
                }
            }
            Job::Bulk => {
                while run.has_room(sent) {
                    end.send(peer, &Packet::reliable(sequence().piece(sent, LARGE)))?;
                    sent += LARGE as u64;
                }
            }
            Job::Handshakes => cannot(run.job)?,
            Job::Messages { reliable } => {
                // As many as are sent before the host is served again.
                for _ in 0..AT_ONCE {
                    if reliable && run.has_room(sent) {
                        end.send(peer, &Packet::reliable(sequence().piece(sent, SMALL)))?;
                        sent += SMALL as u64;
                    } else if !reliable {
                        end.send(peer, &Packet::unreliable(message(sent)))?;
                        sent += 1;
                    }
                }
                end.host.flush();
                continue;
            }
        }
        end.wait();
    }
    Ok(())
}

pub(super) fn receive(tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
    let mut end = End::new()?;
    tell.send(end.socket.local_addr().map_err(text)?).ok();
    let mut taker = run.taker();
    while !run.is_over() {
        while let Some(event) = end.next()? {
            match event {
                EventNoRef::Receive { peer, packet, .. } => match run.job {
                    Job::Bulk | Job::Messages { reliable: true } => taker.take(packet.data()),
                    Job::Messages { reliable: false } => taker.take_any(packet.data()),
                    Job::Echo => {
                        end.send(peer, &Packet::unreliable(packet.data()))?;
                        end.host.flush();
                    }
                    Job::Handshakes => cannot(run.job)?,
                },
                EventNoRef::Connect { .. } => {}
                EventNoRef::Disconnect { .. } => return Err("the peer disconnected".into()),
            }
        }
        end.wait();
    }
    Ok(())
}

/// How many small messages are handed over before the host has its turn.
const AT_ONCE: usize = 256;
