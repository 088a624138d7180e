//! What is lost on the way, or with the state of a peer, and how it comes back.

use super::*;

#[test]
fn a_lost_pong_is_sent_again_although_the_ping_is_known_to_have_arrived() {
    let mut pair = Pair::connected(&Config::default());
    for ms in (1000..3000).step_by(50) {
        if ms == 1500 {
            pair.a.endpoint.ping(at(ms), pair.peer()).expect("connected");
        }
        for _ in 0..20 {
            pair.a.send(at(ms), pair.peer(), Delivery::reliable(0), 1000);
        }
        // The pong leaves at 1510 and is lost; what acknowledges the ping later is not.
        pair.run_with(ms + 50, |ms, from_a, _| from_a || !(1505..1515).contains(&ms));
    }
    pair.run(20_000);
    assert_eq!(pair.a.pongs(), 1);
}

#[test]
fn a_ping_survives_the_loss_of_its_pong_on_a_quiet_path() {
    let mut pair = Pair::connected(&Config::default());
    pair.a.endpoint.ping(at(1000), pair.peer()).expect("connected");
    pair.run_with(15_000, |ms, from_a, _| from_a || ms > 1015);
    assert_eq!(pair.a.pongs(), 1);
}

#[test]
fn a_quiet_pair_survives_the_loss_of_a_packet_in_every_second_heartbeat() {
    let mut pair = Pair::connected(&Config::default());
    let mut sealed = 0;
    pair.run_with(200_000, |_, _, datagram| {
        sealed += u32::from(datagram[0] == SEALED);
        sealed % 4 != 0
    });
    assert!(sealed > 20);
    assert!(!pair.a.has_ended() && !pair.b.has_ended());
}

#[test]
fn pings_under_way_survive_a_restart_of_the_peer() {
    let mut pair = Pair::connected(&Config::default());
    pair.a.endpoint.ping(at(1000), pair.peer()).expect("connected");
    pair.run_with(1500, |_, _, _| false);
    pair.b = Node::restarted(2, at(1500));
    pair.run(15_000);
    assert_eq!(pair.a.count(|event| matches!(event, Event::Restarted { .. })), 1);
    assert_eq!(pair.a.pongs(), 1);
    // None of the eight places for pings is taken for ever.
    for _ in 0..8 {
        pair.a.endpoint.ping(at(15_000), pair.peer()).expect("room");
    }
    pair.run(16_000);
    assert_eq!(pair.a.pongs(), 9);
}

#[test]
fn keys_change_under_load_from_both_ends_without_a_new_handshake() {
    let config = Config {
        keys: KeyUpdates { rekey_after_packets: 64, ..KeyUpdates::default() },
        ..Config::default()
    };
    for skew in 0..12 {
        let mut pair = Pair::connected(&config);
        let initiator = pair.initiator();
        for ms in (1000..3000).step_by(5) {
            pair.a.send(at(ms), pair.peer(), Delivery::unreliable(0), 1000);
            if ms > 1000 + 5 * skew {
                pair.b.send(at(ms), initiator, Delivery::unreliable(0), 1000);
            }
            pair.run(ms + 5);
        }
        assert_eq!(pair.a.endpoint.stats().handshakes, 1, "skew {skew}");
        assert!(pair.a.endpoint.stats().rekeys > 5, "skew {skew}");
    }
}
