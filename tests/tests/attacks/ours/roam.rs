//! Somebody beside the path: sees and copies packets, and wins races from an address of his own.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Config, Delivery};

use crate::kit::*;

fn place(pair: &Stage, side: usize) -> Option<SocketAddr> {
    info(pair, side).path.and_then(|path| path.remote())
}

/// Copies every packet so that the copy comes first, from `thief`, and passes on what is sent there.
fn race(pair: &mut Stage, thief: SocketAddr, ms: u32) {
    for _ in 0..ms / 10 {
        for datagram in std::mem::take(&mut pair.flight) {
            let sender = pair.ends.iter().position(|end| end.address == datagram.from);
            let to = pair.ends[1 - sender.expect("one of the two")].address;
            pair.deliver(Datagram { from: thief, to, bytes: datagram.bytes.clone() });
            pair.deliver(datagram);
        }
        let soon = pair.now() + MS * 10;
        pair.advance(soon);
    }
}

fn chat(pair: &mut Stage, number: u8) {
    for side in 0..2 {
        send(pair, side, Delivery::ordered(0), &[number]);
    }
}

/// The thief got both ends to talk through him, then goes away. The session must not go with him.
#[test]
fn ours_a_thief_who_had_moved_both_ends_and_goes_away_does_not_take_the_session_along() {
    let mut pair = Stage::connected(Config::default());
    let thief = elsewhere(66);
    for round in 0..20 {
        chat(&mut pair, round);
        race(&mut pair, thief, 100);
    }
    let moved = [0, 1].map(|side| place(&pair, side) == Some(thief));
    assert_eq!(moved, [true, true], "or this proves nothing");
    chat(&mut pair, 20);
    // What is sent to the thief goes nowhere from now on.
    pair.step(Duration::from_secs(30));
    for side in 0..2 {
        assert_eq!(end_of(&pair, side), None);
        assert_eq!(place(&pair, side), Some(pair.ends[1 - side].address));
        let texts: Vec<_> = received(&mut pair, side).iter().map(|text| text[0]).collect();
        assert_eq!(texts, (0..=20).collect::<Vec<u8>>(), "nothing is lost or comes twice");
    }
}

/// The same against one end only: the other's packets come from where it is, and lead back there.
#[test]
fn ours_a_thief_who_moved_one_end_loses_it_to_the_genuine_address() {
    let mut pair = Stage::connected(Config::default());
    let thief = elsewhere(66);
    for round in 0..10 {
        chat(&mut pair, round);
        for datagram in std::mem::take(&mut pair.flight) {
            if datagram.from == pair.ends[0].address {
                let copy = Datagram { from: thief, ..datagram.clone() };
                pair.deliver(copy);
            } else if datagram.to == thief {
                // The challenge, passed on to the end it is meant for, as if from the other.
                let (from, to) = (thief, pair.ends[0].address);
                pair.deliver(Datagram { from, to, bytes: datagram.bytes.clone() });
            }
            pair.deliver(datagram);
        }
        let soon = pair.now() + MS * 20;
        pair.advance(soon);
    }
    pair.step(Duration::from_secs(3));
    for round in 0..20 {
        chat(&mut pair, round);
        pair.step(Duration::from_millis(500));
    }
    for side in 0..2 {
        assert_eq!(place(&pair, side), Some(pair.ends[1 - side].address), "side {side}");
        assert_eq!(end_of(&pair, side), None);
        received(&mut pair, side);
    }
}

/// The peer changes its port, and somebody who sees its packets sends a copy of each first, from his own
/// address, and answers nothing: she is served from her new port all the same.
#[test]
fn ours_a_peer_that_moved_is_served_although_a_copy_of_each_packet_comes_first() {
    let mut pair = Stage::connected(Config::default());
    let (home, server) = (pair.ends[0].address, pair.ends[1].address);
    let (thief, moved) = (elsewhere(66), SocketAddr::new(home.ip(), 40_000));
    pair.step(Duration::from_secs(1));
    let began = pair.now();
    let (mut served, mut from_thief, mut to_thief) = (None, 0, 0);
    for round in 0..100 {
        send(&mut pair, 0, Delivery::ordered(0), &[round]);
        send(&mut pair, 1, Delivery::ordered(0), &[round]);
        for _ in 0..30 {
            for datagram in std::mem::take(&mut pair.flight) {
                if datagram.from == home {
                    let copy = Datagram { from: thief, ..datagram.clone() };
                    from_thief += copy.bytes.len();
                    pair.deliver(copy);
                    pair.deliver(Datagram { from: moved, ..datagram });
                } else if datagram.to == moved {
                    pair.deliver(Datagram { to: home, ..datagram });
                } else if datagram.to == thief {
                    to_thief += datagram.bytes.len();
                }
                // What goes to her old port is lost.
            }
            let soon = pair.now() + MS * 10;
            pair.advance(soon);
        }
        let back = received(&mut pair, 0).len();
        if back > 0 {
            served.get_or_insert_with(|| pair.now() - began);
        }
        assert!(place(&pair, 1) != Some(thief), "round {round}");
    }
    let served = served.expect("served at all");
    assert!(served <= Duration::from_secs(2), "after {served:?}");
    assert_eq!(place(&pair, 1), Some(moved));
    assert_eq!(info(&pair, 1).stats.roams, 1, "one event");
    assert_eq!(place(&pair, 0), Some(server));
    assert!(to_thief <= 3 * from_thief, "{to_thief} for {from_thief}");
    assert_eq!(received(&mut pair, 1).len(), 100);
}

