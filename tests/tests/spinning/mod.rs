//! What the spinners of both runtimes share.

use std::collections::BTreeMap;
use std::time::Duration;

use handfast_core::{Bytes, Config, Delivery, DisconnectOptions, DisconnectReason, Order};
use handfast_sim::Rng;
use handfast_tests::digest;

pub(crate) mod mio;
pub(crate) mod tokio;

/// How often each thing was done.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// What was never done.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        EVERYTHING.into_iter().find(|what| !self.0.contains_key(what))
    }
}

/// What is to be done at least once.
const EVERYTHING: [&str; 9] = [
    "connected",
    "sent",
    "received",
    "pong",
    "acked",
    "cancelled",
    "disconnected",
    "closed",
    "dropped",
];

/// Small limits, so that they are met, and short times, so that they pass.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.flow.max_message = 64 << 10;
    config.flow.send_buffer = 256 << 10;
    config.flow.receive_window = 256 << 10;
    config.flow.unreliable_buffer = 128 << 10;
    config.flow.max_streams = 40;
    config.timers.connect_timeout = Duration::from_millis(500);
    config.timers.heartbeat = Duration::from_millis(400);
    config.timers.idle_timeout = Duration::from_secs(1);
    config
}

pub(crate) fn delivery(rng: &mut Rng) -> Delivery {
    let order = [Order::Unordered, Order::Sequenced, Order::Ordered][rng.index(3)];
    let channel = u16::try_from(rng.index(5)).expect("small");
    let mut delivery = Delivery::new(channel, rng.index(2) == 0, order);
    delivery.requires_ack = rng.index(2) == 0;
    delivery
}

/// Most are small, some are as large as allowed, few are larger.
pub(crate) fn payload(rng: &mut Rng) -> Bytes {
    let len = match rng.index(20) {
        0 => 0,
        1 => 64 << 10,
        2 => (64 << 10) + 1,
        3..=6 => rng.index(20_000),
        _ => rng.index(500),
    };
    digest::bytes(len as u64, len)
}

/// Payloads are told by their length.
pub(crate) fn check(payload: &Bytes) {
    assert!(*payload == digest::bytes(payload.len() as u64, payload.len()), "garbled");
}

pub(crate) fn farewell(rng: &mut Rng) -> DisconnectOptions {
    let linger = Duration::from_millis([0, 1, 50][rng.index(3)]);
    DisconnectOptions::after(linger)
        .with_reason(DisconnectReason::new([0, 7][rng.index(2)], "spin"))
}
