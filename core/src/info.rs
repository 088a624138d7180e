//! A peer as queries show it.

use alloc::boxed::Box;

use crate::event::PeerState;
use crate::net::Via;
use crate::pack::{Packed, Packer, pack, pack_enum};
use crate::punch::Verdict;
use crate::stats::{PathStats, PeerStats};
use crate::time::Instant;
use crate::{PeerHandle, PeerId};

/// A peer as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Its handle.
    pub handle: PeerHandle,
    /// Its identity: authenticated by a handshake, or expected by a dial. `None` while a dial by address
    /// has not learned it.
    pub id: Option<PeerId>,
    /// Its state.
    pub state: PeerState,
    /// What carries data to it; `None` before the first handshake.
    pub path: Option<Via>,
    /// The longest message that can be sent to it, in bytes: the smaller limit of both ends, ours alone
    /// before the first handshake.
    pub max_message: u32,
    /// How many streams can be used towards it: our own limit before the first handshake.
    pub max_streams: u16,
    /// Bytes of messages that are queued for it or not acknowledged, 64 for each message included.
    pub queued: u64,
    /// The longest reliable message that `send` takes now, in bytes, on a channel with none that is queued or
    /// not acknowledged; 0 if it would be `Blocked`, but for an empty one. A channel with such messages has less
    /// room: it leaves as much as it holds to the others.
    pub room: u64,
    /// When the handshake succeeded that began this acquaintance; `None` before.
    pub connected_since: Option<Instant>,
    /// Who began it; `None` before.
    pub direction: Option<Direction>,
    /// When a packet of the peer was last authenticated; `None` before the first.
    pub last_received: Option<Instant>,
    /// Why that carries packets to it, and what was tried to reach it directly. Its `Display` is one line.
    pub verdict: Verdict,
    /// The path in numbers.
    pub path_stats: PathStats,
    /// Another path to it, which takes over when `path` fails; `None` if there is none, as with most peers: so it is apart.
    pub standby: Option<Box<StandbyPath>>,
    /// What happened with this peer so far.
    pub stats: PeerStats,
}

pack!(PeerInfo:
    handle, id, state, path, max_message, max_streams, queued, room, connected_since, direction, last_received, verdict,
    path_stats, standby, stats,
);

impl PeerInfo {
    /// The same in few bytes; `None` if that takes more than 2 KiB, which no peer is known to need.
    #[must_use]
    pub fn pack(&self) -> Option<PackedInfo> {
        Packer::default().pack(self).map(PackedInfo)
    }
}

/// A [`PeerInfo`] that takes about 150 bytes, for drivers that keep one of each peer.
#[derive(Debug)]
pub struct PackedInfo(Packed);

impl PackedInfo {
    /// The [`PeerInfo`] of which it was made.
    #[must_use]
    pub fn unpack(&self) -> Option<PeerInfo> {
        self.0.unpack()
    }
}

/// A route to a peer that is not reached directly, or not that way alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The peer at its end.
    pub destination: PeerId,
    /// The neighbour that its packets are given to; the destination itself if that is one.
    pub next_hop: PeerId,
    /// How far it is: at least 16 a hop, more for slow and lossy links.
    pub metric: u16,
}

/// A path to a peer beside the one that data takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StandbyPath {
    /// What carries packets on it.
    pub path: Via,
    /// Whether the peer answered there when it last should have.
    pub is_answering: bool,
    /// The path in numbers.
    pub stats: PathStats,
}

pack!(StandbyPath: path, is_answering, stats);

impl StandbyPath {
    pub(crate) const fn new(path: Via, is_answering: bool, stats: PathStats) -> Self {
        Self { path, is_answering, stats }
    }
}

/// Who initiated the handshake by which two peers met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Direction {
    /// The other end did.
    Inbound,
    /// We did.
    Outbound,
}

