//! Counters: what happened, and why datagrams were dropped.

use core::time::Duration;

use crate::pack::pack;
use crate::wire::PacketError;

/// Declares a struct of `u64` counters that can be walked by name and added up. For the crates of
/// this project alone.
#[doc(hidden)]
#[macro_export]
macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name { $($(#[$field_meta])* pub $field: u64,)* }

        impl $name {
            /// All counters by name, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }
        }

        impl ::core::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

/// Declares the reasons for which datagrams are dropped, and a counter for each.
macro_rules! drops {
    ($($(#[$meta:meta])* $reason:ident => $counter:ident,)*) => {
        counters! {
            /// Datagrams dropped, each for one reason.
            Drops { $($(#[$meta])* $counter,)* }
        }

        /// Why a datagram is dropped: the names of the counters in [`Drops`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum DropReason { $($reason,)* }

        impl DropReason {
            /// The name of its counter.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$reason => stringify!($counter),)* }
            }
        }

        impl Drops {
            pub(crate) const fn count(&mut self, reason: DropReason) {
                match reason { $(DropReason::$reason => self.$counter += 1,)* }
            }
        }
    };
}

drops! {
    /// The tag did not verify, or a handshake message did not decrypt.
    Authentication => authentication,
    /// The application's admission refused the identity.
    Admission => admission,
    /// The MAC was wrong: the initiator lacks our key, the network secret or the application id.
    BadMac => bad_mac,
    /// A response, Retry or `UnknownSession` that answers nothing of ours, an answer of STUN, a beacon where none belongs.
    Unsolicited => unsolicited,
    /// A packet number that was seen before or is below the replay window, a repeated request, or a beacon of our own.
    Duplicate => duplicate,
    /// Half-open handshakes, peers, replies or the credit of a response were at their limit, or the
    /// endpoint closes.
    Full => full,
    /// A cookie that we did not make, made for another initiator, or too old.
    BadCookie => bad_cookie,
    /// An identity that is weak, not canonical, or not the owner of the handshake's key.
    BadIdentity => bad_identity,
    /// The wrong length or a reserved field that was set.
    Malformed => malformed,
    /// Requests of peers that we parted from.
    Parted => parted,
    /// Requests beyond their budget, which would have been answered otherwise, and responses and beacons that came
    /// too fast to be opened.
    RateLimited => rate_limited,
    /// A receiver index that names no session.
    UnknownSession => unknown_session,
    /// A packet type that is unknown.
    UnknownType => unknown_type,
    /// A version of the protocol that is unknown.
    UnknownVersion => unknown_version,
}

impl From<PacketError> for DropReason {
    fn from(error: PacketError) -> Self {
        match error {
            PacketError::Malformed => Self::Malformed,
            PacketError::UnknownType => Self::UnknownType,
            PacketError::UnknownVersion => Self::UnknownVersion,
        }
    }
}

counters! {
    /// What an endpoint did since it was made.
    Stats {
        /// Datagrams given to `handle_datagram`.
        datagrams_received,
        /// Bytes of UDP payload given to `handle_datagram`.
        bytes_received,
        /// Datagrams written by `poll_transmit`.
        datagrams_sent,
        /// Bytes of UDP payload written by `poll_transmit`.
        bytes_sent,
        /// Bytes received from addresses that are not validated, without those of STUN.
        unverified_bytes_received,
        /// Bytes sent to addresses that are not validated, other than those that `connect` named, without those of STUN.
        unverified_bytes_sent,
        /// Packets that were passed on from one peer to another.
        forwards_passed,
        /// Bytes of them.
        forward_bytes_passed,
        /// Packets that were not passed on, and whose senders were told so, once a second.
        forwards_refused,
        /// Packets that were to be passed on and were dropped: they waited too long, were too large for the
        /// next hop, or could not be what they claimed to be.
        forwards_dropped,
        /// What neighbours said about routes, and was not taken: repeated, too much, or not theirs to say.
        route_messages_refused,
        /// Signatures of claims of destinations that were checked.
        route_signatures_checked,
        /// Packets of ours of which a neighbour said that it did not pass them on.
        packets_not_forwarded,
        /// Handshakes completed.
        handshakes,
        /// Handshake requests on which Diffie-Hellman was spent.
        requests_opened,
        /// `HandshakeRetry` packets sent.
        retries_sent,
        /// `UnknownSession` packets sent.
        unknown_session_sent,
        /// Answers to STUN requests sent.
        stun_answers_sent,
        /// Retries, repeated responses, refusals, `UnknownSession` packets and answers to STUN requests that were not
        /// sent, because their budget was used up.
        answers_withheld,
        /// Key changes completed.
        rekeys,
        /// Peers that ended, for whatever reason.
        peers_ended,
        /// Peers that had to give way to newcomers.
        peers_evicted,
        /// Initiators that were told why they are not taken in: in answer to their request, or if their
        /// handshake was complete by then, as a first and last packet.
        refusals_sent,
        /// Peers that we parted from and had to forget while they may not have noticed: their handshakes
        /// are taken for those of newcomers.
        partings_forgotten,
        /// Bytes that count towards `Config::limits.max_memory` now: messages of all peers, and those that
        /// peers were told that they may send.
        memory_used,
    }
}

counters! {
    /// What happened with one peer.
    PeerStats {
        /// Datagrams received and opened.
        datagrams_received,
        /// Datagrams sent.
        datagrams_sent,
        /// Bytes of UDP payload received.
        bytes_received,
        /// Bytes of UDP payload sent.
        bytes_sent,
        /// Messages handed to the application or waiting for it.
        messages_received,
        /// Messages accepted by `send`.
        messages_sent,
        /// Packets declared lost.
        packets_lost,
        /// Packets declared lost that were acknowledged later.
        packets_spuriously_lost,
        /// Message parts sent again.
        parts_retransmitted,
        /// Copies of small messages of [`Priority::REAL_TIME`](crate::Priority::REAL_TIME) that were sent in case
        /// others of them were lost. They do not count as sent again.
        parts_copied,
        /// Probe timeouts that fired.
        probe_timeouts,
        /// How often the congestion controller slowed down.
        congestion_events,
        /// Packets that routers marked, instead of losing them, to have us slow down (ECN, RFC 3168), as the peer says.
        congestion_marks,
        /// Unreliable messages dropped before any of them was sent, because they waited for too long or
        /// too many waited.
        messages_dropped,
        /// Sequenced messages that a newer one replaced before they had arrived.
        messages_superseded,
        /// Unreliable messages dropped because the application did not receive them in time.
        messages_overflowed,
        /// Key changes completed.
        rekeys,
        /// Handshakes completed.
        handshakes,
        /// Changes of the peer's address, each after the new one was validated.
        roams,
        /// Bytes of its packets for others that were passed on, and of others' for it, without what is around them.
        relayed_bytes,
    }
}

pack!(PeerStats:
    datagrams_received, datagrams_sent, bytes_received, bytes_sent, messages_received,
    messages_sent, packets_lost, packets_spuriously_lost, parts_retransmitted, parts_copied,
    probe_timeouts, congestion_events, congestion_marks, messages_dropped, messages_superseded,
    messages_overflowed, rekeys, handshakes, roams, relayed_bytes,
);

impl PeerStats {
    /// The share of our datagrams to the peer that was lost, from 0 to 1, as far as is known: what was
    /// declared lost and acknowledged later does not count.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let lost = self.packets_lost.saturating_sub(self.packets_spuriously_lost);
        // Far from where a double is no longer exact.
        if self.datagrams_sent == 0 { 0.0 } else { lost as f64 / self.datagrams_sent as f64 }
    }
}

/// The state of a peer's path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathStats {
    /// The smoothed round-trip time; `None` before the first measurement.
    pub rtt: Option<Duration>,
    /// The newest measurement of it; `None` before the first.
    pub latest_rtt: Option<Duration>,
    /// The smallest so far on this path; `None` before the first.
    pub least_rtt: Option<Duration>,
    /// How many bytes may be sent and not yet acknowledged.
    pub congestion_window: u64,
    /// Bytes that are sent and neither acknowledged nor lost.
    pub bytes_in_flight: u64,
    /// The largest datagram sent on it now, in bytes of UDP payload: what was seen to pass, up to
    /// [`Config::max_datagram`](crate::Config). By way of a neighbour, what that carries.
    pub max_datagram: u16,
    /// Whether routers may mark packets on it instead of losing them: packets leave as ECN-capable (RFC 3168), and what
    /// the peer says of them shows that the mark arrives. False before the first answer, and where it does not.
    pub is_ecn_capable: bool,
}

pack!(PathStats:
    rtt, latest_rtt, least_rtt, congestion_window, bytes_in_flight, max_datagram, is_ecn_capable,
);
