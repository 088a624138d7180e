//! Signs of life: heartbeats, silence, expiry, pings, goodbyes, and clocks that jump.

mod parting;
mod quiet;

use std::time::Duration;

use crate::common::*;
use handfast_core::{
    CommandError, Config, Delivery, DisconnectOptions, DisconnectReason, EndReason, Event, Fate,
    PeerState, SendError,
};
use handfast_sim::{Conditions, Probability};

fn with_timeouts(heartbeat: u64, idle: u64) -> Config {
    let mut config = Config::default();
    config.timers.heartbeat = SECOND * heartbeat as u32;
    config.timers.idle_timeout = SECOND * idle as u32;
    config
}

fn farewell(code: u16, reason: &str, linger: Duration) -> DisconnectOptions {
    DisconnectOptions::after(linger).with_reason(DisconnectReason::new(code, reason))
}

#[test]
fn a_quiet_pair_stays_alive_for_an_hour_with_few_packets() {
    let (mut net, Link { a, b, .. }) = Net::usual_pair(1);
    let before = net.sent(a).len() + net.sent(b).len();
    net.run(3_600_000);
    let packets = net.sent(a).len() + net.sent(b).len() - before;
    // A ping, a pong and an acknowledgement each way every 20 s at most.
    assert!((180..=180 * 5).contains(&packets), "{packets} packets in an hour");
    for node in [a, b] {
        assert_eq!(net.states(node), [PeerState::Connected]);
        assert_eq!(net.events(node).len(), 2, "connected, and the state");
    }
}

#[test]
fn the_smaller_idle_timeout_of_both_ends_counts_from_the_last_sign_of_life() {
    for (of_a, of_b) in [(30, 60), (60, 30), (30, 30)] {
        let (a, b) = (with_timeouts(20, of_a), with_timeouts(20, of_b));
        let (mut net, Link { a, b, .. }) = Net::pair(1, a, b);
        net.run(5000);
        net.world.network().partition(a, b);
        let offsets = [a, b].map(|node| {
            let last = net.endpoint(node).peers().next().and_then(|peer| peer.last_received);
            let ago = net.world.clock(node).saturating_since(last.expect("connected"));
            net.world.now() - ago
        });
        net.run(100_000);
        for (node, last) in [a, b].into_iter().zip(offsets) {
            let ends = net.ends(node);
            assert_eq!(ends.len(), 1);
            assert_eq!((ends[0].0, &ends[0].2), (last + SECOND * 30, &EndReason::IdleTimeout));
            let states = net.states(node);
            assert_eq!(states.last(), Some(&PeerState::Expired));
            assert_eq!(states.first(), Some(&PeerState::Connected));
            assert_eq!(net.endpoint(node).peers().count(), 0);
            assert_eq!(net.endpoint(node).poll_timeout(), None, "nothing is left to do");
        }
    }
}

#[test]
fn a_peer_that_does_not_answer_is_silent_until_it_does() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.world.network().partition(a, b);
    let message = net.send(a, ab, Delivery::ordered(0).with_receipt(), "are you there?");
    // A second after the last sign of life, which was a little before.
    net.run(500);
    assert_eq!(net.states(a), [PeerState::Connected]);
    net.run(9500);
    assert_eq!(net.states(a), [PeerState::Connected, PeerState::Silent]);
    assert_eq!(net.endpoint(a).peer(ab).map(|info| info.state), Some(PeerState::Silent));
    assert_eq!(net.states(b), [PeerState::Connected], "it sent nothing that went unanswered");
    net.world.network().heal();
    net.run(10_000);
    let silent_and_back = [PeerState::Connected, PeerState::Silent, PeerState::Connected];
    assert_eq!(net.states(a), silent_and_back);
    assert_eq!(net.fates(a), [(message, Fate::Acked)]);
    assert_eq!(net.payloads(b), ["are you there?"]);
    assert_eq!((net.connections(a), net.connections(b)), (1, 1));
    assert_eq!(net.count(a, |event| matches!(event, Event::Restarted { .. })), 0);
}

