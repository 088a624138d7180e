//! A server with many peers that hold credit and do not use it, and one that sends.

use crate::common::*;
use std::time::Duration;

use handfast_core::{Config, Delivery};
use handfast_sim::{Conditions, Probability};

/// What the others do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Others {
    Nothing,
    /// An unreliable message each 100 ms.
    Talk,
}

/// A server that has memory for each of its places as it has by default, and who is there.
struct Crowd {
    net: Net,
    hub: handfast_sim::NodeId,
    links: Vec<Link>,
    others: Others,
}

impl Crowd {
    /// So many came, and said hello.
    fn of(seed: u64, others: Others, count: usize) -> Self {
        let mut config = Config::default();
        let limits = &mut config.limits;
        let share = limits.max_memory / limits.max_peers as u64;
        limits.max_memory = 4 << 20;
        limits.max_peers = (limits.max_memory / share) as usize;
        limits.max_peers_per_source = limits.max_peers;
        let mut net = Net::new(seed);
        let hub = net.add(config);
        net.latency(20);
        let hello = |_| {
            let node = net.add(Config::default());
            let link = net.link(node, hub);
            net.send(link.a, link.ab, Delivery::ordered(0), payload(0, 100));
            link
        };
        let links = (0..count).map(hello).collect();
        Self { net, hub, links, others }
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis / 100 {
            if self.others == Others::Talk {
                for &link in &self.links {
                    self.net.send(link.a, link.ab, Delivery::unreliable(1), payload(0, 20));
                }
            }
            self.net.run(100);
        }
    }

    /// How many large messages came.
    fn large(&self) -> usize {
        let got = self.net.got(self.hub).into_iter();
        got.filter(|got| got.message.payload.len() == 65_000).count()
    }

    /// How long it takes until 4 MiB of the last one are there.
    fn upload(&mut self) -> Duration {
        let Link { a, ab, .. } = *self.links.last().expect("somebody");
        let begin = self.net.world.now();
        let before = self.large();
        let mut sent = 0;
        while self.large() < before + 64 {
            while sent < 64
                && self.net.try_send(a, ab, Delivery::ordered(0), payload(sent, 65_000)).is_ok()
            {
                sent += 1;
            }
            self.net.run(10);
            assert!(self.net.world.now() - begin < Duration::from_secs(600), "it stands");
        }
        self.net.world.now() - begin
    }
}

#[test]
fn peers_that_hold_credit_and_do_not_use_it_do_not_slow_down_one_that_sends() {
    let alone = Crowd::of(1, Others::Nothing, 1).upload();
    for (others, count) in [(Others::Nothing, 13), (Others::Nothing, 201), (Others::Talk, 41)] {
        let mut crowd = Crowd::of(1, others, count);
        let at_once = crowd.upload();
        assert!(at_once < alone * 4, "{others:?}, {count}: {at_once:?} instead of {alone:?}");
        crowd.run(40_000);
        let later = crowd.upload();
        assert!(later < alone * 2, "{others:?}, {count}: {later:?} instead of {alone:?}");
    }
}

/// Packets are lost, and with them what is said about credit.
#[test]
fn who_gave_up_credit_sends_large_messages_all_the_same() {
    for seed in 0..4 {
        let mut crowd = Crowd::of(seed, Others::Nothing, 60);
        let conditions = Conditions {
            loss: Probability::percent(10),
            latency: Duration::from_millis(20),
            ..Conditions::default()
        };
        crowd.net.conditions(conditions);
        crowd.run(60_000);
        let memory = crowd.net.endpoint(crowd.hub).stats().memory_used;
        assert!(memory < 3 << 20, "seed {seed}: they keep {memory} bytes");
        for link in crowd.links.clone() {
            for (number, len) in [(0, 65_000), (1, 100)] {
                crowd.net.send(link.a, link.ab, Delivery::ordered(0), payload(number, len));
            }
        }
        let begin = crowd.net.world.now();
        while crowd.net.got(crowd.hub).len() < 3 * crowd.links.len() {
            crowd.run(100);
            let took = crowd.net.world.now() - begin;
            // They take turns where there is no memory, and each has its own for no longer than it needs.
            assert!(took < Duration::from_secs(10), "seed {seed}: some did not arrive");
        }
    }
}
