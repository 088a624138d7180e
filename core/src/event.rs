//! What the endpoint reports to the application.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::delivery::{Delivery, Fate, MessageId};
use crate::info::RouteInfo;
use crate::nat::NatEvidence;
use crate::net::{SocketId, Via};
use crate::pack::{pack_as, pack_enum, pack_never};
use crate::wire::VERSION;
use crate::{DisconnectReason, PeerHandle, PeerId, Violation};

/// Something the application may want to know. Events of one peer come in the order of cause and
/// effect: `Connected` first, then the others, `Ended` last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake succeeded: the peer has shown that it has the key of `id`.
    Connected {
        /// The peer.
        peer: PeerHandle,
        /// Its identity.
        id: PeerId,
        /// What carries packets to it.
        path: Via,
    },
    /// The peer is gone. No further event names it. For one idle timeout its handle still serves to
    /// `receive` what arrived before; any other command with it fails.
    ///
    /// Messages that nobody takes do not hold this event back. Whoever takes all messages whenever
    /// `Readable` is reported has taken the last one before: `unread` is 0 then.
    Ended {
        /// The peer.
        peer: PeerHandle,
        /// Its identity; `None` if a dial by address ended before it learned the identity.
        id: Option<PeerId>,
        /// Why the peer ended.
        reason: EndReason,
        /// Whole messages that cannot be received: each waited for an earlier one of its ordered stream,
        /// which did not come. They may have been acknowledged to the peer.
        undeliverable: u64,
        /// How many of its messages wait to be received.
        unread: usize,
    },
    /// A beacon in the local network says that somebody is there ([`Config::discovery`](crate::Config)): nobody that
    /// was heard of in the last minute. Of 64 at most.
    ///
    /// It is a hint, no more: who shares the network secret, or anybody there if there is none, can say this of
    /// everyone. Nobody is dialled by itself; a [`Target`](crate::Target) of both shakes hands with that very peer or nobody.
    #[non_exhaustive]
    Discovered {
        /// The identity.
        id: PeerId,
        /// Where it takes handshakes.
        address: SocketAddr,
        /// Whether it passes packets on between its peers.
        forwards: bool,
    },
    /// Two endpoints use one identity (a copied disk, a program started twice) and take each other's place.
    /// Told once for each peer. Messages that are under way when one takes the other's place end as
    /// [`Fate::Unknown`]; the one that lost its place takes it again about a heartbeat later.
    DuplicateIdentity {
        /// The peer.
        peer: PeerHandle,
        /// Whose identity it is: ours, says the peer, or that of the peer.
        ours: bool,
        /// What carries packets to the peer, or to the endpoint of the two that has its place now.
        path: Option<Via>,
        /// Where the other one calls from. `None` if the identity is ours: the peer does not say.
        other: Option<Via>,
    },
    /// The fate of a message. Reported for every message that asked for a receipt, and for every
    /// reliable message whose fate is not `Acked`.
    Fate {
        /// The peer it was sent to.
        peer: PeerHandle,
        /// The message, as named by `send`.
        message: MessageId,
        /// What became of it.
        fate: Fate,
    },
    /// The peer gave up reliable messages that had not arrived whole: they do not come. In an ordered stream those behind
    /// them go on; their `sequence_number`s leave out those that are missing.
    #[non_exhaustive]
    Missing {
        /// The peer.
        peer: PeerHandle,
        /// The stream of the messages.
        delivery: Delivery,
        /// How many since this was reported last for the stream.
        count: u64,
    },
    /// The endpoint needs another socket. This is for the driver: it answers with
    /// [`socket_opened`](crate::Endpoint::socket_opened), or with
    /// [`socket_closed`](crate::Endpoint::socket_closed) if it cannot open one.
    #[non_exhaustive]
    OpenSocket {
        /// The id of the new socket.
        socket: SocketId,
        /// The address to bind it to. With port zero the system chooses the port.
        address: SocketAddr,
        /// It is for the search for a direct way to a single peer, which is not to be told to others:
        /// [`CloseSocket`](Self::CloseSocket) follows when nothing needs it any more.
        temporary: bool,
    },
    /// The endpoint does not need a socket any more that it asked for. This is for the driver: it closes it, and answers with
    /// [`socket_closed`](crate::Endpoint::socket_closed).
    #[non_exhaustive]
    CloseSocket {
        /// The id of the socket.
        socket: SocketId,
    },
    /// The test of the NAT before us is over.
    #[non_exhaustive]
    NatTested {
        /// The server that helped.
        peer: PeerHandle,
        /// What was found out.
        evidence: NatEvidence,
    },
    /// Data takes another way to the peer from now on: the peer moved to another address, which is validated, a
    /// neighbour passes packets on where the peer does not answer directly, or it answers there again.
    PathChanged {
        /// The peer.
        peer: PeerHandle,
        /// What carries packets to it now.
        path: Via,
    },
    /// The path of data to the peer does not carry datagrams of 1,200 bytes (packets of 1,100 by way of a neighbour),
    /// while smaller ones pass: short messages arrive, long ones hardly do, and hold up the short ones behind them.
    /// Told once for each way. The drivers log it as a warning.
    #[non_exhaustive]
    PathTooNarrow {
        /// The peer.
        peer: PeerHandle,
        /// What carries packets to it.
        path: Via,
    },
    /// The answer to a ping.
    Pong {
        /// The peer.
        peer: PeerHandle,
        /// The id that `ping` returned.
        ping: PingId,
        /// The round-trip time of this ping.
        rtt: Duration,
    },
    /// `receive` has messages. Reported again only after `receive` returned `None`, or, for a message of
    /// a channel, after `receive_from` of that channel did. So an application that reads channel by
    /// channel takes all that waits on each channel that it wants, whenever this is reported; what waits
    /// on the others neither repeats the event nor keeps it from being reported.
    Readable {
        /// The peer.
        peer: PeerHandle,
    },
    /// A handshake that somebody began with us was refused: it is no peer. The endpoint keeps the newest 64
    /// such events until they are polled; [`Drops`](crate::Drops) counts all refusals.
    #[non_exhaustive]
    Refused {
        /// The identity of the initiator, which has shown that it has the key.
        id: PeerId,
        /// Where the request came from. Unless it was validated, somebody else may have sent a copy of it
        /// from there.
        path: Via,
        /// Why it was refused.
        reason: Refusal,
    },
    /// The peer lost its state (it restarted, or its idle timeout for us passed), or another instance with its
    /// key took its place, and a new handshake was made. Streams start over; messages under way ended as
    /// `Fate::Unknown`.
    Restarted {
        /// The peer.
        peer: PeerHandle,
        /// Whole messages that cannot be received any more: each waited for an earlier one of its ordered
        /// stream, which did not come. They may have been acknowledged to the peer.
        undeliverable: u64,
    },
    /// Another neighbour than before leads to an endpoint that is several hops away, or none does any more. It is
    /// told whether or not that endpoint is a peer of ours, and only with [`Routing::transit`](crate::Routing). If it
    /// changed several times between two polls, the newest route is reported. That a neighbour itself came or went is
    /// not told here, and neither is what carries packets to a connected peer: that is [`Event::PathChanged`].
    #[non_exhaustive]
    RouteChanged {
        /// The endpoint at the end of the route.
        destination: PeerId,
        /// The route that is used now; `None` if none is known.
        route: Option<RouteInfo>,
    },
    /// The peer's state changed. If it changed several times between two polls, only the newest state is
    /// reported.
    StateChanged {
        /// The peer.
        peer: PeerHandle,
        /// Its state now.
        state: PeerState,
    },
    /// A stream that we ended by [`end_stream`](crate::Endpoint::end_stream) has ended at the peer, too: its place is free,
    /// unless messages were sent on it since.
    #[non_exhaustive]
    StreamEnded {
        /// The peer.
        peer: PeerHandle,
        /// The stream: channel, reliability and order.
        delivery: Delivery,
    },
    /// Why the peer is reached as it is changed: see [`PeerInfo::verdict`](crate::PeerInfo). Only with
    /// [`Punching::enabled`](crate::Punching), and only for a peer that a neighbour's packets reach or reached.
    #[non_exhaustive]
    VerdictChanged {
        /// The peer.
        peer: PeerHandle,
    },
    /// `send` returned `Blocked` (or `NoRoom`, for a reliable message) before, and has room now for the message
    /// that was refused last on this channel. Told once for each channel that was refused.
    #[non_exhaustive]
    Writable {
        /// The peer.
        peer: PeerHandle,
        /// The channel. Others wait for room of their own.
        channel: u16,
    },
}

