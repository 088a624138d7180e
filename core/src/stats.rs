//! Counters: what happened, and why datagrams were dropped.

use core::time::Duration;

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

/// Declares why datagrams are dropped, and a counter for each reason.
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
    /// The first MAC was wrong: the initiator lacks our key, the network secret or the application id.
    BadMac => bad_mac,
    /// A response or retry answered nothing we asked.
    Unsolicited => unsolicited,
    /// A counter seen before, or too old to tell.
    Duplicate => duplicate,
    /// Half-open handshakes, peers, replies or the credit of a response were at their cap, or the
    /// endpoint closes.
    Full => full,
    /// A cookie that was not ours, not for this initiator, or too old.
    BadCookie => bad_cookie,
    /// An identity that is weak, not canonical, or not the owner of the handshake's key.
    BadIdentity => bad_identity,
    /// The wrong length or a reserved field that was set.
    Malformed => malformed,
    /// Handshakes and questions beyond their budget, which would have been answered otherwise, and
    /// responses that came too fast to be opened.
    RateLimited => rate_limited,
    /// A receiver index that names no session.
    UnknownSession => unknown_session,
    /// A packet type that is unknown.
    UnknownType => unknown_type,
    /// A version of the protocol that is unknown.
    UnknownVersion => unknown_version,
}

counters! {
    /// What an endpoint did since it was made.
    Stats {
        /// Datagrams handed in.
        datagrams_received,
        /// Bytes of UDP payload handed in.
        bytes_received,
        /// Datagrams handed out.
        datagrams_sent,
        /// Bytes of UDP payload handed out.
        bytes_sent,
        /// Bytes received from addresses that are not validated.
        unverified_bytes_received,
        /// Bytes sent to addresses that are not validated and that nobody asked us to dial.
        unverified_bytes_sent,
        /// Handshakes completed.
        handshakes,
        /// Handshake requests on which Diffie-Hellman was spent.
        requests_opened,
        /// Retries sent.
        retries_sent,
        /// Hints sent.
        unknown_session_sent,
        /// Retries, repeated responses and hints that were not sent, because too many were before.
        answers_withheld,
        /// Key changes completed.
        rekeys,
        /// Peers that ended, for whatever reason.
        peers_ended,
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
        /// Probe timeouts that fired.
        probe_timeouts,
        /// Times the congestion controller slowed down.
        congestion_events,
        /// Unreliable messages dropped because the application did not receive them in time.
        messages_overflowed,
        /// Key changes completed.
        rekeys,
        /// Handshakes completed.
        handshakes,
        /// Address changes proved.
        roams,
    }
}

/// The state of a peer's path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathStats {
    /// The smoothed round-trip time, once measured.
    pub rtt: Option<Duration>,
    /// Bytes that may be under way.
    pub congestion_window: u64,
    /// Bytes under way.
    pub bytes_in_flight: u64,
    /// Bytes of UDP payload per datagram.
    pub max_datagram: u16,
}
