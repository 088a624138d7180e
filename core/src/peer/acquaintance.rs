//! Who a peer is, and what the two ends know of each other's state. It outlives sessions.

use crate::info::Direction;
use crate::net::Place;
use crate::pack::pack;
use crate::recovery::{PacketSpaces, UntrackedNumbers};
use crate::session::{Incarnations, Pair};
use crate::time::Instant;
use crate::wire::{FORWARD_PATH, MAC_LEN, PROBE_PATH};
use crate::{PeerHandle, PeerId};

/// Who a peer is.
#[derive(Debug)]
pub(super) struct Acquaintance {
    pub(super) handle: PeerHandle,
    /// Peers are numbered in the order in which they were made.
    pub(super) number: u64,
    /// Its identity: validated, or what a dial expects.
    pub(super) id: Option<PeerId>,
    /// Names our state about the peer, unlike any that we lost; 0 until its identity is known.
    pub(super) incarnation: u64,
    /// The same of the peer, once it said so.
    remote_incarnation: Option<u64>,
    /// Those that it had before, newest first: another instance has its key if one of them comes back.
    former: FormerIncarnations,
    /// The application was told that two instances have one key.
    pub(super) is_duplicate_told: bool,
    /// The path ids used since both ends keep their state.
    pub(super) spaces: PacketSpaces,
    /// The numbers of packets that only carry others, for as long.
    carriers: UntrackedNumbers,
    /// The same of those that look for a way.
    probes: UntrackedNumbers,
    /// The greatest timestamp that a confirmed handshake of the peer had.
    pub(super) timestamp_ms: u64,
    /// When the first handshake succeeded, and who initiated it.
    pub(super) met: Option<(Instant, Direction)>,
    /// When the newest handshake was confirmed, in seconds of our clock.
    pub(super) confirmed_at: u32,
    /// Names the request of the last one that the peer began.
    pub(super) confirmed_request: Option<[u8; MAC_LEN]>,
    /// A handshake that the peer initiated succeeded.
    pub(super) has_initiated: bool,
    /// Where the endpoint's table lists the peer.
    pub(super) listed_at: Option<Place>,
}

pack!(Acquaintance:
    handle, number, id, incarnation, remote_incarnation, former, is_duplicate_told, spaces,
    carriers, probes, timestamp_ms, met, confirmed_at, confirmed_request, has_initiated, listed_at,
);

impl Acquaintance {
    /// A peer that said nothing yet. `incarnation` is ours for this peer.
    pub(super) fn new(
        handle: PeerHandle,
        number: u64,
        id: Option<PeerId>,
        incarnation: u64,
    ) -> Self {
        Self {
            handle,
            number,
            id,
            incarnation,
            remote_incarnation: None,
            former: [None; FORMER],
            is_duplicate_told: false,
            spaces: PacketSpaces::default(),
            carriers: UntrackedNumbers::new(FORWARD_PATH),
            probes: UntrackedNumbers::new(PROBE_PATH),
            timestamp_ms: 0,
            met: None,
            confirmed_at: 0,
            confirmed_request: None,
            has_initiated: false,
            listed_at: None,
        }
    }

    /// What names the peer's state about us, once it said so.
    pub(super) const fn remote_incarnation(&self) -> Option<u64> {
        self.remote_incarnation
    }

    /// The incarnations that the peer had before the present one.
    pub(super) const fn former(&self) -> FormerIncarnations {
        self.former
    }

    /// What names our state once it is reset.
    pub(super) fn next_incarnation(&self, incarnations: &Incarnations) -> u64 {
        self.id.map_or(0, |id| incarnations.after(&id, self.incarnation))
    }

    /// Whether both ends still have the states that we know of.
    pub(super) fn is_known_as(&self, pair: &Pair) -> bool {
        self.remote_incarnation == Some(pair.theirs) && self.incarnation == pair.ours
    }

    /// The numbers of packets that nobody acknowledges, of one of the two path ids that there are for them.
    pub(super) const fn untracked(&mut self, path: u8) -> &mut UntrackedNumbers {
        if path == PROBE_PATH { &mut self.probes } else { &mut self.carriers }
    }

    /// Both ends have no state about each other but what begins now: path ids start over, too.
    pub(super) fn start_over(&mut self, pair: &Pair) {
        if let Some(left) = self.remote_incarnation.filter(|left| *left != pair.theirs) {
            self.former.rotate_right(1);
            self.former[0] = Some(left);
        }
        self.incarnation = pair.ours;
        self.remote_incarnation = Some(pair.theirs);
        self.spaces = PacketSpaces::default();
        self.carriers = UntrackedNumbers::new(FORWARD_PATH);
        self.probes = UntrackedNumbers::new(PROBE_PATH);
    }
}

/// Incarnations that a peer had before, newest first.
pub(crate) type FormerIncarnations = [Option<u64>; FORMER];

/// How many of them are kept.
const FORMER: usize = 4;
