//! Frames that an authenticated peer may send as often as it likes, and acknowledgements that lie.

use std::time::Duration;

use handfast_core::wire::{Frame, encode_ack};
use handfast_core::{Config, Delivery};
use handfast_tests::memory::Meter;

use crate::kit::*;

#[test]
fn row_14_cve_2023_6193_a_flood_of_path_challenges_leaves_one_answer_to_give() {
    let mut pair = Stage::connected(Config::default());
    let challenge = |n: u64| frame(Frame::PathChallenge { token: n.to_le_bytes() });
    let lies: Vec<_> = (0..5_000).filter_map(|n| pair.seal(0, &challenge(n))).collect();
    pair.flight.clear();
    let origin = pair.origin(VICTIM, pair.ends[LIAR].address);
    let before = pair.held();
    // It takes them all before it sends anything. What it holds then is looked at from within.
    let grown = pair.with(VICTIM, |victim, now| {
        let before_all = Meter::read().live;
        for lie in &lies {
            victim.handle_datagram(now, origin, &mut lie.bytes.clone());
        }
        Meter::read().live - before_all
    });
    assert!(grown < 16 << 10, "{grown} bytes held");
    assert!(pair.held() - before < 16 << 10, "nor after it answered");
    let answers = pair.flight.iter().filter(|datagram| datagram.bytes.len() == 16 + 9 + 16);
    assert_eq!(answers.count(), 1, "one answer, to the newest");
    let others = pair.flight.iter().filter(|datagram| datagram.bytes.len() != 41).count();
    assert!(others <= 1, "and one acknowledgement");
}

/// Changes of keys without end: generations, indices and expanded keys of old ones go.
#[test]
fn row_15_cve_2024_1410_endless_changes_of_keys_leave_nothing_behind() {
    let mut config = Config::default();
    config.keys.rekey_after = Duration::from_secs(1);
    config.keys.rekey_after_idle = Duration::from_secs(1);
    let mut pair = Stage::connected(config);
    let both = |pair: &Stage| pair.meter(LIAR).live + pair.meter(VICTIM).live;
    let mut after_warm_up = 0;
    for round in 0..3_000 {
        let side = round % 2;
        send(&mut pair, side, Delivery::unreliable(0), b"tick");
        pair.step(MS * 200);
        received(&mut pair, 1 - side);
        if round == 1_000 {
            after_warm_up = both(&pair);
        }
    }
    let (rekeys, grown) = (pair.endpoint(VICTIM).stats().rekeys, both(&pair) - after_warm_up);
    assert!(rekeys > 200, "{rekeys} changes of keys prove little");
    assert!(grown < 16 << 10, "{grown} bytes more after {rekeys} changes of keys");
}

/// An end that has no legal packet to send must say so instead of looking for one for ever: a world
/// has fuel.
#[test]
fn row_16_cve_2025_7054_polling_ends_though_nothing_legal_can_be_sent() {
    let mut config = small();
    config.flow.receive_window = config.flow.max_message + 64;
    let mut pair = Stage::connected(config);
    for channel in 0..6 {
        // More streams, bytes and credit than the liar will ever allow.
        try_send(&mut pair, VICTIM, Delivery::ordered(channel), &[7; 1 << 16]).ok();
    }
    let mut sent = 0;
    for round in 0..600_u64 {
        sent += pair
            .flight
            .drain(..)
            .filter(|datagram| datagram.from == pair.ends[VICTIM].address)
            .count();
        let nonsense = [
            frame(Frame::Credit { limit: round }),
            frame(Frame::Blocked { limit: 0, cost: 64 }),
            frame(Frame::PathChallenge { token: [9; 8] }),
        ];
        lie(&mut pair, 0, &nonsense[round as usize % 3]);
        let soon = pair.now() + MS * 50;
        let next = pair.due(VICTIM);
        pair.advance(next.map_or(soon, |next| next.min(soon)));
    }
    assert!(end_of(&pair, VICTIM).is_none(), "alive, since the liar talks");
    assert!(sent < 10_000, "{sent} datagrams in {:?}", 600 * MS * 50);
}

/// Nothing of a handshake is put together from pieces; after it, control frames are handled or
/// forgotten at once.
#[test]
fn row_17_cve_2024_1765_control_frames_are_not_stored() {
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("extensions", frame(Frame::Extension { kind: 0x41, body: &[7; 1100] })),
        ("padding", vec![0; 1100]),
        ("pings", (1..=120_u64).flat_map(|token| frame(Frame::Ping { token })).collect()),
        ("credit", (1..=100).flat_map(|limit| frame(Frame::Credit { limit })).collect()),
    ];
    for (name, body) in bodies {
        let mut pair = Stage::connected(Config::default());
        let flood = flood(&mut pair, std::iter::repeat_n(body, 4_000));
        // Its answers are remembered until they are acknowledged: a few hundred bytes each.
        assert!(flood.held < 1 << 20, "{name}: {flood:?}");
        assert_eq!((flood.taken, end_of(&pair, VICTIM)), (4_000, None), "{name}");
    }
}