/// Each heartbeat puts the probe off that would notice.
#[test]
fn silence_is_noticed_though_the_round_trip_is_longer_than_a_heartbeat() {
    let config = with_timeouts(1, 60);
    let (mut net, Link { a, b, .. }) = Net::pair(1, config.clone(), config);
    let slow = Conditions { latency: MS * 1200, ..Conditions::default() };
    net.world.network().set_all(slow);
    net.run(30_000);
    assert_eq!(net.states(a).last(), Some(&PeerState::Connected));
    let before = net.states(a).len();
    net.run(30_000);
    assert_eq!(net.states(a).len(), before, "slow is not silent");
    net.world.network().partition(a, b);
    net.run(8000);
    assert_eq!(net.states(a).last(), Some(&PeerState::Silent));
    net.world.network().heal();
    net.run(6000);
    assert_eq!(net.states(a).last(), Some(&PeerState::Connected));
}

#[test]
fn a_ping_measures_the_round_trip_of_its_path() {
    for ms in [1, 40, 400] {
        let (mut net, Link { a, ab, .. }) = Net::usual_pair(1);
        net.latency(ms);
        net.run(100);
        let ping = net.with(a, |endpoint, now| endpoint.ping(now, ab)).expect("room");
        net.news(a);
        net.run(2000);
        let rtt = 2 * ms as u32 * MS;
        assert_eq!(net.news(a), [Event::Pong { peer: ab, ping, rtt }]);
    }
}

#[test]
fn pings_survive_loss_and_the_ninth_under_way_is_refused() {
    let (mut net, Link { a, ab, .. }) = Net::usual_pair(5);
    let loss = Probability::percent(30);
    net.conditions(Conditions { loss, ..Conditions::default() });
    let mut asked = Vec::new();
    for _ in 0..8 {
        asked.push(net.with(a, |endpoint, now| endpoint.ping(now, ab)).expect("room"));
    }
    let ninth = net.with(a, |endpoint, now| endpoint.ping(now, ab));
    assert_eq!(ninth, Err(CommandError::TooMany));
    net.run(20_000);
    let pong = |event: Event| match event {
        Event::Pong { ping, .. } => Some(ping),
        _ => None,
    };
    let mut answered: Vec<_> = net.events(a).into_iter().filter_map(pong).collect();
    answered.sort();
    assert_eq!(answered, asked);
}

#[test]
fn pings_and_heartbeats_go_on_though_any_packet_with_an_answer_is_lost() {
    for n in 0..6 {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(5);
        net.lose_nth(b, n);
        let mut asked = Vec::new();
        for round in 0..12 {
            asked.push(net.with(a, |endpoint, now| endpoint.ping(now, ab)).expect("room"));
            net.send(a, ab, Delivery::ordered(0), "between");
            net.run(5 + round * 7);
        }
        net.run(2000);
        let pongs = net.count(a, |event| matches!(event, Event::Pong { .. }));
        assert_eq!(pongs, asked.len(), "packet {n} was lost");
        net.unmute(b);
        net.run(300_000);
        assert_eq!((net.ends(a), net.ends(b)), (vec![], vec![]));
    }
}

#[test]
fn an_idle_pair_on_a_very_lossy_path_stays_alive() {
    for seed in 0..5 {
        let (mut net, Link { a, b, .. }) = Net::usual_pair(seed);
        let loss = Probability::percent(30);
        net.conditions(Conditions { loss, ..Conditions::default() });
        net.run(1_800_000);
        assert_eq!((net.ends(a), net.ends(b)), (vec![], vec![]), "seed {seed}");
    }
}

#[test]
fn a_goodbye_is_confirmed_and_says_why() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    let said = farewell(42, "enough", Duration::ZERO);
    net.with(a, |endpoint, now| endpoint.disconnect(now, ab, said.clone())).expect("connected");
    let again = net.with(a, |endpoint, now| endpoint.disconnect(now, ab, said.clone()));
    assert_eq!(again, Err(CommandError::Closing));
    assert_eq!(net.try_send(a, ab, Delivery::ordered(0), "late"), Err(SendError::Closing));
    assert_eq!(net.endpoint(a).peer(ab).map(|info| info.state), Some(PeerState::Closing));
    let began = net.world.now();
    net.run(5000);
    let confirmed = EndReason::Disconnected { heard: true };
    let ends = net.ends(a);
    assert_eq!((ends.len(), ends[0].1, &ends[0].2), (1, ab, &confirmed));
    assert!(
        ends[0].0 <= began + 45 * MS,
        "a round trip and the longest delay of an acknowledgement"
    );
    let heard =
        EndReason::PeerDisconnected { reason: DisconnectReason::new(42, "enough"), complete: true };
    assert_eq!(net.ends(b), [(began + 10 * MS, ba, heard)]);
    assert_eq!(net.states(a), [PeerState::Connected, PeerState::Closing, PeerState::Expired]);
    assert_eq!(net.states(b), [PeerState::Connected, PeerState::Expired]);
    for (node, peer) in [(a, ab), (b, ba)] {
        let last = net.events(node).pop();
        assert!(matches!(last, Some(Event::Ended { .. })), "{last:?}");
        assert_eq!(net.try_send(node, peer, Delivery::ordered(0), ""), Err(SendError::UnknownPeer));
        let refused = net.with(node, |endpoint, now| endpoint.ping(now, peer));
        assert_eq!(refused, Err(CommandError::UnknownPeer));
        assert_eq!(net.endpoint(node).peer(peer), None);
        assert_eq!(net.endpoint(node).poll_timeout(), None);
    }
}

