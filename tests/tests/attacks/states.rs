//! Frames at the wrong time, packets with numbers out of all order, packets of nothing.

use std::time::Duration;

use handfast_core::wire::{Frame, PacketNumber};
use handfast_core::{Config, Delivery, DisconnectOptions, EndReason, Event, Order, Target};

use crate::kit::*;

fn stage() -> Stage {
    Stage::with_honest(Config::default(), Config::default())
}

fn everything() -> Vec<Vec<u8>> {
    let key = stream(0, true, Order::Ordered);
    vec![
        data(key, 0, b"late"),
        piece(key, 1, 5000),
        frame(Frame::Ping { token: 7 }),
        frame(Frame::Pong { token: 7 }),
        frame(Frame::Credit { limit: 1 << 60 }),
        frame(Frame::Blocked { limit: 0, cost: 64 }),
        frame(Frame::Skip { stream: stream(0, false, Order::Ordered), sequence_number: 9 }),
        frame(Frame::RekeyRequest { sender_index: 256, ephemeral: &[9; 32] }),
        frame(Frame::RekeyResponse { sender_index: 256, receiver_index: 9, ephemeral: &[9; 32] }),
        frame(Frame::PathChallenge { token: [1; 8] }),
        frame(Frame::PathResponse { token: [1; 8] }),
        frame(Frame::Disconnect { complete: false, code: u16::MAX, reason: "\u{1b}[31m\n" }),
        vec![0x1f],
        vec![0xff; 900],
    ]
}

fn goodbye() -> Vec<u8> {
    frame(Frame::Disconnect { complete: false, code: 3, reason: "enough" })
}

/// Ends it all.
type End = fn(&mut Stage);

/// After the goodbye of either end, or a violation, nothing that is said counts any more.
#[test]
fn what_comes_after_the_end_changes_nothing() {
    let ends: [(End, &str); 3] = [
        (|stage| assert!(stage.lie(0, &goodbye()).is_some()), "code 3: \"enough\""),
        (|stage| assert!(stage.lie(0, &[0x1f]).is_some()), "unknown frame type"),
        (
            |stage| {
                let peer = stage.peer_of(VICTIM, LIAR).expect("alive");
                let farewell = DisconnectOptions::default();
                let part = stage.with(VICTIM, |victim, now| victim.disconnect(now, peer, farewell));
                part.expect("ok");
            },
            "disconnected",
        ),
    ];
    for (end, expected) in ends {
        let mut stage = stage();
        end(&mut stage);
        for bytes in everything() {
            for _ in 0..50 {
                stage.lie(0, &bytes);
            }
        }
        stage.flight.clear();
        stage.pass_unheard(Duration::from_secs(70));
        let reason = stage.reason().expect("it is over").to_string();
        assert!(reason.contains(expected), "{reason}");
        let ended = stage.ends[VICTIM].events.iter();
        let ended = ended.filter(|event| matches!(event, Event::Ended { .. })).count();
        assert_eq!(ended, 1, "the end is told once");
        stage.read(VICTIM, LIAR);
        assert!(stage.ends[VICTIM].received.is_empty(), "a message after the end");
    }
}

/// The packet that confirms a handshake is believed no more than any other.
#[test]
fn a_handshake_may_be_confirmed_with_any_frame() {
    for (at, bytes) in everything().into_iter().enumerate() {
        let mut pair = Stage::new(Config::default());
        let target = Target::new(pair.endpoint(1).id(), [pair.ends[1].address]);
        dial(&mut pair, 0, target);
        for _ in 0..2 {
            let datagram = pair.flight.pop_front().expect("request, then response");
            pair.deliver(datagram);
        }
        assert!(pair.peer(VICTIM).is_none(), "confirmed by whom?");
        // The packet that would confirm it is lost; this one does instead.
        pair.flight.clear();
        lie(&mut pair, 0, &bytes);
        assert!(pair.peer(VICTIM).is_some() || at == 11, "frame {at} did not confirm");
        pair.step(Duration::from_secs(5));
    }
}

#[test]
fn an_empty_packet_is_malformed_and_one_byte_is_not() {
    let mut stage = stage();
    let before = *stage.endpoint(VICTIM).drops();
    stage.lie(0, &[]);
    assert_eq!(stage.endpoint(VICTIM).drops().malformed, before.malformed + 1);
    stage.lie(0, &[0]);
    assert!(stage.reason().is_none());
}

/// Numbers may jump as they like; none is taken twice, and the last there is, is the last.
#[test]
fn packet_numbers_may_jump_and_never_count_twice() {
    let last = PacketNumber::MAX_COUNTER;
    let edges = [1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, 1 << 48, last - 1, last];
    for path in 0..4u8 {
        let mut stage = stage();
        let ping = frame(Frame::Ping { token: 0 });
        for counter in edges {
            for time in 0..3 {
                let duplicates = stage.endpoint(VICTIM).drops().duplicate;
                stage.lie_numbered(path, counter, &ping).expect("a session");
                let counted = stage.endpoint(VICTIM).drops().duplicate - duplicates;
                assert_eq!(counted, u64::from(time > 0), "path {path}, counter {counter}");
            }
        }
        // Far behind the newest: too old.
        let duplicates = stage.endpoint(VICTIM).drops().duplicate;
        stage.lie_numbered(path, 1 << 40, &ping).expect("a session");
        assert_eq!(stage.endpoint(VICTIM).drops().duplicate, duplicates + 1);
        assert!(stage.reason().is_none(), "{:?}", stage.reason());
    }
}

/// Left alone, the victim parts with a peer that used up all numbers, by silence.
#[test]
fn a_peer_without_numbers_left_ends_by_silence() {
    let mut stage = stage();
    let ping = frame(Frame::Ping { token: 0 });
    stage.lie_numbered(0, PacketNumber::MAX_COUNTER, &ping).expect("a session");
    stage.flight.clear();
    // Whatever it says under lower numbers is too old to count.
    stage.send(LIAR, VICTIM, Delivery::ordered(0), b"unheard").expect("room");
    for _ in 0..70 {
        stage.flight.clear();
        stage.pass_unheard(Duration::from_secs(1));
    }
    assert_eq!(stage.reason(), Some(&EndReason::IdleTimeout));
}
