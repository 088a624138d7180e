//! Credit that handshakes grant: no way of shaking hands again gets more of it.

use std::time::Duration;

use handfast_core::wire::StreamKey;
use handfast_core::{Config, Delivery};

use crate::kit::*;

const WINDOW: usize = 2 << 16;

fn unread(pair: &mut Stage) -> usize {
    received(pair, VICTIM).iter().map(|text| text.len() + 64).sum()
}

/// Data up to the whole window and beyond, sealed, not delivered.
fn fill(pair: &mut Stage) -> Vec<Datagram> {
    let key = StreamKey::from(Delivery::ordered(0));
    let message = |number| fragment(key, number, None, &[7; 1000]);
    (0..200).filter_map(|number| pair.seal(0, &message(number))).collect()
}

/// A peer that loses its state again and again while nothing of it is read.
#[test]
fn ours_coming_back_from_the_dead_again_and_again_gives_no_more_credit() {
    let mut pair = Stage::connected(small());
    for life in 0..10 {
        for datagram in fill(&mut pair) {
            if is_up(&pair, VICTIM) {
                pair.deliver(datagram);
            }
            pair.flight.clear();
        }
        // Beyond its credit: the victim wants no more of it, and has it go.
        pair.step(Duration::from_secs(5));
        pair.restart(LIAR);
        call(&mut pair);
        pair.step(Duration::from_secs(1));
        if pair.peer(LIAR).is_none() || pair.peer(VICTIM).is_none() {
            println!("out after {life} lives");
            return;
        }
    }
}

/// The same without breaking the rules: what is granted anew is what the unread leaves.
#[test]
fn ours_a_restarted_peer_is_granted_only_what_unread_messages_leave() {
    let mut pair = Stage::connected(small());
    for life in 0..10 {
        for _ in 0..200 {
            if try_send(&mut pair, LIAR, Delivery::ordered(0), &[7; 1000]).is_err() {
                break;
            }
        }
        pair.step(Duration::from_secs(3));
        pair.restart(LIAR);
        call(&mut pair);
        pair.step(Duration::from_secs(1));
        assert_eq!(end_of(&pair, VICTIM), None, "life {life}");
    }
    let unread = unread(&mut pair);
    // And a message at a time that asked for its credit.
    let most = WINDOW + 2 * ((1 << 16) + 64);
    assert!((WINDOW / 3..=most).contains(&unread), "{unread} bytes for a window of {WINDOW}");
}

/// We call anew while nothing is unread, and grant the whole window. Before the answer comes, the
/// old session fills it; the answer then says that the peer lost its state.
#[test]
fn ours_a_grant_in_our_own_call_is_void_when_the_window_was_filled_meanwhile() {
    let mut config = small();
    config.keys.rekey_after = Duration::from_secs(1);
    config.keys.rekey_after_idle = Duration::from_secs(1);
    let mut pair = Stage::connected(config);
    pair.flight.clear();
    let late: Vec<_> = fill(&mut pair).into_iter().take(WINDOW / 1064).collect();
    // The liar lets the keys wear out by answering nothing, so that the victim calls anew.
    for _ in 0..200 {
        let soon = pair.now() + MS * 20;
        pair.advance(soon);
        pair.flight.retain(|datagram| datagram.bytes[0] == REQUEST);
        if !pair.flight.is_empty() {
            break;
        }
    }
    let request = intercept(&mut pair, REQUEST);
    for datagram in late {
        pair.deliver(datagram);
    }
    pair.flight.clear();
    pair.restart(LIAR);
    pair.deliver(request);
    pair.step(MS * 100);
    for _ in 0..200 {
        if pair.peer(LIAR).is_none()
            || try_send(&mut pair, LIAR, Delivery::ordered(0), &[7; 1000]).is_err()
        {
            break;
        }
    }
    pair.step(Duration::from_secs(20));
    let unread = unread(&mut pair);
    // And a message at a time that asked for its credit.
    let most = WINDOW + 2 * ((1 << 16) + 64);
    assert!((WINDOW / 3..=most).contains(&unread), "{unread} bytes for a window of {WINDOW}");
    // Both get on with it: read, and there is room again.
    pair.step(Duration::from_secs(5));
    assert!(is_up(&pair, VICTIM));
}

#[test]
fn ours_grants_of_every_size_in_a_handshake_are_borne() {
    // What a sender is granted it believes: nothing, and more than it could ever send.
    for window in [65_536 + 64, u32::MAX] {
        let mut config = Config::default();
        config.flow.max_message = 1 << 16;
        config.flow.unreliable_buffer = 1 << 16;
        config.flow.receive_window = window;
        let mut pair = Stage::connected(config);
        for _ in 0..3 {
            send(&mut pair, LIAR, Delivery::ordered(0), &[7; 60_000]);
            pair.step(Duration::from_secs(1));
            assert_eq!(received(&mut pair, VICTIM).len(), 1);
        }
        assert_intact(&mut pair, "after large messages");
    }
}