#[test]
fn a_goodbye_gets_through_any_single_loss() {
    for (loser, n) in (0..12).map(|n| (n % 2, n / 2)) {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
        net.lose_nth([a, b][loser], n);
        net.with(a, |endpoint, now| endpoint.disconnect(now, ab, DisconnectOptions::default()))
            .expect("connected");
        net.run(10_000);
        let ends = [a, b].map(|node| net.ends(node).pop().expect("it ended").2);
        assert_eq!(ends[0], EndReason::Disconnected { heard: true }, "{loser} {n}");
        assert_eq!(
            ends[1],
            EndReason::PeerDisconnected { reason: DisconnectReason::default(), complete: true },
            "{loser} {n}"
        );
    }
}

#[test]
fn a_goodbye_into_the_void_ends_soon_after_its_linger_and_unconfirmed() {
    for linger in [0, 1, 5] {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
        net.world.network().partition(a, b);
        let sent = net.send(a, ab, Delivery::ordered(0).with_receipt(), "lost in the void");
        let said = farewell(1, "", SECOND * linger);
        net.with(a, |endpoint, now| endpoint.disconnect(now, ab, said)).expect("connected");
        let began = net.world.now();
        net.run(20_000);
        let ends = net.ends(a);
        assert_eq!(ends.len(), 1);
        assert_eq!(ends[0].2, EndReason::Disconnected { heard: false });
        let took = ends[0].0 - began;
        assert!(took >= SECOND * linger && took < SECOND * linger + SECOND, "{took:?}");
        let fates = net.fates(a);
        assert_eq!(fates.len(), 1, "every message meets its fate");
        assert!(fates[0].0 == sent && matches!(fates[0].1, Fate::Unknown | Fate::Lost));
    }
}

#[test]
fn what_was_sent_before_a_lingering_goodbye_arrives_though_packets_are_lost() {
    for seed in 0..10 {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(seed);
        let loss = Probability::percent(20);
        net.conditions(Conditions { loss, ..Conditions::default() });
        for n in 0..200 {
            net.send(a, ab, Delivery::ordered(0).with_receipt(), payload(n, 1000));
        }
        let said = farewell(7, "done", SECOND * 50);
        net.with(a, |endpoint, now| endpoint.disconnect(now, ab, said)).expect("connected");
        net.run(60_000);
        let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(net.fates(a).iter().filter(|(_, fate)| *fate == Fate::Acked).count(), 200);
        let reason = net.ends(b).pop().expect("ended").2;
        assert_eq!(
            reason,
            EndReason::PeerDisconnected {
                reason: DisconnectReason::new(7, "done"),
                complete: true
            },
            "seed {seed}"
        );
    }
}

#[test]
fn both_ends_may_say_goodbye_at_once() {
    for delay in [0, 3, 10, 15, 20] {
        let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
        net.with(a, |endpoint, now| endpoint.disconnect(now, ab, farewell(1, "a", SECOND)))
            .expect("connected");
        net.run(delay);
        let second =
            net.with(b, |endpoint, now| endpoint.disconnect(now, ba, farewell(2, "b", SECOND)));
        net.run(5000);
        for node in [a, b] {
            let ends = net.ends(node);
            assert_eq!(ends.len(), 1, "after {delay} ms");
            let known = match &ends[0].2 {
                EndReason::Disconnected { .. } => true,
                EndReason::PeerDisconnected { reason, .. } => node == b && reason.code == 1,
                _ => false,
            };
            assert!(known, "after {delay} ms: {ends:?}");
            assert_eq!(net.endpoint(node).peers().count(), 0);
        }
        assert_eq!(second.is_ok(), delay < 10, "after {delay} ms");
    }
}

