//! The honest: clients that talk through the flood, and newcomers that shake hands in it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use handfast_core::{Bytes, Config, Delivery, DisconnectOptions, Fate, Identity, PeerId, Target};
use handfast_tokio::{Endpoint, Peer, entropy};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep};

use crate::digest;

/// Clients that are connected.
#[derive(Debug)]
pub struct Crowd {
    /// Their own thread.
    runtime: Runtime,
    clients: Vec<Endpoint>,
    tally: Arc<Tally>,
    newcomers: Option<JoinHandle<()>>,
}

/// What happened to the honest.
#[derive(Debug, Default)]
struct Tally {
    /// No more messages and newcomers.
    quiet: AtomicBool,
    sent: AtomicU64,
    acked: AtomicU64,
    echoed: AtomicU64,
    garbled: AtomicU64,
    ended: AtomicU64,
    /// Since the last time it was asked.
    pings: Mutex<Vec<Duration>>,
    handshakes: Mutex<Vec<Duration>>,
    failures: Mutex<Vec<String>>,
}

/// What became of the messages of all clients.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    /// Reliable messages sent.
    pub sent: u64,
    /// Of them, told to have arrived.
    pub acked: u64,
    /// Of them, come back in their order as they were sent.
    pub echoed: u64,
    /// Came back otherwise.
    pub garbled: u64,
    /// Connections that ended.
    pub ended: u64,
}

impl Messages {
    /// Everything came back and nothing else.
    #[must_use]
    pub const fn are_complete(&self) -> bool {
        self.sent > 0 && self.acked == self.sent && self.echoed == self.sent && self.is_sound()
    }

    const fn is_sound(&self) -> bool {
        self.garbled == 0 && self.ended == 0
    }
}

impl Crowd {
    /// Connects clients to the server, one to each of `addresses` that lead to it.
    ///
    /// # Errors
    /// When one cannot connect.
    pub fn gather(server: PeerId, addresses: &[SocketAddr]) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let tally = Arc::new(Tally::default());
        let mut clients = Vec::new();
        for (number, address) in (0..).zip(addresses) {
            let target = Target::new(server, [*address]);
            let (client, peer) = runtime.block_on(async {
                let (client, peer) = connect(target, HOME).await?;
                warm_up(&peer).await.map(|()| (client, peer))
            })?;
            clients.push(client);
            let tally = &tally;
            runtime.spawn(Arc::clone(tally).listen(peer.clone(), number));
            runtime.spawn(Arc::clone(tally).talk(peer.clone(), number));
            runtime.spawn(Arc::clone(tally).ping(peer));
        }
        Ok(Self { runtime, clients, tally, newcomers: None })
    }

    /// Has newcomers shake hands, one after the other, from now on: by identity and by address
    /// alone in turn.
    pub fn welcome(&mut self, server: PeerId, address: SocketAddr) {
        let arrivals = Arc::clone(&self.tally).arrive(server, address);
        self.newcomers = Some(self.runtime.spawn(arrivals));
    }

    /// Where the clients are.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.clients.iter().map(|client| client.local_addresses()[0]).collect()
    }

    /// The round trips that were measured since the last call.
    #[must_use]
    pub fn take_pings(&self) -> Vec<Duration> {
        std::mem::take(&mut *lock(&self.tally.pings))
    }

    /// How long the newcomers' handshakes took since the last call, and why others failed.
    #[must_use]
    pub fn take_handshakes(&self) -> (Vec<Duration>, Vec<String>) {
        let Tally { handshakes, failures, .. } = &*self.tally;
        (std::mem::take(&mut *lock(handshakes)), std::mem::take(&mut *lock(failures)))
    }

    /// No more messages are sent from now on; waits for all to come back, up to a limit, and for
    /// the last newcomer.
    #[must_use]
    pub fn finish(&mut self) -> Messages {
        self.tally.quiet.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + PATIENCE;
        let look = async {
            // What was begun before `quiet` is sent by then.
            sleep(PERIOD * 2).await;
            while !self.tally.messages().are_complete() && Instant::now() < deadline {
                sleep(PERIOD).await;
            }
            if let Some(newcomers) = self.newcomers.take() {
                newcomers.await.ok();
            }
            self.tally.messages()
        };
        self.runtime.block_on(look)
    }
}

