//! Changes of keys inside a session.

use std::time::Duration;

use handfast_core::wire::Frame;
use handfast_core::{Config, Delivery};
use handfast_sim::Rng;

use crate::kit::*;

fn hasty() -> Config {
    let mut config = Config::default();
    config.keys.rekey_after = Duration::from_secs(1);
    config.keys.rekey_after_idle = Duration::from_secs(1);
    config
}

/// Every packet of a time in which keys changed often comes again and again, late and out of order,
/// also those with the frames of the change itself.
#[test]
fn ours_packets_of_changes_of_keys_may_come_again_in_any_order() {
    for seed in 0..8 {
        let mut rng = Rng::from_seed(seed);
        let mut pair = Stage::connected(hasty());
        let mut past = Vec::new();
        let mut sent = 0_u64;
        for _ in 0..200 {
            for side in 0..2 {
                send(&mut pair, side, Delivery::ordered(0), &sent.to_le_bytes());
            }
            sent += 1;
            watch(&mut pair, 50, |datagram| {
                past.push(datagram.clone());
                1
            });
            for _ in 0..10 {
                let old = past[rng.index(past.len())].clone();
                pair.deliver(old);
            }
        }
        pair.step(Duration::from_secs(1));
        assert!(info(&pair, 0).stats.rekeys >= 4, "seed {seed}");
        for side in 0..2 {
            let numbers = (0..sent).map(|n| n.to_le_bytes().to_vec()).collect::<Vec<_>>();
            assert_eq!(received(&mut pair, side), numbers, "seed {seed}");
            assert_eq!(info(&pair, side).stats.handshakes, 1, "seed {seed}");
        }
        assert_intact(&mut pair, &format!("seed {seed}"));
    }
}

/// A key with which the secret would be known to everybody, or a second name of another key. To try
/// is a breach: it costs two multiplications of points each time, which nobody sound ever asks for.
#[test]
fn ours_a_change_of_keys_with_an_unusable_key_ends_the_session() {
    let mut last = [0xff; 32];
    last[31] = 0x7f;
    last[0] = 0xec;
    let mut aliased = [9; 32];
    aliased[31] = 0x89;
    let mut one = [0; 32];
    one[0] = 1;
    for ephemeral in [[0; 32], one, last, [0xff; 32], aliased] {
        let mut pair = Stage::connected(Config::default());
        lie(&mut pair, 0, &frame(Frame::RekeyRequest { sender_index: 7, ephemeral: &ephemeral }));
        let reason = violation(&mut pair);
        assert_eq!(reason, Some("change of keys with an unusable key"), "{ephemeral:02x?}");
    }
}

/// Begun and never finished: the old keys go on, and changes that are finished go on too.
#[test]
fn ours_half_a_change_of_keys_and_then_silence_holds_up_nothing() {
    let mut pair = Stage::connected(hasty());
    for round in 0..60_u64 {
        let mut ephemeral = [9; 32];
        ephemeral[..8].copy_from_slice(&round.to_le_bytes());
        let sender_index = 0x0100 * round as u32;
        lie(&mut pair, 0, &frame(Frame::RekeyRequest { sender_index, ephemeral: &ephemeral }));
        for side in 0..2 {
            send(&mut pair, side, Delivery::ordered(0), &round.to_le_bytes());
        }
        pair.step(Duration::from_secs(1));
    }
    pair.step(Duration::from_secs(40));
    for side in 0..2 {
        assert_eq!(received(&mut pair, side).len(), 60, "side {side}");
        assert_eq!(end_of(&pair, side), None, "side {side}");
    }
}

/// Answers to what was not asked, and to what another was asked.
#[test]
fn ours_answers_to_changes_of_keys_that_were_not_asked_for_change_nothing() {
    let mut pair = Stage::connected(Config::default());
    let mut rng = Rng::from_seed(1);
    for _ in 0..1_000 {
        let (sender_index, receiver_index) = (rng.next_u64() as u32, rng.next_u64() as u32);
        let mut ephemeral = rng.bytes();
        ephemeral[31] &= 0x7f;
        let answer = Frame::RekeyResponse { sender_index, receiver_index, ephemeral: &ephemeral };
        lie(&mut pair, 0, &frame(answer));
        pair.step(MS);
    }
    assert_eq!(info(&pair, VICTIM).stats.rekeys, 0);
    assert_intact(&mut pair, "after unasked answers");
}

/// Both ask at once, with everything lost now and then: one change comes of it, not two.
#[test]
fn ours_changes_of_keys_begun_by_both_ends_at_once_settle_under_loss() {
    for seed in 0..10 {
        let mut rng = Rng::from_seed(seed);
        let mut pair = Stage::connected(hasty());
        for round in 0..100_u64 {
            for side in 0..2 {
                send(&mut pair, side, Delivery::ordered(0), &round.to_le_bytes());
            }
            watch(&mut pair, 200, |_| usize::from(rng.index(5) > 0));
        }
        pair.step(Duration::from_secs(10));
        for side in 0..2 {
            assert_eq!(received(&mut pair, side).len(), 100, "seed {seed}");
            assert_eq!(end_of(&pair, side), None, "seed {seed}");
        }
        assert!(info(&pair, 0).stats.rekeys > 4, "seed {seed}");
    }
}