pack_enum!(Direction: Inbound, Outbound);

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::net::{FourTuple, Route};
    use crate::punch::{FreshPort, Nat, PathReason};

    fn via() -> impl Strategy<Value = Via> {
        let direct =
            any::<[u8; 4]>().prop_map(|ip| Via::Direct(FourTuple::to(SocketAddr::from((ip, 7)))));
        let routed = any::<[u8; 32]>().prop_map(|id| {
            Via::Routed(Route { neighbour: PeerId::claimed(id), remote: PeerId::claimed(id) })
        });
        prop_oneof![direct, routed]
    }

    fn trip() -> impl Strategy<Value = Option<Duration>> {
        prop::option::of(any::<u32>().prop_map(|micros| Duration::from_micros(micros.into())))
    }

    prop_compose! {
        fn path_stats()(
            trips in [trip(), trip(), trip()],
            bytes in [0..u64::MAX / 2, 0..u64::MAX / 2],
            max_datagram in any::<u16>(),
            is_ecn_capable in any::<bool>(),
        ) -> PathStats {
            let [rtt, latest_rtt, least_rtt] = trips;
            let [congestion_window, bytes_in_flight] = bytes;
            PathStats {
                rtt,
                latest_rtt,
                least_rtt,
                congestion_window,
                bytes_in_flight,
                max_datagram,
                is_ecn_capable,
            }
        }
    }

    prop_compose! {
        fn verdict()(
            path in prop::option::of(via()),
            reason in prop::sample::select(std::vec![
                PathReason::Connecting, PathReason::Direct, PathReason::Punched { after: Duration::from_millis(118) },
                PathReason::Off, PathReason::NotUsed, PathReason::Trying, PathReason::PeerDoesNotTry,
                PathReason::NoCandidates, PathReason::BothSymmetric, PathReason::NoAnswer,
            ]),
            rounds: u32,
            packets: u32,
            nats in prop::array::uniform2(prop::sample::select(std::vec![
                Nat::Unknown, Nat::None, Nat::Cone, Nat::Symmetric,
            ])),
            orders: [Option<bool>; 2],
            fresh_port in prop::sample::select(std::vec![FreshPort::NotTried, FreshPort::LeftOut]),
            retry: Option<u32>,
        ) -> Verdict {
            Verdict {
                path, reason, rounds, packets, fresh_port,
                our_nat: nats[0], peer_nat: nats[1], order_sensitive: orders[0], peer_order_sensitive: orders[1],
                next_retry: retry.map(|micros| Instant::from_micros(micros.into())),
            }
        }
    }

    prop_compose! {
        fn info()(
            place: (u32, u32, u8),
            id: Option<[u8; 32]>,
            state in prop::sample::select(std::vec![
                PeerState::Connecting, PeerState::Connected, PeerState::Silent, PeerState::Closing, PeerState::Expired,
            ]),
            path in prop::option::of(via()),
            numbers: (u32, u16, u32, u32),
            instants: [Option<u32>; 2],
            direction in prop::option::of(prop::sample::select(std::vec![Direction::Inbound, Direction::Outbound])),
            verdict in verdict(),
            path_stats in path_stats(),
            standby in prop::option::of((via(), any::<bool>(), path_stats())),
            counts: [u32; 3],
        ) -> PeerInfo {
            let [connected_since, last_received] = instants.map(|at| at.map(|at| Instant::from_micros(at.into())));
            PeerInfo {
                handle: PeerHandle { slot: place.0, generation: place.1, shard: place.2 },
                id: id.map(PeerId::claimed),
                state, path, direction, verdict, path_stats, connected_since, last_received,
                max_message: numbers.0,
                max_streams: numbers.1,
                queued: numbers.2.into(),
                room: numbers.3.into(),
                standby: standby.map(|(path, answers, stats)| Box::new(StandbyPath::new(path, answers, stats))),
                stats: PeerStats {
                    datagrams_received: counts[0].into(),
                    messages_sent: counts[1].into(),
                    relayed_bytes: counts[2].into(),
                    ..PeerStats::default()
                },
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_as_it_was(info in info()) {
            let packed = info.pack().expect("it is small");
            prop_assert_eq!(packed.unpack(), Some(info));
            prop_assert!(packed.0.len() < 512, "{} bytes", packed.0.len());
        }
    }
}
