//! Dials, and what those who are dialled or listen can do with them.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Config, Endpoint, Event, Identity, NetworkSecret, Target, ValidConfig};

use crate::kit::*;

fn connected_to(pair: &Stage) -> Vec<handfast_core::PeerId> {
    let events = pair.ends[0].events.iter();
    let id = |event: &Event| match event {
        Event::Connected { id, .. } => Some(*id),
        _ => None,
    };
    events.filter_map(id).collect()
}

/// Somebody who was dialled by address claims to be the one who is dialled by name elsewhere. Two
/// dials for one name become one: it must still go where the name was said to be.
#[test]
fn ours_a_false_claim_to_be_another_does_not_end_the_dial_that_would_reach_it() {
    for claim_first in [false, true] {
        let mut pair = Stage::new(Config::default());
        let (impostor, genuine) = (elsewhere(1), pair.ends[1].address);
        let by_name = Target::new(pair.id(1), [genuine]);
        if claim_first {
            dial(&mut pair, 0, impostor);
        } else {
            dial(&mut pair, 0, by_name.clone());
            dial(&mut pair, 0, impostor);
        }
        // The impostor lets the genuine one answer the question for its key.
        let question = intercept(&mut pair, KEY_REQUEST).bytes;
        let claim = inject(&mut pair, 1, impostor, &question).remove(0).bytes;
        if claim_first {
            dial(&mut pair, 0, by_name);
        }
        pair.flight.clear();
        let to = pair.ends[0].address;
        pair.deliver(Datagram { from: impostor, to, bytes: claim });
        // And says no more.
        pair.step(Duration::from_secs(9));
        assert_eq!(connected_to(&pair), [pair.id(1)], "claim first {claim_first}");
        pair.ends[0].events.clear();
        assert_intact(&mut pair, "after a false claim");
    }
}

/// First contact by address is trust on first use: who answers may name anyone, but only be himself.
#[test]
fn ours_who_claims_a_key_that_he_lacks_is_never_connected() {
    let mut pair = Stage::new(Config::default());
    let impostor = elsewhere(1);
    dial(&mut pair, 0, impostor);
    let mut claimed = false;
    for _ in 0..2_000 {
        for datagram in std::mem::take(&mut pair.flight) {
            if datagram.to == impostor && datagram.bytes[0] == KEY_REQUEST {
                let claim = inject(&mut pair, 1, impostor, &datagram.bytes).remove(0).bytes;
                inject(&mut pair, 0, impostor, &claim);
                claimed = true;
            } else if datagram.to == impostor {
                // He has an endpoint of his own answer, which is not called so.
                let identity = Identity::from_seed([99; 32]);
                let mut own =
                    Endpoint::new(ValidConfig::default(), identity, [9; 32], pair.clock(0));
                let origin = handfast_core::Origin::from_remote(datagram.from);
                own.handle_datagram(pair.clock(0), origin, &mut datagram.bytes.clone());
                assert!(own.poll_transmit(pair.clock(0), &mut [0; 2048]).is_none());
            }
        }
        let soon = pair.now() + MS * 10;
        pair.advance(soon);
    }
    assert!(claimed && connected_to(&pair).is_empty());
    assert_eq!(pair.endpoint(0).peers().count(), 0, "the dial is over");
}

/// Whoever sits between may pass everything on: the session is with the genuine one all the same.
#[test]
fn ours_a_relay_in_the_middle_of_a_first_contact_is_no_end_of_it() {
    let mut pair = Stage::new(Config::default());
    let middle = elsewhere(1);
    dial(&mut pair, 0, middle);
    for _ in 0..100 {
        for datagram in std::mem::take(&mut pair.flight) {
            let sender = pair.ends.iter().position(|end| end.address == datagram.from);
            let to = pair.ends[1 - sender.expect("one of the two")].address;
            pair.deliver(Datagram { from: middle, to, bytes: datagram.bytes });
        }
        let soon = pair.now() + MS * 10;
        pair.advance(soon);
    }
    assert_eq!(connected_to(&pair), [pair.id(1)]);
}