/// Somebody has the request of a peer that shakes hands anew arrive from an innocent's address first, and
/// hands her the answer: she confirms from where she is, and that is where she stays.
#[test]
fn ours_a_request_that_came_by_another_address_does_not_lead_there() {
    let mut config = Config::default();
    // Without a clock the request would need a cookie.
    config.wall_clock = Some(Duration::from_secs(1_000_000));
    let mut pair = Stage::connected(config);
    pair.step(Duration::from_secs(1));
    let (home, server, innocent) = (pair.ends[0].address, pair.ends[1].address, elsewhere(9));
    send(&mut pair, 0, Delivery::ordered(0), b"hint me");
    let sealed = intercept(&mut pair, SEALED);
    let mut hint = sealed.bytes[..16].to_vec();
    hint[0] = UNKNOWN_SESSION;
    pair.deliver(sealed);
    // What acknowledges it would show that the session is known.
    pair.flight.clear();
    pair.deliver(Datagram { from: server, to: home, bytes: hint });
    let request = intercept(&mut pair, REQUEST);
    let mut received_by_innocent = request.bytes.len();
    pair.deliver(Datagram { from: innocent, ..request });
    let mut sent_to_innocent = 0;
    for round in 0..50 {
        for datagram in std::mem::take(&mut pair.flight) {
            if datagram.to == innocent {
                sent_to_innocent += datagram.bytes.len();
                if datagram.bytes[0] == RESPONSE {
                    pair.deliver(Datagram { from: server, to: home, bytes: datagram.bytes });
                }
            } else {
                pair.deliver(datagram);
            }
        }
        assert_eq!(place(&pair, 1), Some(home), "round {round}");
        chat(&mut pair, round);
        let soon = pair.now() + MS * 100;
        pair.advance(soon);
    }
    received_by_innocent *= 3;
    assert!(sent_to_innocent > 0, "she was answered there");
    assert!(sent_to_innocent <= received_by_innocent, "{sent_to_innocent} bytes");
    assert_eq!(info(&pair, 1).stats.handshakes, 2, "it was confirmed");
    assert_eq!(info(&pair, 1).stats.roams, 0);
}

/// A copy that comes first but cannot answer a challenge moves nothing, and gets a challenge at most.
#[test]
fn ours_a_copied_packet_that_wins_the_race_moves_nobody() {
    let mut pair = Stage::connected(Config::default());
    let (mut from_thief, mut to_thief) = (0, 0);
    for round in 0..50_u32 {
        let thief = elsewhere(round % 3);
        chat(&mut pair, round as u8);
        for datagram in std::mem::take(&mut pair.flight) {
            if datagram.to != pair.ends[0].address && datagram.to != pair.ends[1].address {
                to_thief += datagram.bytes.len();
                continue;
            }
            from_thief += datagram.bytes.len();
            pair.deliver(Datagram { from: thief, ..datagram.clone() });
            pair.deliver(datagram);
        }
        let soon = pair.now() + MS * 100;
        pair.advance(soon);
        for side in 0..2 {
            assert_eq!(place(&pair, side), Some(pair.ends[1 - side].address), "round {round}");
        }
    }
    assert!(to_thief > 0 && to_thief <= 3 * from_thief, "{to_thief} for {from_thief}");
    pair.flight.clear();
    pair.step(Duration::from_secs(2));
    for side in 0..2 {
        assert_eq!(received(&mut pair, side).len(), 50);
    }
    assert_intact(&mut pair, "after lost races");
}
