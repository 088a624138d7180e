//! What a misbehaving network, peer or configuration may not do.

use std::collections::BTreeSet;

use zerocopy::{FromBytes, IntoBytes};

use super::*;
use crate::Fate;
use crate::crypto::mac::MacKey;
use crate::wire::{Cookie, HandshakeRequest, HandshakeRetry};

#[test]
fn retries_without_end_are_followed_a_few_times_in_five_seconds() {
    let (mut a, b) = (Node::new(1, Config::default()), Node::new(2, Config::default()));
    a.call(at(0), &b);
    let mut requests = BTreeSet::new();
    for ms in (0..5000).step_by(10) {
        a.wake(at(ms));
        for (_, datagram) in a.sent(at(ms)) {
            let request = HandshakeRequest::read_from_bytes(&datagram).expect("a request");
            requests.insert(request.ephemeral);
            let cookie = Cookie { time: (ms as u32).into(), mac: [1; 16] };
            let mut retry = HandshakeRetry::new(request.sender_index.get(), cookie, None);
            retry.mac = MacKey::retry(&request.mac).mac(retry.authenticated());
            a.take(at(ms), b.address, retry.as_bytes());
        }
    }
    assert!((2..=5).contains(&requests.len()), "{} requests were made", requests.len());
}

#[test]
fn the_longest_and_shortest_durations_neither_panic_nor_keep_the_endpoint_busy() {
    let (longest, shortest) = (Duration::MAX, Duration::from_nanos(1));
    let day = Duration::from_secs(86_400);
    let default = Config::default;
    let choices = [
        Config {
            keys: KeyUpdates { rekey_after_idle: longest, ..KeyUpdates::default() },
            ..default()
        },
        Config {
            keys: KeyUpdates {
                rekey_after_idle: longest,
                rekey_after: longest,
                ..KeyUpdates::default()
            },
            ..default()
        },
        Config {
            timers: Timing { idle_timeout: day, heartbeat: day / 5 * 4, ..Timing::default() },
            ..default()
        },
        Config {
            timers: Timing {
                connect_timeout: longest,
                max_ack_delay: Duration::from_millis(500),
                ..Timing::default()
            },
            ..default()
        },
        Config { wall_clock: Some(longest), ..default() },
        Config { timers: Timing { heartbeat: LEAST, ..Timing::default() }, ..default() },
        Config {
            timers: Timing {
                max_ack_delay: Duration::ZERO,
                connect_timeout: shortest,
                ..Timing::default()
            },
            ..default()
        },
    ];
    for config in choices {
        let mut pair = Pair::new(config.clone(), default());
        pair.a.send(at(0), pair.peer(), Delivery::reliable(0), 5000);
        pair.run(1000);
        let farewell = DisconnectOptions::after(longest);
        pair.a.endpoint.disconnect(pair.now, pair.peer(), farewell).ok();
        pair.run(5000);
        assert!(pair.a.endpoint.stats().datagrams_sent < 200, "{config:?}");
    }
}

#[test]
fn the_shortest_heartbeat_lets_the_endpoint_rest() {
    let mut pair = Pair::connected(&Config {
        timers: Timing { heartbeat: LEAST, ..Timing::default() },
        ..Config::default()
    });
    let sent = pair.a.endpoint.stats().datagrams_sent;
    // Would not return if the heartbeat were due at once again.
    pair.a.wake(at(2000));
    assert!(pair.a.endpoint.poll_timeout().is_some_and(|due| due > at(2000)));
    pair.run(4000);
    assert!(pair.a.endpoint.stats().datagrams_sent - sent < 100);
}

/// The shortest heartbeat that [`Config::validate`] accepts.
const LEAST: Duration = Duration::from_millis(100);

#[test]
fn a_session_survives_messages_queued_beyond_limits_that_were_not_known() {
    let small = Config {
        flow: Flow { max_message: 65_536, max_streams: 1, ..Flow::default() },
        ..Config::default()
    };
    let mut pair = Pair::new(Config::default(), small);
    let receipt = Delivery::ordered(0).with_receipt();
    pair.a.send(at(0), pair.peer(), receipt, 100_000);
    pair.a.send(at(0), pair.peer(), Delivery::ordered(1), 10);
    pair.a.send(at(0), pair.peer(), receipt, 65_536);
    pair.run(3000);
    let fates = pair.a.events.iter().filter_map(|event| match event {
        Event::Fate { fate, .. } => Some(*fate),
        _ => None,
    });
    assert_eq!(fates.collect::<Vec<_>>(), [Fate::Refused, Fate::Refused, Fate::Acked]);
    assert_eq!(pair.received_by_b(), [message(65_536)]);
    assert!(!pair.a.has_ended() && !pair.b.has_ended());
}

#[test]
fn long_words_of_farewell_are_cut_and_arrive() {
    let mut pair = Pair::connected(&Config::default());
    let reason = crate::DisconnectReason { code: 7, reason: "a".to_owned() + &"é".repeat(50) };
    let farewell = DisconnectOptions::default().with_reason(reason);
    pair.a.endpoint.disconnect(at(1000), pair.peer(), farewell).expect("connected");
    pair.run(2000);
    let reason = "a".to_owned() + &"é".repeat(31);
    let reason = crate::DisconnectReason { code: 7, reason };
    let said = crate::EndReason::PeerDisconnected { reason, complete: true };
    let told = |event: &Event| matches!(event, Event::Ended { reason, .. } if *reason == said);
    assert_eq!(pair.b.count(told), 1, "{:?}", pair.b.events);
}
