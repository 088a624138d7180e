//! What a row does: each function does at least `n` operations, counts them and returns their number.

use std::time::Duration;

use handfast_core::{Bytes, Delivery};

use crate::pair::{End, Pair};
use crate::probe::counted;
use crate::relayed::Relayed;

/// From the dial until both ends know that they are connected; the work of both. Bob stays, each
/// Alice is new, and her endpoint is made before.
pub(crate) fn handshake(pair: &mut Pair, n: u32) -> u32 {
    let callers = u8::try_from(n).expect("seeds are bytes");
    for caller in 0..callers {
        pair.rest();
        pair.replace_alice(End::new(FIRST_CALLER + caller, pair.now));
        counted(|| pair.shake_hands());
    }
    n
}

/// A message is written into a sealed packet: `poll_transmit`.
pub(crate) fn seal(pair: &mut Pair, n: u32) -> u32 {
    for _ in 0..n {
        pair.send(Delivery::ordered(0), &small());
        let len = counted(|| pair.alice_writes()).expect("a packet with the message");
        pair.bob_reads(len);
        pair.turn();
    }
    n
}

/// A sealed packet with a message is read: `handle_datagram`.
pub(crate) fn open(pair: &mut Pair, n: u32) -> u32 {
    for _ in 0..n {
        pair.send(Delivery::ordered(0), &small());
        let len = pair.alice_writes().expect("a packet with the message");
        counted(|| pair.bob_reads(len));
        pair.turn();
    }
    n
}

/// An acknowledgement of two packets is written by one end and read by the other.
pub(crate) fn ack(pair: &mut Pair, n: u32) -> u32 {
    for _ in 0..n {
        for _ in 0..2 {
            pair.send(Delivery::ordered(0), &small());
            let len = pair.alice_writes().expect("a packet with the message");
            pair.bob_reads(len);
        }
        pair.bob.take(pair.now);
        // However rarely packets are acknowledged, now it is time.
        pair.pass(MAX_ACK_DELAY);
        let len = counted(|| pair.bob_writes()).expect("an acknowledgement");
        counted(|| pair.alice_reads(len));
        pair.turn();
    }
    n
}

/// A deadline fires, that of an acknowledgement: `handle_timeout`. The packet is not the last of its burst, or
/// it would have asked for its acknowledgement at once.
pub(crate) fn timer(pair: &mut Pair, n: u32) -> u32 {
    for _ in 0..n {
        for _ in 0..2 {
            pair.send(Delivery::ordered(0), &of_a_packet());
        }
        let len = pair.alice_writes().expect("a packet with the first message");
        pair.bob_reads(len);
        pair.bob.take(pair.now);
        pair.now += MAX_ACK_DELAY;
        counted(|| pair.bob.endpoint.handle_timeout(pair.now));
        let len = pair.bob_writes().expect("the acknowledgement that was due");
        pair.alice_reads(len);
        pair.turn();
    }
    n
}

/// A message of 64 bytes in a packet of its own, from `send` to `receive`, acknowledgements included.
pub(crate) fn small_message(pair: &mut Pair, n: u32) -> u32 {
    exchange(pair, n, 1, Delivery::ordered(0))
}

/// The same with 32 messages at once.
pub(crate) fn batched_message(pair: &mut Pair, n: u32) -> u32 {
    exchange(pair, n, 32, Delivery::ordered(0))
}

/// A message of 64 bytes in a packet of its own that is not sent again when it is lost.
pub(crate) fn unreliable_message(pair: &mut Pair, n: u32) -> u32 {
    exchange(pair, n, 1, Delivery::unreliable(1))
}

/// 32 such messages at once.
pub(crate) fn batched_unreliable(pair: &mut Pair, n: u32) -> u32 {
    exchange(pair, n, 32, Delivery::unreliable(1))
}

