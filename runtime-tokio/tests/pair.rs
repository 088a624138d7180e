//! Two endpoints on loopback.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use handfast_tokio::{
    Admission, Config, ConnectError, Delivery, DisconnectOptions, EndReason, Endpoint, Event, Fate,
    Identity, Listen, NetworkSecret, Order, Received, Reconnect, Refusal, SendError, TargetName,
    TryRecvError, entropy, resolve,
};

fn endpoint() -> Endpoint {
    let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let identity = Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(Config::default(), identity, Listen::from(address)).expect("bound")
}

/// After a pause each message asks for an acknowledgement at once. What is answered as soon as it is heard takes it along.
#[tokio::test]
async fn an_answer_shares_a_packet_with_the_acknowledgement() {
    let (alice, bob) = (endpoint(), endpoint());
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let to_alice = bob.accept().await.expect("a peer");
    tokio::spawn(async move {
        while let Some(message) = to_alice.recv().await {
            to_alice.try_send(Delivery::unreliable(1), message.payload).expect("room");
        }
    });
    let (mut before, rounds) = (0, 20);
    for round in 0..=rounds {
        tokio::time::sleep(2 * Config::default().timers.max_ack_delay).await;
        if round == 1 {
            before = bob.stats().await.expect("it runs").sockets.datagrams_sent;
        }
        to_bob.try_send(Delivery::unreliable(1), "and you?").expect("room");
        assert_eq!(to_bob.recv().await.expect("an answer").payload, "and you?");
    }
    let packets = bob.stats().await.expect("it runs").sockets.datagrams_sent - before;
    assert!(packets < rounds + rounds / 4, "{packets} packets for {rounds} answers");
}

