//! Messages in pieces, and messages that nobody reads.

use handfast_core::wire::{Fragment, StreamKey};
use handfast_core::{Config, Delivery, Order};

use crate::kit::memory::growth;
use crate::kit::*;

fn part(total: u32, offset: u32) -> Option<Fragment> {
    Some(Fragment { total, offset })
}

/// Holes cost memory too: what is kept for fragments is bounded by what they and the messages they
/// belong to may hold, not by what the sender likes to leave out.
#[test]
fn row_04_cve_2026_25800_gaps_between_fragments_cost_no_more_than_the_window() {
    for reliable in [false, true] {
        let mut pair = Stage::connected(small());
        let offsets: Vec<u32> = (0..60).rev().map(|n| n * 512).collect();
        let pieces = (0..160_u64).flat_map(|n| {
            let key = StreamKey::new(n as u16 % 4, reliable, Order::Unordered);
            let piece = move |at: &u32| fragment(key, n / 4, part(30_976, *at), &[7; 256]);
            // Every other 256 bytes of a message, the last first.
            offsets.iter().map(piece).collect::<Vec<_>>()
        });
        let flood = flood(&mut pair, pieces.collect::<Vec<_>>());
        println!("reliable {reliable}: {flood:?}");
        // The credit, or what is kept of unreliable messages, and as much again for the bookkeeping.
        let limit = if reliable { 2 << 16 } else { 1 << 16 };
        let held = flood.held - held_for_acks(flood.taken);
        assert!(held < 2 * limit, "{held} of {flood:?} for a limit of {limit}");
        assert_eq!(flood.taken == 9600, !reliable, "{flood:?}");
    }
}

#[test]
fn row_04_cve_2026_25800_fragments_too_small_to_be_worth_their_bookkeeping_end_the_session() {
    for len in [1, 100, 255] {
        let mut pair = Stage::connected(small());
        let key = StreamKey::new(0, true, Order::Unordered);
        let mut frame = fragment(key, 0, part(1000, 0), &[7; 256]);
        // The encoder makes no such fragment: shorten the length, a varint of two bytes.
        let at = frame.len() - 256 - 2;
        let short = packet(|writer| writer.varint(len));
        frame.truncate(at);
        frame.extend_from_slice(&short);
        frame.extend(std::iter::repeat_n(7, len as usize));
        lie(&mut pair, 0, &frame);
        assert_eq!(violation(&mut pair), Some("fragment breaks the rules of fragments"), "{len}");
    }
}

/// What the application gets is what came first, whole, and once.
#[test]
fn row_11_reliable_39_fragments_that_overlap_or_repeat_never_change_what_came_first() {
    for reliable in [false, true] {
        let mut pair = Stage::connected(small());
        let key = StreamKey::new(0, reliable, Order::Unordered);
        for (offset, fill, len) in
            [(0, 1, 300), (0, 9, 300), (100, 9, 400), (200, 9, 800), (0, 9, 999), (500, 2, 500)]
        {
            let piece = fragment(key, 0, part(1000, offset), &vec![fill; len]);
            lie(&mut pair, 0, &piece);
            pair.step(MS);
        }
        assert_eq!(end_of(&pair, VICTIM), None);
        let messages = received(&mut pair, VICTIM);
        assert_eq!(messages.len(), if reliable { 1 } else { messages.len() }, "once");
        let first = &messages[0];
        assert_eq!(first.len(), 1000);
        assert_eq!(first[..300], [1; 300]);
    }
}

#[test]
fn row_11_cve_2006_1195_fragments_that_disagree_about_their_message_end_the_session() {
    let disagree = Some("fragments of one message disagree");
    for reliable in [false, true] {
        let key = StreamKey::new(0, reliable, Order::Ordered);
        let first = fragment(key, 0, part(2000, 0), &[1; 300]);
        for (second, expected) in [
            (fragment(key, 0, part(3000, 300), &[1; 300]), disagree),
            (fragment(key, 0, part(700, 300), &[1; 400]), disagree),
            (fragment(key, 0, None, b"whole"), disagree),
            (fragment(key, 0, part(2000, 1900), &[1; 100]), None),
        ] {
            let mut pair = Stage::connected(small());
            lie(&mut pair, 0, &first);
            lie(&mut pair, 0, &second);
            assert_eq!(violation(&mut pair), expected);
        }
        let mut pair = Stage::connected(small());
        lie(&mut pair, 0, &fragment(key, 0, part((1 << 16) + 1, 0), &[1; 300]));
        assert_eq!(violation(&mut pair), Some("sent a message above the limit"));
    }
}

/// The application of the victim never reads. Reliable messages stop at the credit, unreliable ones
/// give way to each other.
#[test]
fn row_21_cve_2024_32984_a_reader_that_never_drains_costs_no_more_than_its_limits() {
    for reliable in [false, true] {
        for size in [0, 1, 1000] {
            let mut pair = Stage::connected(small());
            let key = StreamKey::new(0, reliable, Order::Unordered);
            let payload = vec![7; size];
            let messages = (0..10_000).map(|number| fragment(key, number, None, &payload));
            let flood = flood(&mut pair, messages);
            println!("reliable {reliable}, messages of {size}: {flood:?}");
            let limit = if reliable { 2 << 16 } else { 1 << 16 };
            // An empty message is charged 64 bytes, and kept in up to three times that.
            let held = flood.held - held_for_acks(flood.taken);
            assert!(held < 3 * limit, "{held} for messages of {size}: {flood:?}");
            assert_eq!(flood.taken == 10_000, !reliable, "messages of {size}: {flood:?}");
        }
    }
}

/// The same with many honest peers: what one does not read takes no room of another.
#[test]
fn row_21_cve_2022_23486_one_peer_that_is_not_read_holds_back_only_itself() {
    let mut pair = Stage::connected(Config::default());
    for _ in 0..64 {
        // Accepted until the send buffer is full.
        if try_send(&mut pair, LIAR, Delivery::ordered(0), &[7; 1 << 20]).is_err() {
            break;
        }
    }
    let (grown, ()) = growth(&mut pair, |pair| pair.step(std::time::Duration::from_secs(20)));
    let limits = pair.endpoint(VICTIM).config();
    let window = i64::from(limits.flow.receive_window);
    assert!(grown <= window + (4 << 20), "{grown} bytes for a window of {window}");
    // The other direction is not held back.
    send(&mut pair, VICTIM, Delivery::ordered(0), b"I hear you");
    pair.step(MS * 100);
    assert_eq!(received(&mut pair, LIAR), [&b"I hear you"[..]]);
}
