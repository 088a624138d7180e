//! Sockets come and go while traffic flows.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use handfast_tokio::handfast_core::ConnectError as Refusal;
use handfast_tokio::{
    Config, ConnectError, Delivery, DisconnectOptions, Endpoint, Fate, Identity, Listen, Peer,
    SocketError, SocketId, Target, entropy,
};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn endpoint() -> Endpoint {
    let identity = Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(Config::default(), identity, Listen::from(loopback())).expect("bound")
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("in time")
}

/// Sends numbers until it is to stop, then an empty message. Returns how many numbers that were.
async fn send_until(peer: Peer, stop: Arc<AtomicBool>) -> u32 {
    let mut number = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let payload = number.to_le_bytes().to_vec();
        peer.send(Delivery::ordered(1), payload).await.expect("sent");
        number += 1;
    }
    peer.send(Delivery::ordered(1), "").await.expect("sent");
    number
}

/// Expects numbers up to an empty message. Counts them in `so_far`, and returns how many they were.
async fn receive_all(peer: Peer, so_far: Arc<AtomicU32>) -> u32 {
    let mut number = 0_u32;
    loop {
        let message = peer.recv().await.expect("a message");
        if message.payload.is_empty() {
            return number;
        }
        assert_eq!(message.payload.as_ref(), number.to_le_bytes());
        number += 1;
        so_far.store(number, Ordering::Relaxed);
    }
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    while !done().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn knows_where_is(peer: &Peer, other: &Endpoint) -> bool {
    let path = peer.path().expect("alive");
    path.remote() == Some(other.local_addresses()[0])
}

/// Puts a socket in the place of the only one there is.
async fn exchange_socket(endpoint: &Endpoint, old: SocketId) -> SocketId {
    let before = endpoint.local_addresses();
    let new = endpoint.add_socket(loopback()).await.expect("added");
    let address = endpoint.local_address(new).expect("open");
    assert_eq!(endpoint.local_addresses(), [before[0], address]);
    let visitor = self::endpoint();
    visitor.connect(address).await.expect("somebody is there");
    visitor.close(DisconnectOptions::default()).await.expect("closed");

    endpoint.remove_socket(old).await.expect("removed");
    assert_eq!(endpoint.local_addresses(), [address]);
    assert_eq!(endpoint.local_address(old), None);
    UdpSocket::bind(before[0]).expect("the socket is closed");
    new
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_come_and_go_under_traffic_and_nothing_reliable_is_lost() {
    within(async {
        let (alice, bob) = (endpoint(), endpoint());
        let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
        let to_alice = bob.accept().await.expect("a peer");
        let stop = Arc::new(AtomicBool::new(false));
        let arrived = [Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0))];
        let traffic = [
            tokio::spawn(send_until(to_bob.clone(), Arc::clone(&stop))),
            tokio::spawn(receive_all(to_alice.clone(), Arc::clone(&arrived[0]))),
            tokio::spawn(send_until(to_alice.clone(), Arc::clone(&stop))),
            tokio::spawn(receive_all(to_bob.clone(), Arc::clone(&arrived[1]))),
        ];
        // One that leaves its address before the other knows it could not be found any more, nor find
        // the other.
        let are_in_touch =
            async || knows_where_is(&to_bob, &bob) && knows_where_is(&to_alice, &alice);
        let (mut of_alice, mut of_bob) = (SocketId(0), SocketId(0));
        for round in 0..6 {
            let so_far = || [0, 1].map(|at| arrived[at].load(Ordering::Relaxed));
            let before = so_far();
            until(async || {
                let [one, other] = so_far();
                one > before[0] + 200 && other > before[1] + 200 && are_in_touch().await
            })
            .await;
            if round % 2 == 0 {
                of_alice = exchange_socket(&alice, of_alice).await;
            } else {
                of_bob = exchange_socket(&bob, of_bob).await;
            }
        }
        until(are_in_touch).await;
        stop.store(true, Ordering::Relaxed);
        let mut counts = Vec::new();
        for task in traffic {
            counts.push(task.await.expect("no panic"));
        }
        assert!(counts[0] == counts[1] && counts[2] == counts[3], "{counts:?}");
        let stats = alice.stats().await.expect("it runs");
        let seen = stats.sockets.datagrams_received;
        assert_eq!(seen, stats.stats.datagrams_received, "removed sockets count");
        alice.close(DisconnectOptions::default()).await.expect("closed");
        assert_eq!(alice.local_addresses(), []);
    })
    .await;
}

