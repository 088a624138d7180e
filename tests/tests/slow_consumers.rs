//! Applications that do not take what is theirs: memory is bounded, and others are served.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use handfast_core::SendError::NoRoom;
use handfast_core::{
    Config, Delivery, DisconnectOptions, EndReason, Event, Fate, Identity, Message, Order,
};
use handfast_tests::{Node, Outgoing, Runtime, Setup, Vitals, What, digest, loopback, within};
use handfast_tokio::{Endpoint, SendError, entropy};
use tokio::task::JoinSet;

/// One at a time: what they measure belongs to the whole process.
fn alone(test: impl Future<Output = ()> + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    within(HANG, || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(test);
    });
}

fn endpoint(config: Config) -> Endpoint {
    let identity = Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(config, identity, loopback()).expect("bound")
}

/// Whatever they leave.
#[test]
fn callers_whom_nobody_accepts_leave_little_behind() {
    alone(async {
        let server = endpoint(Config::default());
        // Fifty megabytes.
        visits(&server, 100, 1 << 19).await;
        let last = endpoint(Config::default());
        last.connect(server.local_addresses()[0]).await.expect("connected");
        let (mut visitors, mut bytes) = (0, 0);
        loop {
            let peer = server.accept().await.expect("a peer");
            if peer.id() == last.id() {
                break;
            }
            while let Some(message) = peer.recv().await {
                bytes += message.payload.len();
            }
            assert!(matches!(peer.closed().await, EndReason::PeerDisconnected { .. }));
            visitors += 1;
        }
        assert_eq!((visitors, bytes), (32, 16 << 20));
    });
}

/// So many come, each leaves a message of so many bytes, and go.
async fn visits(server: &Endpoint, count: usize, len: usize) {
    let mut under_way = JoinSet::new();
    for _ in 0..count {
        if under_way.len() >= 20 {
            under_way.join_next().await.expect("one").expect("no panic");
        }
        under_way.spawn(visit(server.local_addresses()[0], len));
    }
    under_way.join_all().await;
}

async fn visit(server: SocketAddr, len: usize) {
    let client = endpoint(Config::default());
    let peer = client.connect(server).await.expect("connected");
    let receipt = peer.send_with_receipt(Delivery::ordered(0), vec![7; len]).await;
    assert_eq!(receipt.expect("sent").await, Fate::Acked);
    peer.ping().await.expect("a pong");
    let reason = peer.disconnect(DisconnectOptions::default()).await;
    assert_eq!(reason, EndReason::Disconnected { heard: true });
    client.close(DisconnectOptions::default()).await.expect("closed");
}

#[test]
fn peers_whose_messages_nobody_takes_fill_their_own_room_alone() {
    alone(async {
        let mut config = Config::default();
        config.flow.max_message = 1 << 18;
        (config.flow.receive_window, config.flow.unreliable_buffer) = (1 << 20, 1 << 20);
        config.flow.send_buffer = 1 << 20;
        let server = endpoint(config.clone());
        let before = Vitals::now();
        let mut floods = Vec::new();
        let mut clients = Vec::new();
        for number in 0..8 {
            let client = endpoint(config.clone());
            let peer = client.connect(server.local_addresses()[0]).await.expect("connected");
            let _never_received = server.accept().await.expect("a peer");
            clients.push(client);
            let unreliable = number % 2 == 1;
            let delivery = Delivery::new(0, !unreliable, Order::Ordered);
            floods.push(tokio::spawn(async move {
                for _ in 0..200 {
                    match peer.send(delivery, vec![7; 50_000]).await {
                        Ok(()) => {}
                        // It is refused when the driver did not keep up with those before.
                        Err(SendError::Refused(NoRoom)) if unreliable => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }));
        }
        let friend = endpoint(Config::default());
        let to_server = friend.connect(server.local_addresses()[0]).await.expect("connected");
        let to_friend = server.accept().await.expect("a peer");
        // Unreliable ones never wait: some are refused, and what is old gives way. Reliable ones wait for ever.
        for (at, flood) in floods.iter_mut().enumerate() {
            if at % 2 == 1 {
                flood.await.expect("no panic");
                echo(&to_server, &to_friend).await;
            }
        }
        let waiting = floods.iter().step_by(2).filter(|flood| !flood.is_finished());
        assert_eq!(waiting.count(), 4, "ten megabytes do not fit into one");
        // Each has a megabyte at the server, and one to be sent.
        Vitals::assert_back(
            before.map(|before| Vitals { descriptors: 1 << 20, ..before }),
            80 << 20,
        );
    });
}

async fn echo(here: &handfast_tokio::Peer, there: &handfast_tokio::Peer) {
    here.send(Delivery::ordered(0), "there").await.expect("sent");
    let Message { payload, .. } = there.recv().await.expect("a message");
    there.send(Delivery::ordered(0), payload).await.expect("sent");
    assert_eq!(here.recv().await.expect("a message").payload, "there");
}

#[test]
fn a_stream_of_events_that_nobody_reads_stops_the_handles_but_not_the_protocol() {
    alone(async {
        let server = endpoint(Config::default());
        let events = server.events().await.expect("it lives");
        // More events than the stream holds. Each visitor is served by the core alone.
        visits(&server, 400, 5).await;
        drop(events);
        let last = endpoint(Config::default());
        last.connect(server.local_addresses()[0]).await.expect("connected");
        while server.accept().await.expect("a peer").id() != last.id() {}
    });
}

#[test]
fn a_mio_application_that_polls_no_events_serves_the_protocol() {
    within(HANG, || {
        let identity = Identity::from_seed(entropy().expect("entropy"));
        let mut server =
            handfast_mio::Endpoint::bind(Config::default(), identity, loopback()).expect("bound");
        let client = Node::start(Setup::new(Runtime::Mio, 1));
        let address = server.local_addresses()[0];
        let (finished, end) = std::sync::mpsc::channel();
        let talk = std::thread::spawn(move || {
            let peer = client.connect(address).expect("connected");
            for tag in 0..20 {
                let delivery = Delivery::ordered(0).with_receipt();
                client.send(peer, Outgoing { tag, delivery, payload: digest::bytes(tag, 1000) });
                client.ping(peer);
                let mut heard = [client.next().what, client.next().what];
                heard.sort_by_key(|what| matches!(what, What::Pong));
                assert_eq!(heard, [What::Fate(tag, Fate::Acked), What::Pong]);
            }
            finished.send(()).expect("somebody waits");
        });
        while end.try_recv().is_err() {
            assert!(!talk.is_finished() || end.try_recv().is_ok(), "the client panicked");
            server.turn(Some(Duration::from_secs(30))).expect("no fatal error");
        }
        talk.join().expect("no panic");
        let event = server.poll_event().expect("it waited");
        assert!(matches!(event, Event::Connected { .. }), "{event:?}");
    });
}

const HANG: Duration = Duration::from_secs(120);