#[test]
fn what_arrived_can_be_received_after_the_end() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    net.be_lazy(b);
    for n in 0..50 {
        let order = [Delivery::ordered(0), Delivery::unreliable(0)][n as usize % 2];
        net.send(a, ab, order, payload(n, 500));
    }
    let said = farewell(0, "", SECOND * 5);
    net.with(a, |endpoint, now| endpoint.disconnect(now, ab, said)).expect("connected");
    net.run(10_000);
    assert_eq!(net.ends(b).len(), 1);
    let mut numbers: Vec<_> = net.read(b, ba).iter().map(|got| number_of(&got.payload)).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    assert_eq!(net.read(b, ba), []);
    net.run(1);
    assert_eq!(net.endpoint(b).poll_timeout(), None, "nothing is kept");
}

#[test]
fn closing_an_endpoint_tells_everyone_and_takes_nobody_in() {
    let mut net = Net::new(1);
    let hub = net.add(Config::default());
    let others: Vec<_> = (0..5).map(|_| net.add(Config::default())).collect();
    for other in &others {
        net.link(*other, hub);
    }
    net.with(hub, |endpoint, now| endpoint.close(now, farewell(9, "closing", SECOND)));
    assert!(!net.endpoint(hub).is_closed());
    net.run(5000);
    assert!(net.endpoint(hub).is_closed());
    for other in &others {
        let reason = net.ends(*other).pop().expect("ended").2;
        assert_eq!(
            reason,
            EndReason::PeerDisconnected {
                reason: DisconnectReason::new(9, "closing"),
                complete: true
            }
        );
        net.call(*other, hub);
    }
    net.run(11_000);
    assert_eq!(net.connections(hub), 5);
    let addresses = net.address(others[0]);
    let refused = net.with(hub, |endpoint, now| endpoint.connect(now, addresses.into()));
    assert_eq!(refused, Err(handfast_core::ConnectError::Closing));
}

#[test]
fn a_clock_that_jumps_hours_ahead_does_not_kill_a_live_peer() {
    for hours in [1, 5, 50] {
        let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
        for node in [a, b, a, b] {
            net.run(30_000);
            net.world.jump_clock(node, SECOND * 3600 * hours);
            net.run(30_000);
        }
        for (node, peer) in [(a, ab), (b, ba)] {
            assert_eq!(net.ends(node), []);
            assert_eq!((net.connections(node), net.endpoint(node).peers().count()), (1, 1));
            let delivery = Delivery::ordered(0).with_receipt();
            let message = net.send(node, peer, delivery, "still there");
            net.run(5000);
            assert_eq!(net.fates(node), [(message, Fate::Acked)]);
        }
    }
}

#[test]
fn a_clock_that_jumps_does_not_keep_a_dead_peer() {
    let (mut net, Link { a, b, .. }) = Net::usual_pair(1);
    net.world.kill(b);
    net.world.jump_clock(a, SECOND * 7200);
    net.run(30_000);
    assert_eq!(net.ends(a).pop().expect("ended").2, EndReason::IdleTimeout);
}

#[test]
fn connected_is_told_first_and_ended_last_of_everything() {
    for seed in 0..20 {
        let mut net = Net::new(seed);
        let (a, b) = (net.add(Config::default()), net.add(Config::default()));
        let peer = net.dial(a, b);
        net.send(a, peer, Delivery::ordered(0).with_receipt(), "hello");
        net.with(a, |endpoint, now| endpoint.ping(now, peer)).expect("room");
        net.run(20 + seed * 5);
        net.with(a, |endpoint, now| endpoint.disconnect(now, peer, DisconnectOptions::default()))
            .ok();
        net.run(11_000);
        let events = net.events(a);
        assert!(matches!(events.last(), Some(Event::Ended { .. })), "{events:?}");
        let connected = events.iter().position(|event| matches!(event, Event::Connected { .. }));
        assert!(connected.is_none_or(|at| at == 0), "{events:?}");
        assert_eq!(net.fates(a).len(), 1, "{events:?}");
    }
}

#[test]
fn a_goodbye_without_a_word_about_time_delivers_what_was_sent_before() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    for n in 0..300 {
        net.send(a, ab, Delivery::ordered(0).with_receipt(), payload(n, 1000));
    }
    net.with(a, |endpoint, now| endpoint.disconnect(now, ab, DisconnectOptions::default()))
        .expect("connected");
    net.run(10_000);
    assert_eq!(net.fates(a).iter().filter(|(_, fate)| *fate == Fate::Acked).count(), 300);
    let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
}
