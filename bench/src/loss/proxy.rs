//! A process that passes the datagrams of one client on to a server and back, as a network would.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use handfast_sim::{Datagram, Network, NodeId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};

use super::Link;
use crate::process::{Process, tell};

/// The first word of a command line that asks for a proxy.
pub(crate) const WORD: &str = "proxy-process";

/// A running proxy. It ends with this.
pub(crate) struct Proxy {
    _process: Process,
    address: SocketAddr,
}

impl Proxy {
    /// Starts one before a server.
    ///
    /// # Errors
    /// When there is no process to have.
    pub(crate) fn start(link: Link, server: SocketAddr) -> Result<Self, String> {
        let mut words = vec![WORD.to_owned(), server.to_string()];
        words.extend(link.words());
        let started = Process::serve(&words).map_err(|error| error.to_string())?;
        Ok(Self { _process: started.0, address: started.1 })
    }

    /// Where the client finds the server.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves as the proxy that the words describe, until the standard input ends.
///
/// # Errors
/// When the words are not understood, or there is no socket.
pub(crate) fn serve(words: &[String]) -> Result<(), String> {
    let understood = match words {
        [server, link @ ..] => server.parse().ok().zip(Link::parse(link)),
        [] => None,
    };
    let (server, link) = understood.ok_or("name the server and the link")?;
    let mut stage = Stage::new(server, link).map_err(|error| error.to_string())?;
    stage.front.local_addr().and_then(tell).map_err(|error| error.to_string())?;
    thread::spawn(move || stage.run());
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop).map_err(|error| error.to_string())
}

struct Stage {
    network: Network,
    /// The zero of the network's time.
    started: Instant,
    server: SocketAddr,
    /// Who was heard last at `front`.
    client: Option<SocketAddr>,
    /// Towards the client.
    front: UdpSocket,
    /// Towards the server, whose only client we are.
    back: UdpSocket,
}

impl Stage {
    fn new(server: SocketAddr, link: Link) -> io::Result<Self> {
        let mut network = Network::new(link.seed);
        network.set_link(CLIENT, SERVER, link.conditions());
        network.set_link(SERVER, CLIENT, link.conditions());
        let (front, back) = (socket()?, socket()?);
        Ok(Self { network, started: Instant::now(), server, client: None, front, back })
    }

    fn run(&mut self) {
        loop {
            self.wait();
            self.take();
            self.pass_on();
        }
    }

    /// Until a datagram comes, or is due.
    fn wait(&self) {
        let due = self.network.next_arrival();
        let wait = due.map_or(TICK, |due| due.saturating_sub(self.started.elapsed()).min(TICK));
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        let mut sockets = [&self.front, &self.back].map(|it| PollFd::new(it, PollFlags::IN));
        // The sockets are read without waiting afterwards, whatever came of it.
        poll(&mut sockets, Some(&wait)).ok();
    }

    fn take(&mut self) {
        let mut buffer = [0; 1 << 16];
        // What is due is not to wait for a flood.
        for _ in 0..AT_ONCE {
            let Ok((len, from)) = self.front.recv_from(&mut buffer) else { break };
            self.client = Some(from);
            self.carry(CLIENT, SERVER, &buffer[..len]);
        }
        for _ in 0..AT_ONCE {
            let Ok((len, from)) = self.back.recv_from(&mut buffer) else { break };
            if from == self.server {
                self.carry(SERVER, CLIENT, &buffer[..len]);
            }
        }
    }

    fn carry(&mut self, from: NodeId, to: NodeId, bytes: &[u8]) {
        let (source, destination, bytes) = (self.server, self.server, bytes.to_vec());
        let datagram = Datagram { from, to, source, destination, ecn: None, bytes };
        // The network knows what becomes of it.
        self.network.send(self.started.elapsed(), datagram);
    }

    fn pass_on(&mut self) {
        while let Some(datagram) = self.network.receive(self.started.elapsed()) {
            // A socket has room for more than the path carries in a turn; what it refuses is lost, as on any path.
            if datagram.to == SERVER {
                self.back.send_to(&datagram.bytes, self.server).ok();
            } else if let Some(client) = self.client {
                self.front.send_to(&datagram.bytes, client).ok();
            }
        }
    }
}

fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    // A burst waits here while others compute. The system may give less.
    set_socket_recv_buffer_size(&socket, BUFFER)?;
    set_socket_send_buffer_size(&socket, BUFFER)?;
    Ok(socket)
}

const CLIENT: NodeId = NodeId(1);
const SERVER: NodeId = NodeId(0);
const TICK: Duration = Duration::from_millis(50);
const AT_ONCE: usize = 256;
const BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of 200 datagrams arrive at a server, in order, through a new proxy with this link.
    fn arrived(link: Link) -> Vec<u8> {
        let (client, server) = (plain(), plain());
        let mut stage = Stage::new(server.local_addr().expect("bound"), link).expect("sockets");
        client.connect(stage.front.local_addr().expect("bound")).expect("an address");
        // It runs until the process ends.
        thread::spawn(move || stage.run());
        for number in 0..200 {
            client.send(&[number]).expect("sent");
        }
        let mut arrived = Vec::new();
        let mut buffer = [0; 16];
        loop {
            // One of these ends it, whatever is lost.
            client.send(&[LAST]).expect("sent");
            while let Ok((_, from)) = server.recv_from(&mut buffer) {
                if buffer[0] == LAST {
                    // The way back is as long, and loses as many.
                    while client.recv(&mut buffer).is_err() {
                        server.send_to(&[7], from).expect("sent");
                    }
                    return arrived;
                }
                arrived.push(buffer[0]);
            }
        }
    }

    fn plain() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
        socket
    }

    #[test]
    fn the_same_seed_loses_the_same_datagrams() {
        let link = Link { seed: 3, rate: 1_000_000, lost: 200_000, late: 0 };
        let first = arrived(link);
        assert!(first.is_sorted() && (120..190).contains(&first.len()), "{}", first.len());
        assert_eq!(arrived(link), first);
        assert_ne!(arrived(Link { seed: 4, ..link }), first);
        assert_eq!(arrived(Link { lost: 0, ..link }).len(), 200);
    }

    #[test]
    fn what_comes_late_is_overtaken() {
        let link = Link { seed: 3, rate: 1_000_000, lost: 0, late: 100_000 };
        assert!(!arrived(link).is_sorted());
    }

    const LAST: u8 = 255;
}
