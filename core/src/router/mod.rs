//! Which neighbour leads to a peer that is several hops away: distance vectors without loops.
//!
//! It is the Babel protocol (RFC 8966) cut down to what peers need: a destination is one identity, which alone
//! speaks for itself, and neighbours are sessions whose packets are authenticated. A node uses a route only if the
//! neighbour is strictly nearer than the node itself ever claimed to be (`record`), so no circle can close, whatever is lost
//! or late. What that rule forbids after a failure is allowed again by a greater pair of numbers, for which
//! the destination is asked (`ask`).
//!
//! It is a pure machine: inputs are neighbours that come and go (`links`), their messages (`receive`) and time
//! (`clock`); outputs are messages, destinations whose route changed, and one deadline. It knows no peers, packets
//! or keys: signatures are made and checked by a [`Signer`].

mod announce;
mod ask;
mod clock;
mod frames;
mod ledger;
mod links;
mod metric;
mod neighbour;
mod origin;
mod receive;
mod recent;
mod record;
mod report;
mod select;
#[cfg(test)]
mod tests;
mod wanted;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

#[cfg(test)]
use metric::INFINITE;
pub(crate) use neighbour::Link;
pub(crate) use origin::{Claim, Pair, Signature, Signer};

use ledger::Ledger;
use neighbour::Neighbour;
use origin::Origin;
use recent::Recent;
use record::Record;
use wanted::Wanted;

use crate::PeerId;
use crate::time::Instant;

/// What neighbours say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Update(Update),
    /// The sender has no route.
    Retraction {
        destination: PeerId,
        serial: u32,
    },
    /// The destination is asked for a pair that is at least this.
    SeqnoRequest {
        destination: PeerId,
        pair: Pair,
        hops: u8,
    },
    /// Whoever has a route is asked for it.
    RouteRequest {
        destination: PeerId,
        hops: u8,
    },
    /// The neighbour is asked for all that it has to tell.
    TableRequest,
}

/// The sender has a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) claim: Claim,
    pub(crate) signature: Signature,
    /// Grows with everything that the sender tells this neighbour about routes.
    pub(crate) serial: u32,
    /// For how many seconds the claim lives on, as the sender counts.
    pub(crate) remaining: u16,
    /// How far the destination is from the sender; `INFINITE` if it knows of the claim, and has no route.
    pub(crate) metric: u16,
}

/// A route that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) destination: PeerId,
    /// The slot of the neighbour.
    pub(crate) neighbour: u32,
    pub(crate) metric: u16,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Statements that were not taken: no right to make them, no place, a bad signature, too many.
    pub(crate) refused: u64,
    /// Signatures that were checked.
    pub(crate) checked: u64,
    /// Requests that were not answered: repeated, or too many.
    pub(crate) ignored: u64,
}

/// The table of routes of one endpoint.
#[derive(Debug)]
pub(crate) struct Router {
    origin: Option<Origin>,
    id: PeerId,
    neighbours: BTreeMap<u32, Neighbour>,
    /// What is kept of those that are none at the time.
    absent: BTreeMap<u32, Ledger>,
    records: BTreeMap<PeerId, Record>,
    /// How many destinations each neighbour told of first.
    introduced: BTreeMap<PeerId, usize>,
    /// When records are looked at again.
    agenda: BTreeSet<(Instant, PeerId)>,
    /// When what is due is told.
    flush_at: Option<Instant>,
    has_urgent: bool,
    seqno_requests: Recent<(PeerId, Pair)>,
    route_requests: Recent<PeerId>,
    /// Who was told of a newer claim than its own.
    claims: Recent<(PeerId, u32)>,
    /// Who asked for a route that is not known, until when.
    askers: BTreeMap<(PeerId, u32), Instant>,
    wanted: Wanted,
    output: VecDeque<(u32, Message)>,
    /// Destinations whose next hop changed.
    changes: BTreeSet<PeerId>,
    /// When those that routes are exchanged with are asked for a sign of life.
    hello_at: Option<Instant>,
    /// Neighbours that are asked for one.
    pings: BTreeSet<u32>,
    counters: Counters,
    random: u64,
    /// Whether routes must be feasible; off only in tests, which then find circles.
    is_strict: bool,
}

impl Router {
    /// A table for `id`, which tells of itself if there is an `epoch` for that: later than that of all lives before.
    /// `random` spreads its timers.
    pub(crate) fn new(
        now: Instant,
        id: PeerId,
        epoch: Option<u64>,
        random: u64,
        signer: &impl Signer,
    ) -> Self {
        Self {
            origin: epoch.map(|epoch| Origin::new(now, id, epoch, signer)),
            id,
            neighbours: BTreeMap::new(),
            absent: BTreeMap::new(),
            records: BTreeMap::new(),
            introduced: BTreeMap::new(),
            agenda: BTreeSet::new(),
            flush_at: None,
            has_urgent: false,
            seqno_requests: Recent::new(SAME_SEQNO),
            route_requests: Recent::new(SAME_ROUTE),
            claims: Recent::new(SAME_SEQNO),
            askers: BTreeMap::new(),
            wanted: Wanted::new(),
            output: VecDeque::new(),
            changes: BTreeSet::new(),
            hello_at: None,
            pings: BTreeSet::new(),
            counters: Counters::default(),
            random: random | 1,
            is_strict: true,
        }
    }

    /// The next message, and the neighbour that it is for.
    pub(crate) fn poll_output(&mut self) -> Option<(u32, Message)> {
        self.output.pop_front()
    }

    /// Whether there are messages, or news.
    pub(crate) fn has_output(&self) -> bool {
        !self.output.is_empty() || !self.changes.is_empty() || !self.pings.is_empty()
    }

    /// A destination whose next hop changed since it was last asked for.
    pub(crate) fn poll_change(&mut self) -> Option<PeerId> {
        self.changes.pop_first()
    }

    /// A neighbour that is to give a sign of life: whether it is there counts for everything beyond it.
    pub(crate) fn poll_ping(&mut self) -> Option<u32> {
        self.pings.pop_first()
    }

    /// Uses routes that may close circles.
    #[cfg(test)]
    pub(super) const fn switch_feasibility_off(&mut self) {
        self.is_strict = false;
    }

    /// What happened so far.
    pub(crate) const fn counters(&self) -> Counters {
        self.counters
    }
}

/// A request for the same pair is passed on once in this time, and one for a route.
const SAME_SEQNO: Duration = Duration::from_millis(800);
const SAME_ROUTE: Duration = Duration::from_secs(5);
