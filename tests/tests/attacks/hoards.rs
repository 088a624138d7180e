//! What the victim must keep: never more than its choices allow, whatever is sent and never read,
//! sent and never finished, or never acknowledged.

use std::time::Duration;

use handfast_core::wire::{Fragment, StreamKey};
use handfast_core::{Config, Delivery, EndReason, Order, SendError, Violation};

use crate::kit::*;

const LIMIT: u32 = 1 << 20;
const HOUR: Duration = Duration::from_secs(3600);

fn config() -> Config {
    let mut config = Config::default();
    config.flow.max_message = LIMIT;
    config.flow.receive_window = 2 * LIMIT;
    config.flow.unreliable_buffer = 2 * LIMIT as usize;
    config.flow.send_buffer = 2 * LIMIT as usize;
    (config.flow.max_streams, config.flow.stream_window) = (16, 1 << 14);
    config
}

fn stage() -> Stage {
    Stage::with_honest(config(), config())
}

/// Lies until the victim had enough or `rounds` are over. Returns what it then holds, and the most
/// it ever held, beyond what it held before; and how many bytes that took.
fn hoard(stage: &mut Stage, rounds: u64, mut make: impl FnMut(u64) -> Vec<u8>) -> (i64, i64, i64) {
    let before = stage.meter(VICTIM).live;
    let (mut most, mut cost) = (0, 0);
    for round in 0..rounds {
        if stage.reason().is_some() {
            break;
        }
        let Some((len, _)) = stage.lie(0, &make(round)) else { break };
        stage.flight.clear();
        cost += len as i64;
        most = most.max(stage.meter(VICTIM).live - before);
    }
    (stage.meter(VICTIM).live - before, most, cost)
}

/// Fragments of the least length with holes between them: neither what they announce nor the holes
/// between them take more room than a few times what was sent.
#[test]
fn fragments_with_holes_take_no_more_room_than_a_few_times_what_they_cost() {
    for (reliable, backwards) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut stage = stage();
        let key = stream(0, reliable, Order::Unordered);
        let pieces = u64::from(LIMIT) / 600;
        let (_, most, cost) = hoard(&mut stage, pieces, |round| {
            let at = if backwards { pieces - 1 - round } else { round };
            let fragment_at = Fragment { total: LIMIT, offset: at as u32 * 600 };
            fragment(key, 0, Some(fragment_at), &[1; 256])
        });
        println!("reliable {reliable}, backwards {backwards}: {most} bytes for {cost}");
        assert!(stage.reason().is_none());
        assert!(most <= 9 * cost + (64 << 10), "{most} bytes for {cost}");
    }
}

/// The first piece of as many messages as the limits allow.
#[test]
fn beginnings_of_large_messages_take_no_more_room_than_a_few_times_what_they_cost() {
    for reliable in [true, false] {
        let mut stage = stage();
        let (_, most, cost) = hoard(&mut stage, 400, |round| {
            let key = stream((round % 16) as u16, reliable, Order::Unordered);
            piece(key, round / 16, LIMIT / 64)
        });
        println!("reliable {reliable}: {most} bytes for {cost}");
        assert!(most <= 16 * cost + (64 << 10), "{most} bytes for {cost}");
    }
}

/// Messages of up to 64 KiB are given room as a whole with their first piece once enough arrived to pay for it: not for
/// a length that is merely claimed.
#[test]
fn beginnings_of_messages_are_given_room_as_a_whole_only_for_what_arrived() {
    for reliable in [true, false] {
        let mut stage = stage();
        let (_, most, cost) = hoard(&mut stage, 28, |round| {
            let key = stream((round % 16) as u16, reliable, Order::Unordered);
            piece(key, round / 16, if reliable { 9_000 } else { LIMIT / 16 })
        });
        println!("reliable {reliable}: {most} bytes for {cost}");
        assert!(stage.reason().is_none());
        assert!(most <= 17 * cost + (32 << 10), "{most} bytes for {cost}");
    }
}