impl Tally {
    fn messages(&self) -> Messages {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Messages {
            sent: read(&self.sent),
            acked: read(&self.acked),
            echoed: read(&self.echoed),
            garbled: read(&self.garbled),
            ended: read(&self.ended),
        }
    }

    fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Sends a reliable message each [`PERIOD`].
    async fn talk(self: Arc<Self>, peer: Peer, client: u64) {
        let mut beat = interval(PERIOD);
        for number in 0.. {
            beat.tick().await;
            if self.is_quiet() {
                return;
            }
            let delivery = Delivery::ordered(0);
            let Ok(receipt) = peer.send_with_receipt(delivery, payload(client, number)).await
            else {
                return;
            };
            count(&self.sent);
            let tally = Arc::clone(&self);
            tokio::spawn(async move {
                if receipt.await == Fate::Acked {
                    count(&tally.acked);
                }
            });
        }
    }

    /// Compares what comes back with what was sent.
    async fn listen(self: Arc<Self>, peer: Peer, client: u64) {
        for number in 0.. {
            let Some(message) = peer.recv().await else { break };
            let is_right = message.payload == payload(client, number);
            count(if is_right { &self.echoed } else { &self.garbled });
        }
        count(&self.ended);
    }

    async fn ping(self: Arc<Self>, peer: Peer) {
        let mut beat = interval(PERIOD);
        loop {
            beat.tick().await;
            let Ok(round_trip) = peer.ping().await else { return };
            lock(&self.pings).push(round_trip);
        }
    }

    async fn arrive(self: Arc<Self>, server: PeerId, address: SocketAddr) {
        for number in (1..=250).cycle() {
            if self.is_quiet() {
                return;
            }
            // Half of them are where the spoofed are.
            let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 1, number));
            let home = if number / 2 % 2 == 0 { HOME } else { elsewhere };
            let began = Instant::now();
            let target = match number % 2 {
                0 => Target::new(server, [address]),
                _ => Target::from(address),
            };
            match connect(target, home).await {
                Ok((newcomer, _)) => {
                    lock(&self.handshakes).push(began.elapsed());
                    newcomer.close(DisconnectOptions::default()).await.ok();
                }
                Err(error) => lock(&self.failures).push(format!("from {home}: {error}")),
            }
            sleep(PERIOD).await;
        }
    }
}

/// A new endpoint at `home`, and the peer it dialled.
async fn connect(target: Target, home: IpAddr) -> io::Result<(Endpoint, Peer)> {
    let identity = Identity::from_seed(entropy()?);
    let endpoint = Endpoint::bind(Config::default(), identity, SocketAddr::new(home, 0))?;
    let peer = endpoint.connect(target).await.map_err(io::Error::other)?;
    Ok((endpoint, peer))
}

/// An exchange that fills buffers, so that the server's memory is that of one in use.
async fn warm_up(peer: &Peer) -> io::Result<()> {
    let much = digest::bytes(0, WARMTH);
    peer.send(Delivery::reliable(1), much.clone()).await.map_err(io::Error::other)?;
    let echo = peer.recv().await.ok_or(io::ErrorKind::ConnectionAborted)?;
    if echo.payload == much { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// One packet or two.
fn payload(client: u64, number: u64) -> Bytes {
    digest::bytes(client << 32 | number, 100 + (number % 20) as usize * 100)
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The clients' address.
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Between two messages, or pings, of a client, or two newcomers.
const PERIOD: Duration = Duration::from_millis(50);
/// In bytes.
const WARMTH: usize = 256 << 10;
/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(30);