impl Event {
    /// The peer the event is about; `None` for `CloseSocket`, `Discovered`, `OpenSocket`, `Refused` and `RouteChanged`.
    #[must_use]
    pub const fn peer(&self) -> Option<PeerHandle> {
        match self {
            Self::Connected { peer, .. }
            | Self::DuplicateIdentity { peer, .. }
            | Self::Ended { peer, .. }
            | Self::Fate { peer, .. }
            | Self::Missing { peer, .. }
            | Self::NatTested { peer, .. }
            | Self::PathChanged { peer, .. }
            | Self::PathTooNarrow { peer, .. }
            | Self::Pong { peer, .. }
            | Self::Readable { peer }
            | Self::Restarted { peer, .. }
            | Self::StateChanged { peer, .. }
            | Self::StreamEnded { peer, .. }
            | Self::VerdictChanged { peer }
            | Self::Writable { peer, .. } => Some(*peer),
            Self::CloseSocket { .. }
            | Self::Discovered { .. }
            | Self::OpenSocket { .. }
            | Self::Refused { .. }
            | Self::RouteChanged { .. } => None,
        }
    }
}

/// Where a peer is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerState {
    /// We dial the peer; the handshake is not complete.
    Connecting,
    /// The handshake is complete, and the peer answers.
    Connected,
    /// The handshake is complete, but the peer no longer answers. Any packet of the peer makes it
    /// `Connected` again; the idle timeout ends it.
    Silent,
    /// We disconnect: queued messages are sent for as long as
    /// [`DisconnectOptions::linger`](crate::DisconnectOptions::linger) allows, then the
    /// `Disconnect`, until the peer acknowledges it.
    Closing,
    /// The peer ended.
    Expired,
}

