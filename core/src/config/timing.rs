//! When things happen.

use core::time::Duration;

use super::rule::{Rule, rule};

/// When things happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Timing {
    /// A peer from which nothing arrived for this long is pinged. At least 100 ms. Default 20 s.
    #[cfg_attr(feature = "serde", serde(with = "super::period"))]
    pub heartbeat: Duration,
    /// A peer from which nothing arrived for this long ends; the smaller value of the two ends counts.
    /// 1 s to a day, and at least 1.25 times `heartbeat`. Default 60 s.
    #[cfg_attr(feature = "serde", serde(with = "super::period"))]
    pub idle_timeout: Duration,
    /// A dial that has not succeeded after this time ends. Longer than zero. Default 10 s.
    #[cfg_attr(feature = "serde", serde(with = "super::period"))]
    pub connect_timeout: Duration,
    /// How long an acknowledgement waits at most for others to join it (`max_ack_delay` of RFC 9000).
    /// That of a message for which a receipt is wanted does not wait. At most 500 ms. Default 25 ms.
    #[cfg_attr(feature = "serde", serde(with = "super::period"))]
    pub max_ack_delay: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            max_ack_delay: Duration::from_millis(25),
        }
    }
}

impl Timing {
    pub(super) fn rules(&self) -> [Rule; 6] {
        let idle = self.idle_timeout;
        let rarest = self.heartbeat.saturating_mul(5) / 4;
        let acks = self.max_ack_delay <= LONGEST_ACK_DELAY;
        [
            rule("timers.heartbeat", "must be at least 100 ms", self.heartbeat >= MIN_HEARTBEAT),
            rule("timers.idle_timeout", "must be at least 1 s", idle >= SHORTEST_IDLE),
            rule("timers.idle_timeout", "must be at most a day", idle <= LONGEST_IDLE),
            rule("timers.idle_timeout", "must be at least 1.25 times", idle >= rarest)
                .than("timers.heartbeat"),
            rule(
                "timers.connect_timeout",
                "must be longer than zero",
                !self.connect_timeout.is_zero(),
            ),
            rule("timers.max_ack_delay", "must be at most 500 ms", acks),
        ]
    }
}

/// A shorter heartbeat would be a busy loop.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);
/// No peer is given up sooner, whatever it says itself.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);
const LONGEST_IDLE: Duration = Duration::from_secs(86_400);
/// No peer is believed a longer delay.
const LONGEST_ACK_DELAY: Duration = Duration::from_millis(500);
