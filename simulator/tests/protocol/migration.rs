//! What a path taught does not bind the next one, and a clock that jumps is not a loss.

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::*;
use handfast_core::{Config, Delivery, PeerStats};
use handfast_sim::Conditions;

const RATE: u64 = 4_000_000;
const BLOCK: usize = 20_000;

fn elsewhere() -> SocketAddr {
    SocketAddr::from(([10, 0, 9, 9], 4263))
}

fn link(rate: u64) -> Conditions {
    let latency = Duration::from_millis(50);
    Conditions { latency, rate: Some(rate), queue: 400_000, ..Conditions::default() }
}

/// A bulk transfer from `a` to `b` that has found the rate of its path.
struct Bulk {
    net: Net,
    link: Link,
    sent: u64,
}

impl Bulk {
    fn new() -> Self {
        let mut config = Config::default();
        config.flow.max_message = 100_000;
        config.flow.receive_window = 8 << 20;
        config.flow.send_buffer = 8 << 20;
        let (mut net, pair) = Net::pair(1, config.clone(), config);
        net.conditions(link(RATE));
        let mut bulk = Self { net, link: pair, sent: 0 };
        bulk.run(3000);
        let rate = bulk.run(1000);
        assert!(rate > 3_500_000, "{rate} bytes a second");
        bulk
    }

    /// Runs for `ms` with always enough to send; returns the bytes that arrived.
    fn run(&mut self, ms: u64) -> usize {
        let before = self.net.payloads(self.link.b).len();
        for _ in 0..ms / 10 {
            let Link { a, ab, .. } = self.link;
            while self.net.try_send(a, ab, Delivery::ordered(0), payload(self.sent, BLOCK)).is_ok()
            {
                self.sent += 1;
            }
            self.net.run(10);
        }
        (self.net.payloads(self.link.b).len() - before) * BLOCK
    }

    fn stats(&self) -> PeerStats {
        self.net.endpoint(self.link.a).peer(self.link.ab).expect("alive").stats
    }

    fn dropped(&self) -> u64 {
        self.net.world.faults().queue_drops
    }
}

#[test]
fn a_receiver_that_moves_is_sent_at_full_rate_again_within_a_second() {
    let mut bulk = Bulk::new();
    let b = bulk.link.b;
    bulk.net.world.roam(b, elsewhere());
    bulk.run(1000);
    let second = bulk.run(1000);
    assert!(second > 3_000_000, "{second} bytes in the second after the first");
}

#[test]
fn a_sender_that_moves_starts_anew_on_its_new_path() {
    let mut bulk = Bulk::new();
    let a = bulk.link.a;
    let before = bulk.dropped();
    bulk.net.conditions(link(625_000));
    bulk.net.world.roam(a, elsewhere());
    bulk.run(1000);
    let second = bulk.run(1000);
    let dropped = bulk.dropped() - before;
    assert!(second > 400_000, "{second} bytes in the second after the first");
    assert!(dropped < 100, "{dropped} packets found no room in the queue of the new path");
}

#[test]
fn a_jump_of_the_senders_clock_is_no_loss() {
    for jump in [200, 500, 1000, 5000, 12_000] {
        let mut bulk = Bulk::new();
        let before = bulk.stats();
        let dropped = bulk.dropped();
        bulk.net.world.jump_clock(bulk.link.a, Duration::from_millis(jump));
        let rate = bulk.run(1000);
        let dropped = bulk.dropped() - dropped;
        let after = bulk.stats();
        let lost = after.packets_lost - before.packets_lost;
        let slowed = after.congestion_events - before.congestion_events;
        // What found no room in the queue is lost indeed.
        let told = format!("{jump} ms: {lost} lost, {slowed} slowdowns, {dropped} dropped");
        assert!(lost <= dropped && slowed <= dropped.min(1), "{told}");
        assert!(rate > 3_500_000, "{jump} ms: {rate} bytes in the next second");
    }
}
