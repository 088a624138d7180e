//! Handles of the tokio runtime: what is withdrawn is withdrawn, and no peer is left without one.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Duration;

use handfast_core::{CommandError, Config, Delivery, DisconnectOptions, Fate, Identity, Target};
use handfast_tests::{loopback, within};
use handfast_tokio::{Endpoint, PeerError, entropy};

/// On a single thread: while the test goes on, the drivers do not.
fn run(test: impl Future<Output = ()> + Send + 'static) {
    within(HANG, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(test);
    });
}

fn endpoint(config: Config) -> Endpoint {
    let identity = Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(config, identity, loopback()).expect("bound")
}

fn target(endpoint: &Endpoint) -> Target {
    Target::new(endpoint.id(), endpoint.local_addresses())
}

fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn messages_are_cancelled_wherever_they_wait_and_only_those_never_arrive() {
    run(async {
        let mut config = Config::default();
        config.flow.max_message = LEN as u32;
        config.flow.send_buffer = 12 * LEN;
        let alice = endpoint(config.clone());
        config.flow.receive_window = 2 * LEN as u32 + 1000;
        let bob = endpoint(config);
        let to_bob = alice.connect(target(&bob)).await.expect("connected");
        let to_alice = bob.accept().await.expect("a peer");

        // Nearly as many as fit anywhere: with bob's application, his credit, then the channel's half of our
        // core, driver and mailbox.
        let mut receipts = Vec::new();
        let count = 22;
        for number in 0..count {
            let payload = vec![number as u8; LEN];
            let receipt = to_bob.send_with_receipt(Delivery::ordered(0), payload).await;
            receipts.push(receipt.expect("sent"));
        }
        let mut cancelled = Vec::new();
        for (number, receipt) in receipts.iter().enumerate().rev() {
            if number % 3 != 0 {
                match to_bob.cancel(receipt).await {
                    Ok(()) => cancelled.push(number),
                    Err(error) => {
                        assert_eq!(error, PeerError::Refused(CommandError::TooLate));
                        assert!(number < 10, "{number} cannot be under way");
                    }
                }
            }
        }
        let wrong = to_alice.cancel(&receipts[0]).await;
        assert_eq!(wrong, Err(PeerError::Refused(CommandError::UnknownPeer)));
        for number in (0..count).filter(|number| !cancelled.contains(number)) {
            let message = to_alice.recv().await.expect("a message");
            assert_eq!(usize::from(message.payload[0]), number);
        }
        let late = to_bob.cancel(&receipts[0]).await;
        assert_eq!(late, Err(PeerError::Refused(CommandError::TooLate)));
        for (number, receipt) in receipts.into_iter().enumerate() {
            let cancelled = cancelled.contains(&number);
            let fate = receipt.await;
            let withdrawn = fate == Fate::Cancelled { may_have_arrived: false };
            assert!(if cancelled { withdrawn } else { fate == Fate::Acked }, "{number}: {fate:?}");
        }
    });
}

/// They are asked for a few at a time.
#[test]
fn many_peers_are_listed_each_once() {
    run(async {
        let alice = endpoint(Config::default());
        // Nobody answers there.
        let targets = (0..PEERS).map(|n| Target::from(SocketAddr::from(([127, 0, 1, n], 9))));
        let mut dials: Vec<_> = targets.map(|target| Box::pin(alice.connect(target))).collect();
        for dial in &mut dials {
            assert!(!poll_once(dial.as_mut()));
            yield_times(2).await;
        }
        let mut handles = alice.peer_handles().await.expect("it lives");
        while handles.len() < dials.len() {
            tokio::task::yield_now().await;
            handles = alice.peer_handles().await.expect("it lives");
        }
        let unique: BTreeSet<_> = handles.iter().copied().collect();
        assert_eq!((unique.len(), handles.len()), (dials.len(), dials.len()));
        let peers = alice.peers().await.expect("it lives");
        assert_eq!(peers.iter().map(|peer| peer.handle).collect::<Vec<_>>(), handles);
        drop(dials);
        while !alice.peer_handles().await.expect("it lives").is_empty() {
            tokio::task::yield_now().await;
        }
    });
}

/// Including the moment when the peer is there and nobody has looked yet.
#[test]
fn a_dial_dropped_at_any_moment_leaves_nobody_behind() {
    run(async {
        let (alice, bob) = (endpoint(Config::default()), endpoint(Config::default()));
        for turns in 0..60 {
            {
                let mut dial = pin!(alice.connect(target(&bob)));
                assert!(!poll_once(dial.as_mut()));
                yield_times(turns).await;
            }
            while !alice.peers().await.expect("it lives").is_empty() {
                tokio::task::yield_now().await;
            }
        }
        alice.connect(target(&bob)).await.expect("connected");
    });
}

#[test]
fn a_dropped_dial_does_not_part_those_who_found_each_other_otherwise() {
    run(async {
        let (alice, bob) = (endpoint(Config::default()), endpoint(Config::default()));
        let to_bob = alice.connect(target(&bob)).await.expect("connected");
        for turns in 0..20 {
            let mut dial = pin!(alice.connect(target(&bob)));
            poll_once(dial.as_mut());
            yield_times(turns).await;
        }
        to_bob.ping().await.expect("still there");
        // The same for one that was accepted, and for a question.
        let to_alice = bob.accept().await.expect("a peer");
        for turns in 0..20 {
            let mut dial = pin!(bob.connect(target(&alice)));
            poll_once(dial.as_mut());
            let mut find = pin!(bob.peer_by_id(alice.id()));
            poll_once(find.as_mut());
            yield_times(turns).await;
        }
        to_alice.ping().await.expect("still there");
    });
}

#[test]
fn one_who_called_us_while_we_called_is_accepted_though_our_call_was_dropped() {
    run(async {
        for turns in 0..40 {
            let (alice, bob) = (endpoint(Config::default()), endpoint(Config::default()));
            let mut bobs = Box::pin(bob.connect(target(&alice)));
            {
                let mut dial = pin!(alice.connect(target(&bob)));
                // Both calls are on their way before either end reads anything.
                assert!(!poll_once(dial.as_mut()) && !poll_once(bobs.as_mut()));
                yield_times(turns).await;
            }
            let to_alice = bobs.await.expect("connected");
            to_alice.send(Delivery::ordered(0), "hello").await.expect("sent");
            let to_bob = alice.accept().await.expect("a peer");
            assert_eq!(to_bob.recv().await.expect("a message").payload, "hello");
            to_bob.disconnect(DisconnectOptions::default()).await;
        }
    });
}

async fn yield_times(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// More than are asked for at a time.
const PEERS: u8 = 100;
const LEN: usize = 50_000;
const HANG: Duration = Duration::from_secs(60);
