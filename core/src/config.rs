//! Everything an embedder can choose, with the defaults that suit most.

mod budgets;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use zeroize::Zeroizing;

pub use budgets::{Budget, Budgets};

use crate::net::Origin;
use crate::{PeerId, error::ConfigError};

/// The smallest datagram every path must carry, in bytes of UDP payload.
pub const BASE_DATAGRAM: u16 = 1200;
/// The largest datagram the protocol sends, in bytes of UDP payload (the AES-GCM limits assume it).
pub const MAX_DATAGRAM: u16 = 2048;

/// Choices for an endpoint. Start from [`Config::default`] and change fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Names the application: endpoints with different names cannot shake hands. Default: zeros.
    pub application: [u8; 16],
    /// A secret shared by all members of a private network. Strangers to it cannot shake hands,
    /// nor make the endpoint spend more than a hash on them.
    pub network_secret: Option<NetworkSecret>,
    /// Who may shake hands with us.
    pub admission: Admission,
    /// When a caller must first prove that it owns its address.
    pub retry: Retry,
    /// Tell our `PeerId` to callers who know only our address (and the network secret, if any).
    pub disclose_identity: bool,

    /// A peer that was silent for this long is pinged. Default 20 s.
    pub heartbeat: Duration,
    /// A peer that was silent for this long is expired; the smaller of both ends' is used. Default 60 s.
    pub idle_timeout: Duration,
    /// A dial that has not succeeded by then ends. Default 10 s.
    pub connect_timeout: Duration,
    /// The longest an acknowledgement waits for company. Default 25 ms.
    pub max_ack_delay: Duration,

    /// The most peers, connecting ones included. Default 4,096.
    pub max_peers: usize,
    /// The most peers that callers from one IPv4 address or IPv6 network of 64 bits may add, once
    /// three quarters of `max_peers` are taken. Default 256.
    pub max_peers_per_source: usize,
    /// The most unconfirmed incoming handshakes of strangers, about 1 KB each; those of peers, one
    /// each, come on top. Default 1,024.
    pub max_half_open: usize,
    /// The most of these for one IPv4 address or IPv6 network of 64 bits, once a quarter of all is
    /// taken. Default 16.
    pub max_half_open_per_source: usize,
    /// How much is spent on callers.
    pub budgets: Budgets,
    /// The largest message in either direction, in bytes. Default 16 MiB.
    pub max_message: u32,
    /// Bytes of messages waiting in the core to be sent or acknowledged, per peer. Default 32 MiB.
    pub send_buffer: usize,
    /// Bytes of reliable messages a peer may have on the way to us or waiting to be received.
    /// At least `max_message`. Default 32 MiB.
    pub receive_window: u32,
    /// Bytes of unreliable messages waiting to be received, per peer; the oldest give way. At least
    /// `max_message`. Default 16 MiB.
    pub unreliable_buffer: usize,
    /// The most streams (channel, reliability and order) a peer may use towards us. Default 256.
    pub max_streams: u16,

    /// Bytes of UDP payload per datagram, 1,200 to 2,048. Default 1,200, which every path carries.
    pub max_datagram: u16,
    /// How fast to send.
    pub congestion: CongestionControl,

    /// Change keys after this many packets. Default 2^27.
    pub rekey_after_packets: u64,
    /// Change keys this long after the first application data under a key. Default 120 s.
    pub rekey_after: Duration,
    /// Change keys at this age, data or not. Default 1 h.
    pub rekey_after_idle: Duration,
    /// Peers whose cipher state is kept expanded; others keep 32-byte keys. Default 1,024.
    pub active_keys: usize,

    /// The processor has AES instructions (drivers detect it). AES-256-GCM is used when both ends
    /// have, ChaCha20-Poly1305 otherwise.
    pub aes_hardware: bool,
    /// The time since 1970 when the endpoint was made, if a clock is at hand (drivers fill it).
    /// Saves a round trip when a known peer shakes hands again; correctness never depends on it.
    pub wall_clock: Option<Duration>,
    /// The low byte of every index we hand out, by which datagrams are steered to one of several
    /// endpoints behind one address.
    pub shard: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            application: [0; 16],
            network_secret: None,
            admission: Admission::Anyone,
            retry: Retry::WhenNeeded,
            disclose_identity: true,
            heartbeat: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            max_ack_delay: Duration::from_millis(25),
            max_peers: 4096,
            max_peers_per_source: 256,
            max_half_open: 1024,
            max_half_open_per_source: 16,
            budgets: Budgets::default(),
            max_message: 16 << 20,
            send_buffer: 32 << 20,
            receive_window: 32 << 20,
            unreliable_buffer: 16 << 20,
            max_streams: 256,
            max_datagram: BASE_DATAGRAM,
            congestion: CongestionControl::Cubic,
            rekey_after_packets: 1 << 27,
            rekey_after: Duration::from_secs(120),
            rekey_after_idle: Duration::from_secs(3600),
            active_keys: 1024,
            aes_hardware: false,
            wall_clock: None,
            shard: 0,
        }
    }
}

