//! A peer that has the keys and does not play by the rules: what is illegal ends the session with
//! a reason, what is merely a nuisance stays bounded.

use std::time::Duration;

use handfast_core::wire::{DataFrame, Fragment, Frame, StreamKey, Writer, encode_ack, varint};
use handfast_core::{Config, Delivery, EndReason, Event, Order};

use crate::fuzzing::Pair;

const LIAR: usize = 0;
const VICTIM: usize = 1;
const MAX_MESSAGE: u32 = 1 << 16;

fn pair() -> Pair {
    let mut config = Config::default();
    config.max_message = MAX_MESSAGE;
    config.receive_window = 2 * MAX_MESSAGE;
    config.max_streams = 4;
    Pair::connected(config)
}

fn packet(write: impl FnOnce(&mut Writer<'_>) -> bool) -> Vec<u8> {
    let mut buffer = [0; 1168];
    let mut writer = Writer::new(&mut buffer);
    assert!(write(&mut writer), "room for the frame");
    writer.written().to_vec()
}

fn frame(frame: Frame<'_>) -> Vec<u8> {
    packet(|writer| frame.encode(writer))
}

fn ordered(channel: u16) -> StreamKey {
    StreamKey::from(Delivery::ordered(channel))
}

fn data(stream: StreamKey, sequence_number: u64, payload: &[u8]) -> Vec<u8> {
    fragment(stream, sequence_number, None, payload)
}

fn fragment(
    stream: StreamKey,
    sequence_number: u64,
    fragment: Option<Fragment>,
    payload: &[u8],
) -> Vec<u8> {
    let data = DataFrame { stream, requires_ack: false, sequence_number, fragment, payload };
    packet(|writer| data.encode(writer))
}

/// The first piece of a large message.
fn piece(stream: StreamKey, sequence_number: u64, total: u32) -> Vec<u8> {
    fragment(stream, sequence_number, Some(Fragment { total, offset: 0 }), &[7; 256])
}

fn lie(pair: &mut Pair, path: u8, plaintext: &[u8]) -> usize {
    let datagram = pair.lie(LIAR, path, plaintext).expect("a session");
    let len = datagram.bytes.len();
    assert!(pair.deliver(datagram));
    len
}

/// How the session ends at the victim after these packets; `None` if it lives.
fn end_after(packets: &[Vec<u8>]) -> Option<&'static str> {
    let mut pair = pair();
    for packet in packets {
        lie(&mut pair, 0, packet);
    }
    end_of(&mut pair)
}

fn end_of(pair: &mut Pair) -> Option<&'static str> {
    pair.step(Duration::from_secs(5));
    let mut reasons = pair.ends[VICTIM].events.iter().filter_map(|event| match event {
        Event::Ended { reason: EndReason::Violation(reason), .. } => Some(*reason),
        _ => None,
    });
    let reason = reasons.next_back();
    let told = pair.ends[LIAR].events.iter().any(|event| match event {
        Event::Ended { reason: EndReason::PeerDisconnected(goodbye), .. } => {
            Some(goodbye.reason.as_str()) == reason
        }
        _ => false,
    });
    assert_eq!(told, reason.is_some(), "the liar is told the reason: {reason:?}");
    reason
}

#[test]
fn acknowledging_what_was_never_sent_ends_the_session() {
    let ack = |path, range| packet(|writer| encode_ack(writer, path, 0, None, [range]) > 0);
    let expected = Some("acknowledged a packet that was never sent");
    assert_eq!(end_after(&[ack(0, 0..=1_000)]), expected);
    assert_eq!(end_after(&[ack(0, (1 << 56) - 1..=(1 << 56) - 1)]), expected);
    assert_eq!(end_after(&[ack(3, 0..=0)]), expected);
    assert_eq!(end_after(&[ack(0, 0..=0), ack(0, 0..=0)]), None);
}

#[test]
fn fragments_that_disagree_about_their_message_end_the_session() {
    let at = |total, offset| Some(Fragment { total, offset });
    let expected = Some("fragments of one message disagree");
    for reliable in [false, true] {
        let key = StreamKey::new(0, reliable, Order::Ordered);
        let first = fragment(key, 0, at(2000, 0), &[1; 300]);
        let other = fragment(key, 0, at(3000, 300), &[1; 300]);
        assert_eq!(end_after(&[first.clone(), other]), expected);
        assert_eq!(end_after(&[first.clone(), data(key, 0, &[1; 300])]), expected);
        assert_eq!(end_after(&[first, fragment(key, 0, at(2000, 300), &[1; 300])]), None);
    }
}