pack_enum!(PeerState: Connecting, Connected, Silent, Closing, Expired);

/// Names a ping that is under way, unique per peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PingId(pub(crate) u64);

pack_as!(PingId: u64);

/// Why a peer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The dial did not succeed within `Config::timers.connect_timeout`: nobody answered. Whoever may not know
    /// that we are there is silent, so silence may mean: nobody is at the address, or somebody else; a firewall
    /// or NAT on the way drops packets; the network secret or the application id differs; the other end has
    /// another identity than the target names, is closing, or has more to do than it can.
    DialTimeout,
    /// We disconnected. What became of messages that were not acknowledged by then is told by their
    /// fates, before this.
    Disconnected {
        /// Whether the peer acknowledged the `Disconnect`, so that its application is told of it. It says
        /// nothing about messages. `false`: no acknowledgement came; the peer may or may not have got it.
        heard: bool,
    },
    /// It had to give way to a newcomer: every place was taken ([`Limits`](crate::Limits)), more peers come from
    /// its network than from the newcomer's, and our application had nothing to do with it, for a minute or
    /// ever. It is told so, with the code [`DisconnectReason::FULL`].
    Evicted,
    /// No packet of the peer arrived for the idle timeout.
    IdleTimeout,
    /// Another handle names the same peer: use that one.
    Merged {
        /// The handle that stays.
        into: PeerHandle,
    },
    /// A dial by address reached a peer that another shard of this endpoint
    /// ([`Config::siblings`](crate::Config::siblings)) has: it goes on there.
    #[non_exhaustive]
    OtherShard {
        /// Who was reached.
        id: PeerId,
        /// Which shard has it.
        shard: u8,
    },
    /// A dial by address reached this endpoint itself.
    OwnIdentity,
    /// The peer disconnected.
    PeerDisconnected {
        /// What it says about that.
        reason: DisconnectReason,
        /// Whether all that came is all there was: its application handed over no other reliable message,
        /// and each has arrived here. Some may still wait for [`receive`](crate::Endpoint::receive).
        /// `false`: the last messages may be missing. It says nothing about our own messages.
        complete: bool,
    },
    /// The dial did not succeed, and the neighbour by way of which it went said why. Another neighbour that
    /// forwards may have been silent.
    NotForwarded(ForwardRefusal),
    /// The other end told us, authenticated, that it does not take us in.
    Refused(Refusal),
    /// The dial did not succeed, and somebody at the address said that the endpoint there speaks another
    /// version of the protocol. Nothing authenticates that: it explains the silence, no more.
    VersionMismatch {
        /// The version that it speaks. Ours is in PROTOCOL.md section 3.
        theirs: u8,
    },
    /// The peer, though authenticated, broke the protocol.
    Violation(Violation),
}