#[tokio::test]
async fn endpoints_that_never_wait_leave_others_their_turn() {
    let (alice, bob) = (endpoint(), endpoint());
    for endpoint in [&alice, &bob] {
        endpoint.set_busy_poll(Duration::MAX).await.expect("it runs");
    }
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let to_alice = bob.accept().await.expect("a peer");
    for number in 0..100_u32 {
        let [there, back] = [number, !number].map(|it| it.to_le_bytes().to_vec());
        to_bob.send(Delivery::ordered(1), there.clone()).await.expect("sent");
        assert_eq!(to_alice.recv().await.expect("a message").payload, there);
        to_alice.send(Delivery::ordered(1), back.clone()).await.expect("sent");
        assert_eq!(to_bob.recv().await.expect("a message").payload, back);
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    alice.close(DisconnectOptions::default()).await.expect("closed");
    assert!(matches!(to_alice.closed().await, EndReason::PeerDisconnected { .. }));
    bob.close(DisconnectOptions::default()).await.expect("closed");
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
    let nobody = UdpSocket::bind(address).expect("bound");
    let error = alice.connect(nobody.local_addr().expect("an address")).await.expect_err("nobody");
    assert_eq!(error, ConnectError::Ended(EndReason::DialTimeout));
}

/// The runtime has one thread. Each answer comes from a turn of the driver of its own.
#[tokio::test]
async fn a_turn_takes_in_few_datagrams_and_then_others_run() {
    let alice = endpoint();
    let received = async || alice.stats().await.expect("it runs").stats.datagrams_received;
    let strangers: Vec<_> =
        (0..4).map(|_| UdpSocket::bind("127.0.0.1:0").expect("bound")).collect();
    // What is not an answer to anything is dropped, and counted.
    for number in 0..FLOOD {
        let stranger = &strangers[number as usize % strangers.len()];
        stranger.send_to(&[0xc4; 40], alice.local_addresses()[0]).expect("sent");
    }
    let (mut before, mut turns) = (received().await, 0);
    while before < FLOOD {
        let now = received().await;
        assert!(now - before <= 2 * 64, "{} datagrams and nobody else had a turn", now - before);
        (before, turns) = (now, turns + 1);
    }
    assert!(turns >= FLOOD / 128, "{turns}");
}

/// A system's smallest buffer has room for so many small ones.
const FLOOD: u64 = 250;

/// The clock that the endpoints follow stands still while somebody works, and jumps while nobody does.
#[tokio::test(start_paused = true)]
async fn an_application_can_be_tested_while_time_is_paused() {
    let real = std::time::Instant::now();
    let (alice, bob) = (endpoint(), endpoint());
    let began = tokio::time::Instant::now();
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let to_alice = bob.accept().await.expect("a peer");
    let receipt = to_bob.send_with_receipt(Delivery::ordered(0), vec![7; 200_000]).await;
    assert_eq!(to_alice.recv().await.expect("a message").payload.len(), 200_000);
    assert_eq!(receipt.expect("sent").await, Fate::Acked);
    println!("talking took {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    // An hour of heartbeats.
    let before = alice.stats().await.expect("it runs").stats.datagrams_sent;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let sent = alice.stats().await.expect("it runs").stats.datagrams_sent - before;
    assert!((90..2000).contains(&sent), "{sent} datagrams in an hour of silence");
    assert_eq!((to_bob.ended(), to_alice.ended()), (None, None));
    let waited = tokio::time::timeout(Duration::from_secs(5), to_alice.recv()).await;
    assert!(waited.is_err());

    // A dial to nobody ends when it should.
    let began = tokio::time::Instant::now();
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let error = alice.connect(nobody.local_addr().expect("an address")).await.expect_err("nobody");
    assert_eq!(error, ConnectError::Ended(EndReason::DialTimeout));
    let (passed, wanted) = (began.elapsed(), Config::default().timers.connect_timeout);
    assert!(passed >= wanted && passed < wanted + Duration::from_secs(1), "{passed:?}");
    // A loop that waits for real time would take an hour.
    assert!(real.elapsed() < Duration::from_secs(300), "{:?}", real.elapsed());
}

/// More than any queue on the way holds, and then a normal end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_events_and_messages_from_one_stream_sees_the_end_last() {
    let (alice, bob) = (endpoint(), endpoint());
    let mut incoming = bob.incoming().await.expect("it runs");
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let sending = tokio::spawn(async move {
        for number in 0..30_000_u32 {
            let payload = number.to_le_bytes().to_vec();
            to_bob.send(Delivery::ordered(1), payload).await.expect("sent");
        }
        let linger = Duration::from_secs(60);
        to_bob.disconnect(DisconnectOptions::after(linger)).await
    });
    let (mut connected, mut number) = (false, 0_u32);
    let unread = loop {
        match incoming.recv().await.expect("it goes on") {
            Received::Message { peer, message, .. } => {
                assert_eq!((connected, peer.id()), (true, alice.id()));
                assert_eq!(message.payload.as_ref(), number.to_le_bytes());
                number += 1;
            }
            Received::Event(Event::Connected { .. }) => connected = true,
            Received::Event(Event::Ended { unread, .. }) => break unread,
            _ => {}
        }
    };
    assert_eq!((number, unread), (30_000, 0));
    let reason = sending.await.expect("no panic");
    assert_eq!(reason, EndReason::Disconnected { heard: true });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_events_alone_learns_of_the_end_at_once_and_what_waits_unread() {
    let (alice, bob) = (endpoint(), endpoint());
    let mut events = bob.events().await.expect("it runs");
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let to_alice = bob.accept().await.expect("a peer");
    for number in 0..3000_u16 {
        to_bob.send(Delivery::ordered(number % 3), "unread").await.expect("sent");
    }
    let linger = Duration::from_secs(60);
    to_bob.disconnect(DisconnectOptions::after(linger)).await;
    let unread = loop {
        if let Event::Ended { unread, .. } = events.recv().await.expect("it goes on") {
            break unread;
        }
    };
    assert_eq!(unread, 3000);
    // Each channel ends after its last message, read apart or not.
    let mut apart = 0;
    while to_alice.recv_from(1).await.is_some() {
        apart += 1;
    }
    let mut others = 0;
    while to_alice.recv().await.is_some() {
        others += 1;
    }
    assert_eq!((apart, others, to_alice.try_recv()), (1000, 2000, Err(TryRecvError::Ended)));
}

/// Nobody takes the bulk, ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_nobody_reads_holds_back_no_other_on_its_way_in() {
    let (alice, bob) = (endpoint(), endpoint());
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let to_alice = bob.accept().await.expect("a peer");
    assert_eq!(to_alice.try_recv_from(1), Err(TryRecvError::Empty));
    for _ in 0..100 {
        to_bob.send(Delivery::ordered(0), vec![7; 20_000]).await.expect("sent");
    }
    for number in 0..1000_u32 {
        let payload = number.to_le_bytes().to_vec();
        to_bob.send(Delivery::ordered(1), payload).await.expect("sent");
        let message = to_alice.recv_from(1).await.expect("a message");
        assert_eq!(message.payload.as_ref(), number.to_le_bytes());
    }
    // What was left is still there, and in order.
    for number in 0..100 {
        let message = to_alice.recv().await.expect("a message");
        assert_eq!((message.sequence_number, message.payload.len()), (number, 20_000));
    }
}

/// Channel 1 is not taken at the other end before all others are done, and its sender fills all that it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_nobody_reads_holds_back_no_other_on_its_way_out() {
    tokio::time::timeout(Duration::from_secs(60), go_past_a_stuck_channel())
        .await
        .expect("in time");
}

