//! When a peer ends, when it does not, and what is told about it.

use super::*;
use crate::EndReason;

#[test]
fn a_junk_datagram_after_a_long_sleep_does_not_end_peers() {
    for junk in [false, true] {
        let mut pair = Pair::connected(&Config::default());
        let wake = at(100_000);
        if junk {
            pair.a.take(wake, SocketAddr::from(([192, 0, 2, 1], 9)), &[0; 3]);
        }
        pair.a.wake(wake);
        assert!(!pair.a.has_ended(), "junk: {junk}");
        assert_eq!(pair.a.sent(wake).len(), 1, "it asks for a sign of life");
        pair.a.wake(wake + Config::default().timers.idle_timeout / 4);
        assert!(pair.a.has_ended(), "the grace is short");
    }
}

/// The driver sleeps until the deadline it was told, as it should, and that is far away.
#[test]
fn a_driver_that_sleeps_no_longer_than_it_was_told_gives_nobody_grace() {
    let idle = Config::default().timers.idle_timeout;
    let mut pair = Pair::connected(&Config {
        timers: Timing { heartbeat: idle / 2, ..Timing::default() },
        ..Config::default()
    });
    pair.run(40_000);
    let last = pair.a.endpoint.peer(pair.peer()).and_then(|peer| peer.last_received);
    let expected = last.expect("connected") + idle;
    let (mut now, mut slept) = (pair.now, Duration::ZERO);
    while !pair.a.has_ended() {
        let due = pair.a.endpoint.poll_timeout().expect("a peer has deadlines");
        assert!(due <= expected, "the peer outlived its time");
        (slept, now) = (due.saturating_since(now), due);
        pair.a.wake(now);
    }
    assert_eq!(now, expected);
    assert!(slept >= idle / 2, "this tests nothing: it slept for {slept:?} only");
}

/// Both ends call at once, and in between a third peer ends at the one that answered first: the
/// other must not hear that its peer restarted.
#[test]
fn a_dial_tells_the_story_that_a_caller_was_told_already() {
    for by_address in [false, true] {
        let (mut a, mut b) = (Node::new(1, Config::default()), Node::new(2, Config::default()));
        let gone = b.call(at(0), &Node::new(3, Config::default()));
        b.sent(at(0));
        a.call(at(1), &b);
        let request = a.sent_one(at(1));
        b.take(at(2), a.address, &request);
        let response = b.sent_one(at(2));
        b.endpoint.disconnect(at(3), gone, DisconnectOptions::default()).expect("dialling");
        let target =
            if by_address { a.address.into() } else { Target::new(a.endpoint.id(), [a.address]) };
        b.endpoint.connect(at(3), target).expect("room for a peer");
        // `a` has its session, and its first packet meets the dial of `b`.
        a.take(at(4), b.address, &response);
        for ms in (4..40).step_by(2) {
            for (_, datagram) in b.sent(at(ms)) {
                a.take(at(ms + 1), b.address, &datagram);
            }
            for (_, datagram) in a.sent(at(ms + 1)) {
                b.take(at(ms + 2), a.address, &datagram);
            }
        }
        assert_eq!(a.count(|event| matches!(event, Event::Connected { .. })), 1);
        assert_eq!(a.count(|event| matches!(event, Event::Restarted { .. })), 0, "{by_address}");
        assert_eq!(b.count(|event| matches!(event, Event::Connected { .. })), 1);
    }
}

#[test]
fn an_address_named_twice_is_dialled_once() {
    let (mut a, b) = (Node::new(1, Config::default()), Node::new(2, Config::default()));
    let mapped = SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0x0a00, 2], b.address.port()));
    let other = SocketAddr::from(([192, 0, 2, 1], 1));
    let target = Target::new(b.endpoint.id(), [b.address, mapped, b.address, other]);
    a.endpoint.connect(at(0), target).expect("room for a peer");
    let dialled: Vec<_> = a.sent(at(0)).into_iter().map(|(to, _)| to).collect();
    assert_eq!(dialled, [b.address, other]);
}

#[test]
fn nothing_is_told_after_the_end() {
    let mut pair = Pair::connected(&Config::default());
    let peer = pair.peer();
    let Pair { a, b, .. } = &mut pair;
    a.endpoint.ping(at(1000), peer).expect("connected");
    let ping = a.sent_one(at(1000));
    b.take(at(1010), a.address, &ping);
    let pong = b.sent_one(at(1010));
    a.endpoint.disconnect(at(1011), peer, DisconnectOptions::default()).expect("connected");
    let goodbye = a.sent_one(at(1011));
    b.take(at(1012), a.address, &goodbye);
    b.wake(at(1040));
    for (_, ack) in b.sent(at(1040)) {
        a.take(at(1041), b.address, &ack);
    }
    assert!(matches!(a.events.last(), Some(Event::Ended { .. })), "{:?}", a.events);
    // The pong was overtaken.
    a.take(at(1042), b.address, &pong);
    assert!(matches!(a.events.last(), Some(Event::Ended { .. })), "{:?}", a.events);
}

