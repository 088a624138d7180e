//! Two endpoints on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_tokio::{
    Config, Delivery, DisconnectOptions, EndReason, Endpoint, Fate, Identity, Listen, SendError,
    entropy,
};

fn endpoint() -> Endpoint {
    let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let identity = Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(Config::default(), identity, Listen::from(address)).expect("bound")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_meet_talk_and_part() {
    tokio::time::timeout(Duration::from_secs(60), talk()).await.expect("in time");
}

async fn talk() {
    let (alice, bob) = (endpoint(), endpoint());
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let to_alice = bob.accept().await.expect("a peer");
    assert_eq!((to_bob.id(), to_alice.id()), (bob.id(), alice.id()));

    // More than fits any queue on the way, while the reader is slow to begin.
    let sender = to_bob.clone();
    let sending = tokio::spawn(async move {
        for number in 0..20_000_u32 {
            let payload = number.to_le_bytes().to_vec();
            sender.send(Delivery::ordered(1), payload).await.expect("sent");
        }
    });
    for number in 0..20_000_u32 {
        let message = to_alice.recv().await.expect("a message");
        assert_eq!(message.payload.as_ref(), number.to_le_bytes());
    }
    sending.await.expect("no panic");

    let large = vec![7; 3 << 20];
    let receipt = to_alice.send_with_receipt(Delivery::reliable(2), large.clone()).await;
    assert_eq!(to_bob.recv().await.expect("a message").payload, large);
    assert_eq!(receipt.expect("sent").await, Fate::Acked);
    assert!(to_bob.ping().await.expect("a pong") > Duration::ZERO);
    let too_large = to_bob.send(Delivery::ordered(1), vec![0; 17 << 20]).await;
    assert!(matches!(too_large, Err(SendError::Refused(_))), "{too_large:?}");

    let last = to_bob.send_with_receipt(Delivery::ordered(1), "the last word").await.expect("sent");
    let farewell = DisconnectOptions::after(Duration::from_secs(30));
    let reason = to_bob.disconnect(farewell).await;
    assert_eq!(reason, EndReason::Disconnected { heard: true });
    assert_eq!(last.await, Fate::Acked);
    assert_eq!(to_alice.recv().await.expect("a message").payload, "the last word");
    assert!(to_alice.recv().await.is_none());
    assert!(matches!(to_alice.closed().await, EndReason::PeerDisconnected { .. }));

    alice.close(DisconnectOptions::default()).await.expect("closed");
    drop((to_alice, to_bob));
    bob.close(DisconnectOptions::default()).await.expect("closed");
    assert!(bob.accept().await.is_none());
}

/// A receipt takes a round trip and not the time for which acknowledgements may wait for company: that is half
/// a second here, so that no load of the machine hides the difference.
#[tokio::test]
async fn fifty_receipts_one_after_another_do_not_wait_for_company() {
    let mut config = Config::default();
    config.timers.max_ack_delay = Duration::from_millis(500);
    let bind = || {
        let identity = Identity::from_seed(entropy().expect("entropy"));
        let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        Endpoint::bind(config.clone(), identity, Listen::from(address)).expect("bound")
    };
    let (alice, bob) = (bind(), bind());
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let receipts = async {
        for number in 0..50_u8 {
            let sent = to_bob.send_with_receipt(Delivery::ordered(0), vec![number]).await;
            assert_eq!(sent.expect("taken").await, Fate::Acked);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), receipts).await.expect("far below 25 s");
}

#[tokio::test]
async fn a_dial_to_nobody_times_out() {
    let mut config = Config::default();
    config.timers.connect_timeout = Duration::from_millis(300);
    let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let identity = Identity::from_seed(entropy().expect("entropy"));
    let alice = Endpoint::bind(config, identity, Listen::from(address)).expect("bound");
    let nobody = std::net::UdpSocket::bind(address).expect("bound");
    let error = alice.connect(nobody.local_addr().expect("an address")).await.expect_err("nobody");
    assert_eq!(error, handfast_tokio::ConnectError::Ended(EndReason::DialTimeout));
}
