//! An impairment proxy on loopback.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use handfast_sim::{Conditions, Datagram, Faults, Network, NodeId, Probability};

/// What a [`Proxy`] does to the datagrams that pass.
///
/// Each client has links of its own, so rate and queue are per client and way. ECN marks, hop
/// limits and batches do not pass: every datagram leaves as a plain one.
#[derive(Clone, Copy, Debug)]
pub struct ProxyConfig {
    /// Decides which datagrams suffer: the n-th datagram offered to the proxy meets the same fate
    /// in every run with this seed. What the n-th datagram is, the real clock and the scheduler
    /// decide, so a run on real sockets is like another one, never equal to it.
    pub seed: u64,
    /// From the clients to the server.
    pub to_server: Conditions,
    /// From the server to the clients.
    pub to_client: Conditions,
    /// How many datagrams of each way to keep for [`Proxy::captured`].
    pub capture: usize,
}

impl ProxyConfig {
    /// The same conditions both ways.
    #[must_use]
    pub const fn both_ways(seed: u64, conditions: Conditions) -> Self {
        Self { seed, to_server: conditions, to_client: conditions, capture: 0 }
    }

    /// Loss of one percent each way and a little delay.
    #[must_use]
    pub fn one_percent(seed: u64) -> Self {
        let loss = Probability::percent(1);
        let latency = Duration::from_millis(2);
        Self::both_ways(seed, Conditions { loss, latency, ..Conditions::default() })
    }
}

/// The way of a datagram through a [`Proxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From a client.
    ToServer,
    /// To a client.
    ToClient,
}

/// What passed a [`Proxy`] so far, or did not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Client addresses seen.
    pub clients: u64,
    /// Datagrams that came from clients.
    pub from_clients: u64,
    /// Datagrams that came from the server.
    pub from_server: u64,
    /// Datagrams handed on, either way.
    pub delivered: u64,
    /// Datagrams that could not be handed on because the system refused.
    pub refused: u64,
    /// What was done to the rest.
    pub faults: Faults,
}

/// A server's stand-in on loopback: clients talk to [`Self::address`], and the server sees each of
/// them at another address. It stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    inputs: Sender<Input>,
    shared: Arc<Shared>,
    stage: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy for the server at an IPv4 loopback address. The server need not be there yet,
    /// and may go and come.
    ///
    /// # Errors
    /// When the system has no socket to give.
    pub fn start(config: ProxyConfig, server: SocketAddr) -> io::Result<Self> {
        let front = Arc::new(socket()?);
        let address = front.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (inputs, queue) = channel();
        let mut stage = Stage {
            config,
            server,
            started: Instant::now(),
            network: Network::new(config.seed),
            front: Arc::clone(&front),
            clients: Vec::new(),
            known: HashMap::new(),
            readers: Vec::new(),
            inputs: inputs.clone(),
            shared: Arc::clone(&shared),
        };
        stage.read(front, Input::FromClient);
        let stage =
            thread::Builder::new().name("proxy".to_owned()).spawn(move || stage.run(&queue))?;
        Ok(Self { address, inputs, shared, stage: Some(stage) })
    }

    /// Where clients find the server.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What passed so far, or did not.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *lock(&self.shared.counters)
    }

    /// The first datagrams of one way, as they came, oldest first.
    #[must_use]
    pub fn captured(&self, way: Way) -> Vec<Vec<u8>> {
        lock(&self.shared.captured)[way as usize].clone()
    }

    /// Changes the conditions of all links from now on.
    pub fn set(&self, to_server: Conditions, to_client: Conditions) {
        self.tell(Input::Conditions(Box::new((to_server, to_client))));
    }

    /// Hands `bytes` on at once as if a client, named by the order of appearance, or the server had
    /// sent them. Does nothing while there is no such client.
    pub fn inject(&self, client: usize, way: Way, bytes: Vec<u8>) {
        self.tell(Input::Inject(client, way, bytes));
    }

    fn tell(&self, input: Input) {
        self.inputs.send(input).expect("the proxy's thread lives as long as the proxy");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(stage) = self.stage.take() {
            let ended = stage.join();
            assert!(ended.is_ok() || thread::panicking(), "the proxy's thread panicked");
        }
    }
}

/// What the handle and the threads share.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    counters: Mutex<Counters>,
    captured: Mutex<[Vec<Vec<u8>>; 2]>,
}

enum Input {
    FromClient(SocketAddr, Vec<u8>),
    FromServer(usize, SocketAddr, Vec<u8>),
    Conditions(Box<(Conditions, Conditions)>),
    Inject(usize, Way, Vec<u8>),
}

struct Client {
    address: SocketAddr,
    /// Stands for the client towards the server.
    upstream: Arc<UdpSocket>,
}

