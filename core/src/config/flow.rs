//! How large messages may be, and how much of them is buffered for each peer.

use core::time::Duration;

use super::rule::{Rule, rule};

/// How large messages may be, and how much of them is buffered for each peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Flow {
    /// The largest message in either direction, in bytes, 1 to 1 GiB. Default 16 MiB.
    pub max_message: u32,
    /// Bytes of reliable messages waiting in the core to be sent or acknowledged, per peer. A channel holds no
    /// more than it leaves to the others, or a single message: one whose messages nobody takes at the other end
    /// fills half of it. Four times `max_message` leave room for the largest message while two channels are
    /// stuck. `max_message` to 1 TiB. Default 64 MiB.
    pub send_buffer: usize,
    /// Bytes of reliable messages of a peer that are on the way to us or wait for `receive`. A peer begins
    /// with 256 KiB at most; that doubles while they are read as fast as they come. Larger messages come
    /// all the same, one at a time. At least 1,024. Default 32 MiB.
    pub receive_window: u32,
    /// Bytes of unreliable messages that wait for `receive`, per peer, and as many that wait to be sent;
    /// beyond it the oldest are dropped. `max_message` to 1 TiB. Default 16 MiB.
    pub unreliable_buffer: usize,
    /// How long an unreliable message waits to be sent before it is dropped; for one that was queued
    /// before the handshake, from then on. The newest of a sequenced stream waits for as long as it
    /// takes. At least 1 ms. Default 1 s.
    #[cfg_attr(feature = "serde", serde(with = "super::period"))]
    pub unreliable_age: Duration,
    /// The most streams (channel, reliability and order) a peer may have open towards us at a time: those that it used
    /// and did not end. At least 1. Default 256.
    pub max_streams: u16,
    /// How many numbers of a reliable stream a peer may use towards us, from the lowest on whose message has not
    /// arrived whole: what is lost holds back the stream once so many later messages were sent. Each stream takes an
    /// eighth as many bytes at most. A power of two, 64 to 1,048,576. Default 65,536.
    pub stream_window: u32,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            max_message: 16 << 20,
            send_buffer: 64 << 20,
            receive_window: 32 << 20,
            unreliable_buffer: 16 << 20,
            unreliable_age: Duration::from_secs(1),
            max_streams: 256,
            stream_window: 1 << 16,
        }
    }
}

impl Flow {
    pub(super) fn rules(&self) -> [Rule; 12] {
        let message = u64::from(self.max_message);
        let (send, unreliable) = (self.send_buffer as u64, self.unreliable_buffer as u64);
        [
            rule("flow.max_message", "must be at least 1", message >= 1),
            rule("flow.max_message", "must be at most 1 GiB", message <= 1 << 30),
            rule("flow.receive_window", "must be at least 1,024", self.receive_window >= 1024),
            rule("flow.send_buffer", "must be at least", send >= message).than(MESSAGE),
            rule("flow.send_buffer", TERABYTE, send <= 1 << 40),
            rule("flow.unreliable_buffer", "must be at least", unreliable >= message).than(MESSAGE),
            rule("flow.unreliable_buffer", TERABYTE, unreliable <= 1 << 40),
            rule(
                "flow.unreliable_age",
                "must be at least 1 ms",
                self.unreliable_age.as_millis() >= 1,
            ),
            rule("flow.max_streams", "must be at least 1", self.max_streams >= 1),
            rule("flow.stream_window", "must be at least 64", self.stream_window >= 64),
            rule("flow.stream_window", "must be at most 1,048,576", self.stream_window <= 1 << 20),
            rule(
                "flow.stream_window",
                "must be a power of two",
                self.stream_window.is_power_of_two(),
            ),
        ]
    }
}

const MESSAGE: &str = "flow.max_message";
/// More would overflow sums of sizes.
const TERABYTE: &str = "must be at most 1 TiB";
