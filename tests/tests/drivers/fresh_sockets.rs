//! Sockets that a search for a direct way wants for itself: both runtimes open them, send and receive by them, and close them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as Clock};

use handfast_core::{
    Bytes, Config, Delivery, DisconnectOptions, Endpoint, ForwardingPolicy, FreshPort, Identity,
    Instant, Origin, PeerId,
};
use handfast_tests::{Node, Outgoing, Runtime, Setup, within};

/// A neighbour that forwards, and sees everybody of loopback at the public address of a NAT that is not there: nobody looks
/// for a direct way behind an address of loopback.
struct Neighbour {
    address: SocketAddr,
    id: PeerId,
    /// The ports that it ever heard from.
    heard: Arc<Mutex<BTreeSet<u16>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Neighbour {
    fn start() -> Self {
        let identity = Identity::from_seed([3; 32]);
        let id = identity.id();
        let mut config = Config::default();
        config.forwarding.policy = ForwardingPolicy::Anyone;
        let config = config.validate().expect("valid");
        let endpoint = Endpoint::new(config, identity, [9; 32], Instant::from_micros(0));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("an option");
        let address = socket.local_addr().expect("bound");
        let heard = Arc::new(Mutex::new(BTreeSet::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (ports, over) = (Arc::clone(&heard), Arc::clone(&is_over));
        let thread = thread::spawn(move || drive(endpoint, &socket, &ports, &over));
        Self { address, id, heard, is_over, thread: Some(thread) }
    }

    fn heard(&self) -> BTreeSet<u16> {
        self.heard.lock().expect("no panic").clone()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn drive(
    mut endpoint: Endpoint,
    socket: &UdpSocket,
    heard: &Mutex<BTreeSet<u16>>,
    is_over: &AtomicBool,
) {
    let began = Clock::now();
    let mut buffer = vec![0; 1 << 16];
    while !is_over.load(Ordering::Relaxed) {
        let received = socket.recv_from(&mut buffer);
        let now = Instant::from_micros(began.elapsed().as_micros() as u64);
        if let Ok((len, from)) = received {
            heard.lock().expect("no panic").insert(from.port());
            let origin = Origin::from_remote(SocketAddr::from((PUBLIC, from.port())));
            endpoint.handle_datagram(now, origin, &mut buffer[..len]);
        }
        if endpoint.poll_timeout().is_some_and(|at| at <= now) {
            endpoint.handle_timeout(now);
        }
        while let Some(sent) = endpoint.poll_transmit(now, &mut buffer) {
            let to = (Ipv4Addr::LOCALHOST, sent.destination.port());
            let each = sent.segment.map_or(sent.len, |segment| segment.get().into());
            for datagram in buffer[..sent.len].chunks(each) {
                // What fails is lost.
                _ = socket.send_to(datagram, to);
            }
        }
        while endpoint.poll_event().is_some() {}
    }
}

/// Of a network for documentation. Nothing goes there: sockets of loopback do not send elsewhere.
const PUBLIC: [u8; 4] = [203, 0, 113, 7];

fn start(runtime: Runtime, identity: u8) -> Node {
    let mut setup = Setup::new(runtime, identity);
    setup.config.punching.enabled = true;
    Node::start(setup)
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Two that do not find each other take fresh sockets for the second round of their search, about ten seconds after they met.
fn search(runtime: Runtime) {
    let neighbour = Neighbour::start();
    let ends = [1, 2].map(|identity| start(runtime, identity));
    for end in &ends {
        end.connect(neighbour.address).expect("the neighbour");
    }
    let usual = neighbour.heard();
    assert_eq!(usual.len(), 2, "{runtime:?}");
    let peer = ends[0].connect(ends[1].id()).expect("by way of the neighbour");
    // The other one looks for nobody before it took a message.
    let payload = Bytes::from_static(b"word");
    ends[0].send(peer, Outgoing { tag: 0, delivery: Delivery::ordered(0), payload });
    let fresh = loop {
        let info = ends[0].peer(peer).expect("connected");
        let (path, verdict) = (info.path, info.verdict);
        assert_eq!(path.and_then(|path| path.route()).map(|it| it.neighbour), Some(neighbour.id));
        assert_ne!(verdict.fresh_port, FreshPort::LeftOut, "{runtime:?}: {verdict}");
        // The neighbour said where it sees the socket: it sends, and receives.
        if verdict.fresh_port == FreshPort::Tried {
            break &neighbour.heard() - &usual;
        }
        thread::sleep(PAUSE);
    };
    assert!((1..=2).contains(&fresh.len()), "{runtime:?}: {fresh:?}");
    assert!(!fresh.iter().copied().all(is_free), "{runtime:?}: nobody has {fresh:?}");
    // The search is over when they part, and so nothing needs the sockets.
    ends[0].disconnect(peer, DisconnectOptions::now());
    while !(&neighbour.heard() - &usual).iter().copied().all(is_free) {
        thread::sleep(PAUSE);
    }
    assert!(
        !ends.iter().any(|end| is_free(end.address().port())),
        "{runtime:?}: the usual ones stay"
    );
}

#[test]
fn a_search_opens_a_socket_of_its_own_talks_by_it_and_closes_it() {
    let searches =
        Runtime::ALL.map(|runtime| thread::spawn(move || within(HANG, move || search(runtime))));
    searches.into_iter().for_each(|search| search.join().expect("a search"));
}

const PAUSE: Duration = Duration::from_millis(100);
const HANG: Duration = Duration::from_secs(120);