pack_never!(EndReason);

impl EndReason {
    /// Whether every reliable message that the peer's application handed over has arrived here: the
    /// streams that it sent were read to their end once `receive` returns `None`. `false`: they may be cut
    /// short. That is so for every end but a [`PeerDisconnected`](Self::PeerDisconnected) that says
    /// otherwise: an endpoint that was dropped or restarted, silence, a broken rule, an end that we chose.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self, Self::PeerDisconnected { complete: true, .. })
    }
}

/// Why an endpoint does not take somebody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It has no place for another peer (see [`Limits`](crate::Limits)). A dial ends with it if that was so
    /// whenever it asked, until its deadline.
    Full,
    /// Its application does not admit this identity ([`Config::admission`](crate::Config::admission)).
    NotAdmitted,
}

/// Why a neighbour did not pass a packet of ours on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ForwardRefusal {
    /// It forwards for nobody, or not for us.
    NotForwarding,
    /// The peer that the packet was for is not connected to it, or not one that it forwards to, and no route to it is
    /// known there. Over several hops it is the last endpoint that the packet reached that says so.
    NotConnected,
    /// We sent more than it lets through.
    RateLimited,
    /// The packet was passed on as often as it may be: the way to the peer is too long, or a circle.
    TooFar,
}

impl ForwardRefusal {
    /// The byte on the wire.
    pub(crate) const fn to_u8(self) -> u8 {
        match self {
            Self::NotForwarding => 1,
            Self::NotConnected => 2,
            Self::RateLimited => 3,
            Self::TooFar => 4,
        }
    }

    /// `None` if this version does not know the reason.
    pub(crate) const fn from_u8(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::NotForwarding,
            2 => Self::NotConnected,
            3 => Self::RateLimited,
            4 => Self::TooFar,
            _ => return None,
        })
    }
}

impl fmt::Display for ForwardRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotForwarding => "the neighbour does not forward for us",
            Self::NotConnected => {
                "the peer is not connected to the neighbour, and no route to it is known there"
            }
            Self::RateLimited => "the neighbour lets no more through",
            Self::TooFar => "the peer is too many hops away",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no place for it",
            Self::NotAdmitted => "not admitted",
        })
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DialTimeout => f.write_str(
                "the dial timed out: nobody is there, UDP is blocked on the way (by a firewall or NAT), the \
                 network secret or application differs, the other end's id is not the expected one, or \
                 it is closing or overloaded",
            ),
            Self::Disconnected { heard: true } => f.write_str("disconnected"),
            Self::Disconnected { heard: false } => f.write_str("disconnected, unheard"),
            Self::Evicted => f.write_str("gave way to a newcomer"),
            Self::IdleTimeout => f.write_str("idle timeout"),
            Self::OtherShard { .. } => f.write_str("another shard of this endpoint has the peer"),
            Self::OwnIdentity => f.write_str("the address leads to this endpoint itself"),
            Self::Merged { .. } => f.write_str("merged with an older handle of the same peer"),
            Self::PeerDisconnected { reason, complete } => {
                let cut = if *complete { "" } else { ", messages may be missing" };
                write!(f, "the peer disconnected (code {}: {:?}){cut}", reason.code, reason.reason)
            }
            Self::NotForwarded(refusal) => write!(f, "no neighbour passed it on: {refusal}"),
            Self::Refused(Refusal::Full) => f.write_str("the endpoint there has no place for another peer"),
            Self::Refused(Refusal::NotAdmitted) => f.write_str("the endpoint there does not admit us"),
            Self::VersionMismatch { theirs } => write!(
                f,
                "the endpoint there speaks version {theirs} of the protocol, this one version {VERSION}"
            ),
            Self::Violation(violation) => write!(f, "the peer broke the protocol: {violation}"),
        }
    }
}
