//! What two that say nothing cost each other.

use crate::common::{Link, MS, Net, SECOND};
use handfast_core::{Config, EndReason, PeerState};
use handfast_sim::{Conditions, Probability};

/// The heartbeats of both ends, the idle timeout and the latency, in milliseconds.
type Case = ([u32; 2], u32, u32);

fn pair(seed: u64, (heartbeats, idle, latency): Case, loss: u32) -> (Net, Link) {
    let [a, b] = heartbeats.map(|heartbeat| {
        let mut config = Config::default();
        config.timers.heartbeat = MS * heartbeat;
        config.timers.idle_timeout = MS * idle;
        config
    });
    let (mut net, link) = Net::pair(seed, a, b);
    let loss = Probability::percent(loss);
    net.conditions(Conditions { latency: MS * latency, loss, ..Conditions::default() });
    // What the handshake left to do, and the first heartbeats.
    net.run(u64::from(idle) * 2);
    (net, link)
}

/// How many packets both ends send in so many seconds.
fn packets(net: &mut Net, Link { a, b, .. }: &Link, seconds: u64) -> usize {
    let sent = |net: &Net| net.sent(*a).len() + net.sent(*b).len();
    let before = sent(net);
    net.run(seconds * 1000);
    for node in [*a, *b] {
        assert_eq!(net.ends(node), []);
        assert_eq!(net.states(node).last(), Some(&PeerState::Connected));
    }
    sent(net) - before
}

/// One asks, the other acknowledges at once, and neither asks while the other does: whatever the round trip is, and
/// though both know of the same packets when they count the time.
#[test]
fn two_that_are_quiet_pay_two_packets_a_heartbeat() {
    let even = [
        ([20_000, 20_000], 60_000, 1),
        ([20_000, 20_000], 60_000, 200),
        ([20_000, 20_000], 25_000, 40),
        ([5000, 5000], 20_000, 40),
        ([1000, 1000], 10_000, 100),
        ([20_000, 21_000], 60_000, 30),
        // The other hears from it before it is its turn.
        ([20_000, 7000], 60_000, 40),
    ];
    for case in even {
        for seed in 1..=3 {
            let (mut net, link) = pair(seed, case, 0);
            let count = packets(&mut net, &link, 600);
            let ([a, b], ..) = case;
            let beats = 600_000 / a.min(b) as usize;
            assert!(
                count <= 2 * beats + 2,
                "{case:?}, {seed}: {count} packets in {beats} heartbeats"
            );
            // So each has still asked in time.
            assert!(count >= 2 * beats * 4 / 5, "{case:?}, {seed}: {count} packets in {beats}");
        }
    }
}

/// What is lost is repeated. That is all that loss costs.
#[test]
fn two_that_are_quiet_on_a_link_that_loses_pay_for_what_is_lost() {
    const BEATS: u64 = 300;
    for case in
        [([20_000, 20_000], 60_000, 20), ([2000, 2000], 20_000, 100), ([500, 500], 20_000, 5)]
    {
        for seed in 1..=3 {
            let (mut net, link) = pair(seed, case, 10);
            let count = packets(&mut net, &link, BEATS * u64::from(case.0[0]) / 1000);
            // Of five heartbeats one is lost, with its question or its answer. To find that out takes a probe, and its answer.
            let most = BEATS as usize * 3;
            assert!(count <= most, "{case:?}, {seed}: {count} packets, {most} at most");
        }
    }
}

/// Whoever's turn it is: a peer that is gone ends with the idle timeout, as ever, and not before it was asked.
#[test]
fn it_is_nobodys_turn_to_notice_that_the_other_is_gone() {
    for heartbeats in 0..6 {
        for lost in [0, 1] {
            let (mut net, link) = pair(1, ([20_000, 20_000], 25_000, 40), 0);
            net.run(heartbeats * 20_040);
            let nodes = [link.a, link.b];
            let (gone, left) = (nodes[lost], nodes[1 - lost]);
            net.mute(gone);
            let peer = net.endpoint(left).peers().next().expect("connected");
            let ago = net.world.clock(left).saturating_since(peer.last_received.expect("heard"));
            let last = net.world.now() - ago;
            let before = net.sent(left).len();
            net.run(40_000);
            let ends = net.ends(left);
            assert_eq!(ends.len(), 1);
            let quiet = ends[0].0 - last;
            assert_eq!((&ends[0].2, quiet), (&EndReason::IdleTimeout, SECOND * 25));
            assert!(net.sent(left).len() >= before + 3, "it was asked, and again");
        }
    }
}
