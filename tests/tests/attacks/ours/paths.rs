//! Path ids: part of the packet number, so part of the nonce.

use std::collections::BTreeSet;
use std::time::Duration;

use handfast_core::wire::{Frame, encode_ack};
use handfast_core::{Config, Delivery};

use crate::kit::*;

fn ping() -> Vec<u8> {
    frame(Frame::Ping { token: 0 })
}

/// Each path id counts from zero: four packets of one counter under one key, of four nonces.
#[test]
fn ours_one_counter_on_four_path_ids_is_four_packets_and_each_counts_once() {
    let mut pair = Stage::connected(Config::default());
    let mut seen = Vec::new();
    for path in 0..4 {
        for _ in 0..20 {
            seen.push(pair.seal(path, &ping()).expect("a session"));
        }
    }
    let before = info(&pair, VICTIM).stats.datagrams_received;
    for datagram in seen.iter().chain(&seen) {
        pair.deliver(datagram.clone());
    }
    assert_eq!(info(&pair, VICTIM).stats.datagrams_received - before, 80, "once each");
    // No packet can be moved to another path: the path is in the nonce and under the tag.
    let drops = pair.endpoint(VICTIM).drops().authentication;
    for datagram in &seen {
        for path in 0..4 {
            let mut moved = datagram.bytes.clone();
            if moved[15] != path {
                moved[15] = path;
                // A number that was not seen there yet.
                moved[9] = 1;
                let home = pair.ends[LIAR].address;
                inject(&mut pair, VICTIM, home, &moved);
            }
        }
    }
    assert_eq!(pair.endpoint(VICTIM).drops().authentication - drops, 240);
    assert_intact(&mut pair, "after four paths");
}

#[test]
fn ours_path_ids_that_nobody_authenticated_open_no_path() {
    let mut pair = Stage::connected(Config::default());
    let genuine = pair.seal(0, &ping()).expect("a session").bytes;
    let (home, before) = (pair.ends[LIAR].address, info(&pair, VICTIM));
    for path in 1..=u8::MAX {
        let mut forged = genuine.clone();
        forged[15] = path;
        inject(&mut pair, VICTIM, home, &forged);
        inject(&mut pair, VICTIM, elsewhere(path.into()), &forged);
    }
    assert_eq!(info(&pair, VICTIM), before);
    // All four are still free for who has the keys, and there is no other.
    for path in 1..4 {
        lie(&mut pair, path, &ping());
    }
    assert!(is_up(&pair, VICTIM));
    lie(&mut pair, 4, &ping());
    assert_eq!(violation(&mut pair), Some("used too many paths"));
    for path in [5, 200, 253] {
        let mut pair = Stage::connected(Config::default());
        lie(&mut pair, path, &ping());
        assert_eq!(violation(&mut pair), Some("used too many paths"), "{path}");
    }
}

#[test]
fn ours_acknowledgements_for_paths_that_were_not_used_end_the_session() {
    let ack = |path, up_to| packet(|writer| encode_ack(writer, path, 0, None, [0..=up_to]) > 0);
    for (path, opened, up_to) in [(1, false, 0), (1, true, 0), (3, true, 7), (255, false, 0)] {
        let mut pair = Stage::connected(Config::default());
        if opened {
            lie(&mut pair, path, &ping());
        }
        // The victim itself sends on path 0 only.
        lie(&mut pair, 0, &ack(path, up_to));
        let expected = Some("acknowledged a packet that was never sent");
        assert_eq!(violation(&mut pair), expected, "path {path}, opened {opened}");
    }
}

/// Each path id may have a candidate of its own: together they must not amplify either.
#[test]
fn ours_four_path_ids_send_no_more_to_a_stolen_address_than_three_times_its_bytes() {
    let mut pair = Stage::connected(Config::default());
    for path in 1..4 {
        lie(&mut pair, path, &ping());
    }
    pair.step(Duration::from_secs(1));
    let innocent = elsewhere(9);
    let (mut bytes_in, mut bytes_out) = (0, 0);
    for round in 0..200 {
        let lie = pair.seal(round % 4, &ping()).expect("a session");
        bytes_in += lie.bytes.len();
        pair.deliver(Datagram { from: innocent, ..lie });
        // The application has much to say meanwhile.
        send(&mut pair, VICTIM, Delivery::unreliable(0), &[7; 1_000]);
        watch(&mut pair, 100, |datagram| {
            if datagram.to == innocent {
                bytes_out += datagram.bytes.len();
            }
            1
        });
    }
    assert!(bytes_out > 0 && bytes_out <= 3 * bytes_in, "{bytes_out} bytes for {bytes_in}");
    let place = info(&pair, VICTIM).path.and_then(|path| path.remote());
    assert_eq!(place, Some(pair.ends[LIAR].address));
}

/// A path id that was closed and comes back, under the same keys and under new ones: no packet has a
/// nonce that another had, and none that was received counts again.
#[test]
fn ours_a_path_id_that_was_closed_goes_on_where_it_stopped_under_whatever_keys() {
    let mut config = Config::default();
    config.keys.rekey_after = Duration::from_secs(1);
    config.keys.rekey_after_idle = Duration::from_secs(1);
    let mut pair = Stage::connected(config);
    let (mut seen, mut nonces) = (Vec::new(), BTreeSet::new());
    for round in 0..8_u64 {
        for _ in 0..5 {
            let datagram = pair.seal(1, &ping()).expect("a session");
            // Receiver index (which names the keys) and packet number.
            assert!(nonces.insert(datagram.bytes[4..16].to_vec()), "round {round}: a nonce again");
            let before = info(&pair, VICTIM).stats.datagrams_received;
            pair.deliver(datagram.clone());
            assert_eq!(info(&pair, VICTIM).stats.datagrams_received, before + 1, "it is new");
            seen.push(datagram);
        }
        for side in [LIAR, VICTIM] {
            let peer = pair.peer(side).expect("connected");
            pair.with(side, |endpoint, _| endpoint.close_path_for_test(peer, 1));
        }
        let before = info(&pair, VICTIM).stats.datagrams_received;
        seen.iter().for_each(|datagram| _ = pair.deliver(datagram.clone()));
        assert_eq!(info(&pair, VICTIM).stats.datagrams_received, before, "round {round}: again");
        if round % 2 == 1 {
            // Use makes keys old.
            send(&mut pair, LIAR, Delivery::ordered(0), b"a message");
            pair.step(Duration::from_secs(2));
        }
    }
    assert!(info(&pair, VICTIM).stats.rekeys >= 3);
    assert_eq!(received(&mut pair, VICTIM).len(), 4);
    assert_intact(&mut pair, "after a path id that came and went");
}