#[test]
fn ours_who_does_not_disclose_his_key_answers_nobody_who_lacks_it() {
    let mut config = Config::default();
    config.disclose_identity = false;
    let mut pair = Stage::new(config.clone());
    let question = first_packet(&config, 1, Target::from(pair.ends[1].address));
    let other_id = Identity::from_seed([200; 32]).id();
    let wrong = Target::new(other_id, [pair.ends[1].address]);
    let guess = first_packet(&config, 1, wrong);
    for bytes in [question, guess] {
        assert!(inject(&mut pair, 1, elsewhere(1), &bytes).is_empty(), "{:02x}", bytes[0]);
    }
    call(&mut pair);
    pair.step(MS * 100);
    assert_intact(&mut pair, "who knows the key");
}

/// Without the secret of the network nothing is answered and nothing costlier than a hash is done:
/// neither the handshake is looked at nor a cookie made.
#[test]
fn ours_a_stranger_to_the_network_reaches_no_diffie_hellman() {
    let mut config = Config::default();
    config.network_secret = Some(NetworkSecret::new([5; 32]));
    let mut pair = Stage::connected(config.clone());
    let target = Target::new(pair.id(1), [pair.ends[1].address]);
    for (n, secret) in [None, Some([6; 32])].into_iter().enumerate() {
        let mut theirs = config.clone();
        theirs.network_secret = secret.map(NetworkSecret::new);
        let by_name = first_packet(&theirs, n as u32, target.clone());
        let by_address = Target::from(pair.ends[1].address);
        let by_address = first_packet(&theirs, n as u32, by_address);
        for bytes in [by_name, by_address] {
            let before = *pair.endpoint(1).drops();
            assert!(inject(&mut pair, 1, elsewhere(1), &bytes).is_empty());
            let after = *pair.endpoint(1).drops();
            assert_eq!(after.bad_mac - before.bad_mac, 1);
            assert_eq!(after.authentication, before.authentication);
        }
    }
    assert_intact(&mut pair, "members");
}

/// A response of an earlier handshake, with the index of the present one written in.
#[test]
fn ours_a_response_to_one_dial_does_not_complete_another() {
    let (_, heard) = overheard(&Config::default());
    let old = heard.iter().find(|(_, bytes)| bytes[0] == RESPONSE).expect("a response");
    let mut pair = Stage::new(Config::default());
    pair.restart(0);
    call(&mut pair);
    let request = intercept(&mut pair, REQUEST);
    let mut forged = old.1.clone();
    forged[4..8].copy_from_slice(&request.bytes[4..8]);
    let from = pair.ends[1].address;
    assert!(inject(&mut pair, 0, from, &forged).is_empty());
    assert_eq!(pair.endpoint(0).drops().authentication, 1);
    pair.deliver(request);
    pair.step(MS * 100);
    assert_intact(&mut pair, "the genuine one");
}

/// Everything that an endpoint sent, sent back to it from everywhere, also under its own indices.
#[test]
fn ours_own_packets_sent_back_are_no_packets() {
    let (mut pair, heard) = overheard(&Config::default());
    let indices: Vec<Vec<u8>> = heard.iter().map(|(_, bytes)| bytes[4..8].to_vec()).collect();
    for (to, bytes) in &heard {
        let (own, other) = (pair.ends[1 - to].address, pair.ends[*to].address);
        for from in [own, other, elsewhere(1)] {
            inject(&mut pair, 1 - to, from, bytes);
            for index in &indices {
                let mut changed = bytes.clone();
                changed[4..8].copy_from_slice(index);
                inject(&mut pair, 1 - to, from, &changed);
            }
        }
    }
    assert_intact(&mut pair, "after its own echo");
    // A question for the key, echoed during a dial by address, must not be answered by ourselves.
    let mut pair = Stage::new(Config::default());
    let peer = dial(&mut pair, 0, pair_address(1));
    let question = pair.flight[0].bytes.clone();
    let answers = inject(&mut pair, 0, pair_address(1), &question);
    println!("{} answers to our own question", answers.len());
    pair.step(MS * 200);
    assert_eq!(pair.peer(0), Some(peer));
    assert_intact(&mut pair, "after an echoed question");
}

