//! Everything an embedder can choose, with the defaults that suit most.

mod admission;
mod budgets;
mod discovery;
mod flow;
mod forwarding;
mod keys;
mod limits;
#[cfg(feature = "serde")]
mod period;
mod punching;
mod routing;
mod rule;
mod secret;
#[cfg(test)]
mod tests;
mod timing;
mod valid;

use alloc::sync::Arc;
use core::time::Duration;

pub use admission::{Admission, AdmissionHook};
pub use budgets::{Budget, Budgets};
pub use discovery::Discovery;
pub use flow::Flow;
pub use forwarding::{Forwarding, ForwardingPolicy};
pub use keys::KeyUpdates;
pub use limits::Limits;
pub use punching::Punching;
pub use routing::Routing;
pub use secret::{CookieSecret, NetworkSecret};
pub use timing::Timing;
pub use valid::ValidConfig;

use rule::{Rule, rule};

use crate::error::ConfigError;
use crate::pack::{Pack, Packer, Unpacker, pack_plain};
use crate::shards::Siblings;

/// The smallest datagram every path must carry, in bytes of UDP payload.
pub const BASE_DATAGRAM: u16 = 1200;
/// The largest packet that every neighbour carries, in bytes: what carries it adds 98.
pub(crate) const ROUTED_DATAGRAM: u16 = 1100;
/// What Ethernet takes with the headers of IPv6 and UDP, in bytes of UDP payload.
const USUAL_DATAGRAM: u16 = 1452;
/// The largest datagram the protocol sends, in bytes of UDP payload (the AES-GCM limits assume it).
pub const MAX_DATAGRAM: u16 = 2048;

/// Choices for an endpoint. Start from [`Config::default`], change fields, and have them checked by
/// [`Config::validate`].
///
/// ```
/// use core::time::Duration;
/// use handfast_core::Config;
///
/// let mut config = Config::default();
/// config.timers.heartbeat = Duration::from_secs(5);
/// config.limits.max_peers = 100;
/// let config = config.validate()?;
/// assert_eq!(config.limits.max_peers, 100);
/// # Ok::<(), handfast_core::ConfigError>(())
/// ```
///
/// With the feature `serde`, its groups can be read and written: a field that is left out has its default, one that
/// does not exist is refused, and a time is a text such as `"250ms"` or `"2h"` (a whole number of `ns`, `us`,
/// `ms`, `s`, `min`, `h` or `d`). Their rules are asked by [`Config::validate`], not when they are read. `Config`
/// itself holds secrets, and is never written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Names the application: endpoints with different names cannot shake hands. Default: zeros.
    pub application: [u8; 16],
    /// A secret that all members of a private network share. Endpoints without it cannot shake hands
    /// with us, and cost us no more than a hash. Default `None`: a public network.
    pub network_secret: Option<NetworkSecret>,
    /// A second secret with which others may shake hands with us; we begin handshakes with
    /// `network_secret` alone. So a secret can be replaced without a gap: first every member accepts the
    /// new one here, then each makes it its `network_secret` and accepts the old one here, then the old
    /// one goes. Default `None`.
    pub previous_network_secret: Option<NetworkSecret>,
    /// Who may shake hands with us. Default: everyone.
    pub admission: Admission,
    /// When an initiator must first validate its address (RFC 9000 section 8.1). Default: when needed.
    pub retry: Retry,
    /// Whether initiators that know only our address (and the network secret, if there is one) get our
    /// `PeerId`. Default: true.
    pub disclose_identity: bool,
    /// Whether STUN Binding requests (RFC 8489) are answered: whoever asks is told the address that it was seen at,
    /// 5 times a second at most. An answer is up to 2.2 times as long as the request, 52 bytes at most, and shows
    /// that somebody is here. Default: false.
    pub answer_stun: bool,

    /// When things happen.
    pub timers: Timing,
    /// How many peers and handshakes are kept.
    pub limits: Limits,
    /// How much work is spent on initiators that are no peers yet.
    pub budgets: Budgets,
    /// How large messages may be, and how much of them is buffered for each peer.
    pub flow: Flow,
    /// When keys change.
    pub keys: KeyUpdates,
    /// Whether packets are passed on between peers.
    pub forwarding: Forwarding,
    /// Whether peers that are several hops away are reached, and by way of whom.
    pub routing: Routing,
    /// Whether direct ways are looked for to peers that a neighbour's packets reach.
    pub punching: Punching,
    /// Whether endpoints in the local network are found and told of us, by beacons.
    pub discovery: Discovery,

    /// The largest datagram to send and to take, in bytes of UDP payload: 1,200 to 2,048. Each path begins with
    /// 1,200, which every path should carry, and finds out by itself how much of this it carries while there is much
    /// to send. Datagrams that arrive may have this size whatever we send. Default 1,452: Ethernet with IPv6.
    pub max_datagram: u16,
    /// How fast to send. Default: [`CongestionControl::Bbr`].
    pub congestion: CongestionControl,

    /// Whether the processor has AES instructions (drivers detect it). AES-256-GCM is used when both
    /// ends have them, otherwise ChaCha20-Poly1305. Default: false.
    pub aes_hardware: bool,
    /// The time since 1970 when the endpoint was made (drivers fill it). It saves a round trip when a
    /// known peer shakes hands again; correctness never depends on it. Default `None`: there is no
    /// clock.
    pub wall_clock: Option<Duration>,
    /// The low byte of every index we hand out, by which datagrams are steered to one of several
    /// endpoints behind one address. Default 0.
    pub shard: u8,
    /// Which of the endpoints behind one address has which peer, if there are several: then a peer is a peer of one of them,
    /// and who comes to another is sent on ([`Endpoint::take_redirect`](crate::Endpoint::take_redirect)). See
    /// [`for_shard`](Self::for_shard), which a runtime that has shards calls by itself. Such endpoints exchange no
    /// routes. Default `None`: this is the only one.
    pub siblings: Option<Arc<dyn Siblings>>,
    /// The secret with which cookies are made. Set it if several endpoints of one server are to accept
    /// each other's cookies. They then need the same identity, and times that count from the same
    /// moment: two endpoints of the runtimes have two clocks, so there it is of no use; the shards of one have
    /// one, and are given a secret. Default `None`: the endpoint draws a secret of its own.
    pub cookie_secret: Option<CookieSecret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            application: [0; 16],
            network_secret: None,
            previous_network_secret: None,
            admission: Admission::Anyone,
            retry: Retry::WhenNeeded,
            disclose_identity: true,
            answer_stun: false,
            timers: Timing::default(),
            limits: Limits::default(),
            budgets: Budgets::default(),
            flow: Flow::default(),
            keys: KeyUpdates::default(),
            forwarding: Forwarding::default(),
            routing: Routing::default(),
            punching: Punching::default(),
            discovery: Discovery::default(),
            max_datagram: USUAL_DATAGRAM,
            congestion: CongestionControl::Bbr,
            aes_hardware: false,
            wall_clock: None,
            shard: 0,
            siblings: None,
            cookie_secret: None,
        }
    }
}