impl Config {
    /// Checks that the choices fit together.
    ///
    /// # Errors
    /// Names the first field that is out of range and the range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let rules = [
            (
                self.network_secret.as_ref().is_some_and(NetworkSecret::is_zero),
                "network_secret must not be all zeros: that is the same as none",
            ),
            (self.heartbeat < SHORTEST_HEARTBEAT, "heartbeat must be at least 100 ms"),
            (
                self.idle_timeout < self.heartbeat.saturating_mul(5) / 4,
                "idle_timeout must be at least 1.25 times heartbeat",
            ),
            (self.idle_timeout > Duration::from_secs(86_400), "idle_timeout must be at most a day"),
            (self.connect_timeout.is_zero(), "connect_timeout must be longer than zero"),
            (
                self.max_ack_delay > Duration::from_millis(500),
                "max_ack_delay must be at most 500 ms",
            ),
            (self.max_peers == 0, "max_peers must be at least 1"),
            (self.max_peers > 1 << 22, "max_peers must be at most 4,194,304"),
            (self.max_peers_per_source == 0, "max_peers_per_source must be at least 1"),
            (self.max_half_open == 0, "max_half_open must be at least 1"),
            (self.max_half_open_per_source == 0, "max_half_open_per_source must be at least 1"),
            (
                !self.budgets.are_sound(),
                "budgets must be 1 to 100,000 per second and 1 to 1,000,000 at once",
            ),
            (!self.budgets.has_sound_sources(), "budgets.sources must be 8 to 1,048,576"),
            (self.max_message == 0, "max_message must be at least 1"),
            (self.max_message > 1 << 30, "max_message must be at most 1 GiB"),
            (
                u64::from(self.receive_window) < u64::from(self.max_message) + 64,
                "receive_window must be at least max_message + 64",
            ),
            (
                self.send_buffer < self.max_message as usize,
                "send_buffer must be at least max_message",
            ),
            (
                self.unreliable_buffer < self.max_message as usize,
                "unreliable_buffer must be at least max_message",
            ),
            (self.max_streams == 0, "max_streams must be at least 1"),
            (
                !(BASE_DATAGRAM..=MAX_DATAGRAM).contains(&self.max_datagram),
                "max_datagram must be 1200 to 2048",
            ),
            (self.rekey_after_packets < 16, "rekey_after_packets must be at least 16"),
            (self.rekey_after_packets > 1 << 27, "rekey_after_packets must be at most 2^27"),
            (self.rekey_after < Duration::from_secs(1), "rekey_after must be at least 1 s"),
            (
                self.rekey_after_idle < self.rekey_after,
                "rekey_after_idle must be at least rekey_after",
            ),
            (self.active_keys == 0, "active_keys must be at least 1"),
        ];
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(ConfigError(rule)),
            None => Ok(()),
        }
    }
}

/// A shorter heartbeat would be a busy loop.
pub(crate) const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(100);

/// How fast to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CongestionControl {
    /// CUBIC (RFC 9438).
    #[default]
    Cubic,
    /// A fixed rate in bytes per second, for tests and dedicated links: it does not yield to others.
    Fixed(u64),
}

/// When a caller must first prove that it owns its address, at the cost of a round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// When its handshake could be a replay.
    #[default]
    WhenNeeded,
    /// Always.
    Always,
}

/// Who may shake hands with us. Asked after the caller proved its identity, before any state is
/// kept for it.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Admission {
    /// Everyone.
    #[default]
    Anyone,
    /// Nobody: we only dial.
    Nobody,
    /// These peers.
    Only(BTreeSet<PeerId>),
    /// Whoever the function accepts. It should be quick, and must not change its mind for the same
    /// inputs if simulations are to be reproducible.
    Ask(Arc<AdmissionHook>),
}

/// Decides on a caller by its identity and where it called from.
pub type AdmissionHook = dyn Fn(&PeerId, &Origin) -> bool + Send + Sync;

impl Admission {
    /// Whether `peer`, calling from `origin`, may come in.
    #[must_use]
    pub fn admits(&self, peer: &PeerId, origin: &Origin) -> bool {
        match self {
            Self::Anyone => true,
            Self::Nobody => false,
            Self::Only(peers) => peers.contains(peer),
            Self::Ask(hook) => hook(peer, origin),
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("Anyone"),
            Self::Nobody => f.write_str("Nobody"),
            Self::Only(peers) => write!(f, "Only({} peers)", peers.len()),
            Self::Ask(_) => f.write_str("Ask(..)"),
        }
    }
}

/// The secret of a private network. Zeroized when dropped, never shown.
#[derive(Clone)]
pub struct NetworkSecret(Zeroizing<[u8; 32]>);

impl NetworkSecret {
    /// Wraps 32 secret bytes of full entropy.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self(Zeroizing::new(secret))
    }

    fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for NetworkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Config::default().validate().expect("valid");
    }

    #[test]
    fn the_network_secret_is_wiped_and_not_shown() {
        let secret = NetworkSecret::new([7; 32]);
        assert_eq!(alloc::format!("{secret:?}"), "NetworkSecret(..)");
        let NetworkSecret(bytes) = secret;
        crate::tests::values::assert_wiped(&bytes);
    }

    #[test]
    fn a_window_smaller_than_a_message_is_refused_by_name() {
        let config = Config { receive_window: 1000, ..Config::default() };
        let error = config.validate().expect_err("too small");
        assert!(error.0.contains("receive_window"), "{error:?}");
    }
}
