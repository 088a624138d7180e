//! Errors of commands. Datagrams never cause errors: they are counted in [`crate::Drops`].

use core::fmt;
use core::net::SocketAddr;

use crate::PeerHandle;

/// A choice in [`crate::Config`] breaks a rule.
///
/// Its text is, for example, `timers.idle_timeout must be at least 1.25 times timers.heartbeat`. A
/// program whose users know the fields by other names can build the text from its parts:
///
/// ```
/// # use core::time::Duration;
/// use handfast_core::Config;
///
/// let mut config = Config::default();
/// config.timers.heartbeat = Duration::from_secs(59);
/// let error = config.validate().expect_err("too close to the idle timeout");
/// assert_eq!(error.field(), "timers.idle_timeout");
/// assert_eq!(error.rule(), "must be at least 1.25 times");
/// assert_eq!(error.other(), Some("timers.heartbeat"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(crate) field: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) other: Option<&'static str>,
}

impl ConfigError {
    /// Where the field is in [`crate::Config`], such as `timers.idle_timeout`.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The rule, to be read after the name of the field: `must be at most a day`. If there is
    /// [another field](Self::other), its name follows.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.rule
    }

    /// The field that the rule compares with; `None` if the rule is about the field alone.
    #[must_use]
    pub const fn other(&self) -> Option<&'static str> {
        self.other
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.rule)?;
        self.other.map_or(Ok(()), |other| write!(f, " {other}"))
    }
}

/// Why a dial could not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The peer is connected already, and no event follows: this is its handle.
    AlreadyConnected(PeerHandle),
    /// None of the addresses can be dialled. This is the first: a broadcast address.
    Broadcast(SocketAddr),
    /// `Endpoint::close` was called.
    Closing,
    /// None of the addresses can be dialled. This is the first: a multicast address.
    Multicast(SocketAddr),
    /// The target has no address, names no peer that the endpoint has, and no neighbour forwards: neither one that is
    /// connected, nor perhaps one that is still being dialled.
    NoAddress,
    /// None of the addresses can be dialled. This is the first: no open socket reaches it, for none is of
    /// its family, or those that are reach this machine alone.
    NoSocket(SocketAddr),
    /// Another shard of this endpoint ([`Config::siblings`](crate::Config::siblings)) has the peer, or remembers that it
    /// left it: dial there.
    OtherShard(u8),
    /// The target is this endpoint's own identity.
    OwnIdentity,
    /// The peer is being disconnected: wait for `Event::Ended` and connect again.
    PeerClosing,
    /// None of the addresses can be dialled. This is the first: nobody listens on port 0.
    PortZero(SocketAddr),
    /// The endpoint has `Config::limits.max_peers` peers already.
    TooManyPeers,
    /// None of the addresses can be dialled. This is the first: `0.0.0.0` and `::` are places to listen,
    /// not hosts.
    Unspecified(SocketAddr),
}

/// Why a message was not accepted. Nothing of it is kept or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The channel's share of this peer's send buffer is full: wait for `Event::Writable` of this channel and
    /// send again. Other channels may have room. Only for reliable messages that are not sequenced.
    Blocked,
    /// The peer is closing.
    Closing,
    /// There is no room for a message that has no sense in waiting: a reliable sequenced one while the
    /// channel's share of the send buffer is full, or an unreliable one while more urgent ones fill the buffer or
    /// nobody polls the fates of those before. Go on without it and send the next state when there is one; after a reliable one
    /// `Event::Writable` says when there is room.
    NoRoom,
    /// The message is longer than the smaller limit of the two ends, which is given here in bytes.
    TooLarge(u32),
    /// The peer allows no further stream: use a channel, reliability and order that were used before.
    TooManyStreams,
    /// The handle names no peer: it ended, or the handle is of another endpoint.
    UnknownPeer,
}

/// Why a command for a peer was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// The peer is closing.
    Closing,
    /// Too many are under way already (the command says how many): wait for one to end.
    TooMany,
    /// The handle names no peer: it ended, or the handle is of another endpoint.
    UnknownPeer,
    /// Some of the message was sent already, or its fate is known.
    TooLate,
    /// The path to the peer goes by way of a neighbour, or is not proved yet.
    NotDirect,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let undialable = match self {
            Self::Broadcast(address) => Some((address, "it is a broadcast address")),
            Self::Multicast(address) => Some((address, "it is a multicast address")),
            Self::NoSocket(address) => Some((address, "no open socket reaches it")),
            Self::PortZero(address) => Some((address, "nobody listens on port 0")),
            Self::Unspecified(address) => Some((address, "it names no host")),
            _ => None,
        };
        if let Some((address, why)) = undialable {
            return write!(f, "{address} cannot be dialled: {why}");
        }
        f.write_str(match self {
            Self::AlreadyConnected(_) => "the peer is connected already",
            Self::Closing => "the endpoint is closing",
            Self::NoAddress => "no address is known for this peer: give one",
            Self::OtherShard(_) => "another shard of this endpoint has the peer: dial there",
            Self::OwnIdentity => "the target is this endpoint itself",
            Self::PeerClosing => "the peer is being disconnected: wait until it ended",
            Self::TooManyPeers => "too many peers: raise limits.max_peers or disconnect one",
            Self::Broadcast(_)
            | Self::Multicast(_)
            | Self::NoSocket(_)
            | Self::PortZero(_)
            | Self::Unspecified(_) => "no address can be dialled",
        })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked => f.write_str("the channel has no room: wait until it is writable"),
            Self::Closing => f.write_str("the peer is closing"),
            Self::NoRoom => f.write_str("no room: go on without this message, send a newer one"),
            Self::TooLarge(limit) => write!(f, "the message is larger than {limit} bytes"),
            Self::TooManyStreams => {
                f.write_str("the peer allows no further stream: reuse a channel")
            }
            Self::UnknownPeer => f.write_str("no such peer"),
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closing => "the peer is closing",
            Self::TooMany => "too many are under way: wait for one to end",
            Self::UnknownPeer => "no such peer",
            Self::TooLate => "too late: it was sent already",
            Self::NotDirect => "the path to the peer is not direct",
        })
    }
}

impl core::error::Error for CommandError {}
impl core::error::Error for ConfigError {}
impl core::error::Error for ConnectError {}
impl core::error::Error for SendError {}