impl Config {
    /// Checks that the choices fit together.
    ///
    /// # Errors
    /// Names the first field that breaks a rule, and the rule.
    pub fn validate(self) -> Result<ValidConfig, ConfigError> {
        self.rules().try_for_each(|rule| rule.check())?;
        Ok(ValidConfig::checked(self))
    }

    fn rules(&self) -> impl Iterator<Item = Rule> {
        let forwards = self.forwarding.policy != ForwardingPolicy::Nobody;
        let groups = self.timers.rules().into_iter().chain(self.limits.rules());
        let groups = groups.chain(self.budgets.rules()).chain(self.flow.rules());
        let groups = groups.chain(self.keys.rules()).chain(self.forwarding.rules());
        let groups = groups.chain(self.routing.rules(forwards));
        let groups = groups.chain(self.discovery.rules(self.network_secret.as_ref()));
        self.rules_of_no_group().into_iter().chain(groups)
    }

    fn rules_of_no_group(&self) -> [Rule; 7] {
        let guessed = self.cookie_secret.as_ref().is_some_and(CookieSecret::is_zero);
        let is_zero =
            |secret: &Option<NetworkSecret>| secret.as_ref().is_some_and(NetworkSecret::is_zero);
        let (secret, previous) = (&self.network_secret, &self.previous_network_secret);
        let is_alone = previous.is_some() && secret.is_none();
        let datagrams = BASE_DATAGRAM..=MAX_DATAGRAM;
        let routes = self.routing.is_on();
        let stands_still = self.congestion == CongestionControl::Fixed(0);
        [
            rule("network_secret", ZEROS, !is_zero(secret)),
            rule("previous_network_secret", ZEROS, !is_zero(previous)),
            rule("previous_network_secret", "must not be set without", !is_alone)
                .than("network_secret"),
            rule("cookie_secret", "must not be all zeros: anyone could make cookies", !guessed),
            rule("max_datagram", "must be 1,200 to 2,048", datagrams.contains(&self.max_datagram)),
            rule("siblings", "must not be set with", self.siblings.is_none() || !routes)
                .than("routing"),
            rule("congestion", "must be at least 1 byte per second", !stands_still),
        ]
    }
}

const ZEROS: &str = "must not be all zeros: that is the same as none";

/// How fast to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CongestionControl {
    /// BBR, in the shape of its third version (draft-ietf-ccwg-bbr): sends at the rate that the path was measured
    /// to deliver, so that queues stay short, whatever the path loses by itself, up to a quarter. Losses are
    /// answered that a queue, or a rate that does not grow with what is sent, shows to be of its making.
    /// Beside CUBIC in the same queue it takes 30 to 70 %.
    #[default]
    Bbr,
    /// CUBIC (RFC 9438) that does not slow down for lost packets while the round-trip time shows that no
    /// queue stands on the path and less than a tenth is lost: radio links lose packets at any rate. It keeps
    /// queues full as CUBIC does. A queue too short to be seen, or a policer, loses about five times as many
    /// packets as with `Cubic`, and carries a tenth more.
    Tolerant,
    /// CUBIC as RFC 9438 has it: every loss is answered.
    Cubic,
    /// A fixed rate in bytes per second, at least 1, for tests and dedicated links: it does not slow down
    /// for other traffic.
    Fixed(u64),
}

impl Pack for CongestionControl {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        match self {
            Self::Bbr => (0_u8, 0_u64),
            Self::Tolerant => (1, 0),
            Self::Cubic => (2, 0),
            Self::Fixed(rate) => (3, *rate),
        }
        .pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(match Pack::unpack(from)? {
            (0_u8, _) => Self::Bbr,
            (1, _) => Self::Tolerant,
            (2, _) => Self::Cubic,
            (_, rate) => Self::Fixed(rate),
        })
    }

    pack_plain!();
}

/// When an initiator must first validate its address, which costs it a round trip (a
/// `HandshakeRetry` with a cookie, as in RFC 9147 section 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// When its handshake could be a replay, or strangers have taken a quarter of the half-open places.
    #[default]
    WhenNeeded,
    /// Always.
    Always,
}