/// Whatever the size and the kind of messages, an application that never reads bounds them.
#[test]
fn an_application_that_never_reads_is_not_buried() {
    let order = [Order::Unordered, Order::Sequenced, Order::Ordered];
    for (reliable, order, len) in [false, true]
        .into_iter()
        .flat_map(|reliable| order.map(|order| (reliable, order)))
        .flat_map(|(reliable, order)| [0, 20, 1000].map(|len| (reliable, order, len)))
    {
        let mut stage = stage();
        let mut number = 0;
        let (_, most, cost) = hoard(&mut stage, 6_000, |_| {
            full(|| {
                number += 1;
                // Ordered ones wait for the first, which never comes.
                let number = if order == Order::Ordered { number } else { number - 1 };
                let key = stream((number / 16_000 % 16) as u16, reliable, order);
                data(key, number % 16_000 + u64::from(order == Order::Ordered), &[1; 1000][..len])
            })
        });
        let limit = 2 * i64::from(LIMIT);
        println!("reliable {reliable} {order:?} {len}: {most} bytes for {cost}");
        assert!(most <= 3 * limit + (256 << 10), "{reliable} {order:?} {len}: {most} bytes");
    }
}

/// What was read leaves no room behind that nobody needs.
#[test]
fn what_was_read_is_forgotten() {
    for reliable in [true, false] {
        let mut stage = stage();
        let before = stage.meter(VICTIM).live;
        let mut number = 0;
        // Reliable ones up to the credit of a newcomer.
        for _ in 0..if reliable { 12 } else { 100 } {
            let key = stream(0, reliable, Order::Unordered);
            let bytes = full(|| {
                number += 1;
                data(key, number - 1, &[])
            });
            stage.lie(0, &bytes);
            stage.flight.clear();
        }
        let full = stage.meter(VICTIM).live - before;
        stage.read(VICTIM, LIAR);
        let empty = stage.meter(VICTIM).live - before;
        println!("reliable {reliable}: {full} bytes unread, {empty} read");
        let least = if reliable { 150_000 } else { 500_000 };
        assert!(full > least && empty < 100_000, "{full} bytes unread, {empty} read");
    }
}

/// The liar never acknowledges: what is under way stays under way, and no more follows.
#[test]
fn a_peer_that_acknowledges_nothing_fills_the_send_buffer_and_no_more() {
    static PAYLOAD: [u8; 1 << 16] = [3; 1 << 16];
    for len in [0, 100, 1 << 16] {
        let mut stage = stage();
        let before = stage.meter(VICTIM).live;
        let mut blocked = false;
        let mut most = 0;
        for round in 0..40_000u32 {
            let delivery = Delivery::ordered((round % 4) as u16);
            let sent = stage.send(VICTIM, LIAR, delivery, &PAYLOAD[..len]);
            blocked |= sent == Err(SendError::Blocked);
            if round % 64 == 0 {
                // A sign of life, so that nobody calls it silent.
                stage.lie(0, &[0]);
                stage.pass_unheard(Duration::from_millis(20));
            }
            most = most.max(stage.meter(VICTIM).live - before);
        }
        assert!(blocked, "{len}");
        let limit = 2 * i64::from(LIMIT);
        println!("{len}: {most} bytes");
        assert!(most <= 4 * limit + (256 << 10), "{len}: {most} bytes");
        let (sent, _) = stage.ends[VICTIM].sent;
        assert!(sent < 4_000, "{sent} datagrams to nobody");
    }
}

/// It says something now and then, acknowledges nothing, and asks for nothing: probes go on, slowly
/// and without taking memory. Once it falls silent the idle timeout ends it.
#[test]
fn a_peer_that_only_shows_life_is_probed_slowly_and_ends_when_it_falls_silent() {
    let mut config = config();
    // Keys that last: it is about probes here.
    (config.keys.rekey_after, config.keys.rekey_after_idle) = (2 * HOUR, 2 * HOUR);
    let mut stage = Stage::with_honest(config.clone(), config);
    stage.send(VICTIM, LIAR, Delivery::ordered(0), b"hello").expect("room");
    let before = (stage.meter(VICTIM).live, stage.ends[VICTIM].sent.0);
    for _ in 0..3_600 {
        stage.lie(0, &[0]);
        stage.pass_unheard(Duration::from_secs(1));
    }
    let held = stage.meter(VICTIM).live - before.0;
    let sent = stage.ends[VICTIM].sent.0 - before.1;
    println!("{held} bytes held, {sent} datagrams in an hour");
    assert!(held < 256 << 10, "{held} bytes");
    assert!(stage.reason().is_none());
    stage.pass_unheard(Duration::from_secs(61));
    assert_eq!(stage.reason(), Some(&EndReason::IdleTimeout));
}