/// The thread that owns the network. Readers, one per socket, feed it.
struct Stage {
    config: ProxyConfig,
    server: SocketAddr,
    /// The zero of the network's time.
    started: Instant,
    network: Network,
    front: Arc<UdpSocket>,
    clients: Vec<Client>,
    known: HashMap<SocketAddr, usize>,
    readers: Vec<JoinHandle<()>>,
    inputs: Sender<Input>,
    shared: Arc<Shared>,
}

impl Stage {
    fn run(mut self, queue: &Receiver<Input>) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.deliver();
            let next = self.network.next_arrival();
            let wait = next.map_or(TICK, |at| at.saturating_sub(self.started.elapsed()).min(TICK));
            match queue.recv_timeout(wait) {
                Ok(input) => self.accept(input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("we hold a sender"),
            }
        }
        for reader in self.readers {
            reader.join().expect("a reader does not panic");
        }
    }

    fn accept(&mut self, input: Input) {
        match input {
            Input::FromClient(address, bytes) => {
                let Some(client) = self.client(address) else { return };
                self.capture(Way::ToServer, &bytes);
                lock(&self.shared.counters).from_clients += 1;
                self.carry(node(client), SERVER, bytes);
            }
            Input::FromServer(client, from, bytes) => {
                if from == self.server {
                    self.capture(Way::ToClient, &bytes);
                    lock(&self.shared.counters).from_server += 1;
                    self.carry(SERVER, node(client), bytes);
                }
            }
            Input::Conditions(both) => {
                (self.config.to_server, self.config.to_client) = *both;
                (0..self.clients.len()).for_each(|client| self.set_links(client));
            }
            Input::Inject(client, way, bytes) => {
                if client < self.clients.len() {
                    self.hand_on(client, way, &bytes);
                }
            }
        }
    }

    fn client(&mut self, address: SocketAddr) -> Option<usize> {
        if let Some(known) = self.known.get(&address) {
            return Some(*known);
        }
        let number = self.clients.len();
        let upstream = Arc::new(socket().ok()?);
        self.read(Arc::clone(&upstream), move |from, bytes| Input::FromServer(number, from, bytes));
        self.clients.push(Client { address, upstream });
        self.known.insert(address, number);
        self.set_links(number);
        lock(&self.shared.counters).clients += 1;
        Some(number)
    }

    fn set_links(&mut self, client: usize) {
        self.network.set_link(node(client), SERVER, self.config.to_server);
        self.network.set_link(SERVER, node(client), self.config.to_client);
    }

    fn carry(&mut self, from: NodeId, to: NodeId, bytes: Vec<u8>) {
        let (source, destination) = (self.server, self.server);
        let datagram = Datagram { from, to, source, destination, ecn: None, bytes };
        // What becomes of it, the network counts.
        self.network.send(self.started.elapsed(), datagram);
        lock(&self.shared.counters).faults = *self.network.faults();
    }

    fn deliver(&mut self) {
        while let Some(datagram) = self.network.receive(self.started.elapsed()) {
            let way = if datagram.to == SERVER { Way::ToServer } else { Way::ToClient };
            let client = if way == Way::ToServer { datagram.from } else { datagram.to };
            self.hand_on(client.0 as usize - 1, way, &datagram.bytes);
        }
    }

    fn hand_on(&self, client: usize, way: Way, bytes: &[u8]) {
        let Client { address, upstream } = &self.clients[client];
        let sent = match way {
            Way::ToServer => upstream.send_to(bytes, self.server),
            Way::ToClient => self.front.send_to(bytes, *address),
        };
        let mut counters = lock(&self.shared.counters);
        match sent {
            Ok(_) => counters.delivered += 1,
            Err(_) => counters.refused += 1,
        }
    }

    fn capture(&self, way: Way, bytes: &[u8]) {
        let captured = &mut lock(&self.shared.captured)[way as usize];
        if captured.len() < self.config.capture {
            captured.push(bytes.to_vec());
        }
    }

    /// Reads a socket on a thread of its own until the proxy stops.
    fn read(
        &mut self,
        socket: Arc<UdpSocket>,
        input: impl Fn(SocketAddr, Vec<u8>) -> Input + Send + 'static,
    ) {
        let (inputs, shared) = (self.inputs.clone(), Arc::clone(&self.shared));
        self.readers.push(thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while !shared.stop.load(Ordering::Relaxed) {
                // Time is up, or an ICMP error of something sent earlier: neither matters here.
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                if inputs.send(input(from, buffer[..len].to_vec())).is_err() {
                    return;
                }
            }
        }));
    }
}

/// A blocking socket that comes back now and then to see whether to stop.
fn socket() -> io::Result<UdpSocket> {
    let std = handfast_udp::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    std.set_nonblocking(false)?;
    std.set_read_timeout(Some(TICK))?;
    Ok(std)
}

fn node(client: usize) -> NodeId {
    NodeId(u32::try_from(client + 1).expect("fewer clients than ports"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SERVER: NodeId = NodeId(0);
const TICK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
