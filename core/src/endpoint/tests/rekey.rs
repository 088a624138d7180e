//! Changes of keys when packets are lost, both ends begin, or one of them moves: both always agree
//! in the end, and no message is lost or doubled.

use super::*;

/// Both ends send a numbered message every `every` ms from 1 s to 5 s. `keep` decides about sealed
/// packets, by when they leave and how many left before since 1.9 s; `also` may do more.
fn converse(
    config: &Config,
    every: usize,
    mut keep: impl FnMut(u64, usize) -> bool,
    mut also: impl FnMut(u64, &mut Pair),
) -> Pair {
    let mut pair = Pair::connected(config);
    let (peer, initiator) = (pair.peer(), pair.initiator());
    let (mut sealed, mut numbers) = (0, 0..);
    let mut keep = |ms: u64, _: bool, datagram: &[u8]| {
        let counts = ms >= 1900 && datagram[0] == SEALED;
        sealed += usize::from(counts);
        !counts || keep(ms, sealed - 1)
    };
    for ms in (1000..5000).step_by(every) {
        let number: u32 = numbers.next().expect("endless");
        for (node, peer) in [(&mut pair.a, peer), (&mut pair.b, initiator)] {
            let payload = Bytes::copy_from_slice(&number.to_le_bytes());
            node.endpoint.send(at(ms), peer, Delivery::ordered(0), payload).expect("taken");
        }
        also(ms, &mut pair);
        pair.run_with(ms + every as u64, &mut keep);
    }
    // What is lost is sent again; nothing more is lost.
    pair.run(20_000);
    let now = pair.now;
    let received = [pair.a.received(now, peer), pair.received_by_b()];
    let expected: Vec<_> = (0..4000 / every as u32).map(u32::to_le_bytes).collect();
    for (end, messages) in received.iter().enumerate() {
        assert_eq!(messages.len(), expected.len(), "end {end}");
        assert!(messages.iter().zip(&expected).all(|(got, sent)| got[..] == sent[..]), "end {end}");
    }
    assert!(!pair.a.has_ended() && !pair.b.has_ended());
    pair
}

fn changes(pair: &Pair) -> [u64; 2] {
    [pair.a.endpoint.stats().rekeys, pair.b.endpoint.stats().rekeys]
}

fn assert_no_handshake(pair: &Pair, what: &str) {
    for node in [&pair.a, &pair.b] {
        assert_eq!(node.endpoint.stats().handshakes, 1, "{what}");
        assert_eq!(node.endpoint.drops().authentication, 0, "{what}");
    }
}

/// The keys change at about 2 s: the request, the answer and the first packet under the new keys
/// are among the packets of which one or two are lost.
#[test]
fn the_loss_of_any_one_or_two_packets_of_a_key_change_is_made_up_for() {
    let config = Config {
        keys: KeyUpdates { rekey_after: Duration::from_secs(1), ..KeyUpdates::default() },
        ..Config::default()
    };
    let mut lost_something = 0;
    for first in 4..24 {
        for second in first..24 {
            let what = std::format!("{first} and {second} lost");
            let mut lost = 0;
            let keep = |_, sealed| {
                lost += usize::from(sealed == first || sealed == second);
                sealed != first && sealed != second
            };
            let pair = converse(&config, 40, keep, |_, _| {});
            lost_something += lost;
            let [a, b] = changes(&pair);
            assert!(a >= 3 && a == b, "{what}: {a} and {b} changes of keys");
            assert_no_handshake(&pair, &what);
        }
    }
    assert!(lost_something > 200, "{lost_something} packets lost");
}

/// Both ends wear their keys out at the same rate, so both ask at once, over and over, while a
/// tenth to a third of all packets is lost.
#[test]
fn key_changes_that_both_ends_begin_survive_any_losses() {
    let config = Config {
        keys: KeyUpdates { rekey_after_packets: 64, ..KeyUpdates::default() },
        ..Config::default()
    };
    for seed in 0..24u64 {
        let mut state = seed;
        let keep = |ms, _| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 30 >= 3 + seed % 8 || ms > 5000
        };
        let pair = converse(&config, 5, keep, |_, _| {});
        let [a, b] = changes(&pair);
        assert!(a >= 4 && b >= 4, "seed {seed}: {a} and {b} changes of keys");
    }
}

/// Both ends ask at the very same instant, and all goes well.
#[test]
fn when_both_ends_ask_at_once_both_keep_the_same_keys() {
    let config = Config {
        keys: KeyUpdates { rekey_after_packets: 64, ..KeyUpdates::default() },
        ..Config::default()
    };
    let pair = converse(&config, 5, |_, _| true, |_, _| {});
    let [a, b] = changes(&pair);
    assert!(a > 5 && a == b, "{a} and {b} changes of keys");
    assert_no_handshake(&pair, "no loss");
}

#[test]
fn a_peer_that_moves_while_keys_change_is_followed() {
    let config = Config {
        keys: KeyUpdates { rekey_after: Duration::from_secs(1), ..KeyUpdates::default() },
        ..Config::default()
    };
    for moves_at in (1960..2120).step_by(10) {
        let elsewhere = SocketAddr::from(([10, 9, 9, 9], 999));
        let also = |ms, pair: &mut Pair| {
            if ms == moves_at {
                pair.a.address = elsewhere;
                pair.a.endpoint.addresses_changed(at(ms));
            }
        };
        let pair = converse(&config, 10, |_, _| true, also);
        let what = std::format!("moved at {moves_at}");
        assert_no_handshake(&pair, &what);
        let [a, b] = changes(&pair);
        assert!(a >= 3 && a == b, "{what}: {a} and {b} changes of keys");
        assert_eq!(pair.b.endpoint.peer_by_addr(elsewhere), Some(pair.initiator()), "{what}");
    }
}
