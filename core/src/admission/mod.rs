//! Strangers: what they may cost, who is answered, and what is kept about them until they are peers.
//!
//! Checks come in the order of their cost. The MAC, which strangers to the network cannot make; a
//! repetition, which is answered from memory; the cookie; the budgets (all in `screen`). Only then
//! Diffie-Hellman, the identity and the application's say (`authenticate`). What follows depends on
//! what the endpoint knows about the initiator, whether we parted from it (`parted`), and how full the
//! endpoint is: `decide` says so on plain data. `answer` and `refuse` carry it out. Until the initiator uses the keys it is no peer.
//! `stun` answers those who only ask where they are.

mod answer;
mod authenticate;
mod decide;
mod half_open;
mod limits;
mod parted;
mod refusals;
mod refuse;
mod reply;
mod screen;
mod seal;
mod stun;

pub(crate) use authenticate::Initiator;
pub(crate) use decide::{KnownPeer, Load, has_place};
pub(crate) use half_open::HalfOpen;
pub(crate) use limits::Source;

use half_open::HalfOpenTable;
use limits::RateLimiter;
use parted::Parted;
use refusals::Refusals;
use refuse::Refused;
use reply::Replies;

use smallvec::SmallVec;

use crate::PeerId;
use crate::context::Context;
use crate::crypto::cookie::CookieJar;
use crate::event::Event;
use crate::net::{Arrival, Departure, Via};
use crate::parting::Parting;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::{Cookie, SealedHeader};

/// All that concerns strangers.
pub(crate) struct Admission {
    half_open: HalfOpenTable,
    limiter: RateLimiter,
    cookies: CookieJar,
    replies: Replies,
    refusals: Refusals,
    refused: Refused,
    parted: Parted,
}

impl Admission {
    /// Nobody is under way, and all budgets are full.
    pub(crate) fn new(cx: &Context, cookies: CookieJar) -> Self {
        Self {
            half_open: HalfOpenTable::default(),
            limiter: RateLimiter::new(&cx.config.budgets, cx.incarnations.source_secret()),
            cookies,
            replies: Replies::default(),
            refusals: Refusals::default(),
            refused: Refused::default(),
            parted: Parted::default(),
        }
    }

    /// Handshakes that an initiator began and has not confirmed.
    pub(crate) fn half_open(&self) -> usize {
        self.half_open.len()
    }

    /// Whether the initiator with this identity was answered lately.
    pub(crate) fn has_answered(&self, id: &PeerId) -> bool {
        self.half_open.has(id)
    }

    /// The incarnation for an initiator that is no peer yet. If it was answered already, it gets the same
    /// one again, although peers may have ended meanwhile.
    pub(crate) fn incarnation(&self, cx: &Context, id: &PeerId) -> u64 {
        self.half_open.incarnation_told(id).unwrap_or_else(|| cx.incarnations.of(id))
    }

    /// A packet names the index of a half-open handshake: if it opens under the keys, the handshake is
    /// complete and is taken out.
    pub(crate) fn confirm(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        slot: u32,
        header: &SealedHeader,
        datagram: &[u8],
    ) -> Option<HalfOpen> {
        let half_open = self.half_open.get(slot)?;
        if half_open.is_confirmed_by(header, datagram) {
            return self.half_open.remove(slot);
        }
        cx.drop_packet(DropReason::Authentication, &arrival.via);
        cx.stats.unverified_bytes_received += datagram.len() as u64;
        None
    }

    /// We parted from a peer, which was at `source`: what it began before is over.
    pub(crate) fn part(&mut self, cx: &mut Context, parting: Parting, source: Source) {
        let forgot = self.parted.insert(parting, source, cx.now);
        cx.stats.partings_forgotten += u64::from(forgot);
    }

    /// Until when we remember that we parted from the peer with this identity, if we do.
    pub(crate) fn parted_until(&self, id: &PeerId) -> Option<Instant> {
        self.parted.until(id)
    }

    /// Forgets all handshakes that the initiator with this identity has not confirmed.
    pub(crate) fn forget(&mut self, cx: &mut Context, id: &PeerId) {
        while let Some(index) = self.half_open.forget(id) {
            cx.indices.release(index);
        }
    }

    /// The peer with this identity, and with these incarnations, ended: with it ends what it began. If it restarted and was
    /// answered, it takes itself for a peer, and that handshake goes on as a stranger's, unless those are many: then a source has no
    /// more than its part of the places, and this would be a way around that.
    pub(crate) fn on_peer_ended(
        &mut self,
        cx: &mut Context,
        id: &PeerId,
        ours: u64,
        theirs: Option<u64>,
    ) {
        for slot in self.half_open.slots_of(id).collect::<SmallVec<[u32; 4]>>() {
            let renews = self.half_open.get(slot).is_some_and(|it| it.renews(ours, theirs));
            if renews && !self.is_crowded(cx) {
                self.half_open.orphan(slot);
            } else if let Some(index) = self.half_open.forget_slot(slot) {
                cx.indices.release(index);
            }
        }
    }

    /// Forgets all handshakes that were not confirmed.
    pub(crate) fn forget_all(&mut self, cx: &mut Context) {
        while let Some(index) = self.half_open.forget_any() {
            cx.indices.release(index);
        }
    }

    /// Forgets what was answered to those who are no peers yet: another rule counts now.
    pub(crate) fn forget_answers(&mut self, cx: &mut Context) {
        self.forget_all(cx);
        self.forget_refusals();
    }

    /// Forgets the handshakes that were not confirmed in time.
    pub(crate) fn expire(&mut self, cx: &mut Context) {
        while let Some(index) = self.half_open.expire(cx.now) {
            cx.indices.release(index);
        }
    }

    /// When the next handshake is due to be forgotten.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.half_open.deadline()
    }

    /// Whether an answer waits.
    #[inline]
    pub(crate) fn has_reply(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Copies the next answer that fits into `buf`.
    pub(crate) fn poll_reply(&mut self, buf: &mut [u8]) -> Option<Departure> {
        self.replies.poll(buf)
    }

    /// Whether there is an initiator to report as refused.
    pub(crate) fn has_refusals(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// The next initiator to report as refused.
    pub(crate) fn poll_refusal(&mut self) -> Option<Event> {
        self.refusals.poll()
    }

    fn evict(&mut self, cx: &mut Context, slot: u32) {
        if let Some(index) = self.half_open.forget_slot(slot) {
            cx.indices.release(index);
        }
    }

    /// The cookie for an initiator that chose the index `index`, at the far end of `via`.
    pub(crate) fn cookie(&self, cx: &Context, via: &Via, index: u32) -> Cookie {
        let time = cx.cookie_time();
        Cookie { time: time.into(), mac: self.cookies.issue(time, &via.binding(), index) }
    }
}

#[cfg(test)]
impl Admission {
    /// How many places strangers have taken.
    pub(crate) fn strangers(&self) -> usize {
        self.half_open.strangers()
    }

    /// The half-open handshake in this slot.
    pub(crate) fn at(&self, slot: u32) -> Option<&HalfOpen> {
        self.half_open.get(slot)
    }

    /// The slot of the half-open handshake in a place of the peer with this identity.
    pub(crate) fn of_peer(&self, id: &PeerId, validated: bool) -> Option<u32> {
        self.half_open.of_peer(id, validated)
    }
}