#[test]
fn sending_beyond_the_credit_ends_the_session() {
    let pieces: Vec<_> = (0..4).map(|n| piece(ordered(0), n, MAX_MESSAGE)).collect();
    assert_eq!(end_after(&pieces[..1]), None);
    assert_eq!(end_after(&pieces), Some("sent beyond its credit"));
}

/// The second fragment of a superseded message names another length than the first: it must not
/// give back more credit than the first took.
#[test]
fn a_superseded_message_gives_back_no_more_credit_than_it_took() {
    let key = StreamKey::new(0, true, Order::Sequenced);
    let mut packets = Vec::new();
    for round in 0..8 {
        packets.push(piece(key, round * 2, 300));
        packets.push(data(key, round * 2 + 1, b"newer"));
        packets.push(piece(key, round * 2, MAX_MESSAGE));
    }
    // More than the window, unless credit was made up.
    packets.extend((0..4).map(|n| piece(ordered(1), n, MAX_MESSAGE)));
    let reason = end_after(&packets);
    assert!(reason.is_some(), "credit was made up");
}

#[test]
fn sending_beyond_the_window_of_a_stream_ends_the_session() {
    let expected = Some("sent beyond the window of a stream");
    assert_eq!(end_after(&[data(ordered(0), 16_383, b"")]), None);
    assert_eq!(end_after(&[data(ordered(0), 16_384, b"")]), expected);
    assert_eq!(end_after(&[data(ordered(0), varint::MAX, b"")]), expected);
}

#[test]
fn using_too_many_streams_ends_the_session() {
    let packets: Vec<_> = (0..5).map(|channel| data(ordered(channel), 0, b"x")).collect();
    assert_eq!(end_after(&packets[..4]), None);
    assert_eq!(end_after(&packets), Some("used too many streams"));
}

#[test]
fn a_message_above_the_limit_ends_the_session() {
    let expected = Some("sent a message above the limit");
    for reliable in [false, true] {
        let key = StreamKey::new(0, reliable, Order::Unordered);
        assert_eq!(end_after(&[piece(key, 0, MAX_MESSAGE + 1)]), expected);
        assert_eq!(end_after(&[piece(key, 0, u32::MAX)]), expected);
        assert_eq!(end_after(&[piece(key, 0, MAX_MESSAGE)]), None);
    }
}

#[test]
fn frames_that_do_not_parse_end_the_session() {
    assert_eq!(end_after(&[vec![0x1f]]), Some("unknown frame type"));
    assert_eq!(end_after(&[vec![0x80]]), Some("unknown frame type"));
    assert_eq!(end_after(&[vec![0x01, 0]]), Some("frame cut off"));
    assert_eq!(end_after(&[vec![0x07, 0x01, 0x00]]), Some("integer not in its shortest form"));
    assert_eq!(end_after(&[vec![0x23, 0, 0, 0]]), Some("unknown order"));
    assert_eq!(end_after(&[frame(Frame::Extension { kind: 0x7f, body: b"later" })]), None);
}

#[test]
fn skipping_on_a_stream_without_gaps_ends_the_session() {
    let skip = |reliable, order| {
        let stream = StreamKey::new(0, reliable, order);
        frame(Frame::Skip { stream, sequence_number: varint::MAX })
    };
    let expected = Some("skipped on a stream that has no gaps");
    assert_eq!(end_after(&[skip(true, Order::Ordered)]), expected);
    assert_eq!(end_after(&[skip(false, Order::Sequenced)]), expected);
    assert_eq!(end_after(&[skip(false, Order::Ordered)]), None);
}

#[test]
fn using_too_many_paths_ends_the_session() {
    let ping = frame(Frame::Ping { token: 0 });
    let mut pair = pair();
    for path in 1..4 {
        lie(&mut pair, path, &ping);
    }
    assert_eq!(end_of(&mut pair), None);
    lie(&mut pair, 4, &ping);
    assert_eq!(end_of(&mut pair), Some("used too many paths"));
}

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
        ("blocked", many(|_| Frame::Blocked { limit: 0 }, 1)),
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
        let info = pair.ends[VICTIM].endpoint.peer(peer).expect("alive");
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
    let (now, peer) = (pair.now, pair.peer(VICTIM).expect("alive"));
    let victim = &mut pair.ends[VICTIM].endpoint;
    let messages = core::iter::from_fn(|| victim.receive(now, peer));
    let numbers: Vec<_> = messages.map(|message| message.sequence_number).collect();
    assert_eq!(numbers, [11, 12, 13]);
}
