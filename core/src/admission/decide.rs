//! Whether a genuine initiator is answered, on plain data.
//!
//! Every peer has two places for half-open handshakes, one for requests that validated their address and one
//! for others; its newest request of each kind takes it. Which of those with a cookie is newer, our own
//! clock says. Strangers compete for a fixed number, and do not wait for each other: if all are taken, a new one gets the place of the
//! oldest, unless the oldest may still be about to use it. Half a second is longer than most round
//! trips; and 1,024 places that are each given away after that take in as many strangers a second as
//! there is a budget for.

use core::time::Duration;

use super::half_open::{HalfOpen, Place};
use super::{Admission, Source};
use crate::config::{Config, Retry};
use crate::context::Context;
use crate::crypto::hash::equal;
use crate::peer::FormerIncarnations;
use crate::session::Pair;
use crate::stats::DropReason;
use crate::wire::{MAC_LEN, ResponseStatus};
use crate::{PeerHandle, PeerId};

/// What a genuine request amounts to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) id: PeerId,
    pub(super) source: Source,
    /// When it was made, by the clock of the initiator.
    pub(super) timestamp_ms: u64,
    /// When we gave the cookie that validates its address, if one does, in seconds of our clock.
    pub(super) cookie_time: Option<u32>,
    /// Names the request.
    pub(super) request_mac: [u8; MAC_LEN],
    /// The application lets it in.
    pub(super) admitted: bool,
    /// What names its state about us.
    pub(super) incarnation: u64,
}

/// What the endpoint knows about an initiator that is a peer already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownPeer {
    pub(crate) handle: PeerHandle,
    /// A session stands.
    pub(crate) has_session: bool,
    /// What names our state about it.
    pub(crate) incarnation: u64,
    /// What will name it once it is reset.
    pub(crate) next_incarnation: u64,
    /// What names its state about us, once it said so.
    pub(crate) remote_incarnation: Option<u64>,
    /// What named it before.
    pub(crate) former: FormerIncarnations,
    /// The newest time at which it claimed to shake hands.
    pub(crate) timestamp_ms: u64,
    /// When the newest handshake with it was confirmed, in seconds of our clock.
    pub(crate) confirmed_at: u32,
    /// The request of the last handshake of its own that was confirmed.
    pub(crate) confirmed: Option<[u8; MAC_LEN]>,
    /// The credit that a handshake with it would grant.
    pub(crate) fresh_grant: u64,
    /// The most that a handshake with it may have granted if it starts over.
    pub(crate) most_granted: u64,
}

impl KnownPeer {
    /// Our incarnation for an initiator that calls its own `theirs`: where that is not the known one, our
    /// state is reset.
    pub(super) fn incarnation_for(&self, theirs: u64) -> u64 {
        let same = self.remote_incarnation.is_none_or(|known| known == theirs);
        if same { self.incarnation } else { self.next_incarnation }
    }

    /// Whether the request with this MAC is that of its last handshake that was confirmed.
    fn has_confirmed(&self, request_mac: &[u8; MAC_LEN]) -> bool {
        self.confirmed.is_some_and(|confirmed| equal(&confirmed, request_mac))
    }

    /// Whether the incarnation is one that another took the place of.
    pub(crate) fn is_former(&self, theirs: u64) -> bool {
        self.former.contains(&Some(theirs))
    }
}

/// How full the endpoint is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How many peers have a place.
    pub(crate) peers: usize,
    /// How many of them are at the source of the initiator.
    pub(crate) peers_at_source: usize,
    /// Somebody may have to give way to the initiator, if it is a newcomer for whom there is no place.
    pub(crate) may_evict: bool,
    /// It takes nobody in any more.
    pub(crate) closing: bool,
}

/// What becomes of the request of a genuine initiator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is answered, and its handshake takes this place once that in the slot `evicted` went.
    Respond { place: Place, evicted: Option<u32> },
    /// It has to validate its address first.
    Validate,
    /// It is told, sealed, that it is not taken in.
    Refuse(ResponseStatus),
    /// It is dropped.
    Drop(DropReason),
}

impl Admission {
    /// Whether a genuine request is answered. `known` is the peer that the initiator is already.
    pub(super) fn decide(
        &self,
        cx: &Context,
        claim: &Claim,
        known: Option<&KnownPeer>,
        load: &Load,
    ) -> Decision {
        // What it has of us is over, although it does not know that.
        let lives_on =
            known.is_some_and(|known| known.remote_incarnation == Some(claim.incarnation));
        if !lives_on && self.parted.reason(&claim.id, claim.incarnation).is_some() {
            return Decision::Refuse(ResponseStatus::Parted);
        }
        if load.closing {
            return Decision::Drop(DropReason::Full);
        }
        if !claim.admitted {
            // A peer would take it for the end.
            let refuse = Decision::Refuse(ResponseStatus::NotAdmitted);
            return known.map_or(refuse, |_| Decision::Drop(DropReason::Admission));
        }
        match known {
            Some(known) if known.has_confirmed(&claim.request_mac) => {
                Decision::Drop(DropReason::Duplicate)
            }
            // A peer with a session is not disturbed by an old request.
            Some(known) if is_replay(claim, known) => Decision::Validate,
            Some(_) => self.decide_for_peer(claim),
            None => self.decide_for_stranger(cx, claim, load),
        }
    }

