//! Two endpoints on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_tokio::{
    Admission, Config, Delivery, DisconnectOptions, EndReason, Endpoint, Event, Fate, Identity,
    Listen, NetworkSecret, Refusal, SendError, TargetName, entropy, resolve,
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

#[tokio::test]
async fn who_may_come_in_changes_while_an_endpoint_runs_and_who_may_not_is_reported() {
    tokio::time::timeout(Duration::from_secs(60), change()).await.expect("in time");
}

async fn change() {
    let (alice, bob) = (endpoint(), endpoint());
    let mut events = bob.events().await.expect("open");
    let name = format!("{}@{}", bob.id(), bob.local_addresses()[0]);
    let target = resolve(&name.parse::<TargetName>().expect("a name")).await.expect("an address");

    bob.set_admission(Admission::Nobody).await.expect("open");
    let dial = tokio::spawn({
        let (alice, target) = (alice.clone(), target.clone());
        async move { alice.connect(target).await.map(drop) }
    });
    let Some(Event::Refused { id, reason, .. }) = events.recv().await else { panic!("no refusal") };
    assert_eq!((id, reason), (alice.id(), Refusal::NotAdmitted));
    bob.set_admission(Admission::Anyone).await.expect("open");
    drop(dial.await.expect("no panic"));
    alice.connect(target.clone()).await.expect("let in");

    let secret = |byte| Some(NetworkSecret::new([byte; 32]));
    assert!(bob.set_secrets(None, secret(1)).await.is_err(), "a second one without a first");
    bob.set_secrets(secret(1), None).await.expect("sound");
    let carol = endpoint();
    carol.set_secrets(secret(1), None).await.expect("sound");
    carol.connect(target).await.expect("a member");

    bob.close(DisconnectOptions::default()).await.expect("closed");
    let last = bob.stats().await.expect("the last ones");
    assert_eq!((last.stats.handshakes, last.stats.peers_ended), (2, 2));
    assert!(bob.set_admission(Admission::Anyone).await.is_err(), "stopped");
}
