//! The flood: a thread that throws whatever the [`Arsenal`] has, from as many addresses as it can.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use handfast_core::PeerId;
use handfast_sim::Rng;

mod arsenal;
mod forge;
mod raw;

use arsenal::Arsenal;
pub use arsenal::Kind;
use raw::Spoofer;

/// Whom to flood and with what.
#[derive(Debug)]
pub struct Plan {
    /// The server's address.
    pub server: SocketAddrV4,
    /// The server's identity.
    pub id: PeerId,
    /// Packets of a live session.
    pub captured: Vec<Vec<u8>>,
    /// What to throw, at least one kind.
    pub kinds: Vec<Kind>,
    /// Addresses of live peers to be spoofed; needed for [`Kind::Spoofed`] alone.
    pub victims: Vec<SocketAddrV4>,
    /// Decides what is random.
    pub seed: u64,
}

/// A running flood. It stops when dropped.
#[derive(Debug)]
pub struct Flood {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Datagrams per second to be sent.
    rate: AtomicU64,
    sent: [AtomicU64; Kind::ALL.len()],
    refused: AtomicU64,
}

impl Flood {
    /// Prepares a flood. Nothing flows before there is a [`rate`](Self::set_rate).
    ///
    /// # Errors
    /// When sockets cannot be opened.
    pub fn start(plan: Plan) -> io::Result<Self> {
        let arsenal = Arsenal::new(plan.id, plan.captured, plan.seed);
        let mut rng = Rng::from_seed(!plan.seed);
        let sockets = (0..SOURCES).map(|_| {
            let socket = UdpSocket::bind((anywhere(&mut rng), 0))?;
            socket.connect(plan.server)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
        let may_spoof = plan.kinds.contains(&Kind::Spoofed);
        let spoofer = may_spoof.then(Spoofer::open).transpose()?;
        let shared = Arc::new(Shared::default());
        let thrower = Thrower {
            shared: Arc::clone(&shared),
            server: plan.server,
            arsenal,
            sockets,
            spoofer,
            kinds: plan.kinds,
            victims: plan.victims,
            datagram: Vec::new(),
        };
        let thread = thread::Builder::new().name("flood".to_owned()).spawn(|| thrower.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// From now on so many datagrams per second.
    pub fn set_rate(&self, rate: u64) {
        self.shared.rate.store(rate, Ordering::Relaxed);
    }

    /// How many datagrams of each kind were sent so far.
    #[must_use]
    pub fn sent(&self) -> [(Kind, u64); Kind::ALL.len()] {
        Kind::ALL.map(|kind| (kind, self.shared.sent[kind as usize].load(Ordering::Relaxed)))
    }

    /// How many the system refused to send.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            ended.is_none_or(|ended| ended.is_ok()) || thread::panicking(),
            "the flood panicked"
        );
    }
}

/// The thread's own.
struct Thrower {
    shared: Arc<Shared>,
    server: SocketAddrV4,
    arsenal: Arsenal,
    sockets: Vec<UdpSocket>,
    spoofer: Option<Spoofer>,
    kinds: Vec<Kind>,
    victims: Vec<SocketAddrV4>,
    datagram: Vec<u8>,
}

impl Thrower {
    fn run(mut self) {
        let mut last = Instant::now();
        // In millionths of a datagram.
        let mut credit = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            let rate = self.shared.rate.load(Ordering::Relaxed);
            let elapsed = last.elapsed();
            last += elapsed;
            let micros = u64::try_from(elapsed.min(MOST_AT_ONCE).as_micros()).unwrap_or(0);
            credit += micros * rate;
            while credit >= 1_000_000 {
                credit -= 1_000_000;
                self.throw();
            }
            thread::sleep(PAUSE);
        }
    }

    fn throw(&mut self) {
        let kind = Kind::pick(&self.kinds, self.arsenal.rng());
        self.arsenal.load(kind, &mut self.datagram);
        let counter = match self.send(kind) {
            Ok(()) => &self.shared.sent[kind as usize],
            Err(_) => &self.shared.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn send(&mut self, kind: Kind) -> io::Result<()> {
        let rng = self.arsenal.rng();
        match &mut self.spoofer {
            Some(spoofer) if kind == Kind::Spoofed => {
                spoofer.send(rng.pick(&self.victims), self.server, &self.datagram)
            }
            // Every request from another address.
            Some(spoofer) if kind == Kind::Requests => {
                let port = 1024 + u16::try_from(rng.index(60_000)).unwrap_or(0);
                let from = SocketAddrV4::new(anywhere(rng), port);
                spoofer.send(from, self.server, &self.datagram)
            }
            _ => self.sockets[rng.index(self.sockets.len())].send(&self.datagram).map(drop),
        }
    }
}

/// An address of 127.0.0.0/8, but none of 127.0.0.0/16, where the honest are.
fn anywhere(rng: &mut Rng) -> Ipv4Addr {
    let [a, b, c, ..] = rng.bytes();
    Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))
}

/// The IPv4 form of an address.
///
/// # Panics
/// When it is none.
#[must_use]
pub(super) fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => panic!("{address} is not IPv4"),
    }
}

/// Sockets of the flood, each with an address of its own.
const SOURCES: usize = 400;
const PAUSE: Duration = Duration::from_micros(300);
/// A thread that was late makes up for no more than this.
const MOST_AT_ONCE: Duration = Duration::from_millis(10);
