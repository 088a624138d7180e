//! Hints: nothing authenticates them, so nothing may depend on them.

use std::time::Duration;

use handfast_core::{Config, Delivery};

use crate::kit::*;

/// The newest sealed packet of side 0, which also arrives.
fn newest(pair: &mut Stage) -> Datagram {
    pair.flight.clear();
    send(pair, 0, Delivery::unreliable(0), b"tick");
    let sealed = intercept(pair, SEALED);
    pair.deliver(sealed.clone());
    sealed
}

fn hint_for(sealed: &Datagram) -> Vec<u8> {
    let mut hint = sealed.bytes[..16].to_vec();
    hint[0] = UNKNOWN_SESSION;
    hint
}

/// Forged as well as can be, as often as can be: a handshake in five seconds beside the session.
#[test]
fn ours_forged_hints_cost_one_handshake_in_five_seconds_and_no_message() {
    let mut pair = Stage::connected(Config::default());
    let from = pair.ends[1].address;
    for _ in 0..600 {
        let hint = hint_for(&newest(&mut pair));
        for _ in 0..20 {
            inject(&mut pair, 0, from, &hint);
        }
        pair.step(MS * 50);
        received(&mut pair, 1);
    }
    let handshakes = info(&pair, 0).stats.handshakes;
    assert!(handshakes <= 8, "{handshakes} handshakes in 30 s");
    received(&mut pair, 1);
    assert_intact(&mut pair, "after forged hints");
}

#[test]
fn ours_hints_with_a_wrong_index_counter_path_or_origin_do_nothing() {
    let mut pair = Stage::connected(Config::default());
    let (from, mut wrong) = (pair.ends[1].address, 0);
    pair.step(Duration::from_secs(1));
    let genuine = hint_for(&newest(&mut pair));
    let before = info(&pair, 0).stats;
    for at in 4..16 {
        for bit in 0..8 {
            let mut hint = genuine.clone();
            hint[at] ^= 1 << bit;
            let counter = u64::from_le_bytes(hint[8..16].try_into().expect("eight"));
            let sent = u64::from_le_bytes(genuine[8..16].try_into().expect("eight"));
            if at >= 8 && counter < sent {
                continue; // A packet that was sent, too.
            }
            assert!(inject(&mut pair, 0, from, &hint).is_empty(), "byte {at}, bit {bit}");
            wrong += 1;
        }
    }
    inject(&mut pair, 0, elsewhere(1), &genuine);
    assert!(pair.endpoint(0).drops().unsolicited > wrong);
    pair.step(Duration::from_secs(1));
    assert_eq!(info(&pair, 0).stats.handshakes, before.handshakes);
    received(&mut pair, 1);
    assert_intact(&mut pair, "after wrong hints");
}

/// Two endpoints that know nothing of each other must not keep each other busy.
#[test]
fn ours_hints_make_no_loop() {
    let mut pair = Stage::new(Config::default());
    let mut sealed = vec![1; 100];
    sealed[..4].copy_from_slice(&[SEALED, VERSION, 0, 0]);
    let (from, to) = (pair.ends[0].address, pair.ends[1].address);
    pair.flight.push_back(Datagram { from, to, bytes: sealed });
    let mut seen = 0;
    watch(&mut pair, 10_000, |_| {
        seen += 1;
        1
    });
    assert_eq!(seen, 2, "a packet and a hint");
}

/// Spoofed packets for unknown sessions make hints for others, but small ones and not without end.
#[test]
fn ours_hints_reflect_less_than_they_are_sent_and_a_thousand_a_second() {
    let mut pair = Stage::connected(Config::default());
    let (mut hints, mut bytes_in, mut bytes_out) = (0, 0, 0);
    for n in 0..20_000_u32 {
        let mut sealed = vec![1; 33];
        sealed[..4].copy_from_slice(&[SEALED, VERSION, 0, 0]);
        sealed[4..8].copy_from_slice(&n.to_le_bytes());
        bytes_in += sealed.len();
        for answer in inject(&mut pair, 1, elsewhere(n % 7), &sealed) {
            assert_eq!((answer.bytes[0], answer.bytes.len()), (UNKNOWN_SESSION, 16));
            (hints, bytes_out) = (hints + 1, bytes_out + answer.bytes.len());
        }
        if n % 5_000 == 4_999 {
            pair.step(Duration::from_secs(1));
        }
    }
    assert!((4_000..=5_000).contains(&hints), "{hints} hints in 4 s");
    assert!(bytes_out < bytes_in / 8, "{bytes_out} bytes for {bytes_in}");
    assert_intact(&mut pair, "after strangers' packets");
}
