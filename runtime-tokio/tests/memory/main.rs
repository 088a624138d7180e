//! How much memory a server takes for peers that talked and are quiet now: what the core keeps of each, the driver, and the
//! application's task.
//!
//! `HANDFAST_PEERS=1000 cargo test --release -p handfast-tokio --test memory -- --nocapture` has more of them.

mod counting;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use handfast_tokio::{Budget, Config, Delivery, Endpoint, Fate, Identity, Listen, Peer, entropy};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use counting::LIVE;

/// Its packets that keep paths open are so frequent that peers are at rest soon.
fn endpoint() -> Endpoint {
    let mut config = Config::default();
    config.timers.heartbeat = Duration::from_millis(200);
    config.limits.max_peers = 1 << 16;
    let many = Budget::new(100_000, 1_000_000);
    config.budgets.unvalidated = many;
    config.budgets.unvalidated_per_source = many;
    let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let identity = Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(config, identity, Listen::from(address)).expect("bound")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Comes, says a hundred messages on two channels, and hears them again if they are answered.
async fn talk(place: SocketAddr, are_answered: bool) -> (Endpoint, Peer) {
    let client = endpoint();
    let peer = client.connect(place).await.expect("connected");
    let mut receipts = Vec::new();
    for number in 0..100_u8 {
        let delivery = Delivery::ordered(u16::from(number) % 2);
        let sent = peer.send_with_receipt(delivery, vec![number; 64]).await;
        receipts.push(sent.expect("sent"));
    }
    for receipt in receipts {
        assert_eq!(receipt.await, Fate::Acked);
        if are_answered {
            peer.recv().await.expect("an answer");
        }
    }
    (client, peer)
}

/// Clients on a thread of their own. So many more come whenever that is asked for, and stay until nobody can ask any more.
fn clients(
    place: SocketAddr,
    are_answered: bool,
    mut asked: UnboundedReceiver<usize>,
    are_there: &UnboundedSender<()>,
) {
    runtime().block_on(async {
        let mut all = Vec::new();
        while let Some(many) = asked.recv().await {
            for _ in 0..many {
                all.push(talk(place, are_answered).await);
            }
            are_there.send(()).expect("somebody waits");
        }
        for (_, peer) in &all {
            let info = peer.info().expect("it has not ended");
            assert_eq!((info.id, info.handle), (Some(peer.id()), peer.handle()));
            assert!(info.stats.messages_sent == 100 && info.last_received.is_some(), "{info:?}");
        }
    });
}

/// As an application does: a task for each peer, which waits for messages, and answers them if it is to.
async fn serve(server: Endpoint, answers: bool) {
    while let Some(peer) = server.accept().await {
        if answers {
            tokio::spawn(answer(peer));
        } else {
            tokio::spawn(async move { while peer.recv().await.is_some() {} });
        }
    }
}

async fn answer(peer: Peer) {
    while let Some(message) = peer.recv().await {
        peer.send(message.delivery, message.payload).await.expect("sent");
    }
}

/// The bytes of the heap for each of so many peers, once that is no more than `most`, or patience is at an end.
fn bytes_of_quiet_peers(peers: usize, are_answered: bool, most: isize) -> isize {
    runtime().block_on(async {
        let server = endpoint();
        let place = server.local_addresses()[0];
        tokio::spawn(serve(server, are_answered));
        let (ask, asked) = unbounded_channel();
        let (are_there, mut have_come) = unbounded_channel();
        let thread = thread::spawn(move || clients(place, are_answered, asked, &are_there));
        // The tables of the endpoint grow for the first ones, which are not counted.
        ask.send(FIRST).expect("they listen");
        have_come.recv().await.expect("they come");
        sleep(Duration::from_secs(2)).await;
        let before = LIVE.get();
        ask.send(peers).expect("they listen");
        have_come.recv().await.expect("they come");
        let patience = Instant::now() + PATIENCE;
        let bytes = loop {
            let bytes = (LIVE.get() - before) / peers as isize;
            if bytes <= most || Instant::now() > patience {
                break bytes;
            }
            sleep(Duration::from_millis(100)).await;
        };
        drop(ask);
        // They would notice the end of the server.
        while !thread.is_finished() {
            sleep(Duration::from_millis(10)).await;
        }
        thread.join().expect("the clients stayed");
        bytes
    })
}

fn check(are_answered: bool, most: isize) {
    let peers = std::env::var("HANDFAST_PEERS")
        .map_or(64, |number| number.parse().expect("HANDFAST_PEERS is a number of peers"));
    let bytes = bytes_of_quiet_peers(peers, are_answered, most);
    println!("{bytes} bytes for each of {peers} peers, answered: {are_answered}");
    assert!(bytes <= most, "{bytes} bytes for each");
}

#[test]
fn a_peer_that_talked_and_is_quiet_takes_little_memory() {
    check(false, MOST);
}

#[test]
fn a_peer_that_was_answered_and_is_quiet_takes_little_more() {
    check(true, MOST_ANSWERED);
}

/// The most bytes for a peer; raised only with a reason. A few are awake for a heartbeat.
const MOST: isize = 1650;
/// The task that answers is larger, and what was sent is remembered.
const MOST_ANSWERED: isize = 2550;
/// Peers that come before those that are counted.
const FIRST: usize = 8;
/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);