/// A full datagram of a large message, from `send` to `receive`, acknowledgements included.
pub(crate) fn bulk_packet(pair: &mut Pair, n: u32) -> u32 {
    let payload = Bytes::from(vec![0x5a; LARGE]);
    let datagrams = |pair: &Pair| pair.alice.endpoint.stats().datagrams_sent;
    let before = datagrams(pair);
    let (mut sent, mut received) = (0, 0);
    while datagrams(pair) - before < u64::from(n) {
        received += counted(|| {
            while sent < received + QUEUED {
                pair.send(Delivery::ordered(0), &payload);
                sent += LARGE;
            }
            pair.turn()
        });
    }
    u32::try_from(datagrams(pair) - before).expect("a few thousand")
}

/// An idle peer is asked whether it is there, and answers: every deadline of both ends since the last time, and the
/// two packets.
pub(crate) fn heartbeat(pair: &mut Pair, n: u32) -> u32 {
    // What data left behind, new keys among it, comes to an end before.
    for _ in 0..HEARTBEATS_OF_A_REST {
        pair.heartbeat();
    }
    let (rekeys, datagrams) = (pair.rekeys(), pair.datagrams());
    for _ in 0..n {
        counted(|| pair.heartbeat());
    }
    assert_eq!(pair.rekeys(), rekeys, "keys are changed in rows of handshakes only");
    assert_eq!(pair.datagrams() - datagrams, u64::from(2 * n), "a question and an answer each");
    n
}

/// A relay passes a packet with a small message on: what it computes from the datagram that came to the one that goes,
/// acknowledgements to its neighbours included.
pub(crate) fn forward(relayed: &mut Relayed, n: u32) -> u32 {
    for _ in 0..n {
        relayed.send(&small());
        let len = relayed.near_writes().expect("a packet with the message");
        counted(|| relayed.relay_passes(len));
        assert_eq!(relayed.ends_read(), 1, "it goes to the far end");
        assert_eq!(relayed.turn(), SMALL, "the message arrives");
    }
    n
}

/// Lets `n` packets cross, each with a small message.
pub(crate) fn exchange_packets(pair: &mut Pair, n: u32) {
    for _ in 0..n / PACKETS_PER_TURN {
        for _ in 0..PACKETS_PER_TURN {
            pair.send(Delivery::ordered(0), &small());
            let len = pair.alice_writes().expect("a packet with the message");
            pair.bob_reads(len);
        }
        pair.turn();
    }
}

/// Exchanges `n` small messages, `at_once` in each turn.
fn exchange(pair: &mut Pair, n: u32, at_once: u32, delivery: Delivery) -> u32 {
    let mut bytes = 0;
    for _ in 0..n / at_once {
        bytes += counted(|| {
            for _ in 0..at_once {
                pair.send(delivery, &small());
            }
            pair.turn()
        });
    }
    assert_eq!(bytes, SMALL * n as usize, "every message arrives in its turn");
    n
}

/// A small message. It is static: no allocation is counted that the core does not make.
fn small() -> Bytes {
    Bytes::from_static(&[0xa5; SMALL])
}

/// Two of these do not fit into one packet.
fn of_a_packet() -> Bytes {
    Bytes::from_static(&[0xa5; 1000])
}

/// Ten minutes: what is left of data is over, and the next keys are due after an hour.
const HEARTBEATS_OF_A_REST: usize = 30;

/// Fewer turns take less of valgrind's time.
const PACKETS_PER_TURN: u32 = 10;

/// The longest that an acknowledgement waits for company, by default.
const MAX_ACK_DELAY: Duration = Duration::from_millis(25);

/// Bytes of a small message.
const SMALL: usize = 64;

/// Bytes of a message that takes many packets.
const LARGE: usize = 64 * 1024;

/// Bytes of large messages that wait to be sent: there is always something to send.
const QUEUED: usize = 16 * LARGE;

/// The first of the seeds of those who call Bob.
const FIRST_CALLER: u8 = 10;
