//! What the server is sent, made before it is measured.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant as Time};

use handfast_core::{
    Bytes, Config, CongestionControl, Delivery, Endpoint, Event, Identity, Instant, Origin,
    PeerHandle, Target,
};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use super::server::{self, Server};

/// Requests of strangers, each another.
pub(super) struct Requests(Vec<Vec<u8>>);

impl Requests {
    pub(super) fn make(count: usize) -> Result<Self, String> {
        let place = SocketAddr::from(([127, 0, 0, 1], 1));
        let request = |number| {
            let (mut endpoint, _) = dialling(number, place)?;
            let mut buffer = vec![0; 2048];
            let sent = endpoint.poll_transmit(START, &mut buffer).ok_or("no request")?;
            buffer.truncate(sent.len);
            Ok(buffer)
        };
        (0..count as u64).map(request).collect::<Result<_, String>>().map(Self)
    }

    /// Sends them all, never more than a few unanswered. Returns how many are answered in a second.
    pub(super) fn put_to(&self, server: &Server) -> Result<f64, String> {
        let sockets = sockets(server.address())?;
        let (start, mut answered, mut last) = (Time::now(), 0, Time::now());
        for (at, request) in self.0.iter().enumerate() {
            sockets[at % sockets.len()].send(request).map_err(text)?;
            while at + 1 > answered + REQUESTS_AT_ONCE {
                answered += drain(&sockets, &mut last)?;
            }
        }
        while answered < self.0.len() {
            answered += drain(&sockets, &mut last)?;
        }
        Ok(answered as f64 / (last - start).as_secs_f64())
    }
}

/// Counts what has arrived.
fn drain(sockets: &[UdpSocket], last: &mut Time) -> Result<usize, String> {
    let mut buffer = [0; 2048];
    let mut count = 0;
    for socket in sockets {
        while socket.recv(&mut buffer).is_ok() {
            count += 1;
        }
    }
    if count > 0 {
        *last = Time::now();
    } else if last.elapsed() > HANG {
        return Err("the server does not answer".into());
    } else {
        // Its cores are the server's.
        thread::sleep(Duration::from_micros(50));
    }
    Ok(count)
}

/// Packets of peers that are connected, each with a message.
pub(super) struct Packets {
    peers: Vec<Sender>,
}

struct Sender {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Batches of packets of one size.
    batches: Vec<(usize, Vec<u8>)>,
    next: usize,
}

impl Packets {
    pub(super) fn make(server: &Server, count: usize) -> Result<Self, String> {
        let address = server.address();
        let sockets = sockets(address)?.into_iter().enumerate();
        let peers = sockets.map(|(at, socket)| Sender::new(at as u64, socket, address, count));
        Ok(Self { peers: peers.collect::<Result<_, _>>()? })
    }

    /// Sends them all, never more than a few that are not received. Returns how many are received in a second.
    pub(super) fn put_to(mut self, server: &Server) -> Result<f64, String> {
        let address = server.address();
        let (start, before) = (Time::now(), server.messages());
        let (mut sent, mut given_up, mut last) = (0, 0, (Time::now(), before));
        let mut look = |sent: u64, given_up: &mut u64| {
            let received = server.messages();
            if received > last.1 {
                last = (Time::now(), received);
            } else if last.0.elapsed() > LOST_AFTER {
                // They are lost, or as good as.
                *given_up = sent - (received - before);
            }
            (received - before, last.0)
        };
        while self.peers.iter().any(|peer| peer.next < peer.batches.len()) {
            for peer in &mut self.peers {
                sent += peer.send(address)?;
                while sent > look(sent, &mut given_up).0 + given_up + AT_ONCE as u64 {
                    thread::sleep(Duration::from_micros(50));
                }
            }
        }
        let (received, end) = loop {
            let (received, last) = look(sent, &mut given_up);
            if received + given_up >= sent {
                break (received, last);
            }
            thread::sleep(Duration::from_micros(200));
        };
        if received < sent / 2 {
            return Err(format!("only {received} of {sent} messages arrived"));
        }
        Ok(received as f64 / (end - start).as_secs_f64())
    }
}