/// What an end asks for at once it gets at once, and nothing more than that one packet.
#[test]
fn an_acknowledgement_that_is_asked_for_leaves_at_once() {
    let mut pair = Stage::connected(Config::default());
    for (asked, at_once) in [(Frame::Ping { token: 0 }, 0), (Frame::AckNow, 1)] {
        for round in 0..10 {
            pair.step(MS * 100);
            let (_, (answers, _)) = pair.lie(0, &frame(asked)).expect("a session");
            assert_eq!(answers, at_once, "{asked:?}, round {round}");
        }
    }
}

/// Sends a lot from the victim and returns the counters that went out.
fn transfer(pair: &mut Stage) -> u64 {
    pair.flight.clear();
    send(pair, VICTIM, Delivery::ordered(0), &vec![7; 8 << 20]);
    let home = pair.ends[VICTIM].address;
    let sealed = pair.flight.iter().filter(|one| one.from == home && one.bytes[0] == SEALED);
    let counter = |one: &Datagram| u64::from_le_bytes(one.bytes[8..16].try_into().expect("eight"));
    let highest = sealed.map(counter).max().expect("packets");
    pair.flight.clear();
    highest
}

fn acks(path: u8, ranges: impl IntoIterator<Item = std::ops::RangeInclusive<u64>>) -> Vec<u8> {
    packet(|writer| encode_ack(writer, path, 0, None, ranges) > 0)
}

#[test]
fn row_37_cve_2025_4820_acknowledging_what_was_not_sent_ends_the_session() {
    let unsent = Some("acknowledged a packet that was never sent");
    for beyond in [1, 2, 1000, 1 << 32, (1 << 56) - 2000] {
        let mut pair = Stage::connected(Config::default());
        let highest = transfer(&mut pair);
        lie(&mut pair, 0, &acks(0, [0..=highest + beyond]));
        assert_eq!(violation(&mut pair), unsent, "{beyond} beyond");
    }
    let mut pair = Stage::connected(Config::default());
    let highest = transfer(&mut pair);
    lie(&mut pair, 0, &acks(0, [0..=highest]));
    pair.step(MS * 100);
    assert_eq!(end_of(&pair, VICTIM), None, "this much was sent");
}

/// The window grows by what was really acknowledged, once, whatever is said twice.
#[test]
fn row_37_utp_misbehaving_receiver_the_window_grows_by_what_was_sent_and_no_more() {
    let mut pair = Stage::connected(Config::default());
    let highest = transfer(&mut pair);
    let before = info(&pair, VICTIM);
    let window = before.path_stats.congestion_window;
    for _ in 0..50 {
        lie(&mut pair, 0, &acks(0, [0..=highest]));
        pair.flight.clear();
        // Only the first one is news; what leaves because of it is not acknowledged.
        let after = info(&pair, VICTIM);
        let grown = after.path_stats.congestion_window - window;
        assert!(grown <= before.stats.bytes_sent, "{grown} for {}", before.stats.bytes_sent);
    }
}

/// A receiver that acknowledges whatever may have been sent, to be sent more and faster, meets a
/// number that was left out.
#[test]
fn row_37_cve_2025_4821_an_optimistic_acknowledger_meets_a_number_that_was_left_out() {
    let mut pair = Stage::connected(Config::default());
    // All of it is to be under way.
    lie(&mut pair, 0, &frame(Frame::Credit { limit: 1 << 40 }));
    let mut highest = transfer(&mut pair);
    let mut acked = 0;
    for round in 0..2_000 {
        lie(&mut pair, 0, &acks(0, [0..=highest]));
        if let Some(reason) = end_of(&pair, VICTIM) {
            println!("round {round}, {acked} packets: {reason}");
            break;
        }
        acked = highest;
        let home = pair.ends[VICTIM].address;
        let fresh = pair.flight.iter().filter(|one| one.from == home && one.bytes[0] == SEALED);
        // As many as left, told without looking at their numbers.
        highest += fresh.count() as u64;
        pair.flight.clear();
        let soon = pair.now() + Duration::from_millis(20);
        pair.advance(soon);
    }
    let unsent = Some("acknowledged a packet that was never sent");
    assert_eq!(violation(&mut pair), unsent, "{acked} packets");
}