fn pair_address(side: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, side], 4000))
}

#[test]
fn ours_packets_relabelled_as_another_kind_are_nothing() {
    let (mut pair, heard) = overheard(&Config::default());
    let kinds =
        [(KEY_REQUEST, 240), (REQUEST, 240), (RESPONSE, 140), (RETRY, 80), (UNKNOWN_SESSION, 16)];
    for (to, bytes) in &heard {
        for (kind, len) in kinds {
            if bytes[0] == kind {
                continue;
            }
            let mut forged = bytes.clone();
            forged.resize(len, 0);
            forged[0] = kind;
            let from = pair.ends[1 - to].address;
            let (before, drops) = (info(&pair, *to), dropped(&pair, *to));
            let answers = inject(&mut pair, *to, from, &forged);
            let what = format!("{:02x} as {kind:02x}", bytes[0]);
            if kind == UNKNOWN_SESSION && bytes[0] == SEALED {
                continue; // This is what a hint is made of.
            }
            assert_eq!(dropped(&pair, *to) - drops, 1, "{what}");
            assert!(answers.is_empty(), "{what}");
            assert_eq!(info(&pair, *to), before, "{what}");
        }
    }
    assert_intact(&mut pair, "after relabelled packets");
}

/// What was recorded of earlier lives of a peer, in any order, from its address and others.
#[test]
fn ours_recorded_handshakes_of_earlier_lives_restart_nobody() {
    for clock in [None, Some(Duration::from_secs(1_700_000_000))] {
        let mut config = Config::default();
        config.wall_clock = clock;
        let (mut pair, mut heard) = overheard(&config);
        for _ in 0..3 {
            pair.restart(0);
            call(&mut pair);
            watch(&mut pair, 300, |datagram| {
                let to = usize::from(datagram.to != pair_address(0));
                heard.push((to, datagram.bytes.clone()));
                1
            });
            assert!(pair.peer(0).is_some());
        }
        for end in &mut pair.ends {
            end.events.clear();
        }
        let handshakes = [0, 1].map(|side| info(&pair, side).stats.handshakes);
        for round in 0..3 {
            for (to, bytes) in heard.iter().rev() {
                let from = [pair_address(1 - *to as u8), elsewhere(7)][round % 2];
                inject(&mut pair, *to, from, bytes);
            }
            pair.step(Duration::from_secs(6));
        }
        assert_eq!([0, 1].map(|side| info(&pair, side).stats.handshakes), handshakes);
        assert_intact(&mut pair, &format!("clock {clock:?}"));
    }
}

/// A peer that claims to live at the end of time, then comes back with a sound clock: its calls look
/// old from then on, which costs a round trip and nothing else.
#[test]
fn ours_a_timestamp_from_the_end_of_time_locks_nobody_out() {
    let mut config = Config::default();
    config.wall_clock = Some(Duration::from_millis(u64::MAX));
    let mut pair = Stage::connected(config.clone());
    for (life, seconds) in [(1, 1_700_000_000), (2, 0), (3, 1)] {
        config.wall_clock = (seconds > 0).then(|| Duration::from_secs(seconds));
        pair.reborn(0, config.clone(), Some([life; 32]));
        pair.ends[0].events.clear();
        pair.ends[1].events.clear();
        call(&mut pair);
        pair.step(MS * 300);
        assert_eq!(connected_to(&pair), [pair.id(1)], "clock {seconds}");
        let told = pair.ends[1].events.iter();
        let restarts = told.filter(|event| matches!(event, Event::Restarted { .. })).count();
        assert_eq!(restarts, 1, "the owner of the key itself is heard");
    }
}
