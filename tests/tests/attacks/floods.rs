//! What is legal and a nuisance: repeated without end, it costs the victim little and is forgotten.

use handfast_core::Order;
use handfast_core::wire::{Fragment, Frame, GivenUpRange, StreamKey, encode_given_up};

use crate::duel::pair;
use crate::kit::*;

/// The frames of the packet of a round.
type Nuisance = Box<dyn Fn(u64) -> Vec<u8>>;

/// Everything a peer may legally repeat as often as it likes.
fn nuisances() -> Vec<(&'static str, Nuisance)> {
    let many = |make: fn(u64) -> Frame<'static>, count: u64| -> Nuisance {
        Box::new(move |round| {
            packet(|writer| (0..count).all(|n| make(round * count + n).encode(writer)))
        })
    };
    vec![
        ("one ping", many(|n| Frame::Ping { token: n + 1 }, 1)),
        ("many pings", many(|n| Frame::Ping { token: n + 1 }, 120)),
        ("path challenges", many(|n| Frame::PathChallenge { token: n.to_le_bytes() }, 1)),
        ("path responses", many(|n| Frame::PathResponse { token: n.to_le_bytes() }, 1)),
        ("credit", many(|n| Frame::Credit { limit: n }, 1)),
        ("blocked", many(|_| Frame::Blocked { limit: 0, cost: 64 }, 1)),
        ("padding", Box::new(|_| vec![0; 1168])),
        ("hints to retransmit", Box::new(|n| retransmit(stream(0, true, Order::Ordered), n, n))),
        ("skips", {
            let stream = stream(0, false, Order::Ordered);
            Box::new(move |n| frame(Frame::Skip { stream, sequence_number: n << 20 }))
        }),
        ("ends of streams", {
            let stream = stream(0, false, Order::Ordered);
            Box::new(move |n| frame(Frame::StreamEnd { stream, end: n << 20 }))
        }),
        ("messages given up", {
            let stream = stream(0, true, Order::Ordered);
            // The first never comes, so nothing is ever handed over.
            let range = |at: u64| GivenUpRange { first: 1 + 256 * at, further: 255, cost: 64 };
            Box::new(move |_| {
                packet(|writer| encode_given_up(writer, stream, (0..10).map(range)) == 10)
            })
        }),
        ("one acknowledgement", Box::new(|_| ack(0, 0, 0..=0))),
        ("190 acknowledgements", Box::new(|_| ack(0, 0, 0..=0).repeat(190))),
        ("the same message", Box::new(|_| data(stream(0, true, Order::Ordered), 0, b"again"))),
        ("pongs", many(|n| Frame::Pong { token: n }, 1)),
        ("extensions", many(|_| Frame::Extension { kind: 0x40, body: &[] }, 1)),
        (
            "rekey requests",
            Box::new(|n| {
                let mut ephemeral = [9; 32];
                ephemeral[..8].copy_from_slice(&n.to_le_bytes());
                let sender_index = (n as u32) << 8;
                frame(Frame::RekeyRequest { sender_index, ephemeral: &ephemeral })
            }),
        ),
        (
            "rekey responses",
            Box::new(|n| {
                let (sender_index, receiver_index) = (n as u32, !(n as u32));
                let ephemeral = &[9; 32];
                frame(Frame::RekeyResponse { sender_index, receiver_index, ephemeral })
            }),
        ),
    ]
}

/// The victim answers into the void, since a flooder need not listen.
#[test]
fn floods_cause_no_more_bytes_than_twice_what_they_cost() {
    for (name, make) in nuisances() {
        let mut pair = pair();
        let (mut cost, mut answer) = (0, 0);
        for round in 0..2_000 {
            cost += lie(&mut pair, 0, &make(round));
            answer += pair.flight.drain(..).map(|datagram| datagram.bytes.len()).sum::<usize>();
        }
        println!("{name}: {cost} bytes in, {answer} bytes out");
        assert!(answer <= 2 * cost, "{name}: {cost} bytes in, {answer} bytes out");
    }
}

/// A flooder that acknowledges nothing must not make the victim remember without end.
#[test]
fn unacknowledged_answers_to_floods_do_not_pile_up() {
    for (name, make) in nuisances() {
        let mut pair = pair();
        for round in 0..20_000 {
            lie(&mut pair, 0, &make(round));
            pair.flight.clear();
        }
        let peer = pair.peer(VICTIM).expect("nothing illegal happened");
        let info = pair.endpoint(VICTIM).peer(peer).expect("alive");
        let held = info.path_stats.bytes_in_flight;
        println!("{name}: {held} bytes in flight");
        assert!(held < 512 << 10, "{name}: {held} bytes in flight");
    }
}

/// When pieces of too many messages are kept, the oldest gives way and is passed over. A message
/// older than that comes too late: it must neither hold up those that follow nor come after them.
#[test]
fn a_message_older_than_one_given_up_does_not_hold_up_its_stream() {
    let key = StreamKey::new(0, false, Order::Ordered);
    let half = |number: u64, offset| {
        fragment(key, number, Some(Fragment { total: 512, offset }), &[7; 256])
    };
    let mut pair = pair();
    for number in 10..74 {
        lie(&mut pair, 0, &half(number, 0));
    }
    lie(&mut pair, 0, &half(5, 0));
    lie(&mut pair, 0, &half(5, 256));
    for number in 11..14 {
        lie(&mut pair, 0, &half(number, 256));
    }
    let peer = pair.peer(VICTIM).expect("alive");
    let messages = core::iter::from_fn(|| pair.read_one(VICTIM, peer));
    let numbers: Vec<_> = messages.map(|(_, number, _)| number).collect();
    assert_eq!(numbers, [11, 12, 13]);
}