/// One packet that waits for its acknowledgement, and hundreds of thousands that need none behind
/// it: the liar that withholds acknowledgement for so long is told.
#[test]
fn withholding_all_acknowledgement_for_too_long_ends_the_session() {
    let mut stage = stage();
    stage.send(VICTIM, LIAR, Delivery::ordered(0), b"hello").expect("room");
    let (_, most, _) =
        hoard(&mut stage, 600_000, |_| packet(|writer| writer.u8(1) && writer.u64(0)));
    stage.step(Duration::from_secs(2));
    println!("{most} bytes");
    let expected = EndReason::Violation(Violation::NeverAcknowledges);
    assert_eq!(stage.reason(), Some(&expected));
    assert!(most < 40 << 20, "{most} bytes");
}

/// No credit is given: the messages wait, and the victim says so once, not again and again.
#[test]
fn a_peer_that_gives_no_credit_is_told_once_for_every_limit() {
    let mut stage = Stage::deceived(config(), |lying| lying.receive_window = 0.into());
    for _ in 0..100 {
        stage.send(VICTIM, LIAR, Delivery::ordered(0), &[1; 1000]).expect("room");
    }
    stage.step(Duration::from_secs(10));
    let before = stage.ends[VICTIM].sent.0;
    stage.step(Duration::from_secs(15));
    let more = stage.ends[VICTIM].sent.0 - before;
    // Heartbeats, and their answers, of two peers.
    assert!(more <= 6, "{more} datagrams while nothing could be sent");
    assert!(stage.reason().is_none());
}

/// Everything allowed, then less: a limit that falls is not heard of.
#[test]
fn credit_only_grows() {
    for limits in [[1 << 62, 0], [(1 << 62) - 1, 1]] {
        let mut stage = stage();
        for limit in limits {
            let limit: u64 = limit;
            let limit = limit.min(handfast_core::wire::varint::MAX);
            stage.lie(0, &packet(|writer| writer.u8(7) && writer.varint(limit)));
        }
        for _ in 0..20 {
            stage.send(VICTIM, LIAR, Delivery::ordered(0), &[1; 100_000]).expect("room");
            stage.step(Duration::from_secs(1));
            // Its endpoint knows nothing of the lie: it takes no more than it granted.
            stage.read(LIAR, VICTIM);
        }
        stage.step(Duration::from_secs(5));
        stage.read(LIAR, VICTIM);
        assert_eq!(stage.ends[LIAR].received.len(), 20);
    }
}

/// Skipping takes nothing away from messages that came, and brings none back.
#[test]
fn skipping_everything_skipping_back_and_skipping_what_came_do_no_harm() {
    let key: StreamKey = stream(0, false, Order::Ordered);
    let skip = |number: u64| {
        frame(handfast_core::wire::Frame::Skip { stream: key, sequence_number: number })
    };
    let mut stage = stage();
    let last = handfast_core::wire::varint::MAX;
    for bytes in [
        data(key, 2, b"two"),
        skip(2),
        skip(0),
        skip(1),
        data(key, 1, b"late"),
        data(key, 3, b"three"),
        skip(last),
        data(key, 9, b"late"),
        data(key, last, b"last"),
        skip(last),
        data(key, last, b"again"),
    ] {
        assert!(bytes.len() <= ROOM);
        stage.lie(0, &bytes);
    }
    stage.read(VICTIM, LIAR);
    let numbers: Vec<u64> = stage.ends[VICTIM].received.iter().map(|(_, _, n, _)| *n).collect();
    assert_eq!(numbers, [2, 3, last]);
    assert!(stage.reason().is_none());
}