async fn go_past_a_stuck_channel() {
    let mut config = Config::default();
    (config.flow.max_message, config.flow.send_buffer) = (20_000, 200_000);
    (config.flow.receive_window, config.flow.unreliable_buffer) = (300_000, 1 << 20);
    let [alice, bob] = [(); 2].map(|()| {
        let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let identity = Identity::from_seed(entropy().expect("entropy"));
        Endpoint::bind(config.clone(), identity, address).expect("bound")
    });
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let to_alice = bob.accept().await.expect("a peer");
    let numbered = |number: u64| {
        let mut payload = number.to_le_bytes().to_vec();
        payload.resize(6000, 0);
        payload
    };
    let total = 400;
    let stuck = tokio::spawn({
        let to_bob = to_bob.clone();
        async move {
            for number in 0..total {
                to_bob.send(Delivery::ordered(1), numbered(number)).await.expect("sent");
            }
        }
    });
    for channel in 2..6 {
        assert_eq!(to_alice.try_recv_from(channel), Err(TryRecvError::Empty));
    }
    let sequenced = Delivery::reliable(4).with_order(Order::Sequenced);
    for number in 0..500 {
        let payload = || numbered(number);
        for delivery in [Delivery::ordered(2), Delivery::reliable(3), sequenced] {
            let receipt = to_bob.send_with_receipt(delivery, payload()).await.expect("sent");
            assert_eq!(receipt.await, Fate::Acked, "{delivery:?}");
            let message = to_alice.recv_from(delivery.channel).await.expect("a message");
            assert_eq!(message.payload, payload());
        }
        to_bob.send(Delivery::unreliable(5), payload()).await.expect("taken");
    }
    assert!(!stuck.is_finished(), "two megabytes fit nowhere");
    assert!(to_bob.info().expect("connected").queued <= 200_000);
    for number in 0..total {
        let message = to_alice.recv().await.expect("a message");
        assert_eq!(message.payload, numbered(number));
    }
    stuck.await.expect("no panic");
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

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_kept_connected_is_found_again_after_silence_and_not_after_a_no() {
    let (alice, bob) = (endpoint(), endpoint());
    let place = bob.local_addresses()[0];
    bob.close(DisconnectOptions::default()).await.expect("closed");
    let mut kept = alice.keep_connected(place, Reconnect::default());
    // Nobody is there, for longer than a dial takes.
    assert!(tokio::time::timeout(Duration::from_secs(60), kept.next()).await.is_err());
    let identity = Identity::from_seed(entropy().expect("entropy"));
    let bob = Endpoint::bind(Config::default(), identity, place).expect("bound");
    let to_bob = kept.next().await.expect("connected");
    assert_eq!(to_bob.id(), bob.id());
    assert_eq!(bob.accept().await.expect("a peer").id(), alice.id());
    // It says that it is enough, and means it.
    bob.close(DisconnectOptions::default()).await.expect("closed");
    let end = kept.next().await.expect_err("a no");
    assert!(matches!(end, ConnectError::Ended(EndReason::PeerDisconnected { .. })), "{end}");
}

/// One says that it is there, the other listens, and nobody tells it an address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_endpoint_is_found_by_its_beacon_and_called_at_its_port() {
    let secret = entropy().expect("entropy");
    let bind = |announce| {
        let mut config = Config::default();
        config.network_secret = Some(NetworkSecret::new(secret));
        (config.discovery.listen, config.discovery.announce) = (true, announce);
        let identity = Identity::from_seed(entropy().expect("entropy"));
        let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        Endpoint::bind(config, identity, Listen::from(address)).expect("bound")
    };
    let caller = bind(false);
    let mut events = caller.events().await.expect("it lives");
    let called = bind(true);
    let found = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
    let Ok(Some(Event::Discovered { id, address, forwards: false, .. })) = found else {
        panic!("{found:?}")
    };
    assert_eq!((id, address), (called.id(), called.local_addresses()[0]));
    let known = caller.discovered().await.expect("it lives");
    assert_eq!(known.iter().map(|one| (one.id, one.address)).collect::<Vec<_>>(), [(id, address)]);
    let peer = caller.connect(handfast_tokio::Target::new(id, [address])).await.expect("connected");
    assert_eq!(peer.id(), called.id());
    assert!(called.discovered().await.expect("it lives").is_empty(), "the caller says nothing");
}

/// The router is asked for the port of the first socket.
#[tokio::test]
async fn a_port_of_the_router_is_asked_for_the_first_socket() {
    let router = UdpSocket::bind("127.0.0.1:0").expect("bound");
    router.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    let endpoint = endpoint();
    let gateway = router.local_addr().expect("an address");
    let mapping = endpoint.map_port(Some(gateway), |_| ()).expect("started");
    let mut request = [0; 100];
    let (len, _) = router.recv_from(&mut request).expect("a request");
    // PCP's MAP: our port stands at 40 (RFC 6887 section 11.1).
    assert_eq!((len, &request[..2]), (60, &[2, 1][..]));
    assert_eq!(request[40..42], endpoint.local_addresses()[0].port().to_be_bytes());
    drop((mapping, endpoint));
}
