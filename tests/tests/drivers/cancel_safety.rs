//! Futures of the tokio runtime that are dropped half-way, and handles that are dropped altogether.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use handfast_core::{Config, Delivery, DisconnectOptions, EndReason, Fate, Identity};
use handfast_tests::{loopback, within};
use handfast_tokio::{Endpoint, Peer, entropy};

fn run(test: impl Future<Output = ()> + Send + 'static) {
    within(HANG, || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(test);
    });
}

/// On a single thread: while the test goes on, the drivers do not.
fn run_in_turn(test: impl Future<Output = ()> + Send + 'static) {
    within(HANG, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(test);
    });
}

fn endpoint() -> Endpoint {
    let identity = Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(Config::default(), identity, loopback()).expect("bound")
}

/// Two endpoints, and what they call each other.
async fn pair() -> (Endpoint, Endpoint, Peer, Peer) {
    let (alice, bob) = (endpoint(), endpoint());
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let to_alice = bob.accept().await.expect("a peer");
    (alice, bob, to_bob, to_alice)
}

/// Polls a future once and drops it.
fn try_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn a_receive_that_is_dropped_loses_nothing() {
    run(async {
        let (_alice, _bob, to_bob, to_alice) = pair().await;
        let sending = tokio::spawn(async move {
            for number in 0..5000_u32 {
                let payload = number.to_le_bytes().to_vec();
                to_bob.send(Delivery::ordered(0), payload).await.expect("sent");
            }
            to_bob
        });
        let mut expected = 0_u32;
        while expected < 5000 {
            if let Some(message) = try_once(to_alice.recv()) {
                let message = message.expect("it goes on");
                assert_eq!(message.payload.as_ref(), expected.to_le_bytes());
                expected += 1;
            } else {
                tokio::task::yield_now().await;
            }
        }
        drop(sending.await.expect("no panic"));
    });
}

#[test]
fn a_send_that_is_dropped_sends_its_message_whole_or_not_at_all() {
    run(async {
        let (_alice, _bob, to_bob, to_alice) = pair().await;
        let large = |number: u32| number.to_le_bytes().repeat(10_000);
        // The first of a stream waits for the core's consent; the others only for room.
        to_bob.send(Delivery::ordered(0), large(0)).await.expect("sent");
        let (mut sent, mut given_up) = (vec![0], Vec::new());
        for number in 1.. {
            match try_once(to_bob.send(Delivery::ordered(0), large(number))) {
                Some(result) => {
                    result.expect("sent");
                    sent.push(number);
                }
                None => given_up.push(number),
            }
            if sent.len() >= 100 && given_up.len() >= 100 {
                break;
            }
            if number % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        to_bob.send(Delivery::ordered(0), "the end").await.expect("sent");
        let mut arrived = Vec::new();
        loop {
            let message = to_alice.recv().await.expect("it goes on");
            if message.payload == "the end" {
                break;
            }
            let (head, _) = message.payload.split_first_chunk().expect("a number");
            let number = u32::from_le_bytes(*head);
            assert!(message.payload == large(number), "{number} is garbled");
            arrived.push(number);
        }
        assert!(arrived.is_sorted_by(|a, b| a < b), "out of order or twice");
        assert!(sent.iter().all(|number| arrived.binary_search(number).is_ok()));
    });
}

/// Whatever the stream and the size: a program that gives up and tries again pays once.
#[test]
fn a_send_that_is_dropped_and_tried_again_arrives_once() {
    run_in_turn(async {
        let (_alice, _bob, to_bob, to_alice) = pair().await;
        let (mut dropped, mut sent) = (0, Vec::new());
        for number in 0..200_u16 {
            let payload = number.to_le_bytes().repeat(1 + usize::from(number) * 40);
            let delivery = Delivery::ordered(number % 20);
            while try_once(to_bob.send(delivery, payload.clone())).is_none_or(|sent| sent.is_err())
            {
                dropped += 1;
                tokio::task::yield_now().await;
            }
            sent.push(payload);
        }
        println!("{dropped} were dropped");
        let mut arrived = Vec::new();
        to_bob.send(Delivery::ordered(20), "the end").await.expect("sent");
        let mut ended = false;
        while !ended || arrived.len() < sent.len() {
            let message = to_alice.recv().await.expect("it goes on");
            if message.payload == "the end" {
                ended = true;
            } else {
                arrived.push(message.payload.to_vec());
            }
        }
        // One that comes twice would come before this.
        to_bob.disconnect(graceful()).await;
        while let Some(message) = to_alice.recv().await {
            arrived.push(message.payload.to_vec());
        }
        sent.sort();
        arrived.sort();
        assert_eq!(arrived.len(), sent.len(), "messages arrived for so many payments");
        assert!(arrived == sent);
    });
}

fn graceful() -> DisconnectOptions {
    DisconnectOptions::after(HANG)
}

#[test]
fn a_dial_that_is_dropped_leaves_nobody_behind() {
    run_in_turn(async {
        let (alice, bob) = (endpoint(), endpoint());
        let address = bob.local_addresses()[0];
        for _ in 0..20 {
            assert!(try_once(alice.connect(address)).is_none());
            tokio::task::yield_now().await;
        }
        // Whatever became of those, all of it passes.
        while !alice.peers().await.expect("it lives").is_empty() {
            tokio::task::yield_now().await;
        }
        let to_bob = alice.connect(address).await.expect("connected");
        let receipt = to_bob.send_with_receipt(Delivery::ordered(0), "hello").await.expect("sent");
        assert_eq!(receipt.await, Fate::Acked);
    });
}

#[test]
fn one_of_two_dials_of_a_peer_may_be_dropped() {
    run_in_turn(async {
        let (alice, bob) = (endpoint(), endpoint());
        let target = handfast_core::Target::new(bob.id(), bob.local_addresses());
        for _ in 0..20 {
            assert!(try_once(alice.connect(target.clone())).is_none());
            let peer = alice.connect(target.clone()).await.expect("connected");
            let reason = peer.disconnect(DisconnectOptions::default()).await;
            assert_eq!(reason, EndReason::Disconnected { heard: true });
        }
    });
}

#[test]
fn dropped_pings_and_receipts_change_nothing() {
    run(async {
        let (_alice, _bob, to_bob, to_alice) = pair().await;
        for number in 0..100_u8 {
            try_once(to_bob.ping());
            let receipt = to_bob.send_with_receipt(Delivery::ordered(0), vec![number]).await;
            drop(receipt.expect("sent"));
            assert_eq!(to_alice.recv().await.expect("a message").payload.as_ref(), [number]);
        }
        while to_bob.ping().await.is_err() {
            // The dropped ones still count until they are answered.
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn whoever_drops_the_last_handle_says_goodbye() {
    run(async {
        let (alice, _bob, to_bob, to_alice) = pair().await;
        drop(alice);
        to_bob.send(Delivery::ordered(0), "still here").await.expect("sent");
        assert_eq!(to_alice.recv().await.expect("a message").payload, "still here");
        drop(to_bob);
        assert!(to_alice.recv().await.is_none());
        assert!(matches!(to_alice.closed().await, EndReason::PeerDisconnected { .. }));
    });
}

#[test]
fn a_close_that_is_dropped_goes_on() {
    run(async {
        let (alice, _bob, _to_bob, to_alice) = pair().await;
        let watcher = alice.clone();
        try_once(alice.close(DisconnectOptions::default()));
        watcher.closed().await.expect("closed in order");
        assert!(matches!(to_alice.closed().await, EndReason::PeerDisconnected { .. }));
    });
}

const HANG: Duration = Duration::from_secs(60);
