//! When keys change.

use core::time::Duration;

use super::rule::{Rule, rule};

/// When keys change, and how many are kept ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct KeyUpdates {
    /// Change keys after this many packets, 16 to 2^27 (RFC 9001 section 6.6). Default 2^27.
    pub rekey_after_packets: u64,
    /// Change keys this long after the first application data under a key. At least 1 s. Default
    /// 120 s.
    #[cfg_attr(feature = "serde", serde(with = "super::period"))]
    pub rekey_after: Duration,
    /// Change keys at this age, data or not. At least `rekey_after`. Default 1 h.
    #[cfg_attr(feature = "serde", serde(with = "super::period"))]
    pub rekey_after_idle: Duration,
    /// How many cipher states are kept expanded; other sessions keep 32-byte keys and expand them when
    /// they are used. At least 1. Default 1,024.
    pub active_keys: u32,
}

impl Default for KeyUpdates {
    fn default() -> Self {
        Self {
            rekey_after_packets: 1 << 27,
            rekey_after: Duration::from_secs(120),
            rekey_after_idle: Duration::from_secs(3600),
            active_keys: 1024,
        }
    }
}

impl KeyUpdates {
    pub(super) fn rules(&self) -> [Rule; 5] {
        let packets = self.rekey_after_packets;
        let (busy, idle) = (self.rekey_after, self.rekey_after_idle);
        [
            rule("keys.rekey_after_packets", "must be at least 16", packets >= 16),
            rule("keys.rekey_after_packets", "must be at most 2^27", packets <= 1 << 27),
            rule("keys.rekey_after", "must be at least 1 s", busy >= Duration::from_secs(1)),
            rule("keys.rekey_after_idle", "must be at least", idle >= busy)
                .than("keys.rekey_after"),
            rule("keys.active_keys", "must be at least 1", self.active_keys >= 1),
        ]
    }
}
