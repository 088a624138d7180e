//! renet on netcode, which encrypts with ChaCha20-Poly1305. Its own loop: a tick whenever a datagram came or a
//! millisecond passed.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use renet::{Bytes, ClientId, ConnectionConfig, DefaultChannel, RenetClient, RenetServer};
use renet_netcode::{
    ClientAuthentication, NetcodeClientTransport, NetcodeServerTransport, NetcodeTransportError,
    ServerAuthentication, ServerConfig,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::run::{Job, LARGE, LOST, Run, SMALL, message, sequence};
use super::system::{LOOPBACK, cannot, text};

/// What both ends share: when the last tick was, and a socket to wait at.
struct Ticks {
    last: Instant,
    socket: UdpSocket,
}

impl Ticks {
    fn new(socket: UdpSocket) -> Self {
        Self { last: Instant::now(), socket }
    }

    /// The time since the last tick.
    fn next(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.last, now)
    }

    fn wait(&self) {
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
        let millisecond = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // It is asked again soon, whatever came of it.
        poll(&mut sockets, Some(&millisecond)).ok();
    }
}

struct Client {
    renet: RenetClient,
    transport: NetcodeClientTransport,
    ticks: Ticks,
}

impl Client {
    fn new(to: SocketAddr) -> Result<Self, String> {
        let socket = UdpSocket::bind(LOOPBACK).map_err(text)?;
        let ticks = Ticks::new(socket.try_clone().map_err(text)?);
        let who = ClientAuthentication::Unsecure {
            protocol_id: PROTOCOL,
            client_id: 0,
            server_addr: to,
            user_data: None,
        };
        let transport = NetcodeClientTransport::new(since_the_epoch()?, who, socket);
        let renet = RenetClient::new(ConnectionConfig::default());
        Ok(Self { renet, transport: transport.map_err(text)?, ticks })
    }

    fn receive(&mut self) -> Result<(), String> {
        let passed = self.ticks.next();
        self.renet.update(passed);
        self.transport.update(passed, &mut self.renet).or_else(unless_full)
    }

    fn flush(&mut self) -> Result<(), String> {
        self.transport.send_packets(&mut self.renet).or_else(unless_full)
    }

    /// Hands a reliable message over; `false`: it has no room for it, and would disconnect.
    fn send(&mut self, piece: &'static [u8]) -> bool {
        let has_room = self.renet.can_send_message(DefaultChannel::ReliableOrdered, piece.len());
        if has_room {
            self.renet.send_message(DefaultChannel::ReliableOrdered, Bytes::from_static(piece));
        }
        has_room
    }

    fn scatter(&mut self, message: &'static [u8]) {
        self.renet.send_message(DefaultChannel::Unreliable, Bytes::from_static(message));
    }
}

pub(super) fn send(to: SocketAddr, run: &Run) -> Result<(), String> {
    let mut client = Client::new(to)?;
    let (mut sent, mut called) = (0, None::<Instant>);
    while !run.is_over() {
        client.receive()?;
        if !client.renet.is_connected() {
            client.flush()?;
            client.ticks.wait();
            continue;
        }
        run.begin();
        match run.job {
            Job::Echo => {
                while let Some(answer) = client.renet.receive_message(DefaultChannel::Unreliable) {
                    if answer == message(sent)
                        && let Some(called) = called.take()
                    {
                        run.came_back(called.elapsed());
                        sent += 1;
                    }
                }
                if called.is_none_or(|called| called.elapsed() > LOST) {
                    called = Some(Instant::now());
                    client.scatter(message(sent));
                }
            }
            Job::Bulk => {
                while run.has_room(sent) && client.send(sequence().piece(sent, LARGE)) {
                    sent += LARGE as u64;
                }
            }
            Job::Messages { reliable: true } => {
                for _ in 0..AT_ONCE {
                    // Without a bound of one's own, the server's buffer overflows, and it disconnects.
                    if run.has_room(sent) && client.send(sequence().piece(sent, SMALL)) {
                        sent += SMALL as u64;
                    }
                }
            }
            Job::Messages { reliable: false } => {
                for _ in 0..AT_ONCE {
                    client.scatter(message(sent));
                    sent += 1;
                }
            }
            Job::Handshakes => cannot(run.job)?,
        }
        client.flush()?;
        if run.job != (Job::Messages { reliable: false }) {
            client.ticks.wait();
        }
    }
    Ok(())
}

struct Server {
    renet: RenetServer,
    transport: NetcodeServerTransport,
    ticks: Ticks,
}

impl Server {
    fn new() -> Result<Self, String> {
        let socket = UdpSocket::bind(LOOPBACK).map_err(text)?;
        let ticks = Ticks::new(socket.try_clone().map_err(text)?);
        let config = ServerConfig {
            current_time: since_the_epoch()?,
            max_clients: 1,
            protocol_id: PROTOCOL,
            public_addresses: vec![socket.local_addr().map_err(text)?],
            authentication: ServerAuthentication::Unsecure,
        };
        let transport = NetcodeServerTransport::new(config, socket).map_err(text)?;
        Ok(Self { renet: RenetServer::new(ConnectionConfig::default()), transport, ticks })
    }

    fn receive(&mut self) -> Result<(), String> {
        let passed = self.ticks.next();
        self.renet.update(passed);
        self.transport.update(passed, &mut self.renet).or_else(unless_full)
    }

    fn next(&mut self, client: ClientId) -> Option<Bytes> {
        [DefaultChannel::ReliableOrdered, DefaultChannel::Unreliable]
            .into_iter()
            .find_map(|channel| self.renet.receive_message(client, channel))
    }
}

pub(super) fn receive(tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
    let mut server = Server::new()?;
    tell.send(server.transport.addresses()[0]).ok();
    let mut taker = run.taker();
    while !run.is_over() {
        server.receive()?;
        for client in server.renet.clients_id() {
            while let Some(message) = server.next(client) {
                match run.job {
                    Job::Bulk | Job::Messages { reliable: true } => taker.take(&message),
                    Job::Messages { reliable: false } => taker.take_any(&message),
                    Job::Echo => {
                        server.renet.send_message(client, DefaultChannel::Unreliable, message);
                    }
                    Job::Handshakes => cannot(run.job)?,
                }
            }
        }
        server.transport.send_packets(&mut server.renet);
        server.ticks.wait();
    }
    Ok(())
}

/// A socket that takes no more loses a packet, as a network does.
fn unless_full(error: NetcodeTransportError) -> Result<(), String> {
    match error {
        NetcodeTransportError::IO(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Ok(())
        }
        error => Err(text(error)),
    }
}

fn since_the_epoch() -> Result<Duration, String> {
    SystemTime::now().duration_since(UNIX_EPOCH).map_err(text)
}

/// What both ends must agree on.
const PROTOCOL: u64 = 7;
/// How many small messages are handed over in a tick.
const AT_ONCE: usize = 256;