impl Sender {
    /// Connects, and makes its packets.
    fn new(
        number: u64,
        socket: UdpSocket,
        address: SocketAddr,
        count: usize,
    ) -> Result<Self, String> {
        let (mut endpoint, peer) = dialling(number, address)?;
        let mut now = START;
        let mut buffer = vec![0; 1 << 16];
        let begun = Time::now();
        let mut is_connected = false;
        while !is_connected {
            now += Duration::from_micros(200);
            while let Some(sent) = endpoint.poll_transmit(now, &mut buffer[..2048]) {
                socket.send(&buffer[..sent.len]).map_err(text)?;
            }
            thread::sleep(Duration::from_micros(200));
            while let Ok(len) = socket.recv(&mut buffer) {
                let origin = Origin::from_remote(address);
                endpoint.handle_datagram(now, origin, &mut buffer[..len]);
            }
            while let Some(event) = endpoint.poll_event() {
                is_connected |= matches!(event, Event::Connected { .. });
            }
            if begun.elapsed() > HANG {
                return Err("the server does not shake hands".into());
            }
        }
        let state = UdpSocketState::new((&socket).into()).map_err(text)?;
        let batches = batches(&mut endpoint, peer, now, count)?;
        Ok(Self { socket, state, batches, next: 0 })
    }

    /// Sends the next batch, if there is one. Returns how many packets it has.
    fn send(&mut self, address: SocketAddr) -> Result<u64, String> {
        let Some((size, contents)) = self.batches.get(self.next) else { return Ok(0) };
        self.next += 1;
        let transmit = Transmit {
            destination: address,
            ecn: None,
            contents,
            segment_size: Some(*size),
            src_ip: None,
        };
        while let Err(error) = self.state.try_send((&self.socket).into(), &transmit) {
            if error.kind() != std::io::ErrorKind::WouldBlock {
                return Err(text(error));
            }
            thread::sleep(Duration::from_micros(50));
        }
        self.swallow();
        Ok((contents.len() / size) as u64)
    }

    /// What the server says meanwhile is not of interest.
    fn swallow(&self) {
        let mut memory = vec![0; 1 << 16];
        let mut metas = [RecvMeta::default()];
        let mut slices = [IoSliceMut::new(&mut memory)];
        while self.state.recv((&self.socket).into(), &mut slices, &mut metas).is_ok() {}
    }
}

/// So many packets, each with one message, in batches of those that are of one size.
fn batches(
    endpoint: &mut Endpoint,
    peer: PeerHandle,
    mut now: Instant,
    count: usize,
) -> Result<Vec<(usize, Vec<u8>)>, String> {
    let mut batches: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut buffer = vec![0; 2048];
    for _ in 0..count {
        now += Duration::from_micros(10);
        let message = Bytes::from_static(&[7; 64]);
        endpoint.send(now, peer, Delivery::unreliable(1), message).map_err(text)?;
        while let Some(sent) = endpoint.poll_transmit(now, &mut buffer) {
            let packet = &buffer[..sent.len];
            match batches.last_mut() {
                Some((size, batch)) if *size == sent.len && batch.len() < *size * A_BATCH => {
                    batch.extend_from_slice(packet);
                }
                _ => batches.push((sent.len, packet.to_vec())),
            }
        }
    }
    Ok(batches)
}

/// An endpoint of its own identity that dials the server.
fn dialling(number: u64, address: SocketAddr) -> Result<(Endpoint, PeerHandle), String> {
    let mut seed = [3; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let mut config = Config::default();
    config.aes_hardware = true;
    config.congestion = CongestionControl::Fixed(1 << 40);
    let config = config.validate().map_err(text)?;
    let mut endpoint = Endpoint::new(config, Identity::from_seed(seed), seed, START);
    let peer = endpoint.connect(START, Target::new(server::id(), [address])).map_err(text)?;
    Ok((endpoint, peer))
}

fn sockets(server: SocketAddr) -> Result<Vec<UdpSocket>, String> {
    let socket = || {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    (0..ADDRESSES).map(|_| socket()).collect::<Result<_, std::io::Error>>().map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

const START: Instant = Instant::from_micros(1_000_000);
const ADDRESSES: usize = 64;
/// What is under way at most: it fits into the server's buffers.
const AT_ONCE: usize = 512;
/// Requests, too: a core drops those that come while 256 answers wait to be sent, and mio takes in 64 before it sends one.
const REQUESTS_AT_ONCE: usize = 192;
const A_BATCH: usize = 32;
const HANG: Duration = Duration::from_secs(10);
const LOST_AFTER: Duration = Duration::from_millis(100);