/// Neither end reads, so neither can flush: that is not the silence of a peer that is gone.
#[test]
fn peers_that_both_linger_keep_each_other_alive() {
    let config = Config {
        flow: Flow { max_message: 1000, receive_window: 2000, ..Flow::default() },
        ..Config::default()
    };
    let mut pair = Pair::connected(&config);
    let initiator = pair.initiator();
    let farewell = DisconnectOptions::after(Duration::from_secs(200));
    let peer = pair.peer();
    for (node, peer) in [(&mut pair.a, peer), (&mut pair.b, initiator)] {
        for _ in 0..5 {
            node.send(at(1000), peer, Delivery::reliable(0), 1000);
        }
        node.endpoint.disconnect(at(1000), peer, farewell.clone()).expect("connected");
    }
    pair.run(190_000);
    assert!(!pair.a.has_ended(), "{:?}", pair.a.events);
    assert!(!pair.b.has_ended(), "{:?}", pair.b.events);
}

#[test]
fn a_farewell_that_does_not_linger_drops_what_is_queued_at_once() {
    let mut pair = Pair::connected(&Config::default());
    pair.a.send(at(1000), pair.peer(), Delivery::ordered(0), 10);
    let now = DisconnectOptions::now();
    pair.a.endpoint.disconnect(at(1000), pair.peer(), now).expect("connected");
    // The driver transmits before it looks at the clock.
    pair.run(1500);
    assert_eq!(pair.b.count(|event| matches!(event, Event::Readable { .. })), 0);
    let lost = |event: &Event| matches!(event, Event::Fate { fate: crate::Fate::Lost, .. });
    assert_eq!(pair.a.count(lost), 1, "{:?}", pair.a.events);
}

/// `b` does not read, so that what `a` queued cannot drain: the keys must still be replaced.
#[test]
fn a_peer_that_lingers_outlives_its_keys() {
    let config = Config {
        keys: KeyUpdates { rekey_after_packets: 64, ..KeyUpdates::default() },
        ..Config::default()
    };
    let mut pair = Pair::connected(&config);
    for _ in 0..100 {
        pair.a.send(at(1000), pair.peer(), Delivery::reliable(0), 1000);
    }
    pair.a.endpoint.disconnect(at(1000), pair.peer(), lingering()).expect("connected");
    pair.run(59_000);
    let reason = EndReason::Disconnected { heard: true };
    let ended =
        |event: &Event| matches!(event, Event::Ended { reason: told, .. } if *told == reason);
    assert_eq!(pair.a.count(ended), 1, "{:?}", pair.a.events);
}

/// It says goodbye, forgets everything and is there again at once, and its goodbye comes last. What it says as soon as it takes
/// itself for a peer must arrive: nobody tells it that it was forgotten.
#[test]
fn a_goodbye_that_comes_late_ends_nothing_but_what_it_is_about() {
    late_goodbye(&Config::default(), true);
    // Where strangers are many, it is forgotten, and begins again.
    let limits = Limits { max_half_open: 1, ..Limits::default() };
    late_goodbye(&Config { limits, ..Config::default() }, false);
}

fn late_goodbye(config: &Config, goes_on: bool) {
    let mut pair = Pair::connected(config);
    let now = pair.now;
    let before = pair.peer();
    pair.a.endpoint.disconnect(now, before, DisconnectOptions::now()).expect("a peer");
    let goodbye = pair.a.sent_one(now);
    let is_up = |event: &Event| matches!(event, Event::Connected { .. });
    let (mut again, b) = (Node::restarted(1, now), &mut pair.b);
    let peer = again.call(now, b);
    for _ in 0..2 {
        for (_, datagram) in again.sent(now) {
            b.take(now, again.address, &datagram);
        }
        for (_, answer) in b.sent(now) {
            again.take(now, b.address, &answer);
        }
        if again.count(is_up) > 0 {
            break;
        }
    }
    assert_eq!(again.count(is_up), 1);
    again.send(now, peer, Delivery::ordered(0), 100);
    b.take(now, again.address, &goodbye);
    assert!(b.has_ended());
    for datagram in again.sent(now) {
        b.take(now, again.address, &datagram.1);
    }
    assert_eq!(b.count(is_up), if goes_on { 2 } else { 1 });
    if !goes_on {
        return;
    }
    let known = b.knows(&again).expect("a peer");
    assert_eq!(b.received(now, known).len(), 1);
    for (_, datagram) in b.sent(now) {
        again.take(now, b.address, &datagram);
    }
    assert_eq!(again.count(|event| matches!(event, Event::Restarted { .. })), 0);
    assert_eq!((again.endpoint.peers().count(), b.endpoint.peers().count()), (1, 1));
}