#[tokio::test]
async fn a_socket_that_cannot_come_or_go_is_an_error_that_says_why() {
    within(async {
        let endpoint = endpoint();
        let taken = endpoint.local_addresses();
        let error = endpoint.add_socket(taken[0]).await.expect_err("taken");
        assert!(error.to_string().contains(&taken[0].to_string()), "{error}");
        let SocketError::Open(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let unknown = endpoint.remove_socket(SocketId(7)).await;
        assert!(matches!(unknown, Err(SocketError::Unknown(SocketId(7)))));
        let last = endpoint.remove_socket(SocketId(0)).await;
        assert!(matches!(last, Err(SocketError::Last(SocketId(0)))));
        assert_eq!(endpoint.local_addresses(), taken);
        endpoint.close(DisconnectOptions::default()).await.expect("closed");
        assert!(matches!(endpoint.add_socket(loopback()).await, Err(SocketError::Stopped)));
        assert!(matches!(endpoint.remove_socket(SocketId(0)).await, Err(SocketError::Stopped)));
    })
    .await;
}

/// The runtime has one thread: the command is queued when the future is dropped, and not run.
#[tokio::test]
async fn a_socket_that_nobody_learns_of_is_removed_again() {
    within(async {
        let endpoint = endpoint();
        let before = endpoint.local_addresses();
        {
            let mut adding = std::pin::pin!(endpoint.add_socket(loopback()));
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(adding.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
        }
        endpoint.stats().await.expect("it runs");
        assert_eq!(endpoint.local_addresses(), before);
        let next = endpoint.add_socket(loopback()).await.expect("added");
        assert_eq!(next, SocketId(2), "there was one in between");
    })
    .await;
}

#[tokio::test]
async fn each_address_is_dialled_by_a_socket_that_reaches_it_or_refused_by_name() {
    within(async {
        let bind = |addresses: [&str; 2]| {
            let identity = Identity::from_seed(entropy().expect("entropy"));
            let addresses = addresses.map(|address| address.parse().expect("an address"));
            Endpoint::bind(Config::default(), identity, addresses)
        };
        let (v4, v6) = ("127.0.0.1:0", "[::1]:0");
        let Ok(server) = bind([v4, v6]) else {
            eprintln!("SKIPPED: this machine has no IPv6");
            return;
        };
        for addresses in [["0.0.0.0:0", v6], [v6, "0.0.0.0:0"]] {
            for address in server.local_addresses() {
                let client = bind(addresses).expect("bound");
                let peer = client.connect(address).await.expect("connected");
                let receipt = peer.send_with_receipt(Delivery::ordered(0), "hello").await;
                assert_eq!(receipt.expect("sent").await, Fate::Acked);
            }
        }
        let client = endpoint();
        type Why = fn(SocketAddr) -> Refusal;
        let refusals: [(_, Why); 7] = [
            ("[::1]:4263", Refusal::NoSocket),
            ("192.0.2.1:4263", Refusal::NoSocket),
            ("127.0.0.1:0", Refusal::PortZero),
            ("0.0.0.0:4263", Refusal::Unspecified),
            ("[::]:4263", Refusal::Unspecified),
            ("255.255.255.255:4263", Refusal::Broadcast),
            ("224.0.0.1:4263", Refusal::Multicast),
        ];
        for (address, refusal) in refusals {
            let address: SocketAddr = address.parse().expect("an address");
            let error = client.connect(address).await.expect_err("nobody can be there");
            assert_eq!(error, ConnectError::Refused(refusal(address)));
            assert!(error.to_string().starts_with(&address.to_string()), "{error}");
        }
        // Of several addresses those count that somebody can be at.
        let both = Target::new(server.id(), [refusals[3].0.parse().expect("an address")]);
        assert!(client.connect(both.clone()).await.is_err());
        let mut both = both;
        both.addresses.extend(server.local_addresses());
        let first = client.connect(both).await.expect("connected");
        let again = client.connect(server.id()).await.expect("the same");
        assert_eq!(first.handle(), again.handle());
    })
    .await;
}