    /// The newest request of a peer replaces the one before of its kind. A recorded one must not: it comes
    /// without a cookie and with an old time, or with an old cookie.
    fn decide_for_peer(&self, claim: &Claim) -> Decision {
        let validated = claim.cookie_time.is_some();
        let place = Place::Peer { validated };
        let slot = self.half_open.of_peer(&claim.id, validated);
        let Some((slot, before)) = slot.and_then(|slot| Some((slot, self.half_open.get(slot)?)))
        else {
            return Decision::Respond { place, evicted: None };
        };
        let this = (claim.cookie_time, claim.timestamp_ms);
        let that = (before.cookie_time, before.timestamp_ms);
        if !validated && this <= that {
            Decision::Validate
        } else if validated && this < that {
            Decision::Drop(DropReason::Duplicate)
        } else {
            Decision::Respond { place, evicted: Some(slot) }
        }
    }

    fn decide_for_stranger(&self, cx: &Context, claim: &Claim, load: &Load) -> Decision {
        let (config, source) = (&cx.config, claim.source);
        if !has_place(config, load) {
            if !load.may_evict {
                return Decision::Refuse(ResponseStatus::Full);
            }
            // In nobody's name but its own may it ask for somebody's place.
            if claim.cookie_time.is_none() {
                return Decision::Validate;
            }
        }
        let (all, each) = (config.limits.max_half_open, config.limits.max_half_open_per_source);
        let own = self.half_open.oldest_of_many(source, each).filter(|_| self.is_crowded(cx));
        let any = || self.half_open.oldest_stranger();
        match own.or_else(|| any().filter(|_| self.half_open.strangers() >= all)) {
            Some((_, since)) if cx.now < since + PROTECTED => Decision::Drop(DropReason::Full),
            oldest => Decision::Respond {
                place: Place::Stranger(source),
                evicted: oldest.map(|(slot, _)| slot),
            },
        }
    }

    /// Whether initiators must validate their address first: by choice, or because places run low.
    pub(super) fn requires_validation(&self, cx: &Context) -> bool {
        cx.config.retry == Retry::Always || self.is_crowded(cx)
    }

    /// Whether strangers have taken a quarter of their places.
    pub(super) fn is_crowded(&self, cx: &Context) -> bool {
        self.half_open.strangers() >= cx.config.limits.max_half_open / 4
    }
}

impl HalfOpen {
    /// Whether a handshake that was just confirmed still fits what the endpoint knows about the
    /// initiator.
    pub(crate) fn still_fits(&self, known: Option<&KnownPeer>) -> bool {
        let Some(known) = known else {
            // If it was a peer when it was answered, that peer has ended since, and this was of it.
            return self.peer.is_none();
        };
        let terms = &self.established.terms;
        let Pair { ours, theirs } = terms.incarnations;
        let may_grant =
            known.remote_incarnation == Some(theirs) || terms.granted <= known.most_granted;
        // It was answered on behalf of the peer that is there now, or the one that is there now knows
        // no more than what was answered.
        let fits = self.peer == Some(known.handle) || known.remote_incarnation.is_none();
        known.incarnation_for(theirs) == ours && may_grant && fits
    }

    /// Whether both ends begin anew, with nothing of what was between us and the peer that had these incarnations.
    pub(crate) fn renews(&self, ours: u64, theirs: Option<u64>) -> bool {
        let incarnations = self.established.terms.incarnations;
        incarnations.ours != ours && Some(incarnations.theirs) != theirs
    }

    /// Where its request came from.
    pub(crate) fn source(&self) -> Source {
        Source::of(&self.established.terms.via)
    }
}

/// Whether the request may be a recorded one. A cookie from before the session that stands shows where the
/// initiator was, not that it asks now.
fn is_replay(claim: &Claim, known: &KnownPeer) -> bool {
    let has_old_cookie = claim.cookie_time.is_none_or(|time| time < known.confirmed_at);
    known.has_session && has_old_cookie && claim.timestamp_ms <= known.timestamp_ms
}

/// Whether there is a place for a newcomer: no source takes more than half of them alone.
pub(crate) const fn has_place(config: &Config, load: &Load) -> bool {
    let scarce = load.peers >= config.limits.max_peers.div_ceil(2);
    let greedy = load.peers_at_source >= config.limits.max_peers_per_source;
    load.peers < config.limits.max_peers && !(scarce && greedy)
}

/// How long a half-open handshake keeps its place in any case.
const PROTECTED: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
