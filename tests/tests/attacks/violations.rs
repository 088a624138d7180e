//! What is illegal ends the session, with a reason that the liar is told.

use handfast_core::Order;
use handfast_core::wire::{
    Fragment, Frame, GivenUpRange, PacketNumber, StreamKey, encode_given_up, varint,
};

use crate::duel::{MAX_MESSAGE, end_after, end_of, pair};
use crate::kit::*;

#[test]
fn acknowledging_what_was_never_sent_ends_the_session() {
    let ack = |path, range| ack(path, 0, range);
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

#[test]
fn credit_that_was_given_up_is_gone_and_no_more_than_all_of_it_is() {
    let forfeit = |total| frame(Frame::Forfeit { total });
    let window = 2 * u64::from(MAX_MESSAGE);
    let expected = Some("sent beyond its credit");
    assert_eq!(end_after(&[forfeit(window), forfeit(window), forfeit(0)]), None);
    assert_eq!(end_after(&[forfeit(window + 1)]), expected);
    assert_eq!(end_after(&[forfeit(varint::MAX)]), expected);
    let message = piece(ordered(0), 0, MAX_MESSAGE);
    assert_eq!(end_after(&[message.clone(), forfeit(window / 4)]), None);
    assert_eq!(end_after(&[forfeit(window / 2), message.clone()]), expected);
    assert_eq!(end_after(&[message, forfeit(window / 2)]), expected);
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
    assert_eq!(end_after(&[data(ordered(0), 1 << 16, b"")]), expected);
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
fn ending_a_stream_whose_messages_are_not_settled_ends_the_session() {
    let end = |key, end| frame(Frame::StreamEnd { stream: key, end });
    let expected = Some("ended a stream before its messages were settled");
    let (whole, unordered) = (ordered(0), StreamKey::new(0, true, Order::Unordered));
    let message = |key, number| data(key, number, b"whole");
    assert_eq!(end_after(&[end(whole, 0)]), None, "there was nothing");
    assert_eq!(end_after(&[end(whole, 1)]), expected);
    assert_eq!(end_after(&[message(whole, 0), end(whole, 1)]), None);
    assert_eq!(end_after(&[message(whole, 0), end(whole, 2)]), expected);
    assert_eq!(
        end_after(&[message(unordered, 0), message(unordered, 2), end(unordered, 1)]),
        expected
    );
    assert_eq!(end_after(&[piece(whole, 0, 2000), end(whole, 1)]), expected);
    let newest = StreamKey::new(0, false, Order::Sequenced);
    assert_eq!(end_after(&[message(newest, 5), end(newest, 5)]), expected);
    assert_eq!(end_after(&[message(newest, 5), end(newest, 9), message(newest, 7)]), None);
    assert_eq!(end_after(&[end(newest, varint::MAX)]), None, "all may have been lost");
}

#[test]
fn ending_more_streams_than_are_remembered_ends_the_session() {
    let key = |channel| StreamKey::new(channel, false, Order::Unordered);
    let ends: Vec<_> =
        (0..1025).map(|channel| frame(Frame::StreamEnd { stream: key(channel), end: 1 })).collect();
    assert_eq!(end_after(&ends[..1024]), None);
    assert_eq!(end_after(&ends), Some("used too many streams"));
}

/// Says that messages were given up.
fn given_up(key: StreamKey, first: u64, further: u64, cost: u64) -> Vec<u8> {
    let range = GivenUpRange { first, further, cost };
    packet(|writer| encode_given_up(writer, key, [range]) == 1)
}

#[test]
fn giving_up_messages_at_a_wrong_cost_ends_the_session() {
    let expected = Some("gave up a message at a wrong cost");
    let key = ordered(0);
    assert_eq!(end_after(&[given_up(key, 0, 9, 64)]), None);
    assert_eq!(end_after(&[given_up(key, 0, 0, 63)]), expected);
    assert_eq!(end_after(&[given_up(key, 0, 0, u64::from(MAX_MESSAGE) + 65)]), expected);
    let begun = piece(key, 0, 2000);
    assert_eq!(end_after(&[begun.clone(), given_up(key, 0, 0, 2064)]), None);
    assert_eq!(end_after(&[begun, given_up(key, 0, 0, 2065)]), expected);
    // What is whole has no cost any more, and stays.
    assert_eq!(end_after(&[data(key, 0, b"whole"), given_up(key, 0, 0, 64)]), None);
}

#[test]
fn giving_up_more_than_the_window_or_the_credit_ends_the_session() {
    let key = StreamKey::new(0, true, Order::Unordered);
    let expected = Some("sent beyond the window of a stream");
    assert_eq!(end_after(&[given_up(key, (1 << 16) - 1, 0, 64)]), None);
    assert_eq!(end_after(&[given_up(key, (1 << 16) - 1, 1, 64)]), expected);
    assert_eq!(end_after(&[given_up(key, varint::MAX, 0, 64)]), expected);
    let cost = u64::from(MAX_MESSAGE) + 64;
    assert_eq!(end_after(&[given_up(key, 1, 3, cost)]), Some("sent beyond its credit"));
    // The same messages again cost nothing.
    let again = vec![given_up(key, 1, 0, cost); 20];
    assert_eq!(end_after(&again), None);
    let late: Vec<_> = (0..20).map(|_| piece(key, 1, MAX_MESSAGE)).collect();
    assert_eq!(end_after(&[again, late].concat()), None, "what comes late is ignored");
}

#[test]
fn lists_of_messages_given_up_that_are_too_long_end_the_session() {
    let bytes = |count: u8, further: &[u8]| [&[0x1c, 0b110, 0, count << 2], further].concat();
    let count = Some("given up with no or too many ranges");
    assert_eq!(end_after(&[bytes(0, &[])]), count);
    assert_eq!(end_after(&[bytes(33, &[0; 99])]), count);
    let range = Some("range given up out of bounds");
    assert_eq!(end_after(&[bytes(1, &[0, 0x01, 0x04, 0x01, 0x01])]), range, "256 further");
    assert_eq!(end_after(&[vec![0x1c, 0b010, 0, 4, 0, 0, 1, 1]]), Some("unknown mode bits"));
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

#[test]
fn fragments_that_are_no_fragments_end_the_session() {
    let expected = Some("fragment breaks the rules of fragments");
    let reliable_fragment = 0x20 | 0x10 | 0x04;
    let reason = |total, offset, payload: &[u8]| {
        end_after(&[raw_data(reliable_fragment, &[0, 0, total, offset], payload)])
    };
    assert_eq!(reason(300, 0, &[]), expected, "empty");
    assert_eq!(reason(300, 300, &[]), expected, "empty, at the end");
    assert_eq!(reason(300, 0, &[1; 300]), expected, "all of it");
    assert_eq!(reason(300, 0, &[1; 255]), expected, "too short for the middle");
    assert_eq!(reason(300, 299, &[1]), None, "one byte at the end");
    assert_eq!(reason(300, 100, &[1; 201]), expected, "beyond the end");
    assert_eq!(reason(300, u64::from(u32::MAX), &[1; 256]), expected);
    assert_eq!(reason(u64::from(u32::MAX), u64::from(u32::MAX), &[1]), expected);
    assert_eq!(reason(1 << 32, 0, &[1; 256]), expected, "longer than lengths are");
    assert_eq!(reason(varint::MAX, varint::MAX, &[1; 256]), expected);
    assert_eq!(reason(0, 0, &[]), expected);
}

#[test]
fn acknowledgements_beyond_all_bounds_end_the_session() {
    let last = PacketNumber::MAX_COUNTER;
    let unsent = Some("acknowledged a packet that was never sent");
    let cases: [(&[u64], _); 7] = [
        (&[last, varint::MAX, 0, last], unsent),
        (&[last + 1, 0, 0, 0], Some("ack range out of bounds")),
        (&[varint::MAX, 0, 0, 0], Some("ack range out of bounds")),
        (&[0, 0, 0, 1], Some("ack range out of bounds")),
        (&[1, 0, 1, 0, varint::MAX, varint::MAX], Some("ack range out of bounds")),
        (&[0, 0, 32, 0], Some("ack with too many ranges")),
        (&[0, varint::MAX, 0, 0], None),
    ];
    for (numbers, reason) in cases {
        assert_eq!(end_after(&[raw_ack(3, 0, numbers)]), reason, "{numbers:?}");
    }
    // Marks: more than there are packets, fewer than before.
    let marked = |ce| raw_ack(4, 0, &[0, 0, 0, 0, 0, 0, ce]);
    assert_eq!(end_after(&[marked(varint::MAX), marked(0), marked(7)]), None);
}

/// The victim opened no path but the first: whatever it sent there, it sent nothing elsewhere.
#[test]
fn acknowledging_on_a_path_that_only_the_liar_uses_ends_the_session() {
    for path in 1..4 {
        let mut pair = pair();
        lie(&mut pair, path, &frame(Frame::Ping { token: 0 }));
        lie(&mut pair, 0, &ack(path, 0, 0..=0));
        assert_eq!(end_of(&mut pair), Some("acknowledged a packet that was never sent"), "{path}");
    }
}

/// A left-out number is what tells a liar that acknowledges what it did not wait for.
#[test]
fn acknowledging_everything_at_once_is_found_out_within_512_packets() {
    let mut pair = pair();
    for _ in 0..600 {
        lie(&mut pair, 0, &frame(Frame::Ping { token: 1 }));
        pair.flight.clear();
        let peer = pair.peer(VICTIM);
        let info = peer.and_then(|peer| pair.endpoint(VICTIM).peer(peer));
        let Some(info) = info.filter(|info| info.state == handfast_core::PeerState::Connected)
        else {
            return;
        };
        // As if every counter up to the newest had been used.
        lie(&mut pair, 0, &ack(0, 0, 0..=info.stats.datagrams_sent - 1));
    }
    panic!("never found out by {LIAR}");
}
